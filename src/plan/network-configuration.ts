import { forbidden } from '../model/errors.ts';
import type { Network, NetworkRequest } from '../model/network.ts';
import type { State } from '../model/state.ts';

/**
 * `--config-only`: what networks of this host are made of, under a name. It takes no subnet and has no bridge until a
 * network is made from it with `--config-from`.
 */
export const planConfiguration = (request: NetworkRequest, { id, now }: { readonly id: string; readonly now: string }): Network => {
  if (request.internal || request.attachable)
    throw forbidden('configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.');
  if (request.configFrom !== '') throw forbidden('a configuration network cannot depend on another configuration network');
  return {
    id,
    name: request.name,
    created: now,
    driver: 'null',
    ipv4: request.ipv4,
    ipv6: request.ipv6,
    internal: false,
    attachable: false,
    subnets: request.subnets.map(({ cidr, ipRange, gateway, reserved }) => ({
      cidr,
      gateway: gateway || undefined,
      ipRange: ipRange || undefined,
      reserved,
      asked: true,
      gatewayAsked: gateway !== '',
    })),
    ipamOptions: request.ipamOptions,
    options: request.options,
    labels: request.labels,
    bridge: undefined,
    configOnly: true,
  };
};

/** What a request names with `--config-from`; undefined: nothing, or none that is there. */
export const configurationOf = ({ networks }: State, { configFrom }: Pick<NetworkRequest, 'configFrom'>): Network | undefined =>
  [...networks.values()].find(({ name, configOnly }) => configOnly && name === configFrom);

/** The request as its configuration completes it: of its own it has a name, a driver, and whether it is internal and attachable. */
export const withConfiguration = (state: State, request: NetworkRequest): NetworkRequest => {
  if (request.configFrom === '') return request;
  const own = (map: Readonly<Record<string, string>> = {}): number => Object.keys(map).length;
  if (request.ipv6 || request.subnets.length + own(request.labels) + own(request.ipamOptions) > 0 || !['', 'default'].includes(request.ipamDriver))
    throw forbidden('user specified configurations are not supported if the network depends on a configuration network');
  if (own(request.options) > 0) throw forbidden('network driver options are not supported if the network depends on a configuration network');
  const configuration = configurationOf(state, request);
  if (!configuration) throw forbidden(`configuration network ${JSON.stringify(request.configFrom)} does not exist`);
  const { ipv4, ipv6, ipamOptions, options, labels, subnets } = configuration;
  return {
    ...request,
    ipv4,
    ipv6,
    ipamOptions,
    options,
    labels,
    subnets: subnets.map(({ cidr, gateway = '', ipRange = '', reserved }) => ({ cidr, gateway, ipRange, reserved })),
  };
};

/** A network cannot outlive what it is made of. */
export const checkUnused = (state: State, { name, configOnly }: Network): void => {
  if (configOnly && [...state.networks.values()].some(({ configFrom }) => configFrom === name))
    throw forbidden(`error while removing network: configuration network ${JSON.stringify(name)} is in use`);
};

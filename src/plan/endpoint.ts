import { invalid, notFound, systemError } from '../model/errors.ts';
import type { Container, EndpointRequest } from '../model/container.ts';
import type { Endpoint, Network, Sandbox } from '../model/network.ts';
import type { State } from '../model/state.ts';
import { mtuOf } from './desired.ts';
import { allocateAddress, isWithin, takenAddresses } from './ipam.ts';
import { allocatePorts, takenPorts, type PortRange } from './ports.ts';

/** Dice and facts for one sandbox. */
export type SandboxContext = {
  readonly execRoot: string;
  /** So many random bytes, as hex. */
  readonly hex: (bytes: number) => string;
  readonly ephemeral: PortRange;
  /** Where to begin looking for a free host port. */
  readonly nextPort: (protocol: string) => number;
  /** Told of each port that is chosen. */
  readonly gavePort: (protocol: string, port: number) => void;
  /** Host ports found to be held by others, as "protocol port". */
  readonly busy: ReadonlySet<string>;
  /** --ip: where ports are published that name no address. */
  readonly defaultAddress: string;
};

/**
 * The network stack a container gets at its start: addresses and host ports are taken from what the state leaves free,
 * so that whoever commits the result has them. The addresses a client asked for are checked here.
 */
export const planSandbox = (state: State, container: Container, context: SandboxContext): Sandbox => {
  const { spec } = container;
  const id = context.hex(32);
  const netns = `${context.execRoot}/netns/${id.slice(0, 12)}`;
  const mode = spec.networkMode;
  if (mode === 'host' || mode.startsWith('container:')) return { id, netns: '', endpoints: [], ports: [] };

  const endpoints = spec.endpoints.flatMap((request, index): Endpoint[] => {
    const network = findNetwork(state, request.network);
    return network.driver === 'bridge' ? [planEndpoint(state, network, request, index, context)] : [];
  });
  const ports = endpoints.length === 0
    ? []
    : allocatePorts({
        requests: spec.portRequests,
        exposed: spec.exposedPorts,
        publishAll: spec.publishAll,
        taken: takenPorts(state),
        busy: context.busy,
        ephemeral: context.ephemeral,
        next: context.nextPort,
        defaultAddress: context.defaultAddress,
      });
  for (const { protocol, hostPort } of ports) context.gavePort(protocol, hostPort);
  return { id, netns, endpoints, ports };
};

const planEndpoint = (state: State, network: Network, request: EndpointRequest, index: number, context: SandboxContext): Endpoint => {
  const subnet = network.subnets.find(({ cidr }) => !cidr.includes(':'));
  if (!subnet || network.bridge === undefined) throw systemError(`network ${network.name} has no IPv4 subnet`);
  const taken = takenAddresses(state, network.id);
  if (request.ipv4 !== '') {
    if (!network.subnetsAsked) throw invalid('user specified IP address is supported only when connecting to networks with user configured subnets');
    if (!isWithin(subnet, request.ipv4)) throw invalid(`no configured subnet contains IP address ${request.ipv4}`);
    if (taken.has(request.ipv4)) throw systemError('Address already in use');
  }
  const address = request.ipv4 !== '' ? request.ipv4 : allocateAddress(network, subnet, taken);
  return {
    id: context.hex(32),
    networkId: network.id,
    networkName: network.name,
    bridge: network.bridge,
    veth: `veth${context.hex(4).slice(0, 7)}`,
    device: `eth${index}`,
    mac: request.mac !== '' ? request.mac.toLowerCase() : randomMac(context.hex(6)),
    address,
    prefixLength: Number(subnet.cidr.split('/')[1]),
    gateway: network.internal ? undefined : subnet.gateway,
    mtu: mtuOf(network),
  };
};

/** Locally administered, for one station. */
const randomMac = (hex: string): string => {
  const first = ((parseInt(hex.slice(0, 2), 16) & 0xfe) | 0x02).toString(16).padStart(2, '0');
  return [first, ...(hex.slice(2).match(/../g) ?? [])].join(':');
};

/** By full id, then by name, then by the start of an id. */
export const findNetwork = (state: State, ref: string): Network => {
  const byId = state.networks.get(ref);
  if (byId) return byId;
  const all = [...state.networks.values()];
  const named = all.find(({ name }) => name === ref);
  if (named) return named;
  const starting = ref === '' ? [] : all.filter(({ id }) => id.startsWith(ref));
  const [only] = starting;
  if (!only) throw notFound(`network ${ref} not found`);
  if (starting.length > 1) throw invalid(`network ${ref} is ambiguous (${starting.length} matches found based on ID prefix)`);
  return only;
};

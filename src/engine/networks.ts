import { firstOf, formatCidr, lastOf, parseCidr, subnetOf } from '../model/cidr.ts';
import { invalid } from '../model/errors.ts';
import type { Network } from '../model/network.ts';
import { anyFits, checkFilters, labelsMatch, matchesPattern, type Filters } from './filters.ts';
import { findNetwork } from './find.ts';
import type { Ledger } from './ledger.ts';
import type { Networks } from './services.ts';

export const createNetworks = ({ ledger }: { ledger: Pick<Ledger, 'state'> }): Networks => {
  const members: Networks['members'] = (network) =>
    [...ledger.state.containers.values()].flatMap((container) =>
      (container.sandbox?.endpoints ?? []).filter(({ networkId }) => networkId === network.id).map((endpoint) => ({ container, endpoint })),
    );

  return {
    list(filters) {
      checkFilters(filters, ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type']);
      const dangling = danglingFilter(filters);
      checkTypes(filters);
      return [...ledger.state.networks.values()].filter(
        (network) =>
          anyFits(filters, 'driver', (value) => value === network.driver) &&
          anyFits(filters, 'id', (value) => matchesPattern(value, network.id)) &&
          anyFits(filters, 'name', (value) => matchesPattern(value, network.name)) &&
          anyFits(filters, 'scope', (value) => value === 'local') &&
          anyFits(filters, 'type', (value) => value === (isPredefined(network) ? 'builtin' : 'custom')) &&
          labelsMatch(filters, network.labels) &&
          (dangling === undefined || dangling === (!isPredefined(network) && members(network).length === 0)),
      );
    },
    find: (ref) => findNetwork(ledger.state, ref),
    members,
  };
};

export const PREDEFINED: readonly string[] = ['bridge', 'host', 'none'];

/** Made by the engine at its first start; no client removes it. */
export const isPredefined = ({ name }: Network): boolean => PREDEFINED.includes(name);

const danglingFilter = (filters: Filters): boolean | undefined => {
  const [value, ...more] = filters.get('dangling') ?? [];
  if (more.length > 0) throw invalid('got more than one value for filter key "dangling"');
  if (value === undefined) return undefined;
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw invalid(`invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`);
};

const checkTypes = (filters: Filters): void => {
  for (const value of filters.get('type') ?? []) if (value !== 'builtin' && value !== 'custom') throw invalid(`invalid filter: 'type'='${value}'`);
};

const DEFAULT_BIP = '172.17.0.1/16';

/** The networks every host has: the default bridge, the host's own network, and none. */
export const defaultNetworks = ({
  now,
  id,
  bip = DEFAULT_BIP,
  mtu,
  icc,
}: {
  now: string;
  id: () => string;
  /** Address of docker0 with its prefix length. */
  bip: string | undefined;
  mtu: number;
  icc: boolean;
}): readonly Network[] => {
  const plain = (name: string, driver: Network['driver']): Network => ({
    id: id(),
    name,
    created: now,
    driver,
    ipv4: true,
    ipv6: false,
    internal: false,
    attachable: false,
    subnets: [],
    subnetsAsked: false,
    ipamOptions: undefined,
    options: {},
    labels: {},
    bridge: undefined,
  });
  return [
    {
      ...plain('bridge', 'bridge'),
      bridge: 'docker0',
      subnets: [{ ...subnetOfBridge(bip), ipRange: undefined, reserved: {} }],
      options: {
        'com.docker.network.bridge.default_bridge': 'true',
        'com.docker.network.bridge.enable_icc': String(icc),
        'com.docker.network.bridge.enable_ip_masquerade': 'true',
        'com.docker.network.bridge.host_binding_ipv4': '0.0.0.0',
        'com.docker.network.bridge.name': 'docker0',
        'com.docker.network.driver.mtu': String(mtu),
      },
    },
    plain('host', 'host'),
    plain('none', 'null'),
  ];
};

const subnetOfBridge = (bip: string): { readonly cidr: string; readonly gateway: string } => {
  const address = parseCidr(bip);
  const usable = address?.bits === 32 && (address.prefix >= 31 || (address.value !== firstOf(address) && address.value !== lastOf(address)));
  if (!address || !usable) throw invalid(`invalid --bip ${JSON.stringify(bip)}: the bridge's own IPv4 address with its prefix length expected, such as ${DEFAULT_BIP}`);
  return { cidr: formatCidr(subnetOf(address)), gateway: bip.slice(0, bip.indexOf('/')) };
};

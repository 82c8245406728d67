import { firstOf, formatCidr, lastOf, parseCidr, subnetOf } from '../model/cidr.ts';
import { invalid } from '../model/errors.ts';
import type { Network } from '../model/network.ts';
import { bridgeObject } from '../plan/bridge.ts';
import type { Operation } from '../operations/operation.ts';
import type { Ledger } from './ledger.ts';

const DEFAULT_BIP = '172.17.0.1/16';

/** The networks every host has: the default bridge, the host's own network, and none. */
export const defaultNetworks = ({
  now,
  id,
  bip = DEFAULT_BIP,
  mtu,
  icc,
  masquerade = true,
}: {
  now: string;
  id: () => string;
  /** Address of docker0 with its prefix length. */
  bip: string | undefined;
  mtu: number;
  icc: boolean;
  masquerade?: boolean;
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
    ipamOptions: undefined,
    options: {},
    labels: {},
    bridge: undefined,
  });
  return [
    {
      ...plain('bridge', 'bridge'),
      bridge: 'docker0',
      subnets: [{ ...subnetOfBridge(bip), ipRange: undefined, reserved: {}, asked: false, gatewayAsked: false }],
      options: {
        'com.docker.network.bridge.default_bridge': 'true',
        'com.docker.network.bridge.enable_icc': String(icc),
        'com.docker.network.bridge.enable_ip_masquerade': String(masquerade),
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

/**
 * Flags of the default bridge (--bip, --icc, --mtu...) may be others than those of the daemon that made it: it follows them, unless
 * containers still run on it, whose addresses are of the old one.
 */
export const renewDefaultBridge = async ({ ledger, attempt, wanted, log }: {
  readonly ledger: Ledger;
  readonly attempt: (operations: readonly Operation[]) => Promise<readonly Error[]>;
  readonly wanted: Network;
  readonly log: (message: string) => void;
}): Promise<void> => {
  const { networks, containers } = ledger.state;
  const there = [...networks.values()].find(({ name }) => name === wanted.name);
  if (there?.bridge === undefined) return;
  const { subnets, options } = wanted;
  if (JSON.stringify([there.subnets, there.options]) === JSON.stringify([subnets, options])) return;
  if ([...containers.values()].some(({ sandbox }) => sandbox?.endpoints.some(({ networkId }) => networkId === there.id))) {
    log(`containers run on ${there.bridge}: it stays as it is until a daemon starts without any`);
    return;
  }
  await ledger.found([{ collection: 'networks', key: there.id, record: { ...there, subnets, options } }]);
  // What it was goes whole; what it is to be is made with everything else that is missing.
  for (const error of await attempt([{ action: 'remove', object: bridgeObject({ ...there, bridge: there.bridge }) }])) log(error.message);
};

import { contains, firstOf, formatAddress, formatCidr, lastOf, overlaps, parseAddress, parseCidr, subnetOf, type Cidr } from '../model/cidr.ts';
import { invalid } from '../model/errors.ts';
import { familyOf, type Family, type Network, type Subnet } from '../model/network.ts';
import type { State } from '../model/state.ts';
import { bridgeObject } from '../plan/bridge.ts';
import type { Operation } from '../operations/operation.ts';
import { poolsOf } from '../plan/network.ts';
import { chooseSubnet, type AddressPool, type TakenRange } from '../plan/subnets.ts';
import type { Ledger } from './ledger.ts';

/** What the daemon's flags say of the default bridge. */
export type BridgeFlags = {
  /** --bip, --bip6: its own address with its prefix length; undefined: from the pools. */
  readonly bip: string | undefined;
  readonly bip6?: string | undefined;
  readonly ipv6?: boolean;
  /** --fixed-cidr, --fixed-cidr-v6: the part of its subnet that containers get addresses from. */
  readonly fixedCidr?: string | undefined;
  readonly fixedCidr6?: string | undefined;
  /** --default-gateway, --default-gateway-v6: where containers send what is for elsewhere, instead of the bridge. */
  readonly gateway?: string | undefined;
  readonly gateway6?: string | undefined;
  readonly mtu: number;
  readonly icc: boolean;
  readonly masquerade?: boolean;
  /** --ip */
  readonly publishAddress?: string;
};

/** The networks every host has: the default bridge, the host's own network, and none. */
export const defaultNetworks = ({ now, id, bridgeId = id(), free, ...flags }: BridgeFlags & {
  readonly now: string;
  readonly bridgeId?: string;
  readonly id: () => string;
  /** A subnet that neither the host nor a network has. */
  readonly free: (family: Family) => string;
}): readonly Network[] => {
  const plain = (name: string, driver: Network['driver'], own = id()): Network => ({
    id: own,
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
      ...plain('bridge', 'bridge', bridgeId),
      ipv6: flags.ipv6 ?? false,
      bridge: 'docker0',
      subnets: [
        subnetOfBridge('ipv4', { bip: flags.bip, range: flags.fixedCidr, gateway: flags.gateway }, () => free('ipv4')),
        ...(flags.ipv6 ? [subnetOfBridge('ipv6', { bip: flags.bip6, range: flags.fixedCidr6, gateway: flags.gateway6 }, () => flags.fixedCidr6 ?? free('ipv6'))] : []),
      ],
      options: {
        'com.docker.network.bridge.default_bridge': 'true',
        'com.docker.network.bridge.enable_icc': String(flags.icc),
        'com.docker.network.bridge.enable_ip_masquerade': String(flags.masquerade ?? true),
        'com.docker.network.bridge.host_binding_ipv4': flags.publishAddress ?? '0.0.0.0',
        'com.docker.network.bridge.name': 'docker0',
        'com.docker.network.driver.mtu': String(flags.mtu),
      },
    },
    plain('host', 'host'),
    plain('none', 'null'),
  ];
};

/** The networks a daemon with these flags starts with. What they leave open is as it was, or is taken from what nobody has. */
export const planDefaults = ({ state, flags, pools, hostRanges, now, id }: {
  readonly state: State;
  readonly flags: BridgeFlags;
  readonly pools: readonly AddressPool[];
  readonly hostRanges: readonly TakenRange[];
  readonly now: string;
  readonly id: () => string;
}): readonly Network[] => {
  const there = [...state.networks.values()].find(({ name }) => name === 'bridge');
  const bridgeId = there?.id ?? id();
  const was = (family: Family): string | undefined => {
    const subnet = there?.subnets.find(({ cidr }) => familyOf(cidr) === family);
    return subnet?.gateway === undefined ? undefined : `${subnet.gateway}/${subnet.cidr.split('/')[1]}`;
  };
  const others = [...state.networks.values()].flatMap(({ name, subnets, configOnly }) => (configOnly || name === 'bridge' ? [] : subnets.map(({ cidr }) => ({ cidr, by: `network ${name}` }))));
  const free = (family: Family): string =>
    chooseSubnet(poolsOf(pools, bridgeId).filter(({ base }) => familyOf(base) === family), [...others, ...hostRanges.filter(({ by }) => by !== 'link docker0')]);
  return defaultNetworks({
    ...flags,
    bip: flags.bip ?? was('ipv4'),
    bip6: flags.bip6 ?? (flags.fixedCidr6 === undefined ? was('ipv6') : undefined),
    now,
    free,
    bridgeId,
    id,
  });
};

/** What the flags of a family are called, for what is wrong with them. */
const FLAGS = {
  ipv4: { bits: 32, written: 'IPv4', bip: '--bip', range: '--fixed-cidr', gateway: '--default-gateway', example: '172.17.0.1/16', reserved: 'DefaultGatewayIPv4' },
  ipv6: { bits: 128, written: 'IPv6', bip: '--bip6', range: '--fixed-cidr-v6', gateway: '--default-gateway-v6', example: 'fd00::1/64', reserved: 'DefaultGatewayIPv6' },
} as const;

const subnetOfBridge = (
  family: Family,
  { bip, range, gateway }: { readonly bip: string | undefined; readonly range: string | undefined; readonly gateway: string | undefined },
  free: () => string,
): Subnet => {
  const flags = FLAGS[family];
  const { bits } = flags;
  const own = bip === undefined ? undefined : parseCidr(bip);
  if (bip !== undefined && (own?.bits !== bits || !isUsable(own)))
    throw invalid(`invalid ${flags.bip} ${JSON.stringify(bip)}: the bridge's own ${flags.written} address with its prefix length expected, such as ${flags.example}`);
  const subnet = own ?? rangeOf(family, free());
  const outside = `it is not in the bridge's subnet ${formatCidr(subnetOf(subnet))}`;
  if (range !== undefined && !overlaps(subnet, rangeOf(family, range))) throw invalid(`invalid ${flags.range} ${JSON.stringify(range)}: ${outside}`);
  const router = gateway === undefined ? undefined : parseAddress(gateway);
  if (gateway !== undefined && !(router && contains(subnet, router))) throw invalid(`invalid ${flags.gateway} ${JSON.stringify(gateway)}: ${outside}`);
  return {
    cidr: formatCidr(subnetOf(subnet)),
    gateway: formatAddress(own ?? { bits, value: firstOf(subnet) + 1n }),
    ipRange: range,
    reserved: gateway === undefined ? {} : { [flags.reserved]: gateway },
    asked: false,
    gatewayAsked: false,
  };
};

/** Neither the subnet's own address nor the one for all of it. */
const isUsable = (address: Cidr): boolean => address.prefix >= address.bits - 1 || (address.value !== firstOf(address) && (address.bits === 128 || address.value !== lastOf(address)));

const rangeOf = (family: Family, text: string): Cidr => {
  const { bits, written, range: flag } = FLAGS[family];
  const range = parseCidr(text);
  if (range?.bits !== bits) throw invalid(`invalid ${flag} ${JSON.stringify(text)}: an ${written} range ADDRESS/PREFIX expected`);
  return range;
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
  const { subnets, options, ipv6 } = wanted;
  if (JSON.stringify([there.subnets, there.options, there.ipv6]) === JSON.stringify([subnets, options, ipv6])) return;
  if ([...containers.values()].some(({ sandbox }) => sandbox?.endpoints.some(({ networkId }) => networkId === there.id))) {
    log(`containers run on ${there.bridge}: it stays as it is until a daemon starts without any`);
    return;
  }
  await ledger.found([{ collection: 'networks', key: there.id, record: { ...there, subnets, options, ipv6 } }]);
  // What it was goes whole; what it is to be is made with everything else that is missing.
  for (const error of await attempt([{ action: 'remove', object: bridgeObject({ ...there, bridge: there.bridge }) }])) log(error.message);
};

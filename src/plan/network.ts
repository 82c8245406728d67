import { formatAddress, formatCidr, firstOf, overlaps, contains, parseAddress, parseCidr, subnetOf, type Cidr } from '../model/cidr.ts';
import { conflict, forbidden, invalid, notFound } from '../model/errors.ts';
import { familyOf, type Family, type Network, type NetworkRequest, type Subnet } from '../model/network.ts';
import type { State } from '../model/state.ts';
import { bridgeSettings, checkDeviceName, type BridgeSettings } from './bridge.ts';
import { allocateAddress } from './ipam.ts';
import { planConfiguration, withConfiguration } from './network-configuration.ts';
import { checkSubnet, chooseSubnet, DEFAULT_POOLS, type AddressPool, type TakenRange } from './subnets.ts';

/** Facts and dice for one network. */
export type NetworkContext = {
  readonly id: string;
  readonly now: string;
  readonly pools: readonly AddressPool[];
  /** Ranges that the host has a use for. */
  readonly hostRanges: readonly TakenRange[];
  readonly hasDevice: (name: string) => boolean;
};

/**
 * Where subnets are cut from: as configured, or as the reference engine does; for IPv6 a range of this host's own (RFC 4193), from a seed: the
 * default bridge's id, which is random, and the same as long as this host's networks are kept.
 */
export const poolsOf = (configured: readonly AddressPool[], seed: string): readonly AddressPool[] => {
  const pools = configured.length > 0 ? configured : DEFAULT_POOLS;
  if (pools.some(({ base }) => familyOf(base) === 'ipv6')) return pools;
  return [...pools, { base: `fd${seed.slice(0, 2)}:${seed.slice(2, 6)}:${seed.slice(6, 10)}::/48`, size: 64 }];
};

export const PREDEFINED: readonly string[] = ['bridge', 'host', 'none'];

/** A new network. What is wrong with the request, or in its way, is told before anything is made. */
export const planNetwork = (state: State, asked: NetworkRequest, context: NetworkContext): Network => {
  checkName(state, asked);
  checkDriver(asked);
  const faults = asked.subnets.flatMap((subnet) => subnetFaults(subnet, asked));
  if (faults.length > 0) throw invalid(`invalid network config:\n${faults.join('\n')}`);
  if (asked.configOnly) return planConfiguration(asked, context);
  const request = withConfiguration(state, asked);
  if (!['', 'default'].includes(request.ipamDriver)) throw notFound(`plugin ${JSON.stringify(request.ipamDriver)} not found`);
  const settings = bridgeSettings(request);
  if (Object.values(settings.gatewayModes).includes('isolated') && !request.internal) throw invalid("gateway mode 'isolated' can only be used for an internal network");
  if (!request.ipv4 && !request.ipv6) throw invalid('IPv4 or IPv6 must be enabled');
  const bridge = bridgeName(state, settings, context);
  return {
    id: context.id,
    name: request.name,
    created: context.now,
    driver: 'bridge',
    ipv4: request.ipv4,
    ipv6: request.ipv6,
    internal: request.internal,
    attachable: request.attachable,
    subnets: subnetsOf(state, request, settings, context),
    ipamOptions: request.ipamOptions,
    options: request.options,
    labels: request.labels,
    bridge,
    ...(request.configFrom === '' ? {} : { configFrom: request.configFrom }),
  };
};

const checkName = ({ networks }: State, { name }: NetworkRequest): void => {
  if (name.trim() === '') throw invalid('invalid name: name is empty');
  if (/[\u0000-\u001f\u007f]/.test(name)) throw invalid(`invalid name: ${JSON.stringify(name)} has control characters in it`);
  if (PREDEFINED.includes(name) || name === 'default') throw forbidden(`operation is not permitted on predefined ${name} network `);
  for (const network of networks.values()) if (network.name === name) throw conflict(`network with name ${name} already exists`);
};

const checkDriver = ({ driver, configOnly }: NetworkRequest): void => {
  // Which driver is to have a configuration is said by the networks that are made from it.
  if (configOnly) return;
  if (driver === 'host' || driver === 'null') throw forbidden(`only one instance of ${JSON.stringify(driver)} network is allowed`);
  if (driver !== '' && driver !== 'bridge') throw notFound(`plugin ${JSON.stringify(driver)} not found`);
};

type SubnetRequest = NetworkRequest['subnets'][number];

const WRITTEN: Readonly<Record<Family, string>> = { ipv4: 'IPv4', ipv6: 'IPv6' };

const subnetFaults = ({ cidr, ipRange, gateway, reserved }: SubnetRequest, request: NetworkRequest): string[] => {
  const subnet = parseCidr(cidr);
  if (!subnet) return [`invalid subnet ${cidr}: invalid CIDR block notation`];
  const family = familyOf(cidr);
  // As if it had not been written.
  if (family === 'ipv6' && !request.ipv6) return [];
  const addressFault = (text: string): string | undefined => {
    const address = parseAddress(text);
    if (!address) return 'invalid address';
    if (address.bits !== subnet.bits) return `parent subnet is an ${WRITTEN[family]} block`;
    return contains(subnet, address) ? undefined : `parent subnet ${formatCidr(subnet)} doesn't contain this address`;
  };
  const [gatewayFault] = gateway === '' ? [] : [addressFault(gateway)];
  return [
    ...(subnet.value === firstOf(subnet) ? [] : [`invalid subnet ${formatCidr(subnet)}: it should be ${formatCidr(subnetOf(subnet))}`]),
    ...(ipRange === '' ? [] : rangeFaults(ipRange, subnet, family)),
    ...(gatewayFault === undefined ? [] : [`invalid gateway ${gateway}: ${gatewayFault}`]),
    ...Object.entries(reserved).flatMap(([name, text]) => {
      const fault = addressFault(text);
      return fault === undefined ? [] : [`invalid auxiliary address ${name}: ${fault}`];
    }),
  ];
};

const rangeFaults = (ipRange: string, subnet: Cidr, family: Family): string[] => {
  const range = parseCidr(ipRange);
  if (!range) return [`invalid ip-range ${ipRange}: invalid CIDR block notation`];
  if (range.bits !== subnet.bits) return [`invalid ip-range ${ipRange}: parent subnet is an ${WRITTEN[family]} block`];
  return [
    ...(range.prefix < subnet.prefix ? [`invalid ip-range ${ipRange}: CIDR block is bigger than its parent subnet ${formatCidr(subnet)}`] : []),
    ...(range.value === firstOf(range) ? [] : [`invalid ip-range ${formatCidr(range)}: it should be ${formatCidr(subnetOf(range))}`]),
    ...(overlaps(subnet, range) ? [] : [`invalid ip-range ${ipRange}: parent subnet ${formatCidr(subnet)} doesn't contain ip-range`]),
  ];
};

const bridgeName = ({ networks }: State, settings: BridgeSettings, { id, hasDevice }: NetworkContext): string => {
  const name = settings.name === '' ? `br-${id.slice(0, 12)}` : settings.name;
  checkDeviceName(name, 'bridge name');
  for (const other of networks.values())
    if (other.bridge === name)
      throw forbidden(`cannot create network ${id} (${name}): conflicts with network ${other.id} (${name}): networks have same bridge name`);
  // Another's bridge would be another's to configure, and to lose when the network goes.
  if (hasDevice(name)) throw forbidden(`cannot create network ${id} (${name}): the host has a device of that name already`);
  return name;
};

/** As inspect shows them: those the client chose first, then those chosen for it; IPv4 before IPv6. */
const subnetsOf = (state: State, request: NetworkRequest, settings: BridgeSettings, context: NetworkContext): Subnet[] => {
  const own = new Set([...state.networks.values()].map(({ bridge }) => `link ${bridge}`));
  const networks: TakenRange[] = [...state.networks.values()].filter(({ configOnly }) => !configOnly).flatMap(({ name, subnets }) => subnets.map(({ cidr }) => ({ cidr, by: `network ${name}` })));
  const taken = [...networks, ...context.hostRanges.filter(({ by }) => !own.has(by))];
  const families = (['ipv4', 'ipv6'] as const).filter((family) => request[family]);
  const asked = families.flatMap((family) => {
    const mine = request.subnets.filter(({ cidr }) => familyOf(cidr) === family);
    if (mine.length > 1) throw forbidden("bridge driver doesn't support multiple subnets");
    return mine.map((subnet): Subnet => {
      const cidr = formatCidr(mustParse(subnet.cidr));
      checkSubnet(cidr, networks, context.pools);
      return withGateway(
        { cidr, gateway: canonical(subnet.gateway) || undefined, ipRange: subnet.ipRange || undefined, reserved: mapValues(subnet.reserved, canonical), asked: true, gatewayAsked: subnet.gateway !== '' },
        request, settings, context,
      );
    });
  });
  const chosen = families
    .filter((family) => !asked.some(({ cidr }) => familyOf(cidr) === family))
    .map((family): Subnet => {
      const pools = context.pools.filter(({ base }) => familyOf(base) === family);
      const cidr = chooseSubnet(pools, [...asked.map((each) => ({ cidr: each.cidr, by: 'this network' })), ...taken]);
      return withGateway({ cidr, gateway: undefined, ipRange: undefined, reserved: {}, asked: false, gatewayAsked: false }, request, settings, context);
    });
  return [...asked, ...chosen];
};

/** The bridge's own address: the lowest, unless the client chose one, or the network is to have none. */
const withGateway = (subnet: Subnet, { name, internal }: NetworkRequest, { gatewayModes, inhibitIpv4 }: BridgeSettings, { id }: NetworkContext): Subnet => {
  const family = familyOf(subnet.cidr);
  const none = gatewayModes[family] === 'isolated' || (family === 'ipv4' && inhibitIpv4 && internal);
  if (none || subnet.gateway !== undefined) return subnet;
  return { ...subnet, gateway: allocateAddress({ name, id }, subnet, new Set()) };
};

/** As everything else writes it: addresses are compared as text. */
const canonical = (text: string): string => {
  const address = parseAddress(text);
  return address ? formatAddress(address) : text;
};

const mapValues = (map: Readonly<Record<string, string>>, change: (value: string) => string): Record<string, string> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));

const mustParse = (text: string): Cidr => {
  const parsed = parseCidr(text);
  if (!parsed) throw invalid(`invalid subnet ${text}: invalid CIDR block notation`);
  return parsed;
};

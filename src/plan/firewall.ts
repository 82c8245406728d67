import { familyOf, type Endpoint, type Family, type Network } from '../model/network.ts';
import type { PortBinding } from '../model/port.ts';
import type { HostObject, KindOf, Table } from '../operations/operation.ts';
import { bridgeSettings, type BridgeSettings } from './bridge.ts';
import { spansOf, type PortSpan } from './spans.ts';

/**
 * The way of a packet, as on any Docker host:
 *
 *   from outside   nat PREROUTING -> DOCKER: DNAT to the container
 *                  filter FORWARD -> DOCKER-USER -> DOCKER-FORWARD -> DOCKER-CT (answers) -> isolation
 *                    -> DOCKER-BRIDGE -> DOCKER (published: ACCEPT; anything else into the bridge: DROP)
 *   to outside     DOCKER-FORWARD (from the bridge: ACCEPT) -> nat POSTROUTING: masquerade
 *   from this host nat OUTPUT -> DOCKER: DNAT
 *
 * The order of the calls below is the order of the rules.
 */
type Rule = KindOf<'rule'>;

export const rule =
  (family: Family) =>
  (table: Table, chain: string, spec: string, at: 'top' | 'end' = 'end'): Rule => ({ kind: 'rule', family, table, chain, spec: spec.split(' '), at });

const FILTER_CHAINS = ['DOCKER', 'DOCKER-BRIDGE', 'DOCKER-CT', 'DOCKER-FORWARD', 'DOCKER-ISOLATION-STAGE-1', 'DOCKER-ISOLATION-STAGE-2', 'DOCKER-USER'];

/** Chains that belong to the administrator: made when absent, never emptied, never removed. */
export const FOREIGN_CHAINS: readonly string[] = ['DOCKER-USER'];

const LOOPBACK = { ipv4: '127.0.0.0/8', ipv6: '::1/128' } as const;

/** What every host of berth's has, with or without a container. */
export const baseFirewall = (family: Family): HostObject[] => {
  const add = rule(family);
  return [
    ...FILTER_CHAINS.map((name) => ({ kind: 'chain', family, table: 'filter', name }) as const),
    { kind: 'chain', family, table: 'nat', name: 'DOCKER' },
    // Inserted in this order, so that DOCKER-USER comes to stand before DOCKER-FORWARD, and both before what others appended.
    add('filter', 'FORWARD', '-j DOCKER-FORWARD', 'top'),
    add('filter', 'FORWARD', '-j DOCKER-USER', 'top'),
    add('filter', 'DOCKER-FORWARD', '-j DOCKER-CT'),
    add('filter', 'DOCKER-FORWARD', '-j DOCKER-ISOLATION-STAGE-1'),
    add('filter', 'DOCKER-FORWARD', '-j DOCKER-BRIDGE'),
    add('nat', 'PREROUTING', '-m addrtype --dst-type LOCAL -j DOCKER'),
    add('nat', 'OUTPUT', `! -d ${LOOPBACK[family]} -m addrtype --dst-type LOCAL -j DOCKER`),
  ];
};

/** A bridge network's rules: out is allowed, in only for answers and published ports, other networks never. */
export const networkFirewall = (network: Network): HostObject[] => {
  const { bridge } = network;
  if (bridge === undefined) return [];
  const settings = bridgeSettings(network);
  return network.subnets.flatMap(({ cidr }) => (network.internal ? internalRules(bridge, cidr, settings) : openRules(bridge, cidr, settings)));
};

const openRules = (bridge: string, cidr: string, { icc, masquerade, sources, gatewayModes }: BridgeSettings): Rule[] => {
  const family = familyOf(cidr);
  const add = rule(family);
  const [mode, source] = [gatewayModes[family], sources[family]];
  return [
    ...(masquerade && mode !== 'routed' ? [add('nat', 'POSTROUTING', `-s ${cidr} ! -o ${bridge} -j ${source === undefined ? 'MASQUERADE' : `SNAT --to-source ${source}`}`, 'top')] : []),
    add('nat', 'DOCKER', `-i ${bridge} -j RETURN`, 'top'),
    ...(mode === 'routed' ? [add('filter', 'DOCKER', `-o ${bridge} -p ${ICMP[family]} -j ACCEPT`)] : []),
    add('filter', 'DOCKER', `! -i ${bridge} -o ${bridge} -j ${mode === 'nat-unprotected' ? 'ACCEPT' : 'DROP'}`),
    add('filter', 'DOCKER-BRIDGE', `-o ${bridge} -j DOCKER`),
    add('filter', 'DOCKER-CT', `-o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`),
    ...(icc
      ? [add('filter', 'DOCKER-FORWARD', `-i ${bridge} -j ACCEPT`)]
      : [add('filter', 'DOCKER-FORWARD', `-i ${bridge} -o ${bridge} -j DROP`), add('filter', 'DOCKER-FORWARD', `-i ${bridge} ! -o ${bridge} -j ACCEPT`)]),
    add('filter', 'DOCKER-ISOLATION-STAGE-1', `-i ${bridge} ! -o ${bridge} -j DOCKER-ISOLATION-STAGE-2`),
    add('filter', 'DOCKER-ISOLATION-STAGE-2', `-o ${bridge} -j DROP`, 'top'),
  ];
};

const ICMP = { ipv4: 'icmp', ipv6: 'ipv6-icmp' } as const;

/** Nothing in, nothing out, before any other network is asked. IPv6 neighbours talk by addresses outside the subnet. */
const internalRules = (bridge: string, cidr: string, { icc }: BridgeSettings): Rule[] => {
  const family = familyOf(cidr);
  const add = rule(family);
  const [notFrom, notTo] = family === 'ipv6' ? [`! -i ${bridge} `, ` ! -o ${bridge}`] : ['', ''];
  return [
    add('filter', 'DOCKER-FORWARD', `-i ${bridge} -o ${bridge} -j ${icc ? 'ACCEPT' : 'DROP'}`),
    add('filter', 'DOCKER-ISOLATION-STAGE-1', `! -d ${cidr} -i ${bridge}${notTo} -j DROP`, 'top'),
    add('filter', 'DOCKER-ISOLATION-STAGE-1', `! -s ${cidr} ${notFrom}-o ${bridge} -j DROP`, 'top'),
  ];
};

/**
 * The ports that an endpoint has published. Bindings of a family that the endpoint is without have no rule: the host
 * port's own listener carries them.
 */
export const portsFirewall = (endpoint: Endpoint, ports: readonly PortBinding[]): HostObject[] =>
  (['ipv4', 'ipv6'] as const).flatMap((family) => {
    const address = family === 'ipv4' ? endpoint.address : (endpoint.ipv6?.address ?? '');
    const reachable = ports.filter(({ hostAddress }) => familyOf(hostAddress) === family);
    return address === '' || reachable.length === 0 ? [] : reachableRules(family, address, endpoint, reachable);
  });

export const ALONE = { ipv4: 32, ipv6: 128 } as const;
export const ANY = { ipv4: '0.0.0.0', ipv6: '::' } as const;

const reachableRules = (family: Family, address: string, { bridge, gatewayModes }: Endpoint, ports: readonly PortBinding[]): Rule[] => {
  const add = rule(family);
  const mode = gatewayModes[family];
  const one = (each: string): string => `${each}/${ALONE[family]}`;
  // A neighbour's own address is not one that an answer could be sent back from.
  const notLocal = family === 'ipv6' ? '! -s fe80::/10 ' : '';
  return [
    // With its port open in FORWARD, the container could also be reached by those who just route its address to us.
    ...(mode === 'nat' ? [add('raw', 'PREROUTING', `-d ${one(address)} ! -i ${bridge} -j DROP`)] : []),
    ...spansOf(ports.filter(({ hostPort }) => hostPort !== 0), () => RANGE).flatMap((span) => {
      const { protocol, hostAddress, hostPort, count } = span;
      const to = hostAddress === ANY[family] ? '' : `-d ${one(hostAddress)} `;
      return [
        add('nat', 'DOCKER', `${notLocal}${to}! -i ${bridge} -p ${protocol} -m ${protocol} --dport ${listed(hostPort, count)} -j DNAT --to-destination ${targetOf(address, span)}`),
        // What is bound to loopback is for this host: no other may route 127/8 at us and have it.
        ...(hostAddress.startsWith('127.')
          ? [add('raw', 'PREROUTING', `-d ${one(hostAddress)} ! -i lo -p ${protocol} -m ${protocol} --dport ${listed(hostPort, count)} -j DROP`)]
          : []),
      ];
    }),
    ...(mode === 'nat-unprotected' ? [] : containerPortsOf(ports)).map(({ protocol, port, count }) =>
      add('filter', 'DOCKER', `-d ${one(address)} ! -i ${bridge} -o ${bridge} -p ${protocol} -m ${protocol} --dport ${listed(port, count)} -j ACCEPT`, 'top'),
    ),
  ];
};

/** The container's ports: the same, or as many from another one on. */
export const targetOf = (address: string, { port, hostPort, count }: PortSpan): string => {
  const target = familyOf(address) === 'ipv6' ? `[${address}]` : address;
  return count === 1 ? `${target}:${port}` : port === hostPort ? address : `${target}:${port}-${port + count - 1}/${hostPort}`;
};

/** Two host ports of one container port share its ACCEPT. */
const containerPortsOf = (ports: readonly PortBinding[]): PortSpan[] => {
  const once = new Map(ports.map(({ port, protocol }) => [`${port}/${protocol}`, { port, protocol, hostAddress: '', hostPort: port }]));
  return spansOf([...once.values()], () => RANGE);
};

/** From so many neighbours on, one rule is for all of them. Fewer are listed one by one, as on any Docker host. */
const RANGE = 4;

export const listed = (first: number, count: number): string => (count === 1 ? `${first}` : `${first}:${first + count - 1}`);

/** By which a rule in a shared chain is known to be berth's, where its words alone could be anybody's. */
export const OURS = 'berth';

/**
 * Rules folded into the chains they make, as iptables would: "TABLE CHAIN" to its rules, first to last. Only berth's own
 * chains; rules in chains that others share (FORWARD, PREROUTING...) come apart, in the order in which to add them.
 */
export const foldChains = (
  objects: readonly HostObject[],
  family: Family,
): { readonly chains: Map<string, string[]>; readonly shared: readonly Rule[] } => {
  const chains = new Map<string, string[]>();
  const shared: Rule[] = [];
  for (const object of objects) {
    if (object.kind === 'chain' && object.family === family && !FOREIGN_CHAINS.includes(object.name)) chains.set(`${object.table} ${object.name}`, []);
    if (object.kind !== 'rule' || object.family !== family) continue;
    const chain = chains.get(`${object.table} ${object.chain}`);
    if (!chain) shared.push(object);
    else if (object.at === 'top') chain.unshift(object.spec.join(' '));
    else chain.push(object.spec.join(' '));
  }
  return { chains, shared };
};

/**
 * A rule in a shared chain that some berth or Docker Engine made, and that goes when nobody wants it. `bridges` are known to be
 * berth's, whatever their names.
 */
export const isOurs = (table: string, chain: string, spec: string, bridges: ReadonlySet<string> = new Set()): boolean => {
  const device = (found: RegExpExecArray | null): boolean => found !== null && (/^(docker0|br-[0-9a-f]{12})$/.test(found[1] ?? '') || bridges.has(found[1] ?? ''));
  switch (`${table} ${chain}`) {
    case 'filter FORWARD':
      return /^-j DOCKER-(USER|FORWARD)$/.test(spec);
    case 'nat PREROUTING':
    case 'nat OUTPUT':
      return / -j DOCKER$/.test(spec) || spec.includes(` -m comment --comment ${OURS} -j `);
    case 'nat POSTROUTING':
      return device(/^-s \S+ ! -o (\S+) -j (?:MASQUERADE|SNAT --to-source \S+)$/.exec(spec));
    case 'raw PREROUTING':
      return device(/^-d \S+ ! -i (\S+) -j DROP$/.exec(spec)) || /^-d 127\.\S+ ! -i lo -p (tcp|udp|sctp) -m (tcp|udp|sctp) --dport \d+(:\d+)? -j DROP$/.test(spec);
    default:
      return false;
  }
};

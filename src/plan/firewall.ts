import type { Endpoint, Network } from '../model/network.ts';
import type { PortBinding } from '../model/port.ts';
import type { Family, HostObject, KindOf, Table } from '../operations/operation.ts';

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

const rule =
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
  return familiesOf(network).flatMap(([family, subnets]) =>
    network.internal ? internalRules(rule(family), bridge, subnets, talks(network)) : openRules(rule(family), bridge, subnets, network),
  );
};

const openRules = (add: ReturnType<typeof rule>, bridge: string, subnets: readonly string[], network: Network): Rule[] => [
  ...(masquerades(network) ? subnets.map((cidr) => add('nat', 'POSTROUTING', `-s ${cidr} ! -o ${bridge} -j MASQUERADE`, 'top')) : []),
  add('nat', 'DOCKER', `-i ${bridge} -j RETURN`, 'top'),
  add('filter', 'DOCKER', `! -i ${bridge} -o ${bridge} -j DROP`),
  add('filter', 'DOCKER-BRIDGE', `-o ${bridge} -j DOCKER`),
  add('filter', 'DOCKER-CT', `-o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`),
  ...(talks(network)
    ? [add('filter', 'DOCKER-FORWARD', `-i ${bridge} -j ACCEPT`)]
    : [add('filter', 'DOCKER-FORWARD', `-i ${bridge} -o ${bridge} -j DROP`), add('filter', 'DOCKER-FORWARD', `-i ${bridge} ! -o ${bridge} -j ACCEPT`)]),
  add('filter', 'DOCKER-ISOLATION-STAGE-1', `-i ${bridge} ! -o ${bridge} -j DOCKER-ISOLATION-STAGE-2`),
  add('filter', 'DOCKER-ISOLATION-STAGE-2', `-o ${bridge} -j DROP`, 'top'),
];

/** Nothing in, nothing out, before any other network is asked. */
const internalRules = (add: ReturnType<typeof rule>, bridge: string, subnets: readonly string[], talk: boolean): Rule[] => [
  add('filter', 'DOCKER-FORWARD', `-i ${bridge} -o ${bridge} -j ${talk ? 'ACCEPT' : 'DROP'}`),
  ...subnets.flatMap((cidr) => [
    add('filter', 'DOCKER-ISOLATION-STAGE-1', `! -d ${cidr} -i ${bridge} -j DROP`, 'top'),
    add('filter', 'DOCKER-ISOLATION-STAGE-1', `! -s ${cidr} -o ${bridge} -j DROP`, 'top'),
  ]),
];

/** Whether its containers may reach each other. */
const talks = ({ options }: Network): boolean => options['com.docker.network.bridge.enable_icc'] !== 'false';

const masquerades = ({ options }: Network): boolean => options['com.docker.network.bridge.enable_ip_masquerade'] !== 'false';

const familiesOf = (network: Network): [Family, string[]][] => {
  const [v4, v6] = [network.subnets.filter(({ cidr }) => !cidr.includes(':')), network.subnets.filter(({ cidr }) => cidr.includes(':'))];
  return [
    ...(v4.length > 0 ? ([['ipv4', v4.map(({ cidr }) => cidr)]] as [Family, string[]][]) : []),
    ...(v6.length > 0 ? ([['ipv6', v6.map(({ cidr }) => cidr)]] as [Family, string[]][]) : []),
  ];
};

/**
 * A container's published ports. Bindings of the other family than the endpoint's have no rule: the host port's own
 * listener carries them.
 */
export const portsFirewall = (endpoint: Endpoint, ports: readonly PortBinding[]): HostObject[] => {
  const reachable = ports.filter(({ hostAddress }) => !hostAddress.includes(':'));
  if (reachable.length === 0) return [];
  const { address, bridge } = endpoint;
  const add = rule('ipv4');
  return [
    // With its port open in FORWARD, the container could also be reached by those who just route its address to us.
    add('raw', 'PREROUTING', `-d ${address}/32 ! -i ${bridge} -j DROP`),
    ...reachable.flatMap(({ protocol, port, hostAddress, hostPort }) => {
      const to = hostAddress === '0.0.0.0' ? '' : `-d ${hostAddress}/32 `;
      return [
        add('nat', 'DOCKER', `${to}! -i ${bridge} -p ${protocol} -m ${protocol} --dport ${hostPort} -j DNAT --to-destination ${address}:${port}`),
        // What is bound to loopback is for this host: no other may route 127/8 at us and have it.
        ...(hostAddress.startsWith('127.')
          ? [add('raw', 'PREROUTING', `-d ${hostAddress}/32 ! -i lo -p ${protocol} -m ${protocol} --dport ${hostPort} -j DROP`)]
          : []),
      ];
    }),
    ...containerPortsOf(reachable).map(({ protocol, port }) =>
      add('filter', 'DOCKER', `-d ${address}/32 ! -i ${bridge} -o ${bridge} -p ${protocol} -m ${protocol} --dport ${port} -j ACCEPT`, 'top'),
    ),
  ];
};

/** Two host ports of one container port share its ACCEPT. */
const containerPortsOf = (ports: readonly PortBinding[]) => [...new Map(ports.map((port) => [`${port.port}/${port.protocol}`, port])).values()];

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

/** A rule in a shared chain that some berth or Docker Engine made, and that goes when nobody wants it. */
export const isOurs = (table: string, chain: string, spec: string): boolean => {
  switch (`${table} ${chain}`) {
    case 'filter FORWARD':
      return /^-j DOCKER-(USER|FORWARD)$/.test(spec);
    case 'nat PREROUTING':
    case 'nat OUTPUT':
      return / -j DOCKER$/.test(spec);
    case 'nat POSTROUTING':
      return /^-s \S+ ! -o (docker0|br-[0-9a-f]{12}) -j MASQUERADE$/.test(spec);
    case 'raw PREROUTING':
      return /^-d \S+ ! -i (docker0|br-[0-9a-f]{12}) -j DROP$/.test(spec) || /^-d 127\.\S+ ! -i lo -p (tcp|udp|sctp) -m (tcp|udp|sctp) --dport \d+ -j DROP$/.test(spec);
    default:
      return false;
  }
};

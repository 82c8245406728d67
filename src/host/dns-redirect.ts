import { attribute, NetlinkError, netlinkTransaction, text } from './netlink.ts';
import { baseChain, batch, equals, expression, FLAG, HEADER, immediate, load, loadMeta, MESSAGE, message, META, NESTED, NETLINK_NETFILTER, port, REGISTER, word } from './nftables.ts';

/**
 * The container's programs ask at 127.0.0.11:53, berth listens there at ports of the kernel's choosing:
 *
 *   query     127.0.0.1:X    -> 127.0.0.11:53      output: port 53 becomes PORT
 *   answer    127.0.0.11:PORT -> 127.0.0.1:X       output: port PORT becomes 53
 *
 * Why not listen at port 53: whoever holds 127.0.0.11:53 keeps every other from binding 0.0.0.0:53, and name servers are
 * run in containers too. Why not DNAT: it switches connection tracking on for all that the container ever sends. Both
 * packets are sent from within the namespace, so four stateless rules in one chain say everything; in a table of its own,
 * which a container's own iptables neither shows nor flushes. By netlink (nf_tables(7) as nft sends it): no process is started.
 */
export const redirectDns = async (netns: string, address: string, ports: Ports): Promise<void> => {
  const wish = `redirect ${address} port ${DNS} to ${ports.udp}/udp and ${ports.tcp}/tcp`;
  const begin = (messages: readonly Buffer[]): Promise<void> => netlinkTransaction(netns, NETLINK_NETFILTER, wish, batch([...messages, ...rules(address, ports)]));
  try {
    await begin([message(MESSAGE.newTable, FLAG.create | FLAG.exclusive, [table])]);
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== 'EEXIST') throw error;
    // An earlier daemon's. Not at once, for the kernel is long about deleting: ten times as long as about making one.
    await begin([message(MESSAGE.deleteTable, 0, [table]), message(MESSAGE.newTable, FLAG.create, [table])]);
  }
};

type Ports = { readonly udp: number; readonly tcp: number };

const rules = (address: string, ports: Ports): Buffer[] => [
  message(MESSAGE.newChain, FLAG.create, baseChain(table, { name: CHAIN, type: 'filter', hook: 'output', priority: BEFORE_CONNECTION_TRACKING })),
  ...(
    [
      { protocol: UDP, field: DESTINATION, at: DESTINATION_PORT, from: DNS, to: ports.udp },
      { protocol: UDP, field: SOURCE, at: SOURCE_PORT, from: ports.udp, to: DNS },
      { protocol: TCP, field: DESTINATION, at: DESTINATION_PORT, from: DNS, to: ports.tcp },
      { protocol: TCP, field: SOURCE, at: SOURCE_PORT, from: ports.tcp, to: DNS },
    ] as const
  ).map((rule) => message(MESSAGE.newRule, FLAG.create | FLAG.append, [table, attribute(2, text(CHAIN)), attribute(4 | NESTED, Buffer.concat(rewrite(address, rule)))])),
];

const [TABLE, CHAIN, DNS] = ['berth-dns', 'output', 53];
const BEFORE_CONNECTION_TRACKING = -300;
const [TCP, UDP] = [6, 17];
/** Where an IPv4 header has its addresses, and a TCP or UDP header its ports. */
const [SOURCE, DESTINATION, SOURCE_PORT, DESTINATION_PORT] = [12, 16, 0, 2];
const CHECKSUM = { [TCP]: 16, [UDP]: 6 };

type Rewrite = { readonly protocol: typeof TCP | typeof UDP; readonly field: number; readonly at: number; readonly from: number; readonly to: number };

/** `ip daddr ADDRESS udp dport FROM udp dport set TO`, or the same with source. */
const rewrite = (address: string, { protocol, field, at, from, to }: Rewrite): Buffer[] => [
  loadMeta(META.protocol),
  equals(Buffer.from([protocol])),
  load(HEADER.network, field, 4),
  equals(Buffer.from(address.split('.').map(Number))),
  load(HEADER.transport, at, 2),
  equals(port(from)),
  immediate(port(to)),
  expression(
    'payload',
    attribute(5, word(REGISTER)),
    attribute(2, word(HEADER.transport)),
    attribute(3, word(at)),
    attribute(4, word(2)),
    attribute(6, word(1)),
    attribute(7, word(CHECKSUM[protocol]!)),
  ),
];

const table = attribute(1, text(TABLE));

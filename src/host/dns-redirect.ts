import { attribute, NetlinkError, netlinkTransaction, text } from './netlink.ts';

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
  const begin = (messages: readonly Buffer[]): Promise<void> =>
    netlinkTransaction(netns, NETLINK_NETFILTER, wish, Buffer.concat([batch(NFNL_MSG_BATCH_BEGIN), ...messages, ...rules(address, ports), batch(NFNL_MSG_BATCH_END)]));
  try {
    await begin([message(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, [table])]);
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== 'EEXIST') throw error;
    // An earlier daemon's. Not at once, for the kernel is long about deleting: ten times as long as about making one.
    await begin([message(NFT_MSG_DELTABLE, 0, [table]), message(NFT_MSG_NEWTABLE, NLM_F_CREATE, [table])]);
  }
};

type Ports = { readonly udp: number; readonly tcp: number };

const rules = (address: string, ports: Ports): Buffer[] => [
  message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, [
    table,
    attribute(3, text(CHAIN)),
    attribute(4 | NESTED, Buffer.concat([attribute(1, word(NF_INET_LOCAL_OUT)), attribute(2, word(BEFORE_CONNECTION_TRACKING))])),
    attribute(7, text('filter')),
  ]),
  ...(
    [
      { protocol: UDP, field: DESTINATION, at: DESTINATION_PORT, from: DNS, to: ports.udp },
      { protocol: UDP, field: SOURCE, at: SOURCE_PORT, from: ports.udp, to: DNS },
      { protocol: TCP, field: DESTINATION, at: DESTINATION_PORT, from: DNS, to: ports.tcp },
      { protocol: TCP, field: SOURCE, at: SOURCE_PORT, from: ports.tcp, to: DNS },
    ] as const
  ).map((rule) => message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, [table, attribute(2, text(CHAIN)), attribute(4 | NESTED, Buffer.concat(rewrite(address, rule)))])),
];

const [TABLE, CHAIN, DNS] = ['berth-dns', 'output', 53];
const [NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES, NFPROTO_IPV4] = [12, 10, 2];
const [NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END] = [16, 17];
const [NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE] = [0, 2, 3, 6];
const [NLM_F_REQUEST, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND, NESTED] = [1, 0x200, 0x400, 0x800, 0x8000];
const [NF_INET_LOCAL_OUT, BEFORE_CONNECTION_TRACKING] = [3, -300];
const [TCP, UDP] = [6, 17];
/** Where an IPv4 header has its addresses, and a TCP or UDP header its ports. */
const [SOURCE, DESTINATION, SOURCE_PORT, DESTINATION_PORT] = [12, 16, 0, 2];
const CHECKSUM = { [TCP]: 16, [UDP]: 6 };
const [NETWORK_HEADER, TRANSPORT_HEADER, REGISTER] = [1, 2, 1];

type Rewrite = { readonly protocol: typeof TCP | typeof UDP; readonly field: number; readonly at: number; readonly from: number; readonly to: number };

/** `ip daddr ADDRESS udp dport FROM udp dport set TO`, or the same with source. */
const rewrite = (address: string, { protocol, field, at, from, to }: Rewrite): Buffer[] => [
  expression('meta', [attribute(1, word(REGISTER)), attribute(2, word(16))]),
  equals(Buffer.from([protocol])),
  load(NETWORK_HEADER, field, 4),
  equals(Buffer.from(address.split('.').map(Number))),
  load(TRANSPORT_HEADER, at, 2),
  equals(port(from)),
  expression('immediate', [attribute(1, word(REGISTER)), attribute(2 | NESTED, attribute(1, port(to)))]),
  expression('payload', [
    attribute(5, word(REGISTER)),
    attribute(2, word(TRANSPORT_HEADER)),
    attribute(3, word(at)),
    attribute(4, word(2)),
    attribute(6, word(1)),
    attribute(7, word(CHECKSUM[protocol]!)),
  ]),
];

const expression = (name: string, parts: readonly Buffer[]): Buffer =>
  attribute(1 | NESTED, Buffer.concat([attribute(1, text(name)), attribute(2 | NESTED, Buffer.concat(parts))]));

const load = (header: number, offset: number, length: number): Buffer =>
  expression('payload', [attribute(1, word(REGISTER)), attribute(2, word(header)), attribute(3, word(offset)), attribute(4, word(length))]);

const equals = (value: Buffer): Buffer => expression('cmp', [attribute(1, word(REGISTER)), attribute(2, word(0)), attribute(3 | NESTED, attribute(1, value))]);

/** Netfilter's numbers are in network order. */
const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value, 0);
  return bytes;
};

const port = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value, 0);
  return bytes;
};

const message = (type: number, flags: number, parts: readonly Buffer[]): Buffer => packed((NFNL_SUBSYS_NFTABLES << 8) | type, flags, NFPROTO_IPV4, 0, parts);
const batch = (type: number): Buffer => packed(type, 0, 0, NFNL_SUBSYS_NFTABLES, []);

/** struct nlmsghdr and struct nfgenmsg */
const packed = (type: number, flags: number, family: number, resource: number, parts: readonly Buffer[]): Buffer => {
  const bytes = Buffer.concat([Buffer.alloc(20), ...parts]);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(NLM_F_REQUEST | flags, 6);
  bytes.writeUInt8(family, 16);
  bytes.writeUInt16BE(resource, 18);
  return bytes;
};

const table = attribute(1, text(TABLE));

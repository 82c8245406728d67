import os from 'node:os';
import type { KindOf } from '../operations/operation.ts';
import { addressBytes, attribute } from './netlink.ts';
import { askKernel, attributesOf } from './netlink-socket.ts';

/**
 * The kernel decides at a flow's first packet where its packets go, and remembers (nf_conntrack): whoever goes on sending to a host
 * port goes on reaching what was behind it then. UDP has no end that would make it forget.
 */
type HostPort = KindOf<'host-port'>;

/** `here`: what leads to the container by these ports, which it has no more. `elsewhere`: what does not, where it now should. */
export const forgetFlows = (ports: readonly HostPort[], which: 'here' | 'elsewhere'): void => {
  for (const protocol of ['tcp', 'udp', 'sctp'] as const)
    for (const ipv6 of [false, true]) {
      // What comes for one family to a container of the other is carried over by us.
      const own = ports.filter((port) => port.protocol === protocol && port.hostAddress.includes(':') === ipv6 && port.address.includes(':') === ipv6);
      if (own.length > 0) forget(protocol, ipv6, own, which);
    }
};

const [NETLINK_NETFILTER, CT_GET, CT_DELETE, NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NESTED] = [12, 0x101, 0x102, 1, 4, 0x300, 0x8000];
const [CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_ID, CTA_ZONE, CTA_FILTER] = [1, 2, 12, 18, 25];
const [CTA_TUPLE_IP, CTA_TUPLE_PROTO, CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT, CTA_FILTER_ORIG_FLAGS] = [1, 2, 1, 2, 3, 1];
const FILTER_PROTOCOL = 8;
const NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;

const forget = (protocol: HostPort['protocol'], ipv6: boolean, ports: readonly HostPort[], which: 'here' | 'elsewhere'): void => {
  const local = new Set(Object.values(os.networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => addressBytes(address).toString('hex'))));
  const doomed: Buffer[] = [];
  const look = (body: Buffer): void => {
    const parts = attributesOf(body, 4);
    const [to, back] = [tupleOf(parts.get(CTA_TUPLE_ORIG), ipv6), tupleOf(parts.get(CTA_TUPLE_REPLY), ipv6)];
    if (!to || !back || to.protocol !== NUMBERS[protocol]) return;
    const over = ports.some((port) => {
      if (isMeant(port, to.destination, to.destinationPort, local)) return leadsTo(port, to, back) === (which === 'here');
      // Seen from an answer of ours, which we gave before there was a rule: the kernel takes what comes for an answer to that.
      return which === 'elsewhere' && isMeant(port, to.source, to.sourcePort, local);
    });
    if (over) doomed.push(removal(parts, ipv6));
  };
  askKernel(NETLINK_NETFILTER, CT_GET, NLM_F_REQUEST | NLM_F_DUMP, request(NUMBERS[protocol], ipv6), ({ body }) => look(body));
  for (const body of doomed) askKernel(NETLINK_NETFILTER, CT_DELETE, NLM_F_REQUEST | NLM_F_ACK, body, () => {});
};

type Tuple = { readonly source: string; readonly destination: string; readonly protocol: number; readonly sourcePort: number; readonly destinationPort: number };

const tupleOf = (tuple: Buffer | undefined, ipv6: boolean): Tuple | undefined => {
  if (!tuple) return undefined;
  const parts = attributesOf(tuple, 0);
  const [ip, proto] = [attributesOf(parts.get(CTA_TUPLE_IP) ?? EMPTY, 0), attributesOf(parts.get(CTA_TUPLE_PROTO) ?? EMPTY, 0)];
  const [source, destination] = ipv6 ? [ip.get(3), ip.get(4)] : [ip.get(1), ip.get(2)];
  const [number, from, to] = [proto.get(CTA_PROTO_NUM), proto.get(CTA_PROTO_SRC_PORT), proto.get(CTA_PROTO_DST_PORT)];
  if (!source || !destination || !number || !from || !to) return undefined;
  return { source: source.toString('hex'), destination: destination.toString('hex'), protocol: number.readUInt8(0), sourcePort: from.readUInt16BE(0), destinationPort: to.readUInt16BE(0) };
};

const EMPTY = Buffer.alloc(0);

/** Whether that is the host port: at an address of this host's, or at the one it is bound to. */
const isMeant = ({ hostAddress, hostPort, count = 1 }: HostPort, address: string, port: number, local: ReadonlySet<string>): boolean =>
  port >= hostPort &&
  port < hostPort + count &&
  (hostAddress === '0.0.0.0' || hostAddress === '::' ? local.has(address) : addressBytes(hostAddress).toString('hex') === address);

/** Whether its answers come from the container's port. */
const leadsTo = ({ address, port, hostPort }: HostPort, { destinationPort }: Tuple, { source, sourcePort }: Tuple): boolean =>
  addressBytes(address).toString('hex') === source && sourcePort === port + destinationPort - hostPort;

/** struct nfgenmsg, and what the kernel is to leave out; an old one leaves out nothing. */
const request = (protocol: number, ipv6: boolean): Buffer => {
  const flags = Buffer.alloc(4);
  flags.writeUInt32LE(FILTER_PROTOCOL);
  return Buffer.concat([
    header(ipv6),
    attribute(CTA_TUPLE_ORIG | NESTED, attribute(CTA_TUPLE_PROTO | NESTED, attribute(CTA_PROTO_NUM, Buffer.from([protocol])))),
    attribute(CTA_FILTER | NESTED, attribute(CTA_FILTER_ORIG_FLAGS, flags)),
  ]);
};

/** The flow by its own words, and by its number: not another that has come since. */
const removal = (parts: ReadonlyMap<number, Buffer>, ipv6: boolean): Buffer =>
  Buffer.concat([
    header(ipv6),
    attribute(CTA_TUPLE_ORIG | NESTED, parts.get(CTA_TUPLE_ORIG) ?? EMPTY),
    ...[CTA_ID, CTA_ZONE].flatMap((type) => {
      const value = parts.get(type);
      return value ? [attribute(type, value)] : [];
    }),
  ]);

const header = (ipv6: boolean): Buffer => Buffer.from([ipv6 ? 10 : 2, 0, 0, 0]);

import { addressBytes, attribute } from './netlink.ts';
import { askKernel, attributesOf } from './netlink-socket.ts';
import { FLAG, nested, NETLINK_NETFILTER, NFPROTO, port } from './nftables.ts';

/**
 * Which port a datagram was sent to before a rule led it to the one it came to: it does not say, but the kernel has a note of
 * every flow that it changes (ctnetlink). undefined: of this one it has none.
 */
export const originalUdpPort = (from: string, fromPort: number): number | undefined => {
  const family = from.includes(':') ? 'ipv6' : 'ipv4';
  const [source, address] = [family === 'ipv4' ? 1 : 3, addressBytes(from.split('%')[0] ?? '')];
  const protocol = nested(TUPLE_PROTOCOL, attribute(PROTOCOL, Buffer.from([UDP])), attribute(SOURCE_PORT, port(fromPort)));
  const request = [Buffer.from([NFPROTO[family], 0, 0, 0]), nested(TUPLE_ORIGINAL, protocol), nested(FILTER, attribute(FILTER_ORIGINAL, FILTER_BY))];
  let found: number | undefined;
  askKernel(NETLINK_NETFILTER, IPCTNL_MSG_CT_GET, NLM_F_REQUEST | FLAG.dump, Buffer.concat(request), ({ body }) => {
    const original = attributesOf(attributesOf(body, 4).get(TUPLE_ORIGINAL) ?? EMPTY, 0);
    const [ip, ports] = [attributesOf(original.get(TUPLE_IP) ?? EMPTY, 0), attributesOf(original.get(TUPLE_PROTOCOL) ?? EMPTY, 0)];
    // An older kernel gives all of them.
    if (ip.get(source)?.equals(address) && ports.get(PROTOCOL)?.[0] === UDP && ports.get(SOURCE_PORT)?.readUInt16BE(0) === fromPort) found = ports.get(DESTINATION_PORT)?.readUInt16BE(0);
  });
  return found;
};

const EMPTY = Buffer.alloc(0);
const [IPCTNL_MSG_CT_GET, NLM_F_REQUEST, UDP] = [0x101, 1, 17];
const [TUPLE_ORIGINAL, TUPLE_IP, TUPLE_PROTOCOL, PROTOCOL, SOURCE_PORT, DESTINATION_PORT, FILTER, FILTER_ORIGINAL] = [1, 1, 2, 1, 2, 3, 25, 1];
/** Protocol and source port, in the machine's order. Not the address: of IPv6, kernels give those that have another. */
const FILTER_BY = Buffer.from([8 | 16, 0, 0, 0]);

import { formatAddress } from '../model/cidr.ts';
import { askKernel, attributesOf, textIn } from './netlink-socket.ts';

/** What the daemon's network namespace has of devices, as rtnetlink(7) lists them. */
export type HostLinks = {
  /** By name: whether it is up, and the name of the bridge it is in. */
  readonly devices: ReadonlyMap<string, LinkState>;
  /** ADDRESS/PREFIX by device. */
  readonly addresses: ReadonlyMap<string, ReadonlySet<string>>;
  /** Subnets that are routed straight to a device. */
  readonly routes: ReadonlyMap<string, ReadonlySet<string>>;
};

export type LinkState = { readonly up: boolean; readonly master: string | undefined };

/** undefined: the kernel does not say, or things changed under the reading. */
export const hostLinks = (): HostLinks | undefined => {
  const found = new Map<number, { readonly name: string; readonly up: boolean; readonly master: number }>();
  if (!list(RTM_GETLINK, LINK_REQUEST, (body) => { const link = linkIn(body); found.set(link.index, link); })) return undefined;
  const nameOf = (index: number): string => found.get(index)?.name ?? '';
  const [addresses, routes] = [new Map<string, Set<string>>(), new Map<string, Set<string>>()];
  if (!list(RTM_GETADDR, Buffer.alloc(8), (body) => put(addresses, nameOf(body.readUInt32LE(4)), addressIn(body)))) return undefined;
  for (const family of [AF_INET, AF_INET6])
    if (!list(RTM_GETROUTE, routeRequest(family), (body) => {
      const route = routeIn(body);
      if (route) put(routes, nameOf(route.index), route.cidr);
    })) return undefined;
  return {
    devices: new Map([...found.values()].map(({ name, up, master }) => [name, { up, master: master === 0 ? undefined : nameOf(master) }])),
    addresses,
    routes,
  };
};

export const [RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_DELADDR, RTM_GETADDR, RTM_DELROUTE, RTM_GETROUTE] = [16, 17, 18, 21, 22, 25, 26];
const [NETLINK_ROUTE, NLM_F_REQUEST, NLM_F_DUMP, AF_INET, AF_INET6] = [0, 1, 0x300, 2, 10];
const [IFLA_IFNAME, IFLA_MASTER, IFLA_EXT_MASK, SKIP_STATISTICS, IFF_UP] = [3, 10, 29, 8, 1];
const [IFA_ADDRESS, IFA_LOCAL, RTA_DST, RTA_OIF, RTA_GATEWAY] = [1, 2, 1, 4, 5];
const [RT_TABLE_MAIN, RTN_UNICAST] = [254, 1];

const list = (type: number, request: Buffer, each: (body: Buffer) => void): boolean =>
  askKernel(NETLINK_ROUTE, type, NLM_F_REQUEST | NLM_F_DUMP, request, ({ body }) => each(body));

const put = (all: Map<string, Set<string>>, device: string, cidr: string): void => {
  const own = all.get(device) ?? new Set();
  all.set(device, own.add(cidr));
};

/** struct ifinfomsg, and an attribute that asks for less. */
const LINK_REQUEST = Buffer.alloc(24);
LINK_REQUEST.writeUInt16LE(8, 16);
LINK_REQUEST.writeUInt16LE(IFLA_EXT_MASK, 18);
LINK_REQUEST.writeUInt32LE(SKIP_STATISTICS, 20);

export const linkIn = (body: Buffer): { readonly index: number; readonly name: string; readonly up: boolean; readonly master: number } => {
  const attributes = attributesOf(body, 16);
  return {
    index: body.readInt32LE(4),
    name: textIn(attributes.get(IFLA_IFNAME)),
    up: (body.readUInt32LE(8) & IFF_UP) !== 0,
    master: attributes.get(IFLA_MASTER)?.readUInt32LE(0) ?? 0,
  };
};

/** struct ifaddrmsg */
const addressIn = (body: Buffer): string => {
  const attributes = attributesOf(body, 8);
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS) ?? Buffer.alloc(0);
  return `${written(bytes)}/${body.readUInt8(1)}`;
};

/** struct rtmsg */
const routeRequest = (family: number): Buffer => {
  const request = Buffer.alloc(12);
  request.writeUInt8(family, 0);
  return request;
};

/** A subnet's own route in the main table, and the index of the device it leads to; of other routes nothing. */
export const routeIn = (body: Buffer): { readonly index: number; readonly cidr: string } | undefined => {
  if (body.readUInt8(4) !== RT_TABLE_MAIN || body.readUInt8(7) !== RTN_UNICAST) return undefined;
  const attributes = attributesOf(body, 12);
  const [to, index] = [attributes.get(RTA_DST), attributes.get(RTA_OIF)?.readUInt32LE(0)];
  return to === undefined || index === undefined || attributes.has(RTA_GATEWAY) ? undefined : { index, cidr: `${written(to)}/${body.readUInt8(1)}` };
};

const written = (bytes: Buffer): string => formatAddress({ bits: bytes.length === 4 ? 32 : 128, value: BigInt(`0x${bytes.toString('hex') || '0'}`) });

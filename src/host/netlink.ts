import fs from 'node:fs';
import koffi from 'koffi';
import { isIP } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { formatAddress, parseCidr, subnetOf } from '../model/cidr.ts';
import { errnoName } from './errno.ts';
import { inNetns, libc } from './syscalls.ts';

/**
 * Links, addresses and routes by rtnetlink, the kernel's own language for them (rtnetlink(7)): what `ip` would say, without
 * starting two processes on the way of every container. A batch is one send; the kernel answers each message in turn.
 */
export type Message = {
  readonly bytes: Buffer;
  readonly wish: string;
  /** Errors that mean it is so already. */
  readonly fine: readonly string[];
  /** Whether it is so, where the kernel goes on cleaning up behind it before it answers. */
  readonly isSo?: () => boolean;
};

export class NetlinkError extends Error {
  readonly code: string;
  constructor(wish: string, code: string, words: string) {
    super(`${wish}: ${code}${words === '' ? '' : ` (${words})`}`);
    this.name = 'NetlinkError';
    this.code = code;
  }
}

const c = {
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
  send: libc.func('long send(int fd, const void *data, ulong length, int flags)'),
  recv: libc.func('long recv(int fd, _Out_ uint8_t *data, ulong length, int flags)'),
  if_nametoindex: libc.func('uint if_nametoindex(const char *name)'),
};
const [AF_NETLINK, SOCK_RAW, SOCK_CLOEXEC, SOL_NETLINK, NETLINK_EXT_ACK, MSG_DONTWAIT] = [16, 3, 0o2000000, 270, 11, 0x40];
const [AF_INET, AF_INET6] = [2, 10];
const [RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_DELROUTE] = [16, 17, 20, 24, 25];
const [NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE] = [1, 4, 0x100, 0x200, 0x400];
const [SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER] = [1, 32, 100_000];
const [NLMSG_ERROR, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSGERR_ATTR_MSG] = [2, 0x200, 0x100, 1];
const [IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_NET_NS_FD] = [1, 3, 4, 10, 18, 20, 28];
const [IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER] = [1, 2, 1];
const [AF_BRIDGE, RTM_SETLINK, IFLA_PROTINFO, NLA_F_NESTED, IFLA_BRPORT_MODE] = [7, 19, 12, 0x8000, 4];
const [IFLA_BR_NF_CALL_IPTABLES, IFLA_BR_NF_CALL_IP6TABLES] = [36, 37];
const [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_F_NODAD] = [1, 2, 4, 0x02];
const [RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC] = [1, 4, 5, 6, 7];
const [RTPROT_KERNEL, RT_SCOPE_LINK, IPV6_SUBNET_PRIORITY] = [2, 253, 256];
const [RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, IFF_UP] = [254, 3, 0, 1, 1];

/** Runs the messages that `build` gives, in the daemon's network namespace or in another; all, up to the first failure. */
export const netlink = async (netns: string | undefined, build: () => readonly Message[]): Promise<void> => {
  const open = (): { fd: number; messages: readonly Message[] } => {
    const fd = c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd === -1) throw new NetlinkError('netlink socket', errnoName(koffi.errno()), '');
    try {
      return { fd, messages: build() };
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  };
  // A socket belongs to the namespace it was made in, whoever sends on it later.
  const { fd, messages } = netns === undefined ? open() : inNetns(netns, open);
  const answers: Promise<void>[] = [];
  try {
    c.setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, Buffer.from([1, 0, 0, 0]), 4);
    for (const message of messages) {
      const answer = ask(fd, message);
      answers.push(answer);
      await (message.isSo ? eitherOf(answer, message.isSo) : answer);
    }
  } finally {
    // Somebody else's file would have the number before the kernel has answered on it.
    void Promise.allSettled(answers).then(() => fs.closeSync(fd));
  }
};

/** Resolves when the kernel answers, or before that when what was asked for is seen to be so. */
const eitherOf = async (answer: Promise<void>, isSo: () => boolean): Promise<void> => {
  let waiting = true;
  const answered = answer.finally(() => (waiting = false));
  answered.catch(() => {});
  while (waiting) {
    await setTimeout(1);
    if (isSo()) return;
  }
  await answered;
};

/**
 * Runs one transaction of another of netlink's languages: messages in one buffer, of which the kernel does all or none.
 * It has something to say only about those that fail, and those that ask for it.
 */
export const netlinkTransaction = async (netns: string, protocol: number, wish: string, bytes: Buffer): Promise<void> => {
  const fd = netlinkSocket(netns, protocol, wish);
  try {
    await transact(fd, wish, bytes);
  } finally {
    fs.closeSync(fd);
  }
};

/**
 * Transactions in the daemon's own network namespace, to be made one after the other, on a socket that stays open: when one is
 * closed, the kernel first throws away all that was deleted, which is long.
 */
export const createTransactions = (protocol: number): ((wish: string, bytes: Buffer) => Promise<void>) => {
  let fd: number | undefined;
  return (wish, bytes) => transact((fd ??= netlinkSocket(undefined, protocol, wish)), wish, bytes);
};

const transact = async (fd: number, wish: string, bytes: Buffer): Promise<void> => {
  const room = Buffer.alloc(4);
  room.writeInt32LE(bytes.length + 4096, 0);
  if (bytes.length > SEND_BUFFER) c.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, room, 4);
  await new Promise<void>((resolve, reject) => {
    c.send.async(fd, bytes, bytes.length, 0, (error: Error | null, sent: number) => {
      if (error) reject(error);
      else if (sent === -1) reject(new NetlinkError(wish, errnoName(koffi.errno()), ''));
      else resolve();
    });
  });
  const answer = Buffer.alloc(8192);
  let failure: NetlinkError | undefined;
  for (;;) {
    const length = Number(c.recv(fd, answer, answer.length, MSG_DONTWAIT));
    if (length < 20) break;
    const errno = answer.readUInt16LE(4) === NLMSG_ERROR ? -answer.readInt32LE(16) : 0;
    if (errno !== 0) failure ??= new NetlinkError(wish, errnoName(errno), '');
  }
  if (failure) throw failure;
};

const netlinkSocket = (netns: string | undefined, protocol: number, wish: string): number => {
  const open = (): number => c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  const fd = netns === undefined ? open() : inNetns(netns, open);
  if (fd === -1) throw new NetlinkError(wish, errnoName(koffi.errno()), 'no socket');
  return fd;
};

/** Whether there is a device of that name in the network namespace this thread is in now. */
export const hasDevice = (name: string): boolean => c.if_nametoindex(name) !== 0;

/** The index of a device in the network namespace this thread is in now. */
export const indexOf = (device: string): number => {
  const index = c.if_nametoindex(device);
  if (index === 0) throw new NetlinkError(`device ${device}`, 'ENODEV', '');
  return index;
};

/** Sent from a thread of its own: the kernel works while we wait, and may wait itself for its one lock on all networking. */
const ask = (fd: number, { bytes, wish, fine }: Message): Promise<void> =>
  new Promise((resolve, reject) => {
    c.send.async(fd, bytes, bytes.length, 0, (error: Error | null, sent: number) => {
      if (error) {
        reject(error);
        return;
      }
      const answer = Buffer.alloc(8192);
      const length = sent === -1 ? -1 : Number(c.recv(fd, answer, answer.length, MSG_DONTWAIT));
      if (length < 20 || answer.readUInt16LE(4) !== NLMSG_ERROR) {
        reject(new NetlinkError(wish, errnoName(koffi.errno()), 'no answer'));
        return;
      }
      const errno = -answer.readInt32LE(16);
      const code = errnoName(errno);
      if (errno === 0 || fine.includes(code)) resolve();
      else reject(new NetlinkError(wish, code, wordsOf(answer.subarray(0, length))));
    });
  });


/** The kernel's explanation, where it gives one. */
const wordsOf = (answer: Buffer): string => {
  const flags = answer.readUInt16LE(6);
  if (!(flags & NLM_F_ACK_TLVS)) return '';
  let at = 20 + (flags & NLM_F_CAPPED ? 16 : answer.readUInt32LE(20));
  while (at + 4 <= answer.length) {
    const length = answer.readUInt16LE(at);
    if (length < 4) return '';
    if (answer.readUInt16LE(at + 2) === NLMSGERR_ATTR_MSG) return answer.toString('utf8', at + 4, at + length - 1);
    at += aligned(length);
  }
  return '';
};

const aligned = (length: number): number => (length + 3) & ~3;

/** One attribute (struct nlattr) with its value. */
export const attribute = (type: number, value: Buffer): Buffer => {
  const bytes = Buffer.alloc(aligned(4 + value.length));
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, 4);
  return bytes;
};

export const text = (value: string): Buffer => Buffer.from(`${value}\0`);

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0, 0);
  return bytes;
};

const message = (wish: string, type: number, flags: number, parts: readonly Buffer[], fine: readonly string[] = []): Message => {
  const body = Buffer.concat([Buffer.alloc(16), ...parts]);
  body.writeUInt32LE(body.length, 0);
  body.writeUInt16LE(type, 4);
  body.writeUInt16LE(NLM_F_REQUEST | NLM_F_ACK | flags, 6);
  return { bytes: body, wish, fine };
};

/** struct ifinfomsg */
const linkHeader = (index: number, up: boolean): Buffer => {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(index, 4);
  if (up) {
    bytes.writeUInt32LE(IFF_UP, 8);
    bytes.writeUInt32LE(IFF_UP, 12);
  }
  return bytes;
};

const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

/**
 * A veth pair: `name`, up, in this namespace's bridge, `device` in the namespace whose file is open as `netnsFd`. That end
 * comes up by a message of its own: while the pair is made, it has no partner yet.
 */
export const addVeth = ({ name, bridge, netnsFd, device, mac, mtu }: {
  name: string;
  bridge: string;
  netnsFd: number;
  device: string;
  mac: string;
  mtu: number;
}): Message => {
  const peer = Buffer.concat([
    linkHeader(0, false),
    attribute(IFLA_IFNAME, text(device)),
    attribute(IFLA_MTU, word(mtu)),
    attribute(IFLA_ADDRESS, macBytes(mac)),
    attribute(IFLA_NET_NS_FD, word(netnsFd)),
  ]);
  return message(`add veth ${name} to ${bridge}`, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, [
    linkHeader(0, true),
    attribute(IFLA_IFNAME, text(name)),
    attribute(IFLA_MTU, word(mtu)),
    attribute(IFLA_MASTER, word(indexOf(bridge))),
    attribute(
      IFLA_LINKINFO,
      Buffer.concat([attribute(IFLA_INFO_KIND, text('veth')), attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer))]),
    ),
  ], ['EEXIST']);
};

/**
 * Made down, and with an address: else it would not learn that it has no carrier before its first port comes.
 */
export const addBridge = (
  { name, mtu, mac, filtered = false }: { readonly name: string; readonly mtu: number; readonly mac: string; readonly filtered?: boolean },
): Message =>
  message(
    `add bridge ${name}`,
    RTM_NEWLINK,
    NLM_F_CREATE | NLM_F_EXCL,
    [
      linkHeader(0, false),
      attribute(IFLA_IFNAME, text(name)),
      attribute(IFLA_MTU, word(mtu)),
      attribute(IFLA_ADDRESS, macBytes(mac)),
      attribute(
        IFLA_LINKINFO,
        Buffer.concat([
          attribute(IFLA_INFO_KIND, text('bridge')),
          ...(filtered
            ? [attribute(IFLA_INFO_DATA, Buffer.concat([attribute(IFLA_BR_NF_CALL_IPTABLES, Buffer.from([1])), attribute(IFLA_BR_NF_CALL_IP6TABLES, Buffer.from([1]))]))]
            : []),
        ]),
      ),
    ],
    ['EEXIST'],
  );

/** `alias` tells people, and a later berth, whose it is; the kernel takes none while it makes a device. */
export const setUp = (device: string, alias?: string): Message =>
  message(`set ${device} up`, RTM_NEWLINK, 0, [linkHeader(indexOf(device), true), ...(alias === undefined ? [] : [attribute(IFLA_IFALIAS, text(alias))])]);

/** Whether a bridge's port sends back what came from it. */
export const setHairpin = (device: string, on: boolean): Message => {
  const header = linkHeader(indexOf(device), false);
  header.writeUInt8(AF_BRIDGE, 0);
  return message(`set hairpin ${on ? 'on' : 'off'} on ${device}`, RTM_SETLINK, 0, [header, attribute(IFLA_PROTINFO | NLA_F_NESTED, attribute(IFLA_BRPORT_MODE, Buffer.from([on ? 1 : 0])))]);
};

/** A device is gone from sight at once; the kernel then waits for all who may still have it in their hands, which takes long. */
export const deleteLink = (device: string): Message => ({
  ...message(`delete ${device}`, RTM_DELLINK, 0, [linkHeader(0, false), attribute(IFLA_IFNAME, text(device))], ['ENODEV']),
  isSo: () => !hasDevice(device),
});

/** Up, and in that bridge, wherever it was before. */
export const joinBridge = (device: string, bridge: string): Message =>
  message(`set ${device} up in ${bridge}`, RTM_NEWLINK, 0, [linkHeader(indexOf(device), true), attribute(IFLA_MASTER, word(indexOf(bridge)))]);

/** The 4 or 16 bytes of an address. */
export const addressBytes = (address: string): Buffer => {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  if (isIP(address) !== 6) throw new Error(`not an address: ${address}`);
  const [head = '', tail] = address.split('::');
  const groups = (half: string): string[] => (half === '' ? [] : half.split(':'));
  const [front, back] = [groups(head), groups(tail ?? '')];
  const all = tail === undefined ? front : [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
};

/** ADDRESS/PREFIX on a device; for IPv4 with the subnet's broadcast address, for IPv6 usable at once. */
export const addAddress = (device: string, cidr: string): Message => {
  const [address = '', prefix = ''] = cidr.split('/');
  const bytes = addressBytes(address);
  const header = Buffer.alloc(8);
  header.writeUInt8(bytes.length === 4 ? AF_INET : AF_INET6, 0);
  header.writeUInt8(Number(prefix), 1);
  if (bytes.length === 16) header.writeUInt8(IFA_F_NODAD, 2);
  header.writeUInt32LE(indexOf(device), 4);
  const parts = [header, attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes)];
  if (bytes.length === 4 && Number(prefix) < 31) {
    const broadcast = Buffer.alloc(4);
    broadcast.writeUInt32BE((bytes.readUInt32BE(0) | (0xffffffff >>> Number(prefix))) >>> 0, 0);
    parts.push(attribute(IFA_BROADCAST, broadcast));
  }
  return message(`add address ${cidr} to ${device}`, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, parts, ['EEXIST']);
};

/** The route to the subnet of a device's own address, as the kernel makes it when the address comes. */
export const addSubnetRoute = (device: string, cidr: string): Message | undefined => {
  const [own = '', prefix = ''] = cidr.split('/');
  const parsed = parseCidr(cidr);
  const bytes = addressBytes(own);
  if (!parsed || Number(prefix) === 8 * bytes.length) return undefined;
  const ipv4 = bytes.length === 4;
  const header = Buffer.alloc(12);
  header.writeUInt8(ipv4 ? AF_INET : AF_INET6, 0);
  header.writeUInt8(Number(prefix), 1);
  header.writeUInt8(RT_TABLE_MAIN, 4);
  header.writeUInt8(RTPROT_KERNEL, 5);
  header.writeUInt8(ipv4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE, 6);
  header.writeUInt8(RTN_UNICAST, 7);
  const parts = [header, attribute(RTA_DST, addressBytes(formatAddress(subnetOf(parsed)))), attribute(RTA_OIF, word(indexOf(device)))];
  parts.push(ipv4 ? attribute(RTA_PREFSRC, bytes) : attribute(RTA_PRIORITY, word(IPV6_SUBNET_PRIORITY)));
  return message(`add route to ${cidr} on ${device}`, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, parts, ['EEXIST']);
};

const route = (type: number, flags: number, to: string, via: string, device: string, fine: readonly string[]): Message => {
  const gateway = addressBytes(via);
  const header = Buffer.alloc(12);
  const [address = '', prefix = ''] = to === 'default' ? [] : to.split('/');
  header.writeUInt8(gateway.length === 4 ? AF_INET : AF_INET6, 0);
  header.writeUInt8(to === 'default' ? 0 : Number(prefix), 1);
  header.writeUInt8(RT_TABLE_MAIN, 4);
  header.writeUInt8(RTPROT_BOOT, 5);
  header.writeUInt8(RT_SCOPE_UNIVERSE, 6);
  header.writeUInt8(RTN_UNICAST, 7);
  return message(
    `${type === RTM_NEWROUTE ? 'add' : 'delete'} route ${to} via ${via}`,
    type,
    flags,
    [
      header,
      ...(to === 'default' ? [] : [attribute(RTA_DST, addressBytes(address))]),
      attribute(RTA_GATEWAY, gateway),
      attribute(RTA_OIF, word(indexOf(device))),
    ],
    fine,
  );
};

export const addRoute = (to: string, via: string, device: string): Message => route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, to, via, device, []);
export const deleteRoute = (to: string, via: string, device: string): Message => route(RTM_DELROUTE, 0, to, via, device, ['ESRCH', 'ENODEV']);

import fs from 'node:fs';
import os from 'node:os';
import { isIP, type Socket } from 'node:net';
import koffi from 'koffi';
import { errnoName } from './errno.ts';
import { msghdr } from './console.ts';
import { addressBytes, indexOf } from './netlink.ts';
import { libc } from './syscalls.ts';

/**
 * Sockets made at once: Node makes its own a moment after it is asked, when this thread is back in its own network
 * namespace. What is made here inside `inNetns` belongs there, and Node takes it over by its descriptor.
 */
const c = {
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  bind: libc.func('int bind(int fd, const void *address, uint length)'),
  connect: libc.func('int connect(int fd, const void *address, uint length)'),
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
  getsockopt: libc.func('int getsockopt(int fd, int level, int name, void *value, void *length)'),
  listen: libc.func('int listen(int fd, int backlog)'),
  socketpair: libc.func('int socketpair(int domain, int type, int protocol, void *pair)'),
  sendmsg: libc.func('sendmsg', 'long', ['int', koffi.pointer(msghdr), 'int']),
};
const [AF_INET, AF_INET6, SOL_SOCKET, SO_REUSEADDR, SO_RCVBUF, SO_RCVBUFFORCE] = [2, 10, 1, 2, 8, 33];
const [IPPROTO_IP, IPPROTO_IPV6, IPV6_V6ONLY, SO_ORIGINAL_DST] = [0, 41, 26, 80];
const [AF_UNIX, SCM_RIGHTS, CMSG_HEADER, MSG_NOSIGNAL] = [1, 1, 16, 0x4000];
const [SOCK_STREAM, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_CLOEXEC] = [1, 2, 0o4000, 0o2000000];

export type Transport = 'udp' | 'tcp';

/** Port 0: one that the kernel chooses. */
export const boundSocket = (transport: Transport, address: string, port: number): number =>
  made(transport, address, port, (fd, to) => {
    if (transport === 'tcp') c.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, number(1), 4);
    // The kernel's own limit is 277 small packets; a busy moment of ours brings more.
    else c.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, number(1 << 20), 4);
    check(c.bind(fd, to, to.length), 'bind', address, port);
  });

/**
 * Sockets that have these ports and do nothing with them; with `both`, those of IPv4 too. Without SO_REUSEADDR, or another that
 * has it could bind the same; where an old TCP connection's rest forbids that, it listens, with no room for anybody. Nor has a
 * UDP one room for more than the kernel insists on. All or none.
 */
export const holdingSockets = (transport: Transport, address: string, first: number, last: number, both: boolean): number[] => {
  const to = socketAddress(address, first);
  const sockets: number[] = [];
  try {
    for (let port = first; port <= last; port++) {
      to.writeUInt16BE(port, 2);
      sockets.push(holdingSocket(transport, to, address, port, both));
    }
    return sockets;
  } catch (error) {
    for (const fd of sockets) fs.closeSync(fd);
    throw error;
  }
};

const [ON, OFF] = [Buffer.from([1, 0, 0, 0]), Buffer.alloc(4)];

const holdingSocket = (transport: Transport, to: Buffer, address: string, port: number, both: boolean): number => {
  const fd = opened(transport, to, address, port);
  try {
    if (to.length > 16) c.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both ? OFF : ON, 4);
    if (transport === 'udp') c.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, ON, 4);
    if (c.bind(fd, to, to.length) === 0) return fd;
    if (transport === 'udp' || koffi.errno() !== os.constants.errno.EADDRINUSE) check(-1, 'bind', address, port);
    c.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, ON, 4);
    check(c.bind(fd, to, to.length), 'bind', address, port);
    check(c.listen(fd, 0), 'listen', address, port);
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
};

/** So many descriptors go into one message (SCM_MAX_FD is 253). */
export const PARKED_AT_MOST = 250;

/**
 * One descriptor that keeps others open, which may then be closed: they wait as a message (unix(7), SCM_RIGHTS) in the queue of
 * a socket that nobody reads, and go with it. The sending end need not stay.
 */
export const parkDescriptors = (descriptors: readonly number[]): number => {
  const pair = new Int32Array(2);
  check(c.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 'socketpair', '', 0);
  const [sending = -1, holding = -1] = pair;
  const size = CMSG_HEADER + 4 * descriptors.length;
  const control = Buffer.alloc(Math.ceil(size / 8) * 8);
  control.writeBigUInt64LE(BigInt(size), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  descriptors.forEach((fd, index) => control.writeInt32LE(fd, CMSG_HEADER + 4 * index));
  const message = {
    msg_name: null, msg_namelen: 0, msg_iov: [{ iov_base: Buffer.alloc(1), iov_len: 1 }], msg_iovlen: 1, msg_control: control, msg_controllen: size, msg_flags: 0,
  };
  try {
    check(Number(c.sendmsg(sending, message, MSG_NOSIGNAL)), 'sendmsg', '', 0);
    return holding;
  } catch (error) {
    fs.closeSync(holding);
    throw error;
  } finally {
    fs.closeSync(sending);
  }
};

/** Where a connection was going before a rule led it here. */
export const originalPort = (socket: Socket): number => {
  const [address, length] = [Buffer.alloc(28), number(28)];
  const { fd } = (socket as unknown as { readonly _handle: { readonly fd: number } })._handle;
  const level = socket.localFamily === 'IPv6' ? IPPROTO_IPV6 : IPPROTO_IP;
  // The kernel has no note of a connection that no rule was asked about.
  return c.getsockopt(fd, level, SO_ORIGINAL_DST, address, length) === -1 ? (socket.localPort ?? 0) : address.readUInt16BE(2);
};

/** A TCP connection that is on its way. */
export const connectingSocket = (address: string, port: number): number =>
  made('tcp', address, port, (fd, to) => {
    if (c.connect(fd, to, to.length) === -1 && koffi.errno() !== os.constants.errno.EINPROGRESS) check(-1, 'connect', address, port);
  });

const made = (transport: Transport, address: string, port: number, use: (fd: number, to: Buffer) => void): number => {
  const to = socketAddress(address, port);
  const fd = opened(transport, to, address, port);
  try {
    use(fd, to);
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
};

const opened = (transport: Transport, to: Buffer, address: string, port: number): number => {
  const fd = c.socket(to.readUInt16LE(0), (transport === 'udp' ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  check(fd, 'socket', address, port);
  return fd;
};

const number = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};

/** struct sockaddr_in, or sockaddr_in6 with the device that ADDRESS%DEVICE names. */
const socketAddress = (text: string, port: number): Buffer => {
  const [address = '', device] = text.split('%');
  const bytes = addressBytes(address);
  const ipv6 = isIP(address) === 6;
  const all = Buffer.alloc(ipv6 ? 28 : 16);
  all.writeUInt16LE(ipv6 ? AF_INET6 : AF_INET, 0);
  all.writeUInt16BE(port, 2);
  bytes.copy(all, ipv6 ? 8 : 4);
  if (ipv6 && device !== undefined) all.writeUInt32LE(indexOf(device), 24);
  return all;
};

const check = (result: number, syscall: string, address: string, port: number): void => {
  if (result !== -1) return;
  const errno = koffi.errno();
  const code = errnoName(errno);
  throw Object.assign(new Error(`${code}: ${syscall} ${address} port ${port}`), { errno: -errno, code, syscall, port });
};

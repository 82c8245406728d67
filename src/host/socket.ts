import fs from 'node:fs';
import os from 'node:os';
import { isIP } from 'node:net';
import koffi from 'koffi';
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
};
const [AF_INET, AF_INET6, SOL_SOCKET, SO_REUSEADDR, SO_RCVBUFFORCE] = [2, 10, 1, 2, 33];
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

/** A TCP connection that is on its way. */
export const connectingSocket = (address: string, port: number): number =>
  made('tcp', address, port, (fd, to) => {
    if (c.connect(fd, to, to.length) === -1 && koffi.errno() !== os.constants.errno.EINPROGRESS) check(-1, 'connect', address, port);
  });

const made = (transport: Transport, address: string, port: number, use: (fd: number, to: Buffer) => void): number => {
  const to = socketAddress(address, port);
  const fd = c.socket(to.readUInt16LE(0), (transport === 'udp' ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  check(fd, 'socket', address, port);
  try {
    use(fd, to);
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
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
  const code = Object.entries(os.constants.errno).find(([, value]) => value === errno)?.[0] ?? `E${errno}`;
  throw Object.assign(new Error(`${code}: ${syscall} ${address} port ${port}`), { errno: -errno, code, syscall });
};

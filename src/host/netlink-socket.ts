import fs from 'node:fs';
import os from 'node:os';
import koffi from 'koffi';
import { libc } from './syscalls.ts';

/** Netlink (netlink(7)) for those who listen and those who ask for lists. In the daemon's own network namespace. */
const c = {
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  bind: libc.func('int bind(int fd, const void *address, uint length)'),
  send: libc.func('long send(int fd, const void *data, ulong length, int flags)'),
  recv: libc.func('long recv(int fd, _Out_ uint8_t *data, ulong length, int flags)'),
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
  fcntl: libc.func('int fcntl(int fd, int command, int argument)'),
};
const [AF_NETLINK, SOCK_RAW, SOCK_NONBLOCK, SOCK_CLOEXEC] = [16, 3, 0o4000, 0o2000000];
const [SOL_SOCKET, SO_RCVBUFFORCE, MSG_DONTWAIT, MSG_TRUNC] = [1, 33, 0x40, 0x20];
const [F_SETFL, F_SETOWN, F_SETSIG, O_NONBLOCK, O_ASYNC] = [4, 8, 10, 0o4000, 0o20000];
const [NLMSG_ERROR, NLMSG_DONE, NLM_F_DUMP_INTR] = [2, 3, 0x10];

/** One message: its type without the subsystem, whom it is from, and what is behind the header. */
export type NetlinkMessage = { readonly type: number; readonly flags: number; readonly body: Buffer };

/** What the attributes (struct nlattr) from there on say, by type; of one type the last. */
export const attributesOf = (bytes: Buffer, from: number): ReadonlyMap<number, Buffer> => {
  const found = new Map<number, Buffer>();
  for (let at = from; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4) break;
    found.set(bytes.readUInt16LE(at + 2) & TYPE_MASK, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
};

/** Without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const TYPE_MASK = 0x3fff;

/** A string ends with a zero. */
export const textIn = (value: Buffer | undefined): string => {
  const end = value?.indexOf(0) ?? 0;
  return value?.toString('utf8', 0, end === -1 ? value.length : end) ?? '';
};

export type NewsSocket = {
  /** Gives all that has come to `each`; false: some was lost, for there was too much. */
  drain(each: (message: NetlinkMessage) => void): boolean;
  close(): void;
};

/** Of one of netlink's languages, these multicast groups (numbered from 1). `SIGNAL` is sent to this process when something comes. */
export const newsSocket = (protocol: number, groups: readonly number[]): NewsSocket | undefined => {
  const fd = c.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd === -1) return undefined;
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(groups.reduce((mask, group) => mask + 2 ** (group - 1), 0), 8);
  const size = Buffer.alloc(4);
  size.writeInt32LE(ROOM);
  c.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, size, 4);
  const ready =
    c.bind(fd, address, address.length) !== -1 &&
    c.fcntl(fd, F_SETSIG, os.constants.signals[SIGNAL]) !== -1 &&
    c.fcntl(fd, F_SETOWN, process.pid) !== -1 &&
    c.fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC) !== -1;
  if (!ready) {
    fs.closeSync(fd);
    return undefined;
  }
  return {
    drain(each) {
      let whole = true;
      for (;;) {
        const length = Number(c.recv(fd, inbox, inbox.length, MSG_DONTWAIT | MSG_TRUNC));
        if (length === -1 && koffi.errno() !== os.constants.errno.ENOBUFS) return whole;
        if (length === -1 || length > inbox.length) whole = false;
        else messagesIn(inbox.subarray(0, length), each);
      }
    },
    close: () => fs.closeSync(fd),
  };
};

/** One whose default is to be ignored: it may come when nobody listens any more. */
export const SIGNAL = 'SIGURG';

/** Bytes that may wait; only as much is used as there is. */
const ROOM = 4 << 20;
const inbox = Buffer.alloc(64 << 10);

const messagesIn = (bytes: Buffer, each: (message: NetlinkMessage) => void): void => {
  for (let at = 0; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < 16 || at + length > bytes.length) return;
    each({ type: bytes.readUInt16LE(at + 4), flags: bytes.readUInt16LE(at + 6), body: bytes.subarray(at + 16, at + length) });
    at += (length + 3) & ~3;
  }
};

/**
 * Sends a request and gives each message of the answer to `each`, synchronously: what is seen is what was there at one moment of
 * ours. False: the kernel refused, or the list changed while it was read.
 */
export const askKernel = (protocol: number, type: number, flags: number, body: Buffer, each: (message: NetlinkMessage) => void): boolean => {
  const fd = c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd === -1) return false;
  try {
    const request = Buffer.concat([Buffer.alloc(16), body]);
    request.writeUInt32LE(request.length, 0);
    request.writeUInt16LE(type, 4);
    request.writeUInt16LE(flags, 6);
    if (Number(c.send(fd, request, request.length, 0)) === -1) return false;
    let [over, whole] = [false, true];
    while (!over) {
      const length = Number(c.recv(fd, inbox, inbox.length, 0));
      if (length <= 0) return false;
      messagesIn(inbox.subarray(0, length), (message) => {
        if (message.flags & NLM_F_DUMP_INTR) whole = false;
        if (message.type === NLMSG_DONE) over = true;
        else if (message.type === NLMSG_ERROR) {
          over = true;
          if (message.body.readInt32LE(0) !== 0) whole = false;
        } else each(message);
      });
    }
    return whole;
  } finally {
    fs.closeSync(fd);
  }
};

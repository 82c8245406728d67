import fs from 'node:fs';
import net from 'node:net';
import { Readable } from 'node:stream';
import tty from 'node:tty';
import koffi from 'koffi';
import { copyAbove, libc, makeNonBlocking, windowSize } from './syscalls.ts';

/**
 * A container's terminal. The runtime makes it in the container's own devpts and hands its master to whoever listens on
 * the console socket (the descriptor travels in the message, unix(7) SCM_RIGHTS). From then on the bytes are ours: crun's
 * own copying, in the foreground, loses what a process prints just before its end.
 */
export type Terminal = {
  /** Ends when no program is on it any more. */
  readonly output: Readable;
  /** Calls back when it is all written. False: that is still to come. */
  write(chunk: Buffer, written: () => void): boolean;
  resize(rows: number, columns: number): void;
  close(): void;
};

export type ConsoleSocket = {
  /** The descriptor, once the runtime has sent it. */
  take(): Promise<number>;
  close(): void;
};

koffi.struct('berth_iovec', { iov_base: 'void *', iov_len: 'size_t' });
export const msghdr = koffi.struct('berth_msghdr', {
  msg_name: 'void *',
  msg_namelen: 'uint32_t',
  msg_iov: 'berth_iovec *',
  msg_iovlen: 'size_t',
  msg_control: 'void *',
  msg_controllen: 'size_t',
  msg_flags: 'int',
});
const recvmsg = libc.func('long recvmsg(int fd, berth_msghdr *message, int flags)');
const [MSG_DONTWAIT, MSG_CMSG_CLOEXEC] = [0x40, 0x40000000];
/** struct cmsghdr { size_t len; int level; int type; int fd; }, padded */
const CONTROL_BYTES = 24;

/** Milliseconds to wait for a terminal that a runtime, whose process has begun, must have sent already. */
const PATIENCE = 5000;

/**
 * Listens where the runtime will connect. Nothing is read by Node, which would drop the descriptor. The terminal gets its
 * size the moment it comes, before there is a program on it to ask.
 */
export const listenForConsole = (path: string, size: readonly [rows: number, columns: number] | undefined): Promise<ConsoleSocket> =>
  new Promise((resolve, reject) => {
    const connections: net.Socket[] = [];
    let taken = false;
    let arrived: (master: number) => void = () => {};
    const master = new Promise<number>((settle) => (arrived = settle));
    const receiveFrom = (connection: net.Socket): void => {
      if (connection.destroyed) return;
      const fd = receive((connection as unknown as { _handle: { fd: number } })._handle.fd);
      if (fd === undefined) {
        setImmediate(receiveFrom, connection);
        return;
      }
      if (size) windowSize(fd, ...size);
      arrived(fd);
    };
    const server = net.createServer({ pauseOnConnect: true }, (connection) => {
      connection.on('error', () => {});
      connections.push(connection);
      receiveFrom(connection);
    });
    server.once('error', reject);
    server.listen(path, () =>
      resolve({
        async take() {
          let timer: NodeJS.Timeout | undefined;
          const late = new Promise<never>((_, fail) => {
            timer = setTimeout(() => fail(new Error('the runtime gave no terminal')), PATIENCE);
          });
          const fd = await Promise.race([master, late]).finally(() => clearTimeout(timer));
          taken = true;
          return fd;
        },
        close() {
          for (const connection of connections) connection.destroy();
          server.close();
          void master.then((fd) => { if (!taken) fs.closeSync(fd); });
        },
      }),
    );
  });

/** undefined: it has not come yet. */
const receive = (socket: number): number | undefined => {
  const [data, control] = [Buffer.alloc(4096), Buffer.alloc(CONTROL_BYTES)];
  const message = {
    msg_name: null,
    msg_namelen: 0,
    msg_iov: [{ iov_base: data, iov_len: data.length }],
    msg_iovlen: 1,
    msg_control: control,
    msg_controllen: control.length,
    msg_flags: 0,
  };
  const length = Number(recvmsg(socket, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  if (length <= 0 || control.readBigUInt64LE(0) < 20n) return undefined;
  return control.readInt32LE(16);
};

/** How long to wait before writing again to a terminal whose program does not read. */
const RETRY_MS = 5;

export const openTerminal = (master: number): Terminal => {
  makeNonBlocking(master);
  // Node closes its descriptor when it has seen the end, and the number may soon be something else's.
  const own = copyAbove(master, 3);
  const source = new tty.ReadStream(master);
  const output = new Readable({ read: () => void source.resume() });
  const waiting: { chunk: Buffer; written: () => void }[] = [];
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  // Not through the stream: Node would wait for a full terminal, and with it everybody.
  const drain = (): void => {
    timer = undefined;
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      try {
        const count = closed ? next.chunk.length : fs.writeSync(own, next.chunk);
        next.chunk = next.chunk.subarray(count);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') {
          timer = setTimeout(drain, RETRY_MS);
          return;
        }
        next.chunk = Buffer.alloc(0);
      }
      if (next.chunk.length === 0) {
        waiting.shift();
        next.written();
      }
    }
  };

  const close = (): void => {
    if (closed) return;
    closed = true;
    clearTimeout(timer);
    source.destroy();
    output.destroy();
    fs.closeSync(own);
    drain();
  };

  source.on('data', (chunk: Buffer) => {
    if (!output.push(chunk)) source.pause();
  });
  // EIO: the last program on it has gone.
  source.on('error', () => {});
  source.on('close', () => {
    if (closed) return;
    // Node takes a terminal that was hung up for read when it has read a part: what programs wrote last may still be there.
    for (const chunk of restOf(own)) output.push(chunk);
    output.push(null);
  });
  source.pause();

  return {
    output,
    write(chunk, written) {
      waiting.push({ chunk, written });
      if (timer === undefined) drain();
      return waiting.length === 0;
    },
    resize(rows, columns) {
      if (!closed) windowSize(own, rows, columns);
    },
    close,
  };
};

/** Until there is no more: EIO, when no program is on it any more. */
function* restOf(master: number): Generator<Buffer> {
  for (;;) {
    const chunk = Buffer.alloc(4096);
    try {
      const length = fs.readSync(master, chunk);
      if (length === 0) return;
      yield chunk.subarray(0, length);
    } catch {
      return;
    }
  }
}

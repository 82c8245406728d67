import fs from 'node:fs';
import net from 'node:net';
import tty from 'node:tty';
import koffi from 'koffi';
import { libc, makeNonBlocking, windowSize } from './syscalls.ts';

/**
 * A container's terminal. The runtime makes it in the container's own devpts and hands its master to whoever listens on
 * the console socket (the descriptor travels in the message, unix(7) SCM_RIGHTS). From then on the bytes are ours: crun's
 * own copying, in the foreground, loses what a process prints just before its end.
 */
export type Terminal = {
  readonly master: number;
  readonly output: net.Socket;
  /** Calls back when it is all written. */
  write(chunk: Buffer, written: () => void): void;
  resize(rows: number, columns: number): void;
  close(): void;
};

export type ConsoleSocket = {
  /** The descriptor, once the runtime has sent it. */
  take(): number;
  close(): void;
};

koffi.struct('berth_iovec', { iov_base: 'void *', iov_len: 'size_t' });
koffi.struct('berth_msghdr', {
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

/** Listens where the runtime will connect. Nothing is read by Node, which would drop the descriptor. */
export const listenForConsole = (path: string): Promise<ConsoleSocket> =>
  new Promise((resolve, reject) => {
    const connections: net.Socket[] = [];
    const server = net.createServer({ pauseOnConnect: true }, (socket) => {
      socket.on('error', () => {});
      connections.push(socket);
    });
    server.once('error', reject);
    server.listen(path, () =>
      resolve({
        take() {
          const [connection] = connections;
          const fd = connection === undefined ? -1 : (connection as unknown as { _handle: { fd: number } })._handle.fd;
          return receive(fd);
        },
        close() {
          for (const connection of connections) connection.destroy();
          server.close();
        },
      }),
    );
  });

const receive = (socket: number): number => {
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
  if (length <= 0 || control.readBigUInt64LE(0) < 20n) throw new Error('the runtime gave no terminal');
  return control.readInt32LE(16);
};

/** How long to wait before writing again to a terminal whose program does not read. */
const RETRY_MS = 5;

export const openTerminal = (master: number): Terminal => {
  makeNonBlocking(master);
  const output = new tty.ReadStream(master);
  const waiting: { chunk: Buffer; written: () => void }[] = [];
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  // Not through the stream: Node would wait for a full terminal, and with it everybody.
  const drain = (): void => {
    timer = undefined;
    for (let next = waiting[0]; next !== undefined && !closed; next = waiting[0]) {
      try {
        const count = fs.writeSync(master, next.chunk);
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

  return {
    master,
    output,
    write(chunk, written) {
      waiting.push({ chunk, written });
      if (timer === undefined) drain();
    },
    resize: (rows, columns) => windowSize(master, rows, columns),
    close() {
      closed = true;
      if (timer) clearTimeout(timer);
      output.destroy();
    },
  };
};

import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { openTerminal } from './console.ts';
import { masterOf, parentOf } from './proc.ts';
import { copyDescriptor, widenPipe, windowSize } from './syscalls.ts';

/** Our ends of what connects a process with the world: pipes, or a terminal. */
export type Wires = {
  /** Paused until someone listens. */
  readonly outputs: readonly { readonly stream: 'stdout' | 'stderr'; readonly socket: Readable }[];
  /** False: wait for `written` before writing more. Without a reader the bytes go nowhere. */
  write(chunk: Buffer, written: () => void): boolean;
  /** Makes sure that the input is not at its end before anybody has written. */
  holdInput(): void;
  endInput(): void;
  resize(rows: number, columns: number): void;
  close(): void;
};

/** Bytes a process may print while nobody reads, before it has to wait. */
export const PIPE_BYTES = 1024 * 1024;

/** The FIFOs of a process's directory. `terminal`: script(1) is at their other end, and runc below it has the master. */
export const openPipes = ({ directory, terminal, stdin, pid, letGo }: {
  directory: string;
  terminal: boolean;
  stdin: boolean;
  pid: () => number;
  /** Makes the supervisor close its writing end of the input. */
  letGo: () => void;
}): Wires => {
  const outputs = (terminal ? (['stdout'] as const) : (['stdout', 'stderr'] as const)).map((stream) => {
    const fd = fs.openSync(path.join(directory, stream === 'stdout' ? 'out' : 'err'), fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    widenPipe(fd, PIPE_BYTES);
    const socket = new net.Socket({ fd, readable: true, writable: false });
    socket.on('error', () => {});
    return { stream, socket };
  });
  let input: net.Socket | undefined;
  const openInput = (): net.Socket | undefined => {
    if (!stdin || input) return input;
    try {
      const fd = fs.openSync(path.join(directory, 'in'), fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
      input = new net.Socket({ fd, readable: false, writable: true });
      input.on('error', () => {});
    } catch {
      // No reader: the process is gone, and what was meant for it goes nowhere.
    }
    return input;
  };
  return {
    outputs,
    holdInput: () => void openInput(),
    write(chunk, written) {
      const socket = openInput();
      if (socket && !socket.destroyed) return socket.write(chunk, () => written());
      written();
      return true;
    },
    endInput() {
      if (terminal || !stdin) return;
      openInput()?.end();
      letGo();
    },
    resize(rows, columns) {
      const runtime = terminal ? parentOf(pid()) : undefined;
      const master = runtime === undefined ? undefined : masterOf(runtime);
      if (runtime === undefined || master === undefined) return;
      const copy = copyDescriptor(runtime, master);
      try {
        windowSize(copy, rows, columns);
      } finally {
        fs.closeSync(copy);
      }
    },
    close() {
      for (const { socket } of outputs) socket.destroy();
      input?.destroy();
    },
  };
};

/** A terminal whose master is ours. */
export const terminalWires = (master: number): Wires => {
  const terminal = openTerminal(master);
  return {
    outputs: [{ stream: 'stdout', socket: terminal.output }],
    holdInput: () => {},
    write: (chunk, written) => terminal.write(chunk, written),
    endInput: () => {},
    resize: (rows, columns) => terminal.resize(rows, columns),
    close: () => terminal.close(),
  };
};

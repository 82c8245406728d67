import type { JsonObject } from './json.ts';

export type OutputStream = 'stdout' | 'stderr';

/** How a process ended. */
export type Exit = { readonly code: number; readonly at: string };

export type ProcessRequest = {
  /** The container's id, or the exec's. */
  readonly id: string;
  /** A container's first process, with its OCI runtime spec; or another process in a running container. */
  readonly run:
    | { readonly kind: 'container'; readonly spec: JsonObject; readonly runtime: string }
    | { readonly kind: 'exec'; readonly containerId: string; readonly process: JsonObject; readonly runtime: string };
  readonly tty: boolean;
  /** Give it a standard input that stays open until `endInput`; else it reads the null device. */
  readonly stdin: boolean;
} & ProcessListener;

export type ProcessListener = {
  /** Output as it comes. Return false to hold the process back until `resume`. */
  readonly output: (stream: OutputStream, chunk: Buffer) => boolean;
  /** Called once, after the last output. */
  readonly exited: (exit: Exit) => void;
};

export type RunningProcess = {
  readonly pid: number;
  readonly pidStart: number;
  /** False: wait for the callback of `write` before writing more. Bytes after the end are dropped. */
  write(chunk: Buffer, written: () => void): boolean;
  endInput(): void;
  resize(rows: number, columns: number): void;
  /** Let output flow again after `output` returned false. */
  resume(): void;
};

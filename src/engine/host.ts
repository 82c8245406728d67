import type { Readable } from 'node:stream';
import type { Operation } from '../operations/operation.ts';
import type { Statistics } from '../model/statistics.ts';
import type { JsonObject } from '../model/json.ts';

/** What the engine needs of the machine. `host/` provides it; tests provide a fake that holds state. */
export type Host = {
  /** RFC 3339 with nanoseconds, UTC, never going back. */
  now(): string;
  /** All or nothing: the first failure undoes what came before it, and is thrown. */
  execute(operations: readonly Operation[]): Promise<void>;
  /** As much as possible: resolves to the failures, never throws. */
  attempt(operations: readonly Operation[]): Promise<readonly Error[]>;
  pathExists(path: string): boolean;
  /** Bytes a container has written in its own layer, and of all it sees. */
  sizes(container: import('../model/container.ts').Container, imageSize: number): Promise<{ readonly own: number; readonly root: number }>;
  readonly processes: Processes;
  /** What a running container uses now; undefined when it runs no more. Quick and synchronous. */
  readonly statistics: {
    read(container: { readonly id: string; readonly pid: number; readonly pidStart: number; readonly network: boolean }): Statistics | undefined;
    forget(id: string): void;
  };
  readonly logs: Logs;
  readonly memory: {
    /** From before a container begins, by its cgroup's path. undefined: only `adopt` can. */
    prepare(cgroupsPath: string, killed: () => void): MemoryWatch | undefined;
    /** From now on, of a container that runs. */
    adopt(id: string, pid: number, killed: () => void): MemoryWatch | undefined;
  };
};

export type OutputStream = 'stdout' | 'stderr';

/** Tells when the kernel has killed something of a container's for want of memory. */
export type MemoryWatch = {
  /** The last look, after the container has ended. */
  settle(exitCode: number): Promise<void>;
  close(): void;
};

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

/** The runtime could not start the process: `message` is the reference engine's wording, exit code 126 or 127. */
export type Processes = {
  start(request: ProcessRequest): Promise<RunningProcess>;
  /** Take up a process that an earlier daemon started; undefined when nothing is known of it any more. */
  adopt(
    id: string,
    was: { readonly pid: number; readonly pidStart: number; readonly tty: boolean; readonly stdin: boolean },
    listener: ProcessListener,
  ): Promise<RunningProcess | { readonly exit: Exit } | undefined>;
  /** Sends a signal unless the pid is another process by now. */
  signal(pid: number, pidStart: number, signal: number): void;
  pause(containerId: string, runtime: string): Promise<void>;
  unpause(containerId: string, runtime: string): Promise<void>;
  /** Gives a running container other limits: what these resources of the OCI runtime spec say, and nothing else. */
  update(containerId: string, runtime: string, resources: JsonObject): Promise<void>;
  /** Pids in the container's cgroup, as the host numbers them. */
  pids(containerId: string): Promise<readonly number[]>;
  /** `ps ARGS` of those pids: titles and rows. */
  list(pids: readonly number[], args: readonly string[]): Promise<{ titles: string[]; rows: string[][] }>;
  /** Ends what the runtime still has of a container, its processes and cgroup too. */
  discard(containerId: string, runtime: string): Promise<void>;
  /** Removes what is left of a process that has ended: its directory, FIFOs, runtime state. */
  forget(id: string): void;
};

export type LogLine = {
  readonly stream: OutputStream;
  /** RFC 3339 with nanoseconds. */
  readonly time: string;
  /** With its newline, if it had one. */
  readonly text: string;
};

export type LogQuery = {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Only lines at or after / before this time, in nanoseconds since the epoch. */
  readonly since: bigint | undefined;
  readonly until: bigint | undefined;
  /** The last N lines; undefined: all. */
  readonly tail: number | undefined;
  /** Go on with new lines until the container ends or the signal fires. */
  readonly follow: AbortSignal | undefined;
};

/** Container logs: DATA_ROOT/containers/ID/ID-json.log, one JSON object a line as Docker's json-file driver writes. */
export type Logs = {
  path(containerId: string): string;
  open(containerId: string, options: Readonly<Record<string, string>>): LogWriter;
  /** Batches of lines, oldest first. */
  read(containerId: string, query: LogQuery): AsyncIterable<readonly LogLine[]>;
};

export type LogWriter = {
  /** Written before it returns, split in lines; a line without its end waits for the rest (or for `close`). */
  write(stream: OutputStream, chunk: Buffer): void;
  close(): void;
};

/** The state on disk. */
export type Store = {
  load(): import('../model/state.ts').State;
  /** One transaction; resolves when it would survive a power cut. */
  commit(changes: readonly import('../model/state.ts').RecordChange[]): Promise<void>;
  close(): Promise<void>;
};

export type { Readable };

import type { Operation } from '../operations/operation.ts';
import type { Statistics } from '../model/statistics.ts';
import type { JsonObject } from '../model/json.ts';
import type { LogLine, LogQuery, LogWriter } from '../model/log.ts';
import type { Exit, OutputStream, ProcessListener, ProcessRequest, RunningProcess } from '../model/process.ts';

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

/** Tells when the kernel has killed something of a container's for want of memory. */
export type MemoryWatch = {
  /** The last look, after the container has ended. */
  settle(exitCode: number): Promise<void>;
  close(): void;
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

/** Container logs: DATA_ROOT/containers/ID/ID-json.log, one JSON object a line as Docker's json-file driver writes. */
export type Logs = {
  path(containerId: string): string;
  open(containerId: string, options: Readonly<Record<string, string>>): LogWriter;
  /** Batches of lines, oldest first. */
  read(containerId: string, query: LogQuery): AsyncIterable<readonly LogLine[]>;
};

/** The state on disk. */
export type Store = {
  load(): import('../model/state.ts').State;
  /** One transaction; resolves when it would survive a power cut. */
  commit(changes: readonly import('../model/state.ts').RecordChange[]): Promise<void>;
  close(): Promise<void>;
};

export type { Exit, LogLine, LogQuery, LogWriter, OutputStream, ProcessListener, ProcessRequest, RunningProcess };

import type { Leaks } from './leaks.ts';
import type { Readable } from 'node:stream';
import type { Container, CreateRequest, EndpointRequest, Exec, UpdateRequest } from '../model/container.ts';
import type { Image, HistoryEntry } from '../model/image.ts';
import type { Network, NetworkRequest } from '../model/network.ts';
import type { Volume } from '../model/volume.ts';
import type { State } from '../model/state.ts';
import type { Filters } from './filters.ts';
import type { Events } from './events.ts';
import type { LogLine, LogQuery } from './host.ts';
import type { NamedReference } from '../model/image-reference.ts';
import type { Credentials } from '../model/registry.ts';
import type { ContainerStatistics } from './statistics.ts';
import type { Builds } from './build.ts';
import type { Peer } from './peer.ts';

/** What the api may ask of the engine: one service a resource. A `ref` is an id, a name, or the start of an id. */
export type Engine = {
  readonly containers: Containers;
  readonly exec: Execs;
  readonly images: Images;
  readonly builds: Builds;
  readonly registries: Registries;
  readonly volumes: Volumes;
  readonly networks: Networks;
  readonly volumeArchives: VolumeArchives;
  readonly archives: Archives;
  readonly explain: Explain;
  readonly events: Events;
  readonly leaks: Leaks;
  readonly system: System;
};

/** What a call would do to the host: `+` or `-` and a thing of the host's a line, in the order in which it would be done. Errors are the call's own. */
export type Explain = {
  createNetwork(request: NetworkRequest): readonly string[];
  removeNetwork(ref: string): readonly string[];
  connect(ref: string, container: string, request: Omit<EndpointRequest, 'network'>): readonly string[];
  disconnect(ref: string, container: string): readonly string[];
  start(ref: string): readonly string[];
  stop(ref: string): readonly string[];
  remove(ref: string, options: { force: boolean; volumes: boolean }): readonly string[];
};

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

/** One row of `docker ps`. */
export type ContainerSummary = {
  readonly container: Container;
  /** Bytes written in the container's own layer, and of everything it sees; only when sizes were asked for. */
  readonly size: { readonly own: number; readonly root: number } | undefined;
};

export type Containers = {
  /** All that run are stopped, each by its own signal and in its own time, because the daemon ends; they begin again with the next one as their policies say. */
  quit(): Promise<void>;
  list(query: { all: boolean; limit: number | undefined; size: boolean; filters: Filters }): Promise<readonly ContainerSummary[]>;
  find(ref: string): Container;
  /** With sizes when asked for. */
  inspect(ref: string, size: boolean): Promise<ContainerSummary & { readonly execIds: readonly string[]; readonly logPath: string }>;
  create(request: CreateRequest): Promise<{ readonly id: string; readonly warnings: readonly string[] }>;
  /** 'not-modified' when it runs already. */
  start(ref: string): Promise<void>;
  /** `timeout` in seconds, negative: for ever; undefined: the container's own. 'not-modified' when it does not run. */
  stop(ref: string, options: { timeout: number | undefined; signal: string | undefined }): Promise<void>;
  restart(ref: string, options: { timeout: number | undefined; signal: string | undefined }): Promise<void>;
  /** '' is SIGKILL; names with or without SIG, or numbers. */
  kill(ref: string, signal: string): Promise<void>;
  pause(ref: string): Promise<void>;
  unpause(ref: string): Promise<void>;
  rename(ref: string, name: string): Promise<void>;
  update(ref: string, request: UpdateRequest): Promise<void>;
  remove(ref: string, options: { force: boolean; volumes: boolean; link: boolean }): Promise<void>;
  prune(filters: Filters): Promise<{ readonly deleted: readonly string[]; readonly reclaimed: number }>;
  /**
   * Finds the container at once (or throws), then resolves when the condition holds.
   * The two steps are apart so that a client's headers can go out before it happens.
   */
  wait(ref: string, condition: WaitCondition, gone: AbortSignal): { readonly done: Promise<{ code: number; error: string }> };
  /** Finds the container and says how its streams are framed, before any byte flows. */
  attach(
    ref: string,
    options: { stdin: boolean; stdout: boolean; stderr: boolean; logs: boolean; stream: boolean; detachKeys: string },
  ): { readonly tty: boolean; run(peer: Peer): Promise<void> };
  readonly statistics: ContainerStatistics;
  /** `details`: what the log's options say of the container, for those who want it before each line. */
  logs(ref: string, query: LogQuery): { readonly tty: boolean; readonly details: string; readonly batches: AsyncIterable<readonly LogLine[]> };
  resize(ref: string, rows: number, columns: number): Promise<void>;
  top(ref: string, args: readonly string[]): Promise<{ readonly titles: readonly string[]; readonly rows: readonly (readonly string[])[] }>;
};

export type Execs = {
  create(ref: string, request: Omit<Exec, 'id' | 'containerId' | 'running' | 'exitCode' | 'pid'>): Promise<string>;
  find(id: string): Exec;
  /** Throws before a byte flows when it can not start; `run` starts it and resolves when the streams are done. */
  start(id: string, options: { tty: boolean; consoleSize: readonly [rows: number, columns: number] | undefined }): { readonly tty: boolean; run(peer: Peer): Promise<void> };
  startDetached(id: string): Promise<void>;
  resize(id: string, rows: number, columns: number): Promise<void>;
};

/** A line of progress, or the last word of a long call (`aux`, `error`), as the api streams it. */
export type Progress =
  | { readonly status: string; readonly id?: string; readonly progress?: { readonly current: number; readonly total: number } | Readonly<Record<string, never>> }
  | { readonly stream: string }
  | { readonly aux: { readonly tag: string; readonly digest: string; readonly size: number } };

/** What goes to a registry or comes from it. Ends when the client is gone. */
export type Transfer = { readonly named: NamedReference; readonly credentials: Credentials | undefined; readonly gone: AbortSignal };

export type Images = {
  list(query: { all: boolean; filters: Filters; sharedSize: boolean }): Promise<readonly { readonly image: Image; readonly tags: readonly string[]; readonly containers: number; /** Bytes of layers other images have too; only when asked for. */ readonly sharedSize: number | undefined }[]>;
  /** By name[:tag], name@digest, id or the start of one; "No such image: REF" otherwise. */
  find(ref: string): Image;
  history(ref: string): readonly (HistoryEntry & { readonly id: string; readonly size: number; readonly tags: readonly string[] })[];
  tag(ref: string, repo: string, tag: string): Promise<void>;
  remove(ref: string, options: { force: boolean; prune: boolean }): Promise<readonly ({ readonly untagged: string } | { readonly deleted: string })[]>;
  prune(filters: Filters): Promise<{ readonly deleted: readonly ({ readonly untagged: string } | { readonly deleted: string })[] | undefined; readonly reclaimed: number }>;
  /** `docker import`: a root file system as a tar (compressed or not) becomes an image of one layer. Its id. */
  import(tar: Readable, options: { repo: string; tag: string; message: string; changes: readonly string[]; platform: string }): Promise<string>;
  /** `docker load`: docker-archive or OCI layout, compressed or not. Progress lines as they come. */
  load(tar: Readable): AsyncIterable<Progress>;
  save(refs: readonly string[]): Readable;
  /** By tag or by digest; a name alone means all its tags. What fails before the first progress is no such image, or no such registry. */
  pull(request: Transfer & { readonly platform: string }): AsyncIterable<Progress>;
  /** A tag, or all of the repository's. */
  push(request: Transfer): AsyncIterable<Progress>;
  /** The image that a container's file system, with `changes`, would be. Its id. */
  commit(container: string, options: { repo: string; tag: string; comment: string; author: string; changes: readonly string[]; pause: boolean }): Promise<string>;
};

export type Registries = {
  /** Resolves when the registry takes the credentials; they are not kept. '' is Docker's own registry. */
  login(request: { readonly server: string; readonly credentials: Credentials; readonly gone: AbortSignal }): Promise<void>;
  distribution(request: Transfer): Promise<Distribution>;
};

/** What a name stands for in a registry, and the machines that it is for. */
export type Distribution = {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platforms: readonly { readonly os: string; readonly architecture: string; readonly variant: string }[];
};

export type Volumes = {
  list(filters: Filters): readonly Volume[];
  find(name: string): Volume;
  create(request: { name: string; driver: string; labels: Readonly<Record<string, string>> | undefined; options: Readonly<Record<string, string>> | undefined }): Promise<Volume>;
  remove(name: string, force: boolean): Promise<void>;
  prune(filters: Filters): Promise<{ readonly deleted: readonly string[]; readonly reclaimed: number }>;
  /** Bytes on disk and how many containers use it. */
  usage(name: string): Promise<{ readonly size: number; readonly references: number }>;
};

/** Whole volumes, without a container to help. */
export type VolumeArchives = {
  /** A tar of all that is in a volume, and at its end its sha-256 in base64. `pause`: the containers that use it are frozen meanwhile. */
  backup(name: string, options: { pause: boolean }): Promise<{ readonly stream: Readable; readonly digest: () => string }>;
  /**
   * `replace`: the tar's content instead of the volume's, by one rename. `merge`: over it. Nothing is changed before the
   * whole tar is there and is what it should be (`expected` is asked at its end).
   */
  restore(name: string, tar: Readable, options: { mode: 'replace' | 'merge'; pause: boolean; expected: () => string | undefined }): Promise<void>;
  /** A new volume with a copy of its files and its labels. */
  clone(name: string, to: string, options: { pause: boolean }): Promise<Volume>;
  /** The containers that have it follow; none of them may run. */
  rename(name: string, to: string): Promise<Volume>;
};

export type Networks = {
  list(filters: Filters): readonly Network[];
  find(ref: string): Network;
  create(request: NetworkRequest): Promise<Network>;
  remove(ref: string): Promise<void>;
  /** The names of the networks that nobody was on. */
  prune(filters: Filters): Promise<readonly string[]>;
  /** On a running container at once; on others from their next start. `container` is a ref. */
  connect(ref: string, container: string, request: Omit<EndpointRequest, 'network'>): Promise<void>;
  disconnect(ref: string, container: string, force: boolean): Promise<void>;
  /** The running containers on a network, with their endpoints. */
  members(network: Network): readonly { readonly container: Container; readonly endpoint: import('../model/network.ts').Endpoint }[];
};

/** A path's stat as the X-Docker-Container-Path-Stat header has it. `mode` is Go's os.FileMode. */
export type PathStat = { readonly name: string; readonly size: number; readonly mode: number; readonly mtime: string; readonly linkTarget: string };

export type Archives = {
  stat(ref: string, path: string): Promise<PathStat>;
  read(ref: string, path: string): Promise<{ readonly stat: PathStat; readonly tar: Readable }>;
  write(ref: string, path: string, tar: Readable, options: { noOverwriteDirNonDir: boolean; copyUidGid: boolean }): Promise<void>;
  export(ref: string): Promise<Readable>;
  changes(ref: string): Promise<readonly { readonly path: string; readonly kind: 'modified' | 'added' | 'deleted' }[]>;
};

/** Facts about the machine and the daemon, for /info and /version. */
export type System = {
  readonly state: State;
  facts(): Promise<HostFacts>;
};

export type HostFacts = {
  readonly id: string;
  readonly kernelVersion: string;
  readonly operatingSystem: string;
  readonly osVersion: string;
  readonly architecture: string;
  readonly hostname: string;
  readonly processors: number;
  /** Bytes. */
  readonly memory: number;
  readonly cgroupVersion: '1' | '2';
  readonly cgroupControllers: readonly string[];
  readonly dataRoot: string;
  readonly backingFilesystem: string;
  readonly defaultRuntime: string;
  readonly liveRestore: boolean;
  /** The program behind `--init`; undefined: there is none. */
  readonly init: { readonly version: string; readonly commit: string } | undefined;
  readonly runtimes: Readonly<Record<string, { readonly path: string; readonly version: string; readonly commit: string }>>;
  readonly ipv4Forwarding: boolean;
  readonly addressPools: readonly { readonly base: string; readonly size: number }[];
  readonly openFiles: number;
};

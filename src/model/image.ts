/** What an image says about how to run it (the `config` of its JSON). `undefined` is what the wire shows as null. */
export type ImageConfig = {
  readonly user: string;
  readonly exposedPorts: readonly string[] | undefined;
  readonly env: readonly string[] | undefined;
  readonly cmd: readonly string[] | undefined;
  readonly entrypoint: readonly string[] | undefined;
  readonly volumes: readonly string[] | undefined;
  readonly workingDir: string;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly onBuild: readonly string[] | undefined;
  readonly stopSignal: string | undefined;
  readonly shell: readonly string[] | undefined;
  readonly healthcheck: Healthcheck | undefined;
  readonly argsEscaped: boolean;
};

/** Durations in nanoseconds, as in the API. */
export type Healthcheck = {
  readonly test: readonly string[];
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly startInterval: number;
  readonly retries: number;
};

export type HistoryEntry = {
  readonly created: string;
  readonly createdBy: string;
  readonly author: string;
  readonly comment: string;
  readonly emptyLayer: boolean;
};

/** An image: an id (the digest of its config's JSON), its layers bottom first, and the names that point to it. */
export type Image = {
  readonly id: string;
  readonly created: string;
  readonly author: string;
  readonly comment: string;
  readonly architecture: string;
  readonly os: string;
  readonly dockerVersion: string;
  readonly config: ImageConfig;
  readonly history: readonly HistoryEntry[];
  /** `sha256:...` of each layer's uncompressed tar, bottom first. */
  readonly diffIds: readonly string[];
  /** The stored layers in the same order: keys of `State.layers`. */
  readonly chainIds: readonly string[];
  /** Bytes of all its layers' files. */
  readonly size: number;
  readonly parent: string;
  /** `name:tag` as people write them (familiar form), sorted. */
  readonly tags: readonly string[];
  /** `name@sha256:...`, familiar form. */
  readonly digests: readonly string[];
  readonly lastTagged: string | undefined;
  /** The config's JSON to the letter: its sha256 is the id. */
  readonly rawConfig: string;
};

/** One layer, unpacked once under DATA_ROOT/overlay2/<hex of chainId>/diff and shared by every image that has it. */
export type Layer = {
  readonly chainId: string;
  readonly diffId: string;
  readonly parent: string | undefined;
  readonly size: number;
};

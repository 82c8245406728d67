/** What a running container uses, at one moment. Times in nanoseconds, sizes in bytes, counts since its start. */
export type Statistics = {
  /** RFC 3339 with nanoseconds. */
  readonly at: string;
  /** Processes now; `limit` undefined: none. */
  readonly pids: { readonly current: number; readonly limit: number | undefined };
  readonly cpu: {
    readonly total: number;
    /** cgroup v1 alone tells. */
    readonly perCpu: readonly number[] | undefined;
    readonly kernel: number;
    readonly user: number;
    /** Of the whole machine, idle time too: what the container's is a part of. */
    readonly system: number;
    readonly online: number;
    readonly periods: number;
    readonly throttledPeriods: number;
    readonly throttledTime: number;
  };
  readonly memory: {
    readonly usage: number;
    /** cgroup v1 alone tells. */
    readonly peak: number | undefined;
    readonly failures: number;
    readonly limit: number;
    /** Under the kernel's own names. */
    readonly details: Readonly<Record<string, number>>;
  };
  readonly io: { readonly bytes: readonly IoCount[]; readonly operations: readonly IoCount[] };
  /** By device; undefined: it has no network of its own. */
  readonly networks: Readonly<Record<string, NetworkCount>> | undefined;
};

export type IoCount = { readonly major: number; readonly minor: number; readonly operation: string; readonly value: number };

export type NetworkCount = { readonly received: Traffic; readonly sent: Traffic };

export type Traffic = { readonly bytes: number; readonly packets: number; readonly errors: number; readonly dropped: number };

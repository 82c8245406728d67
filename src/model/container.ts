import type { Json, JsonObject } from './json.ts';
import type { ExposedPort, PortBinding, PortRequest } from './port.ts';
import type { Sandbox } from './network.ts';
import type { MountPoint, Propagation } from './volume.ts';
import type { Healthcheck } from './image.ts';

/** A container as the store keeps it: who it is, what it is to run, what it has now. */
export type Container = {
  readonly id: string;
  /** Without the slash the wire puts before it. */
  readonly name: string;
  /** RFC 3339 with nanoseconds, as every time in a record. */
  readonly created: string;
  readonly imageId: string;
  /** The image's layers at creation, bottom first (they stay while the container does). */
  readonly chainIds: readonly string[];
  readonly spec: ContainerSpec;
  /** The request's Config and HostConfig with the engine's defaults: opaque here, shown by inspect. */
  readonly asked: Asked;
  readonly mounts: readonly MountPoint[];
  /** A step of a build that is under way: nobody wants it when that is not. */
  readonly temporary?: boolean;
  /** While present, its namespaces, mounts and rules are wanted on the host. */
  readonly sandbox: Sandbox | undefined;
  /** The host ports that it was not asked for by number and got: it gets them again, where they are free. */
  readonly chosenPorts?: readonly PortBinding[];
  readonly state: ContainerState;
};

export type Asked = { readonly config: JsonObject; readonly hostConfig: JsonObject };

export type ContainerStatus = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export type ContainerState = {
  readonly status: ContainerStatus;
  /** Of the container's first process; 0 when it has none. */
  readonly pid: number;
  /** Ticks since boot at which that process began (/proc/PID/stat): tells it from a later one with its number. */
  readonly pidStart: number;
  readonly exitCode: number;
  readonly error: string;
  readonly oomKilled: boolean;
  /** undefined: never. */
  readonly startedAt: string | undefined;
  readonly finishedAt: string | undefined;
  readonly restartCount: number;
  /** Stopped by a client's stop or kill: `unless-stopped` and `on-failure` leave it so. */
  readonly stoppedByClient: boolean;
  /** Removed by force: it goes when its process has ended, whoever sees that. */
  readonly leaving?: { readonly volumes: boolean } | undefined;
  /** Absent while nobody has asked after it. */
  readonly health?: Health | undefined;
};

export type Health = {
  readonly status: 'starting' | 'healthy' | 'unhealthy';
  readonly failingStreak: number;
  /** The last few, oldest first. */
  readonly log: readonly ProbeResult[];
};

/** Times in RFC 3339. Exit code 0 is well; -1: it could not be asked, or did not answer in time. */
export type ProbeResult = { readonly start: string; readonly end: string; readonly exitCode: number; readonly output: string };

/** What to run and how, image defaults merged in. */
export type ContainerSpec = {
  readonly image: string;
  readonly hostname: string;
  readonly domainname: string;
  readonly user: string;
  readonly tty: boolean;
  readonly openStdin: boolean;
  /** Of its terminal at the start; 0: whatever it comes to be. */
  readonly consoleSize: readonly [rows: number, columns: number];
  readonly stdinOnce: boolean;
  readonly env: readonly string[] | undefined;
  readonly cmd: readonly string[] | undefined;
  readonly entrypoint: readonly string[] | undefined;
  readonly workingDir: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly stopSignal: string | undefined;
  /** Seconds. */
  readonly stopTimeout: number | undefined;
  readonly healthcheck: Healthcheck | undefined;
  readonly exposedPorts: readonly ExposedPort[];

  /** 'bridge', 'host', 'none', 'container:REF', or a network's name or id. */
  readonly networkMode: string;
  /** The networks to join at start: `networkMode`'s own first. */
  readonly endpoints: readonly EndpointRequest[];
  readonly portRequests: readonly PortRequest[];
  readonly publishAll: boolean;
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly extraHosts: readonly string[];
  readonly links: readonly string[];

  readonly autoRemove: boolean;
  readonly restart: { readonly name: 'no' | 'always' | 'unless-stopped' | 'on-failure'; readonly maximum: number };
  readonly log: { readonly driver: string; readonly options: Readonly<Record<string, string>> };
  readonly init: boolean;
  readonly runtime: string;

  readonly readonlyRootfs: boolean;
  readonly privileged: boolean;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly securityOpt: readonly string[];
  readonly groupAdd: readonly string[];
  /** undefined: the engine's own list; []: none (privileged, systempaths=unconfined). */
  readonly maskedPaths: readonly string[] | undefined;
  readonly readonlyPaths: readonly string[] | undefined;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly devices: readonly { readonly hostPath: string; readonly containerPath: string; readonly permissions: string }[];
  readonly deviceCgroupRules: readonly string[];
  readonly ipcMode: string;
  readonly pidMode: string;
  readonly utsMode: string;
  readonly cgroupnsMode: string;
  readonly cgroupParent: string;
  readonly oomScoreAdj: number;
  /** Bytes. */
  readonly shmSize: number;
  readonly resources: Resources;
};

/** Bytes, shares, microseconds, as in the API; 0 or undefined: no limit. */
export type Resources = {
  readonly memory: number;
  readonly memorySwap: number;
  readonly memoryReservation: number;
  readonly memorySwappiness: number | undefined;
  readonly oomKillDisable: boolean;
  /** Billionths of a processor. */
  readonly nanoCpus: number;
  readonly cpuShares: number;
  readonly cpuPeriod: number;
  readonly cpuQuota: number;
  readonly cpuRealtimePeriod: number;
  readonly cpuRealtimeRuntime: number;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly pidsLimit: number | undefined;
  readonly blkioWeight: number;
};

/** POST /containers/{id}/update in model words: only what is to change. */
export type UpdateRequest = {
  readonly resources: Partial<Resources>;
  readonly restart: ContainerSpec['restart'] | undefined;
  /** All that are to be published from now on. */
  readonly ports: readonly PortRequest[] | undefined;
  /** The same in the request's own words, for inspect to show. */
  readonly asked: JsonObject;
};

/** One network a container is to join, as asked for (NetworkingConfig.EndpointsConfig). */
export type EndpointRequest = {
  /** A network's name or id as the client wrote it, 'default' already turned into 'bridge'. */
  readonly network: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly mac: string;
  readonly aliases: readonly string[];
  /** False: inspect shows that nothing was said of them. */
  readonly aliasesAsked: boolean;
  readonly links: readonly string[];
  readonly gwPriority: number;
  readonly driverOpts: Readonly<Record<string, string>> | undefined;
  /** The request's own IPAMConfig, shown again by inspect. */
  readonly ipamConfig: Json;
};

/** Mounts as asked for, before they are resolved against volumes and other containers. */
export type MountRequests = {
  /** `-v`: SOURCE:DESTINATION[:MODE] to the letter. */
  readonly binds: readonly string[];
  /** `-v /anonymous` and the image's VOLUMEs: destinations. */
  readonly volumes: readonly string[];
  /** `--volumes-from`: REF[:MODE]. */
  readonly volumesFrom: readonly string[];
  readonly mounts: readonly MountRequest[];
  /** `--tmpfs`: destination to options. */
  readonly tmpfs: Readonly<Record<string, string>>;
  readonly volumeDriver: string;
};

/** `--mount`. */
export type MountRequest = {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly readonly: boolean;
  readonly propagation: Propagation;
  readonly createMountpoint: boolean;
  readonly nonRecursive: boolean;
  readonly noCopy: boolean;
  readonly subpath: string;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly driver: string;
  readonly driverOptions: Readonly<Record<string, string>> | undefined;
  /** Bytes; 0: no limit. */
  readonly tmpfsSize: number;
  readonly tmpfsMode: number | undefined;
};

/** POST /containers/create in model words. The engine merges in what the image says. */
export type CreateRequest = {
  readonly name: string | undefined;
  readonly platform: string;
  /** Gone, should the daemon end before it says otherwise. */
  readonly temporary?: boolean;
  readonly spec: ContainerSpec;
  /** ExposedPorts, Volumes as asked (the image's are merged later). */
  readonly mounts: MountRequests;
  readonly asked: Asked;
};

/** A process beside the first one in a running container. */
export type Exec = {
  readonly id: string;
  readonly containerId: string;
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  readonly user: string;
  readonly workingDir: string;
  readonly privileged: boolean;
  readonly tty: boolean;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly detachKeys: string;
  /** Of its terminal at the start. */
  readonly consoleSize: readonly [rows: number, columns: number] | undefined;
  readonly running: boolean;
  /** undefined: not started, or still running. */
  readonly exitCode: number | undefined;
  readonly pid: number;
};

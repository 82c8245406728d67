import type { ContainerSpec, CreateRequest, EndpointRequest, MountRequest, Resources } from '../model/container.ts';
import { invalid } from '../model/errors.ts';
import type { Healthcheck } from '../model/image.ts';
import type { ExposedPort, PortRequest, Protocol } from '../model/port.ts';
import type { Propagation } from '../model/volume.ts';
import { askedOf, ipamView } from './container-asked.ts';
import { checkCreate } from './container-checks.ts';
import { configFields, createRequest, type WireCreate, type WireEndpoint, type WireHostConfig, type WireMount, type WireUpdate } from './container-schema.ts';
import { decode, mentions } from './decode.ts';
import { withoutUnsupported } from './resource-checks.ts';

/** What a container gets that does not say otherwise. */
export type ContainerDefaults = {
  readonly runtime: string;
  /** Those there are. */
  readonly runtimes: readonly string[];
  readonly cgroupVersion: '1' | '2';
  /** A container may ask for no more than there are. */
  readonly processors: number;
  /** Those a container may be pinned to: `0-3`. */
  readonly cpus: string;
  readonly memoryNodes: string;
  /** Whether the kernel weighs block I/O. */
  readonly blkioWeight: boolean;
};

export type ParsedCreate = { readonly request: CreateRequest; readonly warnings: readonly string[] };

/** POST /containers/create, in model words. */
export const parseCreate = (body: unknown, query: URLSearchParams, defaults: ContainerDefaults): ParsedCreate => {
  const wire = decode(createRequest, body);
  if (!mentions(body, configFields)) throw invalid('config cannot be empty in order to create a container');
  const supported = withoutUnsupported(wire.HostConfig, defaults);
  const normal = withDefaults({ ...wire, HostConfig: supported.wire }, defaults);
  const request: CreateRequest = {
    name: query.get('name') || undefined,
    platform: query.get('platform') ?? '',
    spec: specOf(normal),
    mounts: {
      binds: normal.HostConfig.Binds ?? [],
      volumes: Object.keys(normal.Volumes ?? {}),
      volumesFrom: normal.HostConfig.VolumesFrom ?? [],
      mounts: (normal.HostConfig.Mounts ?? []).map(mountOf),
      tmpfs: normal.HostConfig.Tmpfs ?? {},
      volumeDriver: normal.HostConfig.VolumeDriver,
    },
    asked: askedOf(normal),
  };
  checkCreate(request, normal, defaults);
  return {
    request,
    warnings: [
      ...supported.warnings,
      ...(wire.MacAddress === '' ? [] : ['The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.']),
      ...(wire.HostConfig.CpuPercent > 0 ? ['linux does not support CPU percent. Percent discarded.'] : []),
    ],
  };
};

/** The request as inspect shows it later: everything left open is filled in. */
const withDefaults = (wire: WireCreate, { runtime, cgroupVersion }: ContainerDefaults): WireCreate => {
  const host = wire.HostConfig;
  const mode = host.NetworkMode === '' || host.NetworkMode === 'default' ? 'bridge' : host.NetworkMode;
  const own = cgroupVersion === '1' ? 'host' : 'private';
  return {
    ...wire,
    WorkingDir: wire.WorkingDir.length > 1 ? wire.WorkingDir.replace(/\/+$/, '') : wire.WorkingDir,
    HostConfig: {
      ...host,
      NetworkMode: mode,
      LogConfig: { Type: host.LogConfig.Type || 'json-file', Config: host.LogConfig.Config ?? {} },
      RestartPolicy: { ...host.RestartPolicy, Name: host.RestartPolicy.Name || 'no' },
      IpcMode: host.IpcMode || 'private',
      CgroupnsMode: host.CgroupnsMode || own,
      ShmSize: host.ShmSize || 64 * 1024 * 1024,
      Runtime: host.Runtime || runtime,
      // As much swap as memory, unless it says.
      MemorySwap: host.Memory > 0 && host.MemorySwap === 0 ? 2 * host.Memory : host.MemorySwap,
      MemorySwappiness: host.MemorySwappiness === -1 ? null : host.MemorySwappiness,
      // A cgroup of version 2 has no switch for it.
      OomKillDisable: cgroupVersion === '1' ? (host.OomKillDisable ?? false) : null,
      PidsLimit: host.PidsLimit !== null && host.PidsLimit > 0 ? host.PidsLimit : null,
      CpuPercent: 0,
    },
  };
};

const specOf = (wire: WireCreate): ContainerSpec => {
  const host = wire.HostConfig;
  return {
    image: wire.Image,
    hostname: wire.Hostname,
    domainname: wire.Domainname,
    user: wire.User,
    tty: wire.Tty,
    openStdin: wire.OpenStdin,
    stdinOnce: wire.StdinOnce,
    env: wire.Env ?? undefined,
    cmd: wire.Cmd ?? undefined,
    entrypoint: wire.Entrypoint ?? undefined,
    workingDir: wire.WorkingDir,
    labels: wire.Labels ?? {},
    stopSignal: wire.StopSignal || undefined,
    stopTimeout: wire.StopTimeout ?? undefined,
    healthcheck: healthcheckOf(wire.Healthcheck),
    exposedPorts: Object.keys(wire.ExposedPorts ?? {}).flatMap(parseExposed),

    networkMode: wire.NetworkDisabled ? 'none' : host.NetworkMode,
    endpoints: endpointsOf(wire),
    portRequests: portRequestsOf(host.PortBindings),
    publishAll: host.PublishAllPorts,
    dns: host.Dns ?? [],
    dnsSearch: host.DnsSearch ?? [],
    dnsOptions: host.DnsOptions ?? [],
    extraHosts: host.ExtraHosts ?? [],
    links: host.NetworkMode === 'bridge' ? (host.Links ?? []) : [],

    autoRemove: host.AutoRemove,
    restart: restartOf(host.RestartPolicy),
    log: { driver: host.LogConfig.Type, options: host.LogConfig.Config ?? {} },
    init: host.Init ?? false,
    runtime: host.Runtime,

    readonlyRootfs: host.ReadonlyRootfs,
    privileged: host.Privileged,
    capAdd: host.CapAdd ?? [],
    capDrop: host.CapDrop ?? [],
    securityOpt: host.SecurityOpt ?? [],
    groupAdd: host.GroupAdd ?? [],
    maskedPaths: host.Privileged ? [] : (host.MaskedPaths ?? undefined),
    readonlyPaths: host.Privileged ? [] : (host.ReadonlyPaths ?? undefined),
    sysctls: host.Sysctls ?? {},
    ulimits: (host.Ulimits ?? []).map(({ Name, Soft, Hard }) => ({ name: Name, soft: Soft, hard: Hard })),
    devices: (host.Devices ?? []).map((device) => ({
      hostPath: device.PathOnHost,
      containerPath: device.PathInContainer || device.PathOnHost,
      permissions: device.CgroupPermissions || 'rwm',
    })),
    deviceCgroupRules: host.DeviceCgroupRules ?? [],
    ipcMode: host.IpcMode,
    pidMode: host.PidMode,
    utsMode: host.UTSMode,
    cgroupnsMode: host.CgroupnsMode,
    cgroupParent: host.CgroupParent,
    oomScoreAdj: host.OomScoreAdj,
    shmSize: host.ShmSize,
    consoleSize: [host.ConsoleSize[0] ?? 0, host.ConsoleSize[1] ?? 0],
    resources: resourcesOf(host),
  };
};

export const restartOf = ({ Name, MaximumRetryCount }: WireHostConfig['RestartPolicy']): ContainerSpec['restart'] => ({
  // `checkRestart` sees to it that it is one of these.
  name: Name as ContainerSpec['restart']['name'],
  maximum: MaximumRetryCount,
});

export const resourcesOf = (host: WireUpdate): Resources => ({
  memory: host.Memory,
  memorySwap: host.MemorySwap,
  memoryReservation: host.MemoryReservation,
  memorySwappiness: host.MemorySwappiness ?? undefined,
  oomKillDisable: host.OomKillDisable ?? false,
  nanoCpus: host.NanoCpus,
  cpuShares: host.CpuShares,
  cpuPeriod: host.CpuPeriod,
  cpuQuota: host.CpuQuota,
  cpuRealtimePeriod: host.CpuRealtimePeriod,
  cpuRealtimeRuntime: host.CpuRealtimeRuntime,
  cpusetCpus: host.CpusetCpus,
  cpusetMems: host.CpusetMems,
  pidsLimit: host.PidsLimit ?? undefined,
  blkioWeight: host.BlkioWeight,
});

const healthcheckOf = (wire: WireCreate['Healthcheck']): Healthcheck | undefined =>
  wire === null
    ? undefined
    : {
        test: wire.Test ?? [],
        interval: wire.Interval,
        timeout: wire.Timeout,
        startPeriod: wire.StartPeriod,
        startInterval: wire.StartInterval,
        retries: wire.Retries,
      };

/** The networks to join: those the request configures, or else the one of its network mode. That one comes first. */
const endpointsOf = (wire: WireCreate): EndpointRequest[] => {
  const host = wire.HostConfig;
  const mode = host.NetworkMode;
  if (wire.NetworkDisabled || mode === 'host' || mode === 'none' || mode.startsWith('container:')) return [];
  const configured = Object.entries(wire.NetworkingConfig.EndpointsConfig ?? {}).map(([name, settings]) => {
    if (settings === null) throw invalid(`invalid config for network ${name}: EndpointsConfig is nil`);
    return { ...endpointOf(settings), network: name === 'default' ? 'bridge' : name };
  });
  const wanted = configured.length > 0 ? configured : [{ ...endpointOf(NO_SETTINGS), network: mode }];
  return wanted
    .map((endpoint) => (endpoint.network === mode ? withContainerWide(endpoint, wire) : endpoint))
    .sort((a, b) => Number(b.network === mode) - Number(a.network === mode));
};

const NO_SETTINGS: WireEndpoint = { IPAMConfig: null, Links: null, Aliases: null, MacAddress: '', DriverOpts: null, GwPriority: 0 };

/** What a client wants of one network. */
export const endpointOf = (settings: WireEndpoint): Omit<EndpointRequest, 'network'> => ({
  ipv4: settings.IPAMConfig?.IPv4Address ?? '',
  ipv6: settings.IPAMConfig?.IPv6Address ?? '',
  mac: settings.MacAddress,
  aliases: settings.Aliases ?? [],
  aliasesAsked: settings.Aliases !== null,
  links: settings.Links ?? [],
  gwPriority: settings.GwPriority,
  driverOpts: settings.DriverOpts ?? undefined,
  ipamConfig: settings.IPAMConfig === null ? null : ipamView(settings.IPAMConfig),
});

/** The MAC and the links that older clients give the container go to its first network. */
const withContainerWide = (endpoint: EndpointRequest, { MacAddress, HostConfig }: WireCreate): EndpointRequest => ({
  ...endpoint,
  mac: endpoint.mac || MacAddress,
  links: endpoint.links.length > 0 || endpoint.network === 'bridge' ? endpoint.links : (HostConfig.Links ?? []),
});

/** `8080`, `8080/tcp`, `8000-8010/udp`. */
const parseExposed = (written: string): ExposedPort[] => {
  const [range = '', protocol = 'tcp'] = written.split('/', 2);
  const { first, last } = parseRange(range);
  return Array.from({ length: last - first + 1 }, (_, index) => ({ port: first + index, protocol: parseProtocol(protocol) }));
};

export const portRequestsOf = (bindings: WireHostConfig['PortBindings']): PortRequest[] =>
  Object.entries(bindings ?? {}).flatMap(([port, each]) => (each ?? []).map((binding) => parseBinding(port, binding)));

const parseBinding = (written: string, { HostIp, HostPort }: { readonly HostIp: string; readonly HostPort: string }): PortRequest => {
  const [port = '', protocol = 'tcp'] = written.split('/', 2);
  return {
    port: parsePort(port, port),
    protocol: parseProtocol(protocol),
    hostAddress: HostIp,
    hostPorts: HostPort === '' || HostPort === '0' ? undefined : parseRange(HostPort),
  };
};

const parseProtocol = (written: string): Protocol => {
  const protocol = written.toLowerCase();
  if (protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp') return protocol;
  throw invalid(`invalid protocol: ${written}`);
};

const parseRange = (written: string): { first: number; last: number } => {
  const [first = '', last = first] = written.split('-', 2);
  const range = { first: parsePort(first, written), last: parsePort(last, written) };
  if (range.last < range.first) throw invalid(`invalid port specification: ${JSON.stringify(written)}`);
  return range;
};

const parsePort = (digits: string, written: string): number => {
  const port = Number(digits);
  if (!/^\d+$/.test(digits) || port > 65535) throw invalid(`invalid port specification: ${JSON.stringify(written)}`);
  return port;
};

const mountOf = (wire: WireMount): MountRequest => ({
  type: wire.Type,
  source: wire.Source,
  target: wire.Target,
  readonly: wire.ReadOnly,
  // The plan refuses what is none.
  propagation: (wire.BindOptions?.Propagation ?? '') as Propagation,
  createMountpoint: wire.BindOptions?.CreateMountpoint ?? false,
  nonRecursive: wire.BindOptions?.NonRecursive ?? false,
  noCopy: wire.VolumeOptions?.NoCopy ?? false,
  subpath: wire.VolumeOptions?.Subpath ?? '',
  labels: wire.VolumeOptions?.Labels ?? undefined,
  driver: wire.VolumeOptions?.DriverConfig?.Name ?? '',
  driverOptions: wire.VolumeOptions?.DriverConfig?.Options ?? undefined,
  tmpfsSize: wire.TmpfsOptions?.SizeBytes ?? 0,
  tmpfsMode: wire.TmpfsOptions?.Mode || undefined,
});

import { boolean, integer, list, map, optional, size, string, stringOrList, struct, type Decoded } from './decode.ts';

/** The wire form of POST /containers/create: names, Go types and nothing else. */

const emptyStruct = struct('struct {}', {});

const healthcheck = {
  Test: list(string),
  Interval: integer('int64'),
  Timeout: integer('int64'),
  StartPeriod: integer('int64'),
  StartInterval: integer('int64'),
  Retries: integer('int'),
};

export const configFields = {
  Hostname: string,
  Domainname: string,
  User: string,
  AttachStdin: boolean,
  AttachStdout: boolean,
  AttachStderr: boolean,
  ExposedPorts: map(emptyStruct, 'nat.PortSet'),
  Tty: boolean,
  OpenStdin: boolean,
  StdinOnce: boolean,
  Env: list(string),
  Cmd: stringOrList,
  Healthcheck: optional(struct('container.HealthConfig', healthcheck)),
  ArgsEscaped: boolean,
  Image: string,
  Volumes: map(emptyStruct),
  WorkingDir: string,
  Entrypoint: stringOrList,
  NetworkDisabled: boolean,
  MacAddress: string,
  OnBuild: list(string),
  Labels: map(string),
  StopSignal: string,
  StopTimeout: optional(integer('int')),
  Shell: stringOrList,
};

const weightDevice = struct('blkiodev.WeightDevice', { Path: string, Weight: integer('uint16') });
const throttleDevices = list(struct('blkiodev.ThrottleDevice', { Path: string, Rate: integer('uint64') }), '[]*blkiodev.ThrottleDevice');

const resourceFields = {
  CpuShares: integer('int64'),
  Memory: integer('int64'),
  NanoCpus: integer('int64'),
  CgroupParent: string,
  BlkioWeight: integer('uint16'),
  BlkioWeightDevice: list(weightDevice, '[]*blkiodev.WeightDevice'),
  BlkioDeviceReadBps: throttleDevices,
  BlkioDeviceWriteBps: throttleDevices,
  BlkioDeviceReadIOps: throttleDevices,
  BlkioDeviceWriteIOps: throttleDevices,
  CpuPeriod: integer('int64'),
  CpuQuota: integer('int64'),
  CpuRealtimePeriod: integer('int64'),
  CpuRealtimeRuntime: integer('int64'),
  CpusetCpus: string,
  CpusetMems: string,
  Devices: list(struct('container.DeviceMapping', { PathOnHost: string, PathInContainer: string, CgroupPermissions: string })),
  DeviceCgroupRules: list(string),
  DeviceRequests: list(
    struct('container.DeviceRequest', {
      Driver: string,
      Count: integer('int'),
      DeviceIDs: list(string),
      Capabilities: list(list(string)),
      Options: map(string),
    }),
  ),
  MemoryReservation: integer('int64'),
  MemorySwap: integer('int64'),
  MemorySwappiness: optional(integer('int64')),
  OomKillDisable: optional(boolean),
  PidsLimit: optional(integer('int64')),
  Ulimits: list(struct('units.Ulimit', { Name: string, Hard: integer('int64'), Soft: integer('int64') }), '[]*units.Ulimit'),
  CpuCount: integer('int64'),
  CpuPercent: integer('int64'),
  IOMaximumIOps: integer('uint64'),
  IOMaximumBandwidth: integer('uint64'),
};

const mount = struct('mount.Mount', {
  Type: string,
  Source: string,
  Target: string,
  ReadOnly: boolean,
  Consistency: string,
  BindOptions: optional(
    struct('mount.BindOptions', {
      Propagation: string,
      NonRecursive: boolean,
      CreateMountpoint: boolean,
      ReadOnlyNonRecursive: boolean,
      ReadOnlyForceRecursive: boolean,
    }),
  ),
  VolumeOptions: optional(
    struct('mount.VolumeOptions', {
      NoCopy: boolean,
      Labels: map(string),
      Subpath: string,
      DriverConfig: optional(struct('mount.Driver', { Name: string, Options: map(string) })),
    }),
  ),
  ImageOptions: optional(struct('mount.ImageOptions', { Subpath: string })),
  TmpfsOptions: optional(struct('mount.TmpfsOptions', { SizeBytes: integer('int64'), Mode: integer('uint32'), Options: list(list(string)) })),
});

const hostConfigFields = {
  Binds: list(string),
  ContainerIDFile: string,
  LogConfig: struct('container.LogConfig', { Type: string, Config: map(string) }),
  NetworkMode: string,
  PortBindings: map(list(struct('nat.PortBinding', { HostIp: string, HostPort: string })), 'nat.PortMap'),
  RestartPolicy: struct('container.RestartPolicy', { Name: string, MaximumRetryCount: integer('int') }),
  AutoRemove: boolean,
  VolumeDriver: string,
  VolumesFrom: list(string),
  ConsoleSize: size,
  Annotations: map(string),
  CapAdd: stringOrList,
  CapDrop: stringOrList,
  CgroupnsMode: string,
  Dns: list(string),
  DnsOptions: list(string),
  DnsSearch: list(string),
  ExtraHosts: list(string),
  GroupAdd: list(string),
  IpcMode: string,
  Cgroup: string,
  Links: list(string),
  OomScoreAdj: integer('int'),
  PidMode: string,
  Privileged: boolean,
  PublishAllPorts: boolean,
  ReadonlyRootfs: boolean,
  SecurityOpt: list(string),
  StorageOpt: map(string),
  Tmpfs: map(string),
  UTSMode: string,
  UsernsMode: string,
  ShmSize: integer('int64'),
  Sysctls: map(string),
  Runtime: string,
  Isolation: string,
  ...resourceFields,
  Mounts: list(mount),
  MaskedPaths: list(string),
  ReadonlyPaths: list(string),
  Init: optional(boolean),
};

const ipamConfig = struct('network.EndpointIPAMConfig', { IPv4Address: string, IPv6Address: string, LinkLocalIPs: list(string) });

/** Of EndpointSettings only what a request may say; the rest is what the engine answers. */
export const endpointSettings = struct('network.EndpointSettings', {
  IPAMConfig: optional(ipamConfig),
  Links: list(string),
  Aliases: list(string),
  MacAddress: string,
  DriverOpts: map(string),
  GwPriority: integer('int'),
});

export const createRequest = struct(
  'container.CreateRequest',
  {
    ...configFields,
    HostConfig: struct('container.HostConfig', hostConfigFields, { Resources: resourceFields }),
    NetworkingConfig: struct('network.NetworkingConfig', {
      EndpointsConfig: map(optional(endpointSettings), 'map[string]*network.EndpointSettings'),
    }),
  },
  { Config: configFields },
);

export const updateRequest = struct(
  'container.UpdateConfig',
  { ...resourceFields, RestartPolicy: hostConfigFields.RestartPolicy },
  { Resources: resourceFields },
);

/** What berth lets a client change besides: absent or null is silence. */
export const portsUpdate = struct('container.UpdateConfig', {
  PortBindings: hostConfigFields.PortBindings,
  HostConfig: struct('container.HostConfig', { PortBindings: hostConfigFields.PortBindings }),
});

export type WireCreate = Decoded<typeof createRequest>;
export type WireUpdate = Decoded<typeof updateRequest>;
export type WireHostConfig = WireCreate['HostConfig'];
export type WireMount = Decoded<typeof mount>;
export type WireEndpoint = Decoded<typeof endpointSettings>;

import { dnsNames } from '../model/dns-names.ts';
import type { ContainerSummary } from '../engine/services.ts';
import type { Container, EndpointRequest, Health } from '../model/container.ts';
import type { Json, JsonObject } from '../model/json.ts';
import type { Endpoint } from '../model/network.ts';
import { exposedPort } from '../model/port.ts';
import type { MountPoint } from '../model/volume.ts';
import { goTime, humanDuration, unixSeconds } from './time.ts';

/** What a view needs to know beyond the container's own record. */
export type ViewContext = {
  readonly dataRoot: string;
  /** The network that a name or id names now; undefined when there is none any more. */
  readonly network: (ref: string) => { readonly name: string; readonly id: string } | undefined;
};

/** GET /containers/{id}/json. */
export const inspectView = (
  { container, size, execIds, logPath }: ContainerSummary & { readonly execIds: readonly string[]; readonly logPath: string },
  context: ViewContext,
): JsonObject => {
  const { id, state } = container;
  const [path = '', ...args] = commandOf(container);
  const directory = `${context.dataRoot}/containers/${id}`;
  const file = (name: string): string => (state.startedAt === undefined ? '' : `${directory}/${name}`);
  return {
    Id: id,
    Created: goTime(container.created),
    Path: path,
    Args: args,
    State: stateView(container),
    Image: container.imageId,
    ResolvConfPath: file('resolv.conf'),
    HostnamePath: file('hostname'),
    HostsPath: file('hosts'),
    LogPath: state.startedAt === undefined ? '' : logPath,
    Name: `/${container.name}`,
    RestartCount: state.restartCount,
    Driver: 'overlay2',
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: execIds.length === 0 ? null : execIds,
    HostConfig: { ...container.asked.hostConfig, ...linksView(container) },
    GraphDriver: graphDriverView(container, context.dataRoot),
    ...(size ? { SizeRw: size.own, SizeRootFs: size.root } : {}),
    Mounts: container.mounts.filter(({ asked }) => asked !== 'tmpfs').map((mount) => mountView(mount)),
    Config: configView(container),
    NetworkSettings: networkSettingsView(container, context),
  };
};

/** One entry of GET /containers/json. */
export const summaryView = ({ container, size }: ContainerSummary, image: string, now: number, context: ViewContext): JsonObject => ({
  Id: container.id,
  Names: [`/${container.name}`],
  Image: image,
  ImageID: container.imageId,
  Command: commandOf(container)
    .map((word, index) => (index > 0 && word.includes(' ') ? `'${word}'` : word))
    .join(' '),
  Created: unixSeconds(container.created),
  Ports: portsSummary(container),
  ...(size && size.own > 0 ? { SizeRw: size.own } : {}),
  ...(size && size.root > 0 ? { SizeRootFs: size.root } : {}),
  Labels: container.spec.labels,
  State: container.state.status,
  Status: statusText(container, now),
  HostConfig: { NetworkMode: container.spec.networkMode, ...annotations(container) },
  NetworkSettings: { Networks: networksView(container, context, summaryEndpoint) },
  Mounts: container.mounts
    .filter(({ asked }) => asked !== 'tmpfs')
    .map((mount) => mountView(mount.type === 'volume' ? { ...mount, source: '' } : mount)),
});

/** `Up 2 minutes (Paused)`, `Exited (0) 3 minutes ago`. */
export const statusText = ({ state }: Pick<Container, 'state'>, now: number): string => {
  const since = (time: string | undefined): string => humanDuration(time === undefined ? 0 : now - Date.parse(time));
  switch (state.status) {
    case 'running':
      return `Up ${since(state.startedAt)}${state.health ? ` (${state.health.status === 'starting' ? 'health: starting' : state.health.status})` : ''}`;
    case 'paused':
      return `Up ${since(state.startedAt)} (Paused)`;
    case 'restarting':
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
    case 'created':
      return 'Created';
    case 'exited':
      return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
  }
};

const commandOf = ({ spec }: Container): readonly string[] => [...(spec.entrypoint ?? []), ...(spec.cmd ?? [])];

const stateView = ({ state }: Container): JsonObject => ({
  Status: state.status,
  Running: ['running', 'paused', 'restarting'].includes(state.status),
  Paused: state.status === 'paused',
  Restarting: state.status === 'restarting',
  OOMKilled: state.oomKilled,
  Dead: state.status === 'dead',
  Pid: state.pid,
  ExitCode: state.exitCode,
  Error: state.error,
  StartedAt: goTime(state.startedAt),
  FinishedAt: goTime(state.finishedAt),
  ...(state.health ? { Health: stateHealthView(state.health) } : {}),
});

const stateHealthView = ({ status, failingStreak, log }: Health): JsonObject => ({
  Status: status,
  FailingStreak: failingStreak,
  Log: log.map(({ start, end, exitCode, output }) => ({ Start: goTime(start), End: goTime(end), ExitCode: exitCode, Output: output })),
});

/** The request's Config with what the image and the engine put in. */
const configView = ({ spec, asked, mounts }: Container): JsonObject => {
  const volumes = [...Object.keys((asked.config['Volumes'] as JsonObject | null) ?? {}), ...mounts.filter((mount) => mount.asked === 'image').map((mount) => mount.destination)];
  const mac = spec.endpoints[0]?.mac ?? '';
  const { Hostname: _h, Domainname: _d, User: _u, ExposedPorts: _e, AttachStdin, AttachStdout, AttachStderr, ...rest } = asked.config;
  // The reference's own order of keys: people diff what inspect prints.
  return {
    Hostname: spec.hostname,
    Domainname: spec.domainname,
    User: spec.user,
    AttachStdin: AttachStdin ?? false,
    AttachStdout: AttachStdout ?? false,
    AttachStderr: AttachStderr ?? false,
    ...(spec.exposedPorts.length === 0 ? {} : { ExposedPorts: emptyMap(spec.exposedPorts.map(exposedPort)) }),
    ...rest,
    Env: spec.env ?? null,
    Cmd: spec.cmd ?? null,
    ...healthcheckView(spec),
    Image: spec.image,
    Volumes: volumes.length === 0 ? null : emptyMap(volumes),
    WorkingDir: spec.workingDir,
    Entrypoint: spec.entrypoint ?? null,
    ...(mac === '' ? {} : { MacAddress: mac }),
    Labels: spec.labels,
    ...(spec.stopSignal === undefined ? {} : { StopSignal: spec.stopSignal }),
  };
};

export const emptyMap = (keys: readonly string[]): JsonObject => Object.fromEntries(keys.map((key) => [key, {}]));

const healthcheckView = ({ healthcheck }: Container['spec']): JsonObject => (healthcheck === undefined ? {} : { Healthcheck: healthView(healthcheck) });

export const healthView = (health: NonNullable<Container['spec']['healthcheck']>): JsonObject => ({
  ...(health.test.length > 0 ? { Test: health.test } : {}),
  ...(health.interval > 0 ? { Interval: health.interval } : {}),
  ...(health.timeout > 0 ? { Timeout: health.timeout } : {}),
  ...(health.startPeriod > 0 ? { StartPeriod: health.startPeriod } : {}),
  ...(health.startInterval > 0 ? { StartInterval: health.startInterval } : {}),
  ...(health.retries > 0 ? { Retries: health.retries } : {}),
});

/** Legacy links of the default bridge are shown with both ends: `/child:/parent/alias`. */
const linksView = ({ name, spec }: Container): JsonObject => {
  if (spec.links.length === 0) return { Links: null };
  return {
    Links: spec.links.map((link) => {
      const [child = '', alias = child] = link.split(':');
      return `/${child.replace(/^\//, '')}:/${name}/${alias}`;
    }),
  };
};

const annotations = ({ asked }: Container): JsonObject => {
  const found = asked.hostConfig['Annotations'];
  return found === undefined ? {} : { Annotations: found };
};

const graphDriverView = ({ id, chainIds }: Container, dataRoot: string): JsonObject => {
  const root = `${dataRoot}/overlay2`;
  // The container's own top: then what every container has, then the image from its top down.
  const lower = [`${root}/init/diff`, ...chainIds.map((chainId) => `${root}/${chainId.replace('sha256:', '')}/diff`).reverse()];
  return {
    Data: { ID: id, LowerDir: lower.join(':'), MergedDir: `${root}/${id}/merged`, UpperDir: `${root}/${id}/diff`, WorkDir: `${root}/${id}/work` },
    Name: 'overlay2',
  };
};

const mountView = (mount: MountPoint): JsonObject => ({
  Type: mount.type,
  ...(mount.name === '' ? {} : { Name: mount.name }),
  Source: mount.source,
  Destination: mount.destination,
  ...(mount.driver === '' ? {} : { Driver: mount.driver }),
  Mode: mount.mode,
  RW: !mount.readonly,
  Propagation: mount.propagation,
});

const networkSettingsView = (container: Container, context: ViewContext): JsonObject => {
  const { sandbox } = container;
  const bridge = sandbox?.endpoints.find(({ networkName }) => networkName === 'bridge');
  return {
    Bridge: '',
    SandboxID: sandbox?.id ?? '',
    SandboxKey: sandbox?.netns ?? '',
    Ports: portsView(container),
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: bridge?.id ?? '',
    Gateway: bridge?.gateway ?? '',
    GlobalIPv6Address: ipv6View(bridge).GlobalIPv6Address,
    GlobalIPv6PrefixLen: ipv6View(bridge).GlobalIPv6PrefixLen,
    IPAddress: bridge?.address ?? '',
    IPPrefixLen: bridge?.prefixLength ?? 0,
    IPv6Gateway: ipv6View(bridge).IPv6Gateway,
    MacAddress: bridge?.mac ?? '',
    Networks: networksView(container, context, inspectEndpoint),
  };
};

/** Exposed ports of a running container with where they are published; null: nowhere. */
const portsView = ({ sandbox, spec }: Container): JsonObject => {
  if (sandbox === undefined || sandbox.netns === '') return {};
  const ports: Record<string, { HostIp: string; HostPort: string }[] | null> = Object.fromEntries(spec.exposedPorts.map((port) => [exposedPort(port), null]));
  for (const binding of sandbox.ports) (ports[exposedPort(binding)] ??= []).push({ HostIp: binding.hostAddress, HostPort: String(binding.hostPort) });
  return ports;
};

const portsSummary = ({ sandbox, spec }: Container): Json => {
  if (sandbox === undefined || sandbox.netns === '') return [];
  // One without a host port is reached at the container's own address.
  const bindings = sandbox.ports.filter(({ hostPort }) => hostPort !== 0);
  const published = new Set(bindings.map(exposedPort));
  return [
    ...spec.exposedPorts.filter((port) => !published.has(exposedPort(port))).map(({ port, protocol }) => ({ PrivatePort: port, Type: protocol })),
    ...bindings.map(({ hostAddress, port, hostPort, protocol }) => ({ IP: hostAddress, PrivatePort: port, PublicPort: hostPort, Type: protocol })),
  ];
};

/** One network a container is in, or is to be in: what was asked, and what it has while it runs. */
type Joined = {
  readonly request: EndpointRequest | undefined;
  readonly endpoint: Endpoint | undefined;
  readonly networkId: string;
  readonly dnsNames: readonly string[] | null;
};

const networksView = (container: Container, { network }: ViewContext, view: (joined: Joined) => JsonObject): JsonObject => {
  const { spec, sandbox, state } = container;
  if (spec.networkMode === 'host' || spec.networkMode === 'none') {
    const networkId = state.startedAt === undefined ? '' : (network(spec.networkMode)?.id ?? '');
    return { [spec.networkMode]: view({ request: undefined, endpoint: undefined, networkId, dnsNames: null }) };
  }
  return Object.fromEntries(
    spec.endpoints.map((request) => {
      const known = network(request.network);
      const endpoint = sandbox?.endpoints.find(({ networkId, networkName }) => networkId === (known?.id ?? request.network) || networkName === request.network);
      const name = endpoint?.networkName ?? known?.name ?? request.network;
      const wasThere = endpoint !== undefined || state.startedAt !== undefined;
      const networkId = endpoint?.networkId ?? (wasThere ? (known?.id ?? '') : '');
      return [name, view({ request, endpoint, networkId, dnsNames: name === 'bridge' || !wasThere ? null : dnsNames(container, request) })];
    }),
  );
};

const inspectEndpoint = (joined: Joined): JsonObject => ({
  ...summaryEndpoint(joined),
  IPAMConfig: joined.request?.ipamConfig ?? null,
  Links: orNull(joined.request?.links),
  Aliases: joined.request?.aliasesAsked ? joined.request.aliases : null,
  DriverOpts: joined.request?.driverOpts ?? null,
  DNSNames: joined.dnsNames,
});

const summaryEndpoint = ({ request, endpoint, networkId }: Joined): JsonObject => ({
  IPAMConfig: request?.ipamConfig ?? null,
  Links: null,
  Aliases: null,
  MacAddress: endpoint?.mac ?? request?.mac ?? '',
  DriverOpts: null,
  GwPriority: request?.gwPriority ?? 0,
  NetworkID: networkId,
  EndpointID: endpoint?.id ?? '',
  Gateway: endpoint?.gateway ?? '',
  IPAddress: endpoint?.address ?? '',
  IPPrefixLen: endpoint?.prefixLength ?? 0,
  ...ipv6View(endpoint),
  DNSNames: null,
});

const ipv6View = (endpoint: Endpoint | undefined) => ({
  IPv6Gateway: endpoint?.ipv6?.gateway ?? '',
  GlobalIPv6Address: endpoint?.ipv6?.address ?? '',
  GlobalIPv6PrefixLen: endpoint?.ipv6?.prefixLength ?? 0,
});

const orNull = <T>(list: readonly T[] | undefined): readonly T[] | null => (list === undefined || list.length === 0 ? null : list);

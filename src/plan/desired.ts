import type { Container } from '../model/container.ts';
import { familyOf, interfacesOf, type Endpoint, type Family, type Network, type Sandbox } from '../model/network.ts';
import type { PortBinding } from '../model/port.ts';
import type { RecordChange, State } from '../model/state.ts';
import type { HostObject, KindOf } from '../operations/operation.ts';
import type { Volume } from '../model/volume.ts';
import { bridgeObject } from './bridge.ts';
import { INTERNAL_RESOLVER } from './container-files.ts';
import { networkFirewall, portsFirewall } from './firewall.ts';
import { gatewaysOf } from './gateway.ts';
import { linkFirewall } from './link-firewall.ts';
import { isLoopback, networkElements, portElements } from './own-table.ts';
import { rangeFirewall } from './range-firewall.ts';
import { spansOf, type PortSpan } from './spans.ts';
import { volumeMount, volumeObjects, volumesOf, type VolumesByName } from './volumes.ts';

/** Where berth puts things. Set once at start. */
export type Layout = {
  readonly dataRoot: string;
  readonly execRoot: string;
  /** --iptables, --ip6tables: whether rules are ours to make. */
  readonly iptables: boolean;
  readonly ip6tables: boolean;
};

export const layerPath = (layout: Layout, chainId: string): string => `${layout.dataRoot}/overlay2/${chainId.replace('sha256:', '')}/diff`;
export const containerPath = (layout: Layout, id: string): string => `${layout.dataRoot}/containers/${id}`;
export const overlayPath = (layout: Layout, id: string): string => `${layout.dataRoot}/overlay2/${id}`;
/** Where a container's mount of a part of a volume comes from while it runs. */
export const subpathPath = (layout: Layout, id: string, index: number): string => `${layout.execRoot}/subpaths/${id}-${index}`;
/** The /dev/shm of a container that shares it. */
export const sharedMemoryPath = (layout: Layout, id: string): string => `${layout.execRoot}/shm/${id}`;
/** What every container has beneath its own layer: mount points such as /etc/hosts, /dev and /proc. */
export const initLayerPath = (layout: Layout): string => `${layout.dataRoot}/overlay2/init/diff`;

/** Everything one record wants on the host, with the volumes there are. */
export const desiredOf = (layout: Layout, change: Pick<RecordChange, 'collection' | 'record'>, volumes: VolumesByName): readonly HostObject[] => {
  const { collection, record } = change as RecordChange;
  if (record === undefined) return [];
  switch (collection) {
    case 'networks':
      return rules(layout, networkObjects(record as Network));
    case 'containers':
      return rules(layout, containerObjects(layout, record as Container, volumes));
    case 'volumes':
      return volumeObjects(record as Volume);
    case 'images':
    case 'layers':
      return [];
  }
};

/** Everything the state wants on the host, in the order in which it can be made. */
export const desired = (layout: Layout, state: State): HostObject[] => [
  ...[...state.volumes.values()].flatMap((record) => desiredOf(layout, { collection: 'volumes', record }, state.volumes)),
  ...byAge([...state.networks.values()], ({ created }) => created).flatMap((record) => desiredOf(layout, { collection: 'networks', record }, state.volumes)),
  ...byAge([...state.containers.values()], ({ state: { startedAt } }) => startedAt ?? '').flatMap((record) => desiredOf(layout, { collection: 'containers', record }, state.volumes)),
];

/** The order in which they were made, and so that of their rules: a later daemon finds them as they should be. */
const byAge = <T>(records: readonly T[], age: (record: T) => string): T[] => [...records].sort((a, b) => (age(a) < age(b) ? -1 : age(a) > age(b) ? 1 : 0));

const rules = (layout: Layout, objects: readonly HostObject[]): readonly HostObject[] =>
  objects.filter((object) => {
    // What rules need of the kernel besides goes with them.
    if ((object.kind === 'sysctl' && object.netns === '') || object.kind === 'hairpin') return layout.iptables;
    if (object.kind !== 'rule' && object.kind !== 'chain' && object.kind !== 'element') return true;
    return layout.iptables && (object.family === 'ipv4' || layout.ip6tables);
  });

const networkObjects = (network: Network): HostObject[] =>
  network.bridge === undefined ? [] : [bridgeObject({ ...network, bridge: network.bridge }), ...networkFirewall(network), ...networkElements(network)];

const containerObjects = (layout: Layout, container: Container, volumes: VolumesByName): HostObject[] => {
  const { sandbox } = container;
  const own: HostObject[] = [
    { kind: 'directory', path: containerPath(layout, container.id), mode: 0o710 },
    { kind: 'directory', path: overlayPath(layout, container.id), mode: 0o710 },
  ];
  if (!sandbox) return own;
  return [
    ...own,
    overlayOf(layout, container),
    ...volumesOf(container, volumes).flatMap((volume) => volumeMount(volume, container.id) ?? []),
    ...container.mounts.flatMap(({ subpath, source }, index): HostObject[] =>
      subpath === '' ? [] : [{ kind: 'subpath', volume: source, path: subpath, target: subpathPath(layout, container.id, index) }],
    ),
    ...(container.spec.ipcMode === 'shareable' ? [{ kind: 'shared-memory', path: sharedMemoryPath(layout, container.id), size: container.spec.shmSize } as const] : []),
    ...(sandbox.netns === '' ? [] : [{ kind: 'netns', path: sandbox.netns } as const]),
    ...sandbox.endpoints.flatMap((endpoint) => endpointObjects(endpoint, sandbox.netns)),
    ...wayOutOnce(layout, sandbox),
    ...resolverOf(container.id, sandbox),
    ...linkFirewall(sandbox),
  ];
};

const resolverOf = (containerId: string, { netns, resolver }: Sandbox): HostObject[] =>
  resolver ? [{ kind: 'resolver', netns, address: INTERNAL_RESOLVER, containerId, servers: resolver.servers }] : [];

const endpointObjects = (endpoint: Endpoint, netns: string): HostObject[] => {
  const { veth, bridge, device, mac, mtu, ipv6, sysctls } = endpoint;
  return [
    { kind: 'veth', name: veth, bridge, netns, device, mac, mtu, ipv6: ipv6 !== undefined },
    ...Object.entries(sysctls).map(([key, value]): HostObject => ({ kind: 'sysctl', netns, key: key.replace('IFNAME', device), value })),
    ...interfacesOf(endpoint).map(({ address, prefixLength }): HostObject => ({ kind: 'address', netns, device, cidr: `${address}/${prefixLength}` })),
  ];
};

/** Thousands of ports are looked at once, not at every change of their container's state: a sandbox is never changed in place. */
const wayOutOnce = (layout: Layout, sandbox: Sandbox): readonly HostObject[] => {
  const known = waysOut.get(sandbox);
  if (known?.layout === layout) return known.objects;
  const objects = wayOut(layout, sandbox);
  waysOut.set(sandbox, { layout, objects });
  return objects;
};

const waysOut = new WeakMap<Sandbox, { readonly layout: Layout; readonly objects: readonly HostObject[] }>();

/** Default routes, and the ports by which others come in: both lead by the gateways. */
const wayOut = (layout: Layout, { netns, endpoints, ports }: Sandbox): HostObject[] => {
  const gateways = gatewaysOf(endpoints);
  const route = (endpoint: Endpoint | undefined, via: string | undefined): HostObject[] =>
    endpoint === undefined || via === undefined ? [] : [{ kind: 'route', netns, to: 'default', via, device: endpoint.device }];
  // An endpoint without IPv6 has its ports published there all the same: the host port's listener carries them over.
  const portsOf = (family: Family) => ports.filter(({ hostAddress }) => familyOf(hostAddress) === family);
  const reached = (family: Family): Endpoint | undefined => (family === 'ipv4' || gateways.ipv6?.ipv6 ? gateways[family] : undefined);
  const spans = spansOf(ports.filter(({ hostPort }) => hostPort !== 0), longRange(layout));
  const single = (family: Family) => spans.filter(({ hostAddress, count }) => count === 1 && familyOf(hostAddress) === family);
  const hairpins = new Set(spans.filter(({ hostAddress }) => !isLoopback(hostAddress)).flatMap(({ hostAddress }) => reached(familyOf(hostAddress))?.veth ?? []));
  return [
    ...route(gateways.ipv4, gateways.ipv4?.gateway),
    ...route(gateways.ipv6, gateways.ipv6?.ipv6?.gateway),
    ...spans.flatMap((span): HostObject[] => {
      const { protocol, hostAddress, hostPort, port, count } = span;
      const address = (familyOf(hostAddress) === 'ipv6' ? gateways.ipv6?.ipv6?.address : undefined) ?? gateways.ipv4?.address;
      if (address === undefined) return [];
      const held: HostObject = { kind: 'host-port', protocol, hostAddress, hostPort, address, port };
      return count === 1 ? [held] : [{ ...held, count, ...restOf(span, spans) }, ...rangeFirewall(span, reached(familyOf(hostAddress)))];
    }),
    ...[...hairpins].map((veth): HostObject => ({ kind: 'hairpin', veth })),
    ...(gateways.ipv4 ? [...portsFirewall(gateways.ipv4, portsOf('ipv4')), ...portElements(gateways.ipv4, single('ipv4'))] : []),
    ...(gateways.ipv6 ? [...portsFirewall(gateways.ipv6, portsOf('ipv6')), ...portElements(gateways.ipv6, single('ipv6'))] : []),
  ];
};

/** A socket of IPv6 can have a port of both families. */
const restOf = (span: PortSpan, spans: readonly PortSpan[]): Pick<KindOf<'host-port'>, 'rest'> => {
  const other = { '0.0.0.0': '::', '::': '0.0.0.0' }[span.hostAddress];
  const alike = ({ hostAddress, protocol, hostPort, count }: PortSpan): boolean => hostAddress === other && protocol === span.protocol && hostPort === span.hostPort && count === span.count;
  return spans.some(alike) ? { rest: other === '::' ? 'other' : 'both' } : {};
};

/** From how many neighbours on host ports are held together and have one listener: it needs rules to lead to it. SCTP has none. */
const longRange =
  (layout: Layout) =>
  ({ protocol, hostAddress }: PortBinding): number =>
    protocol !== 'sctp' && layout.iptables && (familyOf(hostAddress) === 'ipv4' || layout.ip6tables) ? LONG_RANGE : Infinity;

const LONG_RANGE = 16;

/** The container's root file system: its own layer above those of the image. */
export const overlayOf = (layout: Layout, container: Pick<Container, 'id' | 'chainIds'>): Extract<HostObject, { kind: 'overlay' }> => {
  const own = overlayPath(layout, container.id);
  return {
    kind: 'overlay',
    lower: [initLayerPath(layout), ...container.chainIds.map((id) => layerPath(layout, id)).reverse()],
    upper: `${own}/diff`,
    work: `${own}/work`,
    merged: `${own}/merged`,
  };
};

/** Where a step of a build that runs nothing writes, above an image's layers; no container has this id. */
export const stepOverlay = (layout: Layout, id: string, chainIds: readonly string[]): Extract<HostObject, { kind: 'overlay' }> => {
  const overlay = overlayOf(layout, { id, chainIds });
  // There has to be something beneath, even where there is no image.
  return { ...overlay, lower: chainIds.length === 0 ? overlay.lower : overlay.lower.slice(1) };
};

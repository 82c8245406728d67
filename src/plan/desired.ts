import type { Container } from '../model/container.ts';
import type { Network } from '../model/network.ts';
import type { RecordChange, State } from '../model/state.ts';
import type { HostObject } from '../operations/operation.ts';
import type { Volume } from '../model/volume.ts';
import { networkFirewall, portsFirewall } from './firewall.ts';
import { volumeObjects } from './volumes.ts';

/** Where berth puts things. Set once at start. */
export type Layout = {
  readonly dataRoot: string;
  readonly execRoot: string;
  /** --iptables: whether rules are ours to make. */
  readonly iptables: boolean;
};

export const layerPath = (layout: Layout, chainId: string): string => `${layout.dataRoot}/overlay2/${chainId.replace('sha256:', '')}/diff`;
export const containerPath = (layout: Layout, id: string): string => `${layout.dataRoot}/containers/${id}`;
export const overlayPath = (layout: Layout, id: string): string => `${layout.dataRoot}/overlay2/${id}`;
/** What every container has beneath its own layer: mount points such as /etc/hosts, /dev and /proc. */
export const initLayerPath = (layout: Layout): string => `${layout.dataRoot}/overlay2/init/diff`;

/** Everything one record wants on the host. */
export const desiredOf = (layout: Layout, change: Pick<RecordChange, 'collection' | 'record'>): readonly HostObject[] => {
  const { collection, record } = change as RecordChange;
  if (record === undefined) return [];
  switch (collection) {
    case 'networks':
      return rules(layout, networkObjects(record as Network));
    case 'containers':
      return rules(layout, containerObjects(layout, record as Container));
    case 'volumes':
      return volumeObjects(record as Volume);
    case 'images':
    case 'layers':
      return [];
  }
};

/** Everything the state wants on the host, in the order in which it can be made. */
export const desired = (layout: Layout, state: State): HostObject[] => [
  ...[...state.volumes.values()].flatMap((record) => desiredOf(layout, { collection: 'volumes', record })),
  ...[...state.networks.values()].flatMap((record) => desiredOf(layout, { collection: 'networks', record })),
  ...[...state.containers.values()].flatMap((record) => desiredOf(layout, { collection: 'containers', record })),
];

const rules = (layout: Layout, objects: readonly HostObject[]): readonly HostObject[] =>
  layout.iptables ? objects : objects.filter(({ kind }) => kind !== 'rule' && kind !== 'chain');

const networkObjects = (network: Network): HostObject[] =>
  network.bridge === undefined
    ? []
    : [
        {
          kind: 'bridge',
          name: network.bridge,
          addresses: network.subnets.flatMap(({ cidr, gateway }) => (gateway === undefined ? [] : [`${gateway}/${cidr.split('/')[1]}`])),
          mtu: mtuOf(network),
        },
        ...networkFirewall(network),
      ];

export const mtuOf = (network: Network): number => Number(network.options['com.docker.network.driver.mtu'] ?? 1500);

const containerObjects = (layout: Layout, container: Container): HostObject[] => {
  const { sandbox } = container;
  const own: HostObject[] = [
    { kind: 'directory', path: containerPath(layout, container.id), mode: 0o710 },
    { kind: 'directory', path: overlayPath(layout, container.id), mode: 0o710 },
  ];
  if (!sandbox) return own;
  return [
    ...own,
    overlayOf(layout, container),
    ...(sandbox.netns === '' ? [] : [{ kind: 'netns', path: sandbox.netns } as const]),
    ...sandbox.endpoints.flatMap((endpoint): HostObject[] => [
      {
        kind: 'veth',
        name: endpoint.veth,
        bridge: endpoint.bridge,
        netns: sandbox.netns,
        device: endpoint.device,
        mac: endpoint.mac,
        mtu: endpoint.mtu,
      },
      { kind: 'address', netns: sandbox.netns, device: endpoint.device, cidr: `${endpoint.address}/${endpoint.prefixLength}` },
    ]),
    ...gatewayOf(sandbox.endpoints, sandbox.netns),
    ...sandbox.endpoints.slice(0, 1).flatMap((endpoint) => [
      ...sandbox.ports.map(
        ({ protocol, hostAddress, hostPort, port }): HostObject => ({ kind: 'host-port', protocol, hostAddress, hostPort, address: endpoint.address, port }),
      ),
      ...portsFirewall(endpoint, sandbox.ports),
    ]),
  ];
};

/** The container's root file system: its own layer above those of the image. */
export const overlayOf = (layout: Layout, container: Container): Extract<HostObject, { kind: 'overlay' }> => {
  const own = overlayPath(layout, container.id);
  return {
    kind: 'overlay',
    lower: [initLayerPath(layout), ...container.chainIds.map((id) => layerPath(layout, id)).reverse()],
    upper: `${own}/diff`,
    work: `${own}/work`,
    merged: `${own}/merged`,
  };
};

const gatewayOf = (endpoints: readonly { gateway: string | undefined; device: string }[], netns: string): HostObject[] => {
  const way = endpoints.find(({ gateway }) => gateway !== undefined);
  return way?.gateway === undefined ? [] : [{ kind: 'route', netns, to: 'default', via: way.gateway, device: way.device }];
};

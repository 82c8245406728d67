import { formatCidr, parseCidr, subnetOf } from '../model/cidr.ts';
import type { Container } from '../model/container.ts';
import type { Network } from '../model/network.ts';
import type { RecordChange, State } from '../model/state.ts';
import type { HostObject, KindOf } from '../operations/operation.ts';
import { desiredOf, type Layout } from './desired.ts';

/** What the host has of devices: see HostLinks in the host. */
export type LinksThere = {
  readonly devices: ReadonlyMap<string, LinkThere>;
  readonly addresses: ReadonlyMap<string, ReadonlySet<string>>;
  readonly routes: ReadonlyMap<string, ReadonlySet<string>>;
};
type LinkThere = { readonly up: boolean; readonly master: string | undefined };

/** A device of one record's that is not as it should be, and what to make sure of. */
export type LinkFault = {
  readonly owner: Required<Pick<RecordChange, 'collection' | 'key'>> & { readonly record: Network | Container };
  readonly device: string;
  /** For people: `bridge docker0: gone`. */
  readonly words: string;
  /** To be made so, whatever there is already. */
  readonly objects: readonly HostObject[];
};

/** Bridges first: what is in them comes after. */
export const linkFaults = (layout: Layout, state: State, there: LinksThere): LinkFault[] => [
  ...[...state.networks.values()].flatMap((network) => bridgeFaults(layout, state, network, there)),
  ...[...state.containers.values()].flatMap((container) => vethFaults(layout, state, container, there)),
];

/** Whether news of devices may mean that one of ours is not as it should be. As good as free where they mean nothing. */
export const mayConcern = (state: State, links: ReadonlyMap<string, LinkThere | undefined>, bare: ReadonlySet<string>): boolean => {
  if (links.size + bare.size === 0) return false;
  for (const { bridge } of state.networks.values()) {
    if (bridge === undefined) continue;
    if (bare.has(bridge) || (links.has(bridge) && !links.get(bridge)?.up)) return true;
  }
  if (links.size === 0) return false;
  for (const { sandbox } of state.containers.values())
    for (const { veth, bridge } of sandbox?.endpoints ?? []) {
      const link = links.get(veth);
      if (links.has(veth) && (!link?.up || link.master !== bridge)) return true;
    }
  return false;
};

const bridgeFaults = (layout: Layout, state: State, network: Network, there: LinksThere): LinkFault[] => {
  const objects = desiredOf(layout, { collection: 'networks', record: network }, state.volumes).filter(({ kind }) => kind !== 'rule' && kind !== 'chain' && kind !== 'element');
  const bridge = objects.find((object): object is KindOf<'bridge'> => object.kind === 'bridge');
  if (!bridge) return [];
  const wrong = bridgeFault(bridge, there);
  return wrong === undefined ? [] : [{ owner: { collection: 'networks', key: network.id, record: network }, device: bridge.name, words: `bridge ${bridge.name}: ${wrong}`, objects }];
};

const bridgeFault = ({ name, addresses }: KindOf<'bridge'>, there: LinksThere): string | undefined => {
  const device = there.devices.get(name);
  if (!device) return 'gone';
  if (!device.up) return 'down';
  const lost = addresses.filter((cidr) => !there.addresses.get(name)?.has(cidr));
  if (lost.length > 0) return `without address ${lost.join(', ')}`;
  const unrouted = addresses.flatMap(subnetRoute).filter((cidr) => !there.routes.get(name)?.has(cidr));
  return unrouted.length > 0 ? `without route ${unrouted.join(', ')}` : undefined;
};

/** The subnet that the kernel routes to a device by itself, for it has an address there. */
export const subnetRoute = (cidr: string): string[] => {
  const parsed = parseCidr(cidr);
  return parsed && parsed.prefix < parsed.bits ? [formatCidr(subnetOf(parsed))] : [];
};

const vethFaults = (layout: Layout, state: State, container: Container, there: LinksThere): LinkFault[] =>
  (container.sandbox?.endpoints ?? []).flatMap(({ veth, bridge, device }): LinkFault[] => {
    const link = there.devices.get(veth);
    if (link?.up && link.master === bridge) return [];
    const own = desiredOf(layout, { collection: 'containers', record: container }, state.volumes).filter(
      (object) =>
        (object.kind === 'veth' && object.name === veth) ||
        // A port that comes into its bridge anew is as any other there.
        (object.kind === 'hairpin' && object.veth === veth) ||
        // What went with the other end. Of routes all: those of another device are said once more, and change nothing.
        (!link && ((object.kind === 'address' && object.device === device) || (object.kind === 'sysctl' && object.key.includes(`.${device}.`)) || object.kind === 'route')),
    );
    const wrong = !link ? 'gone' : !link.up ? 'down' : `not in ${bridge}`;
    return [{ owner: { collection: 'containers', key: container.id, record: container }, device: veth, words: `${veth} of ${container.name}: ${wrong}`, objects: own }];
  });

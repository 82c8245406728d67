import fs from 'node:fs';
import type { Step } from './step.ts';
import { writeSysctl } from './sysctl.ts';
import type { HostObject, KindOf, Operation } from '../operations/operation.ts';
import { addAddress, addBridge, addRoute, addSubnetRoute, addVeth, deleteLink, deleteRoute, hasDevice, joinBridge, netlink, setHairpin, setUp, type Message } from './netlink.ts';

type LinkObject = KindOf<'bridge'> | KindOf<'veth'> | KindOf<'sysctl'> | KindOf<'address'> | KindOf<'route'> | KindOf<'netns'> | KindOf<'hairpin'>;
export type LinkOperation = Operation & { readonly object: LinkObject };

/** By which a later berth knows its own, and people whose it is. */
export const bridgeAlias = (networkId: string): string => `${BRIDGE_ALIAS}${networkId}`;
export const BRIDGE_ALIAS = 'berth network ';

/**
 * Bridges, veth pairs, addresses and routes: first what goes on the host, then what goes inside each namespace.
 * What is in a namespace that goes, goes with it, and the kernel need not be asked.
 */
export const applyLinks = (operations: readonly LinkOperation[], step: Step): Promise<void> => apply(operations, step, false);

/** Makes sure of these, whatever is there already of them: routes of a bridge's subnets too, and that a veth is up and in its bridge. */
export const mendLinks = (objects: readonly HostObject[], step: Step): Promise<void> =>
  apply(objects.flatMap((object) => (isLink(object) ? [{ action: 'add', object } as const] : [])), step, true);

const isLink = (object: HostObject): object is LinkObject => ['netns', 'bridge', 'veth', 'sysctl', 'address', 'route', 'hairpin'].includes(object.kind);

const apply = async (operations: readonly LinkOperation[], step: Step, mending: boolean): Promise<void> => {
  const doomed = new Set(operations.flatMap(({ action, object }) => (action === 'remove' && object.kind === 'netns' ? [object.path] : [])));
  const goneDevices = new Set(operations.flatMap(({ action, object }) => (action === 'remove' && object.kind === 'veth' ? [`${object.netns} ${object.device}`] : [])));
  const goneVeths = new Set(operations.flatMap(({ action, object }) => (action === 'remove' && object.kind === 'veth' ? [object.name] : [])));
  const left: string[] = [];
  const onHost: (() => Message | undefined)[] = [];
  const inside = new Map<string, (() => Message | undefined)[]>();
  const into = (netns: string, build: () => Message | undefined): void => {
    const list = inside.get(netns) ?? [];
    list.push(build);
    inside.set(netns, list);
  };
  const opened = new Map<string, number>();
  const netnsFd = (path: string): number => {
    const fd = opened.get(path) ?? fs.openSync(path, 'r');
    opened.set(path, fd);
    return fd;
  };

  for (const { action, object } of operations) {
    const add = action === 'add';
    switch (object.kind) {
      case 'netns':
        if (add) into(object.path, () => setUp('lo'));
        break;
      case 'bridge':
        if (add) {
          onHost.push(() => addBridge(object), () => setUp(object.name, bridgeAlias(object.networkId)), ...object.addresses.map((cidr) => () => addAddress(object.name, cidr)));
          if (mending) onHost.push(...object.addresses.map((cidr) => () => addSubnetRoute(object.name, cidr)));
        } else onHost.push(() => deleteLink(object.name));
        break;
      case 'veth':
        if (add) {
          onHost.push(() => addVeth({ ...object, netnsFd: netnsFd(object.netns) }));
          if (mending) onHost.push(() => joinBridge(object.name, object.bridge));
          // While it is down: one that comes up gives itself an address.
          into(object.netns, () => writeSysctl(`net.ipv6.conf.${object.device}.disable_ipv6`, object.ipv6 ? '0' : '1'));
          into(object.netns, () => setUp(object.device));
        } else if (!doomed.has(object.netns)) onHost.push(() => deleteLink(object.name));
        else left.push(object.name);
        break;
      case 'hairpin':
        if (add) onHost.push(() => setHairpin(object.veth, true));
        else if (!goneVeths.has(object.veth)) onHost.push(() => setHairpin(object.veth, false));
        break;
      case 'sysctl':
        if (add && object.netns === '') onHost.push(() => writeSysctl(object.key, object.value));
        else if (add) into(object.netns, () => writeSysctl(object.key, object.value));
        break;
      case 'address':
        // An interface that goes takes its addresses along.
        if (add) into(object.netns, () => addAddress(object.device, object.cidr));
        break;
      case 'route':
        if (add) into(object.netns, () => addRoute(object.to, object.via, object.device));
        else if (!doomed.has(object.netns) && !goneDevices.has(`${object.netns} ${object.device}`)) into(object.netns, () => deleteRoute(object.to, object.via, object.device));
        break;
    }
  }
  try {
    // One after the other: a message may name what the one before it made.
    for (const build of onHost) await step('link', () => netlink(undefined, () => [build() ?? []].flat()));
    await Promise.all([...inside].map(([netns, builds]) => step('links in a namespace', () => netlink(netns, () => builds.flatMap((build) => build() ?? [])))));
  } finally {
    for (const fd of opened.values()) fs.closeSync(fd);
    if (left.length > 0) setTimeout(() => endLeft(left), LEFT_MS).unref();
  }
};

/**
 * A namespace lives on while some process of the host's is in it (`nsenter`, a capture), and with it the veth and the address that
 * somebody else may be given next.
 */
const endLeft = (veths: readonly string[]): void => {
  for (const veth of veths) if (hasDevice(veth)) void netlink(undefined, () => [deleteLink(veth)]).catch(() => {});
};

const LEFT_MS = 200;

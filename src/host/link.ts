import fs from 'node:fs';
import type { KindOf, Operation } from '../operations/operation.ts';
import { addAddress, addBridge, addRoute, addVeth, deleteLink, deleteRoute, netlink, setUp, type Message } from './netlink.ts';

type LinkObject = KindOf<'bridge'> | KindOf<'veth'> | KindOf<'address'> | KindOf<'route'> | KindOf<'netns'>;
export type LinkOperation = Operation & { readonly object: LinkObject };

/**
 * Bridges, veth pairs, addresses and routes: first what goes on the host, then what goes inside each namespace.
 * What is in a namespace that goes, goes with it, and the kernel need not be asked.
 */
export const applyLinks = async (operations: readonly LinkOperation[]): Promise<void> => {
  const doomed = new Set(operations.flatMap(({ action, object }) => (action === 'remove' && object.kind === 'netns' ? [object.path] : [])));
  const onHost: (() => Message)[] = [];
  const inside = new Map<string, (() => Message)[]>();
  const into = (netns: string, build: () => Message): void => {
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
          onHost.push(() => addBridge(object.name, object.mtu, 'berth'), () => setUp(object.name), ...object.addresses.map((cidr) => () => addAddress(object.name, cidr)));
        } else onHost.push(() => deleteLink(object.name));
        break;
      case 'veth':
        if (add) {
          onHost.push(() => addVeth({ ...object, netnsFd: netnsFd(object.netns) }));
          into(object.netns, () => setUp(object.device));
        } else if (!doomed.has(object.netns)) onHost.push(() => deleteLink(object.name));
        break;
      case 'address':
        // An interface that goes takes its addresses along.
        if (add) into(object.netns, () => addAddress(object.device, object.cidr));
        break;
      case 'route':
        if (add) into(object.netns, () => addRoute(object.to, object.via, object.device));
        else if (!doomed.has(object.netns)) into(object.netns, () => deleteRoute(object.to, object.via, object.device));
        break;
    }
  }
  try {
    // One after the other: a message may name what the one before it made.
    for (const build of onHost) await netlink(undefined, () => [build()]);
    await Promise.all([...inside].map(([netns, builds]) => netlink(netns, () => builds.map((build) => build()))));
  } finally {
    for (const fd of opened.values()) fs.closeSync(fd);
  }
};

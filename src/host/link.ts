import type { KindOf, Operation } from '../operations/operation.ts';
import { runQuick } from './command.ts';
import { inNetns } from './syscalls.ts';

type LinkObject = KindOf<'bridge'> | KindOf<'veth'> | KindOf<'address'> | KindOf<'route'> | KindOf<'netns'>;
export type LinkOperation = Operation & { readonly object: LinkObject };

/**
 * Bridges, veth pairs, addresses and routes by `ip -batch`: one process for what goes on the host, then one for what
 * goes inside each namespace. What is in a namespace that goes, goes with it: such operations cost nothing.
 */
export const applyLinks = async (operations: readonly LinkOperation[]): Promise<void> => {
  const doomed = new Set(operations.flatMap(({ action, object }) => (action === 'remove' && object.kind === 'netns' ? [object.path] : [])));
  const onHost: string[] = [];
  const inside = new Map<string, string[]>();
  const into = (netns: string, line: string): void => void inside.set(netns, [...(inside.get(netns) ?? []), line]);

  for (const { action, object } of operations) {
    const add = action === 'add';
    switch (object.kind) {
      case 'netns':
        if (add) into(object.path, 'link set dev lo up');
        break;
      case 'bridge':
        if (add) onHost.push(...bridgeLines(object));
        else onHost.push(`link delete dev ${object.name} type bridge`);
        break;
      case 'veth':
        if (add) {
          onHost.push(
            `link add name ${object.name} mtu ${object.mtu} type veth peer name ${object.device} mtu ${object.mtu} address ${object.mac} netns ${object.netns}`,
            `link set dev ${object.name} master ${object.bridge} up`,
          );
          into(object.netns, `link set dev ${object.device} up`);
        } else if (!doomed.has(object.netns)) onHost.push(`link delete dev ${object.name} type veth`);
        break;
      case 'address':
        // An interface that goes takes its addresses and routes along.
        if (add) into(object.netns, `address add ${object.cidr}${object.cidr.includes(':') ? ' nodad' : ' broadcast +'} dev ${object.device}`);
        break;
      case 'route':
        if (add) into(object.netns, `route replace ${object.to} via ${object.via} dev ${object.device}`);
        else if (!doomed.has(object.netns)) into(object.netns, `route delete ${object.to} via ${object.via} dev ${object.device}`);
        break;
    }
  }
  if (onHost.length > 0) await batch(onHost);
  await Promise.all([...inside].map(([netns, lines]) => inNetns(netns, () => batch(lines))));
};

const bridgeLines = ({ name, addresses, mtu }: KindOf<'bridge'>): string[] => [
  `link add name ${name} type bridge`,
  `link set dev ${name} mtu ${mtu} up`,
  ...addresses.map((cidr) => `address add ${cidr}${cidr.includes(':') ? ' nodad' : ' broadcast +'} dev ${name}`),
];

/** A word that could break out of its line never gets this far; this is the last gate before `ip` reads it. */
const batch = (lines: readonly string[]): Promise<string> => {
  const bad = lines.find((line) => !/^[\w.:/@+ -]+$/.test(line));
  if (bad !== undefined) return Promise.reject(new Error(`refused as an ip command: ${JSON.stringify(bad)}`));
  return runQuick(['ip', '-batch', '-'], `${lines.join('\n')}\n`);
};

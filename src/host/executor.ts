import fs from 'node:fs';
import { createNetns, isMountPoint, mountOverlay, unmount, unmountAside } from './syscalls.ts';
import type { HostObject, KindOf, Operation } from '../operations/operation.ts';
import { undo } from '../operations/operation.ts';
import { render } from '../operations/render.ts';
import type { HostPorts } from './host-port.ts';
import type { FirewallOperation, Iptables } from './iptables.ts';
import { applyLinks, type LinkOperation } from './link.ts';

/** Names the wish and the tool's own words. */
export class OperationError extends Error {
  constructor(operations: readonly Operation[], cause: unknown) {
    const words = cause instanceof Error ? cause.message : String(cause);
    super(`cannot apply:\n${operations.map(render).join('\n')}\n${words}`, { cause });
    this.name = 'OperationError';
  }
}

export type Executor = {
  execute(operations: readonly Operation[]): Promise<void>;
  attempt(operations: readonly Operation[]): Promise<readonly Error[]>;
};

/**
 * Ways to the kernel that know nothing of each other run side by side; in each, order is kept.
 * Host ports come first on the way up (they may be refused) and go first on the way down.
 */
export const createExecutor = ({ iptables, hostPorts }: { iptables: Iptables; hostPorts: HostPorts }): Executor => {
  const up = async (operations: readonly Operation[]): Promise<void> => {
    await Promise.all(operations.map(({ object }) => (object.kind === 'host-port' ? hostPorts.put(object) : undefined)));
    for (const { object } of operations) addNow(object);
    await settleAll([links(operations), rules(operations)]);
  };

  const down = (operations: readonly Operation[]): Promise<void>[] => {
    const ports = operations.map(({ object }) => (object.kind === 'host-port' ? hostPorts.drop(object) : undefined));
    const files = async (): Promise<void> => {
      // Overlays before the directories that hold them, whatever order they came in.
      for (const { object } of operations) if (object.kind === 'overlay') await unmountAside(object.merged);
      for (const { object } of operations) if (object.kind === 'netns') removeNetns(object);
      for (const { object } of operations)
        if (object.kind === 'directory' || object.kind === 'file') await fs.promises.rm(object.path, { recursive: true, force: true });
    };
    return [...ports.map((port) => Promise.resolve(port)), rules(operations), links(operations).then(files, async (error) => { await files(); throw error; })];
  };

  const links = async (operations: readonly Operation[]): Promise<void> => {
    const own = operations.filter((operation): operation is LinkOperation => ['netns', 'bridge', 'veth', 'address', 'route'].includes(operation.object.kind));
    if (own.length > 0) await applyLinks(own);
  };

  const rules = async (operations: readonly Operation[]): Promise<void> => {
    const own = operations.filter((operation): operation is FirewallOperation => ['chain', 'rule'].includes(operation.object.kind));
    if (own.length > 0) await iptables.apply(own);
  };

  const attempt = async (operations: readonly Operation[]): Promise<readonly Error[]> => {
    const [gone, come] = split(operations);
    const results = await Promise.allSettled(down(gone));
    if (come.length > 0) results.push(...(await Promise.allSettled([up(come)])));
    return results.flatMap((result) => (result.status === 'rejected' ? [asError(result.reason)] : []));
  };

  return {
    attempt,
    async execute(operations) {
      const [gone, come] = split(operations);
      try {
        await settleAll(down(gone));
        if (come.length > 0) await up(come);
      } catch (error) {
        await attempt(undo(operations));
        throw error instanceof Error && error.name === 'HostPortError' ? error : new OperationError(operations, error);
      }
    },
  };
};

const split = (operations: readonly Operation[]): [Operation[], Operation[]] => [
  operations.filter(({ action }) => action === 'remove'),
  operations.filter(({ action }) => action === 'add'),
];

/** Waits for all, then fails with the first failure: nothing is still going on when its undoing begins. */
const settleAll = async (work: readonly Promise<void>[]): Promise<void> => {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason;
};

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));

/** What a system call or two makes. */
const addNow = (object: HostObject): void => {
  switch (object.kind) {
    case 'directory':
      fs.mkdirSync(object.path, { recursive: true, mode: object.mode });
      break;
    case 'file':
      fs.writeFileSync(object.path, object.content, { mode: object.mode });
      break;
    case 'overlay':
      addOverlay(object);
      break;
    case 'netns':
      fs.mkdirSync(object.path.slice(0, object.path.lastIndexOf('/')), { recursive: true });
      removeNetns(object);
      createNetns(object.path);
      break;
    case 'sysctl':
      fs.writeFileSync(`/proc/sys/${object.key.replaceAll('.', '/')}`, object.value);
      break;
    case 'bridge':
    case 'veth':
    case 'address':
    case 'route':
    case 'chain':
    case 'rule':
    case 'host-port':
      break;
  }
};

const removeNetns = ({ path }: KindOf<'netns'>): void => {
  if (!fs.existsSync(path)) return;
  unmount(path);
  fs.unlinkSync(path);
};

/** The kernel takes one page of options; deep images get short names by standing in the layers' own directory. */
const PAGE = 4096;

export const addOverlay = ({ lower, upper, work, merged }: KindOf<'overlay'>): void => {
  for (const path of [upper, work, merged]) fs.mkdirSync(path, { recursive: true, mode: 0o755 });
  // A second mount would come to lie on the first, with the same upper layer: the kernel allows it, and files are lost.
  if (isMountPoint(merged)) return;
  const options = `lowerdir=${lower.join(':')},upperdir=${upper},workdir=${work}`;
  if (options.length < PAGE) {
    mountOverlay(merged, options);
    return;
  }
  const root = upper.slice(0, upper.indexOf('/overlay2/') + '/overlay2'.length);
  const short = (path: string): string => (path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path);
  const home = process.cwd();
  process.chdir(root);
  try {
    mountOverlay(merged, `lowerdir=${lower.map(short).join(':')},upperdir=${short(upper)},workdir=${short(work)}`);
  } finally {
    process.chdir(home);
  }
};

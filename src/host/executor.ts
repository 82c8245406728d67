import fs from 'node:fs';
import path from 'node:path';
import { EngineError } from '../model/errors.ts';
import { isWithin } from '../model/path.ts';
import { mountSharedMemory, unmountSharedMemory } from './shared-memory.ts';
import { createNetns, isMountPoint, mountOverlay, unmount, unmountAside } from './syscalls.ts';
import { forgetFlows } from './conntrack.ts';
import type { HostObject, KindOf, Operation } from '../operations/operation.ts';
import { undo } from '../operations/operation.ts';
import { render } from '../operations/render.ts';
import type { HostPorts } from './host-port.ts';
import type { Resolvers } from './dns.ts';
import type { FirewallOperation, Iptables } from './iptables.ts';
import { applyLinks, type LinkOperation } from './link.ts';
import type { PlaceMount, Places } from './places.ts';
import type { OwnTable } from './own-table.ts';
import { plainly, type Step } from './step.ts';
import { writeSysctl } from './sysctl.ts';
import { mountSubpath, mountVolume, unmountSubpath } from './volume-mount.ts';

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
export const createExecutor = ({ iptables, ownTable, hostPorts, places, resolvers, step = plainly }: { iptables: Iptables; ownTable: OwnTable; hostPorts: HostPorts; places: Places; resolvers: Resolvers; step?: Step }): Executor => {
  const up = async (operations: readonly Operation[]): Promise<void> => {
    await settleAll(operations.map(({ object }) => (object.kind === 'host-port' ? step('host-port', () => hostPorts.put(object)) : Promise.resolve())));
    await files(operations);
    await settleAll([links(operations).then(() => names(operations)), rules(operations)]);
    // A bridge is let have 127.0.0.0/8 when the rules that guard it are there.
    for (const { object } of operations) if (object.kind === 'sysctl' && isOfHost(object) && ownTable.holds('ipv4')) step('sysctl', () => writeSysctl(object.key, object.value));
    const ports = datagramPorts(operations);
    if (ports.length === 0) return;
    step('flows', () => forgetFlows(ports, 'elsewhere'));
    ports.forEach(hostPorts.open);
  };

  /** Once no rule leads there any more. */
  const rulesGone = async (operations: readonly Operation[]): Promise<void> => {
    await rules(operations);
    const ports = datagramPorts(operations);
    if (ports.length > 0) step('no flows', () => forgetFlows(ports, 'here'));
  };

  /** Name servers listen at an address that their namespace has once its loopback is up. */
  const names = (operations: readonly Operation[]): Promise<void> =>
    settleAll(operations.map(({ object }) => (object.kind === 'resolver' ? step('resolver', () => resolvers.put(object)) : Promise.resolve())));

  const files = async (operations: readonly Operation[]): Promise<void> => {
    const mounting: Promise<void>[] = [];
    try {
      for (const { object } of operations) {
        if (object.kind === 'overlay' || object.kind === 'mount') {
          const { directory, user, mount } = placeOf(object);
          const work = step(object.kind, () => places.take(directory, user, mount));
          if (work) mounting.push(work);
        } else if (MADE_HERE.has(object.kind)) step(object.kind, () => addNow(object));
      }
    } catch (error) {
      await Promise.allSettled(mounting);
      throw error;
    }
    if (mounting.length > 0) await settleAll(mounting);
    // Parts of volumes, once these are mounted.
    for (const { object } of operations) if (object.kind === 'subpath') step('subpath', () => mountSubpath(object));
  };

  const down = (operations: readonly Operation[]): Promise<void>[] => {
    const ports = operations.map(({ object }) =>
      object.kind === 'host-port' ? hostPorts.drop(object) : object.kind === 'resolver' ? resolvers.drop(object) : undefined,
    );
    const files = async (): Promise<void> => {
      // Mounts before the directories that hold them, whatever order they came in.
      // Each waits for the kernel; together they wait no longer than one.
      const unmounted = operations.map(async ({ object }) => {
        if (object.kind === 'subpath') await step('no subpath', () => unmountSubpath(object));
        else if (object.kind === 'overlay' || object.kind === 'mount') await step(`no ${object.kind}`, () => leavePlace(object));
      });
      await settleAll(unmounted);
      for (const { object } of operations) if (object.kind === 'shared-memory') step('no shared-memory', () => unmountSharedMemory(object));
      for (const { object } of operations) if (object.kind === 'netns') step('no netns', () => removeNetns(object));
      for (const { object } of operations) if (object.kind === 'file') await fs.promises.rm(object.path, { force: true });
      for (const directory of outermost(operations)) await step('no directory', () => places.remove(directory));
    };
    return [...ports.map((port) => Promise.resolve(port)), rulesGone(operations), links(operations).then(files, async (error) => { await files(); throw error; })];
  };

  const leavePlace = async (object: KindOf<'overlay' | 'mount'>): Promise<void> => {
    const { directory, user, mount } = placeOf(object);
    const left = places.leave(directory, user);
    if (left) await left;
    // What an earlier daemon mounted. Whether a volume has other users is seen when all of them are known.
    else if (object.kind === 'overlay' || object.user === '') await unmountAside(path.join(directory, mount.leaf));
  };

  const links = async (operations: readonly Operation[]): Promise<void> => {
    const own = operations.filter((operation): operation is LinkOperation => LINKS.has(operation.object.kind) && !isOfHost(operation.object));
    if (own.length > 0) await applyLinks(own, step);
  };

  /** Berth's own table first: it is quick, and iptables would begin anew where another's change meets its own. */
  const rules = async (operations: readonly Operation[]): Promise<void> => {
    const elements = operations.filter((operation): operation is Operation & { object: KindOf<'element'> } => operation.object.kind === 'element');
    if (elements.length > 0) await ownTable.apply(elements);
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
        throw error instanceof EngineError || (error instanceof Error && error.name === 'HostPortError') ? error : new OperationError(operations, error);
      }
    },
  };
};

const LINKS: ReadonlySet<HostObject['kind']> = new Set(['netns', 'bridge', 'veth', 'sysctl', 'address', 'route', 'hairpin']);
const isOfHost = (object: HostObject): boolean => object.kind === 'sysctl' && object.netns === '';

const split = (operations: readonly Operation[]): [Operation[], Operation[]] => [
  operations.filter(({ action }) => action === 'remove'),
  operations.filter(({ action }) => action === 'add'),
];

/** Whoever sends datagrams has no connection that would end. */
const datagramPorts = (operations: readonly Operation[]): KindOf<'host-port'>[] =>
  operations.flatMap(({ object }) => (object.kind === 'host-port' && object.protocol === 'udp' ? [object] : []));

/** Waits for all, then fails with the first failure: nothing is still going on when its undoing begins. */
const settleAll = async (work: readonly Promise<void>[]): Promise<void> => {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason;
};

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));

/** Who uses which directory of ours for it, and what is mounted there. */
export const placeOf = (object: KindOf<'overlay' | 'mount'>): { readonly directory: string; readonly user: string; readonly mount: PlaceMount } =>
  object.kind === 'overlay'
    ? { directory: path.dirname(object.merged), user: 'sandbox', mount: { leaf: path.basename(object.merged), perform: () => addOverlay(object) } }
    : { directory: path.dirname(object.target), user: object.user, mount: { leaf: path.basename(object.target), perform: () => mountVolume(object) } };

/** The directories among what is to be removed that lie in no other of them. */
const outermost = (operations: readonly Operation[]): string[] => {
  const paths = operations.flatMap(({ object }) => (object.kind === 'directory' ? [object.path] : []));
  return paths.filter((own) => !paths.some((other) => other !== own && isWithin(other, own)));
};

const MADE_HERE: ReadonlySet<HostObject['kind']> = new Set(['directory', 'file', 'shared-memory', 'netns']);

/** What a system call or two makes. */
const addNow = (object: HostObject): void => {
  switch (object.kind) {
    case 'directory':
      fs.mkdirSync(object.path, { recursive: true, mode: object.mode });
      break;
    case 'file':
      fs.writeFileSync(object.path, object.content, { mode: object.mode });
      break;
    case 'shared-memory':
      mountSharedMemory(object);
      break;
    case 'netns':
      fs.mkdirSync(object.path.slice(0, object.path.lastIndexOf('/')), { recursive: true });
      removeNetns(object);
      createNetns(object.path);
      break;
    case 'overlay':
    case 'mount':
    case 'subpath':
    case 'bridge':
    case 'veth':
    case 'sysctl':
    case 'address':
    case 'route':
    case 'hairpin':
    case 'chain':
    case 'rule':
    case 'element':
    case 'resolver':
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

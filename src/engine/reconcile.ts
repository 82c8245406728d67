import type { Container } from '../model/container.ts';
import { EngineError, messageOf } from '../model/errors.ts';
import { desired, type Layout } from '../plan/desired.ts';
import { baseFirewall, FOREIGN_CHAINS, foldChains, isOurs } from '../plan/firewall.ts';
import type { Family, HostObject, Operation } from '../operations/operation.ts';
import type { Ledger } from './ledger.ts';
import type { Lifecycle } from './lifecycle.ts';

/** What starting up needs of the host besides what every call needs. */
export type ReconcileHost = {
  attempt(operations: readonly Operation[]): Promise<readonly Error[]>;
  observe(keep: ReadonlySet<string>, keepVolumes: boolean): Promise<{ missing(wanted: readonly HostObject[]): HostObject[]; leftovers(wanted: readonly HostObject[]): HostObject[] }>;
  readonly firewall: {
    list(family: Family): Promise<ReadonlyMap<string, readonly string[]>>;
    replace(family: Family, chains: ReadonlyMap<string, readonly string[]>, lines: readonly { readonly table: string; readonly line: string }[]): Promise<void>;
  };
  /** Ends renamings of volumes that a crash cut short, as the state has them. */
  mendMoves(isVolume: (directory: string) => boolean): void;
  isFrozen(pid: number): boolean;
  unpause(containerId: string, runtime: string): Promise<void>;
  /** Removes what was on its way when a daemon crashed. */
  sweepTrash(): Promise<void>;
  /** Removes what is left of processes that no record names. */
  sweep(known: ReadonlySet<string>): Promise<void>;
};

/**
 * Starting up is a change like any other: from what is there to what should be. Containers that still run are taken up,
 * those that ended meanwhile are put to rest, then the host is made to have what the state wants, and nothing else of ours.
 */
export const reconcile = async ({ ledger, host, lifecycle, renew, layout, families, dropForward, log, fresh }: {
  ledger: Ledger;
  host: ReconcileHost;
  lifecycle: Lifecycle;
  /** Brings up to date what follows the daemon's flags, now that it is known what runs. */
  renew: () => Promise<void>;
  layout: Layout;
  families: readonly Family[];
  /** Let the kernel forward only what rules allow. */
  dropForward: boolean;
  log: (message: string) => void;
  /** The state is new: it knows nothing of what an older one has left. */
  fresh: boolean;
}): Promise<void> => {
  await lifecycle.quietly(async () => {
    const running = [...ledger.state.containers.values()].filter(({ sandbox, state }) => sandbox !== undefined || ['running', 'paused', 'restarting', 'removing'].includes(state.status));
    await Promise.all(running.map((container) => lifecycle.adopt(container)));

    // A daemon that crashed while it copied from them held them still.
    for (const { id, state, spec } of ledger.state.containers.values()) if (state.status === 'running' && host.isFrozen(state.pid)) await host.unpause(id, spec.runtime);

    await renew();
    host.mendMoves((directory) => ledger.state.volumes.has(directory.slice(directory.lastIndexOf('/') + 1)));
    const wanted = desired(layout, ledger.state);
    const observed = await host.observe(new Set(['init', ...[...ledger.state.layers.keys()].map((id) => id.replace('sha256:', ''))]), fresh);
    const leftovers = observed.leftovers(wanted);
    const operations: Operation[] = [
      ...leftovers.map((object): Operation => ({ action: 'remove', object })),
      ...observed.missing(wanted).map((object): Operation => ({ action: 'add', object })),
    ];
    // What a volume's options name may be a server that is away: nothing else waits for it, or fails with it.
    const ofVolumes = ({ action, object }: Operation): boolean => action === 'add' && (object.kind === 'mount' || object.kind === 'subpath');
    for (const error of await host.attempt(operations.filter((operation) => !ofVolumes(operation)))) log(error.message);
    for (const errors of await Promise.all(operations.filter(ofVolumes).map((operation) => host.attempt([operation])))) for (const error of errors) log(error.message);
    await host.sweepTrash().catch((error: unknown) => log(messageOf(error)));
    await host.sweep(new Set([...ledger.state.containers.values()].filter(({ sandbox }) => sandbox !== undefined).map(({ id }) => id)));
    if (layout.iptables) await Promise.all(families.map((family) => reconcileFirewall(host, family, wanted, bridgesOf([...wanted, ...leftovers]))));
    if (dropForward) for (const family of families) await host.firewall.replace(family, new Map(), [{ table: 'filter', line: ':FORWARD DROP [0:0]' }]);
  });
  await lifecycle.departed();
  await Promise.all(
    [...ledger.state.containers.values()].filter(beginsWithDaemon).map(({ id, name }) =>
      lifecycle.start(id).catch((error: unknown) => {
        // One that waits for its turn to begin again may have had it by now.
        if (!(error instanceof EngineError && error.kind === 'not-modified')) log(`cannot start ${name}: ${messageOf(error)}`);
      }),
    ),
  );
};

/** `always` means it even after a stop; `on-failure` is about failures, and this is none. */
const beginsWithDaemon = ({ spec, state }: Container): boolean =>
  state.status === 'exited' && state.startedAt !== undefined && (spec.restart.name === 'always' || (spec.restart.name === 'unless-stopped' && !state.stoppedByClient));

/** One transaction a family, and none when everything is as it should be. */
export const reconcileFirewall = async (
  host: Pick<ReconcileHost, 'firewall'>,
  family: Family,
  wanted: readonly HostObject[],
  bridges: ReadonlySet<string> = bridgesOf(wanted),
): Promise<boolean> => {
  const there = await host.firewall.list(family);
  const { chains, shared } = foldChains([...baseFirewall(family), ...wanted], family);
  const wantedShared = new Map<string, string[]>();
  for (const { table, chain, spec } of shared) {
    const key = `${table} ${chain}`;
    wantedShared.set(key, [...(wantedShared.get(key) ?? []), spec.join(' ')]);
  }
  const changed = new Map([...chains].filter(([key, rules]) => !sameLines(there.get(key), rules)));
  const foreign = FOREIGN_CHAINS.filter((name) => !there.has(`filter ${name}`)).map((name) => ({ table: 'filter', line: `:${name} - [0:0]` }));
  const lines: { table: string; line: string }[] = [];
  for (const [key, rules] of there) {
    const [table = '', chain = ''] = key.split(' ');
    if (chains.has(key)) continue;
    for (const rule of rules) if (isOurs(table, chain, rule, bridges) && !(wantedShared.get(key) ?? []).includes(rule)) lines.push({ table, line: `-D ${chain} ${rule}` });
  }
  for (const { table, chain, spec, at } of shared)
    if (!(there.get(`${table} ${chain}`) ?? []).includes(spec.join(' '))) lines.push({ table, line: `${at === 'top' ? '-I' : '-A'} ${chain} ${spec.join(' ')}` });
  if (changed.size === 0 && foreign.length === 0 && lines.length === 0) return false;
  await host.firewall.replace(family, changed, [...foreign, ...lines]);
  return true;
};

const bridgesOf = (objects: readonly HostObject[]): Set<string> => new Set(objects.flatMap((object) => (object.kind === 'bridge' ? [object.name] : [])));

const sameLines = (a: readonly string[] | undefined, b: readonly string[]): boolean => a !== undefined && a.length === b.length && a.every((line, i) => line === b[i]);


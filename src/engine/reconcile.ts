import type { Container } from '../model/container.ts';
import type { State } from '../model/state.ts';
import { EngineError, messageOf } from '../model/errors.ts';
import { desired, type Layout } from '../plan/desired.ts';
import { baseFirewall, foldChains } from '../plan/firewall.ts';
import { firewallDrift, type TableDrift } from '../plan/firewall-drift.ts';
import { ownChains } from '../plan/own-table.ts';
import type { Family, HostObject, KindOf, Operation } from '../operations/operation.ts';
import type { OwnChain } from '../operations/own-table.ts';
import type { SharedRule } from '../operations/ruleset.ts';
import type { Ledger } from './ledger.ts';
import type { Lifecycle } from './lifecycle.ts';

/** What starting up needs of the host besides what every call needs. */
export type ReconcileHost = {
  attempt(operations: readonly Operation[]): Promise<readonly Error[]>;
  observe(keep: ReadonlySet<string>, keepVolumes: boolean): Promise<{ missing(wanted: readonly HostObject[]): HostObject[]; leftovers(wanted: readonly HostObject[]): HostObject[] }>;
  readonly firewall: {
    list(family: Family): Promise<ReadonlyMap<string, readonly string[]>>;
    replace(family: Family, chains: ReadonlyMap<string, readonly string[]>, lines: readonly { readonly table: string; readonly line: string }[]): Promise<void>;
    /** What the family is to hold from now on, as changes go on from there. */
    expect(family: Family, chains: ReadonlyMap<string, readonly string[]>, shared: readonly SharedRule[]): void;
  };
  readonly ownTable: { become(family: Family, chains: readonly OwnChain[], elements: readonly KindOf<'element'>[]): Promise<void> };
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
    const observed = await host.observe(keptLayers(ledger.state), fresh);
    const leftovers = observed.leftovers(wanted);
    const operations: Operation[] = [
      ...leftovers.map((object): Operation => ({ action: 'remove', object })),
      ...observed.missing(wanted).map((object): Operation => ({ action: 'add', object })),
    ];
    // What a volume's options name may be a server that is away: nothing else waits for it, or fails with it.
    const late = operations.filter(({ object }) => object.kind === 'sysctl' && object.netns === '');
    const ofVolumes = ({ action, object }: Operation): boolean => action === 'add' && (object.kind === 'mount' || object.kind === 'subpath');
    for (const error of await host.attempt(operations.filter((operation) => !ofVolumes(operation) && !late.includes(operation)))) log(error.message);
    for (const errors of await Promise.all(operations.filter(ofVolumes).map((operation) => host.attempt([operation])))) for (const error of errors) log(error.message);
    await host.sweepTrash().catch((error: unknown) => log(messageOf(error)));
    await host.sweep(withSandbox(ledger.state));
    if (layout.iptables) await Promise.all(families.map((family) => reconcileFirewall(host, family, wanted, bridgesOf([...wanted, ...leftovers]), log)));
    // What opens something is last: the rules that guard it are there.
    for (const error of await host.attempt(late)) log(error.message);
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

/** `always` means it even after a stop. A failure that was not the last one allowed is one still: the daemon, or the host, ended before its next try. */
const beginsWithDaemon = ({ spec: { restart }, state }: Container): boolean => {
  if (state.status !== 'exited' || state.startedAt === undefined || restart.name === 'no') return false;
  if (restart.name === 'always') return true;
  if (state.stoppedByClient) return false;
  return restart.name === 'unless-stopped' || (state.exitCode !== 0 && (restart.maximum === 0 || state.restartCount < restart.maximum));
};

/** A transaction for each of iptables' and berth's own, and none when everything is as it should be. */
export const reconcileFirewall = async (
  host: Pick<ReconcileHost, 'firewall' | 'ownTable'>,
  family: Family,
  wanted: readonly HostObject[],
  bridges: ReadonlySet<string> = bridgesOf(wanted),
  log: (message: string) => void = () => {},
): Promise<boolean> => {
  const elements = wanted.filter((object): object is KindOf<'element'> => object.kind === 'element' && object.family === family);
  // Without it, the host ports' own listeners carry what it would.
  await host.ownTable.become(family, ownChains(family), elements).catch((error: unknown) => log(`no table of berth's own for ${family}: ${messageOf(error)}`));
  const { chains, shared } = foldChains([...baseFirewall(family), ...wanted], family);
  host.firewall.expect(family, chains, shared);
  const drift = firewallDrift(await host.firewall.list(family), { chains, shared, policies: new Map() }, bridges);
  if (drift.length === 0) return false;
  await host.firewall.replace(family, ...remedyOf(drift));
  return true;
};

/** The chains and lines that put several tables right at once. */
export const remedyOf = (drift: readonly TableDrift[]): [ReadonlyMap<string, readonly string[]>, { readonly table: string; readonly line: string }[]] => [
  new Map(drift.flatMap(({ chains }) => [...chains])),
  drift.flatMap(({ table, lines }) => lines.map((line) => ({ table, line }))),
];

/** Directories below overlay2 that are no container's. */
export const keptLayers = ({ layers }: State): Set<string> => new Set(['init', ...[...layers.keys()].map((id) => id.replace('sha256:', ''))]);

/** Containers that may have processes. */
export const withSandbox = ({ containers }: State): Set<string> => new Set([...containers.values()].filter(({ sandbox }) => sandbox !== undefined).map(({ id }) => id));

const bridgesOf = (objects: readonly HostObject[]): Set<string> => new Set(objects.flatMap((object) => (object.kind === 'bridge' ? [object.name] : [])));

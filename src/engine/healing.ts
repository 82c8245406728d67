import { messageOf } from '../model/errors.ts';
import type { Family, HostObject, KindOf } from '../operations/operation.ts';
import { OWN_TABLE } from '../operations/own-table.ts';
import type { Ruleset } from '../operations/ruleset.ts';
import { desiredOf, type Layout } from '../plan/desired.ts';
import { describeCounts, describeDrift, firewallDrift } from '../plan/firewall-drift.ts';
import { linkFaults, mayConcern, type LinkFault, type LinksThere } from '../plan/link-drift.ts';
import { afterMending, GIVEN_UP, hasGivenUp, waitBefore, type Patience } from '../plan/patience.ts';
import type { Events } from './events.ts';
import type { Ledger } from './ledger.ts';
import { createLooks } from './looks.ts';
import { remedyOf } from './reconcile.ts';

/** What healing needs of the machine. */
export type HealingHost = {
  readonly firewall: {
    heal(remedy: (family: Family, there: Listing, kept: Ruleset) => Remedy | undefined): void;
    mend(family: Family): Promise<void>;
  };
  readonly ownTable: { mend(family: Family, may: () => boolean): Promise<{ readonly missing: number; readonly extra: number } | undefined> };
  /** Tells, from now on, what others have done to the host's network. */
  watch(families: readonly Family[], told: (news: News) => void): void;
  /** undefined: it cannot be said just now. */
  hostLinks(): LinksThere | undefined;
  /** Makes sure of these, whatever is there already. */
  mendLinks(objects: readonly HostObject[]): Promise<void>;
  /** Datagrams that began to flow elsewhere while no rule led them to these. */
  leadFlows(ports: readonly KindOf<'host-port'>[]): void;
};

type Listing = ReadonlyMap<string, readonly string[]>;
type Remedy = { readonly chains: Listing; readonly lines: readonly { readonly table: string; readonly line: string }[]; readonly done: () => void };
type News = {
  readonly families: ReadonlySet<Family>;
  readonly links: ReadonlyMap<string, { readonly up: boolean; readonly master: string | undefined } | undefined>;
  readonly bare: ReadonlySet<string>;
  readonly lost: boolean;
};

/** Milliseconds until those are looked at again that are just being changed, and those that could not be mended. */
const [AGAIN, AFTER_FAILURE] = [500, 1000];
/** Milliseconds after its beginning at which a daemon looks at all of it: what happened before, nobody has told. */
const FIRST = 2000;
/** What is mended together is told together. */
const TELL = 20;
/** So many things that were mended are remembered, and for so many milliseconds at least. */
const [REMEMBERED, FORGOTTEN] = [500, 300_000];

/**
 * Mends, while the daemon runs, what others take from the host: rules, chains, bridges, their addresses and routes, veths. What is
 * on its way to be changed is looked at afterwards; what is undone again and again is mended ever more rarely.
 */
export const createHealing = ({ ledger, host, layout, families, events, identity, now, log }: {
  ledger: Pick<Ledger, 'state' | 'still'>;
  host: HealingHost;
  layout: Layout;
  /** Whose rules are berth's to make. */
  families: readonly Family[];
  events: Pick<Events, 'emit'>;
  /** The daemon's id and name, for its events. */
  identity: () => Promise<{ readonly id: string; readonly hostname: string }>;
  /** Milliseconds, never going back. */
  now: () => number;
  log: (message: string) => void;
}): { begin(): void } => {
  const patience = new Map<string, Patience>();
  const remember = (thing: string): Patience => {
    const after = afterMending(patience.get(thing), now());
    patience.set(thing, after);
    if (patience.size > REMEMBERED) for (const [other, { last }] of patience) if (now() - last > FORGOTTEN) patience.delete(other);
    return after;
  };

  /** Docker clients show it as any other event of the daemon's; who goes on undoing is told of once in the log. */
  const told: string[] = [];
  const tell = (thing: string, words: string): void => {
    const { times } = remember(thing);
    if (times < GIVEN_UP) log(`mended ${words}`);
    else if (times === GIVEN_UP) log(`mended ${words}: somebody undoes this again and again, it is mended ever more rarely from now on`);
    if (told.push(words) > 1) return;
    setTimeout(async () => {
      const { id, hostname } = await identity();
      events.emit({ type: 'daemon', action: 'heal', id, attributes: { name: hostname, mended: told.splice(0).join('; ') } });
    }, TELL).unref();
  };
  const failed = (thing: string, what: Family | 'links', error: unknown): void => {
    const after = remember(`failing ${thing}`);
    if (!hasGivenUp(after)) log(`cannot mend ${thing}: ${messageOf(error)}`);
    looks.again(what, Math.max(AFTER_FAILURE, waitBefore(after, now())));
  };
  /** Whether its time has come; if not, it is looked at then. */
  const isTime = (thing: string, what: Family | 'links'): boolean => {
    const wait = waitBefore(patience.get(thing), now());
    if (wait > 0) looks.again(what, wait);
    return wait === 0;
  };

  const remedy = (family: Family, there: Listing, kept: Ruleset): Remedy | undefined => {
    const drift = firewallDrift(there, kept, bridges()).filter(({ table }) => isTime(`${family} ${table}`, family));
    if (drift.length === 0) return undefined;
    const [chains, lines] = remedyOf(drift);
    const done = (): void => {
      for (const each of drift) tell(`${family} ${each.table}`, describeDrift(family, each));
      if (drift.some(({ table }) => table === 'nat')) host.leadFlows(datagramPorts());
    };
    return { chains, lines, done };
  };
  const mendOwnTable = async (family: Family): Promise<void> => {
    const thing = `${family} ${OWN_TABLE}`;
    const drift = await host.ownTable.mend(family, () => isTime(thing, family));
    if (!drift) return;
    tell(thing, `${thing}: ${describeCounts(drift)}`);
    host.leadFlows(datagramPorts());
  };
  const datagramPorts = (): KindOf<'host-port'>[] => {
    const { containers, volumes } = ledger.state;
    const own = [...containers.values()].filter(({ sandbox }) => sandbox?.ports.some(({ protocol }) => protocol === 'udp'));
    return own.flatMap((record) => desiredOf(layout, { collection: 'containers', record }, volumes)).flatMap((object) => (object.kind === 'host-port' && object.protocol === 'udp' ? [object] : []));
  };
  const bridges = (): Set<string> => new Set([...ledger.state.networks.values()].flatMap(({ bridge }) => bridge ?? []));

  /** Seen and claimed in one moment: what is not being changed then is ours until it is mended. */
  const mendLinks = (): Promise<unknown> => {
    const there = host.hostLinks();
    if (!there) {
      looks.again('links', AGAIN);
      return Promise.resolve();
    }
    const left = new Set<string>();
    const begin = (fault: LinkFault, after: Promise<unknown>): Promise<void>[] => {
      const work = isTime(fault.words, 'links')
        ? ledger.still(fault.owner.collection, fault.owner.key, () => after.then(() => host.mendLinks(fault.objects)))
        : undefined;
      if (work) return [work.then(() => tell(fault.words, fault.words), (error: unknown) => failed(fault.words, 'links', error))];
      left.add(fault.device);
      looks.again('links', AGAIN);
      return [];
    };
    const faults = linkFaults(layout, ledger.state, there);
    const ofBridges = faults.filter(({ owner }) => owner.collection === 'networks').flatMap((fault) => begin(fault, Promise.resolve()));
    // Into a bridge that is not there yet, nothing can go.
    const reachable = faults.filter(({ owner, objects }) => owner.collection === 'containers' && !objects.some((object) => object.kind === 'veth' && left.has(object.bridge)));
    const ready = Promise.all(ofBridges);
    return Promise.all([ready, ...reachable.flatMap((fault) => begin(fault, ready))]);
  };

  const looks = createLooks<Family | 'links'>(now, async (what) => {
    // Rules name bridges, but need none.
    await Promise.all([
      what.has('links') ? mendLinks() : undefined,
      ...families.filter((family) => what.has(family)).map((family) => mendOwnTable(family).then(() => host.firewall.mend(family)).catch((error: unknown) => failed(`rules of ${family}`, family, error))),
    ]);
  });

  return {
    begin() {
      host.firewall.heal(remedy);
      host.watch(families, (news) => {
        for (const family of news.families) looks.news(family);
        if (news.lost || mayConcern(ledger.state, news.links, news.bare)) looks.news('links');
      });
      for (const what of [...families, 'links'] as const) looks.again(what, FIRST);
    },
  };
};

import { renderObject } from '../operations/render.ts';
import type { Family, HostObject, Operation } from '../operations/operation.ts';
import { desired, type Layout } from '../plan/desired.ts';
import { baseFirewall, foldChains } from '../plan/firewall.ts';
import { describeDrift, firewallDrift } from '../plan/firewall-drift.ts';
import { linkFaults, type LinksThere } from '../plan/link-drift.ts';
import type { Ledger } from './ledger.ts';
import { keptLayers, withSandbox, type ReconcileHost } from './reconcile.ts';

/** What is on the host that nobody owns, and what should be there and is not: a line each, for people. */
export type Leaks = {
  find(): Promise<Found>;
  /** Removes the one, makes the other. `fixed`: what was so; whatever is still found could not be mended. */
  fix(): Promise<Found & { readonly fixed: readonly string[] }>;
};
type Found = { readonly leaked: readonly string[]; readonly missing: readonly string[] };

export type LeaksHost = Pick<ReconcileHost, 'attempt' | 'observe'> & {
  readonly firewall: Pick<ReconcileHost['firewall'], 'list'> & { mend(family: Family): Promise<void> };
  hostLinks(): LinksThere | undefined;
  mendLinks(objects: readonly HostObject[]): Promise<void>;
  readonly processes: { strays(known: ReadonlySet<string>): readonly string[]; forget(id: string): void };
};

/** Kinds of which `observe` sees whether they are there; links and rules are looked at in their own ways. */
const SEEN: ReadonlySet<HostObject['kind']> = new Set(['directory', 'subpath', 'shared-memory', 'netns']);

/** Milliseconds between two looks: what a call is just making or taking away is no leak, and is seen in one of them only. */
const BETWEEN = 1000;

type Finding = { readonly line: string; readonly what: 'leaked' | 'missing'; readonly mend: () => Promise<unknown> };

/** The comparison that the daemon makes when it begins, while it works. */
export const createLeaks = ({ ledger, host, layout, families, pause }: {
  ledger: Pick<Ledger, 'state'>;
  host: LeaksHost;
  layout: Layout;
  families: readonly Family[];
  pause: (milliseconds: number) => Promise<void>;
}): Leaks => {
  const look = async (): Promise<Finding[]> => {
    const observed = await host.observe(keptLayers(ledger.state), false);
    const wanted = desired(layout, ledger.state);
    const bridges = new Set([...ledger.state.networks.values()].flatMap(({ bridge }) => bridge ?? []));
    const one = (action: Operation['action'], object: HostObject) => () => host.attempt([{ action, object }]);
    const drift = layout.iptables
      ? await Promise.all(families.map(async (family) => ({
          family,
          tables: firewallDrift(await host.firewall.list(family), { ...foldChains([...baseFirewall(family), ...wanted], family), policies: new Map() }, bridges),
        })))
      : [];
    const links = host.hostLinks();
    return [
      ...observed.leftovers(wanted).map((object): Finding => ({ line: renderObject(object), what: 'leaked', mend: isVolume(layout, object) ? async () => {} : one('remove', object) })),
      ...host.processes.strays(withSandbox(ledger.state)).map((id): Finding => ({ line: `process ${id}`, what: 'leaked', mend: async () => host.processes.forget(id) })),
      ...observed.missing(wanted).filter(({ kind }) => SEEN.has(kind)).map((object): Finding => ({ line: renderObject(object), what: 'missing', mend: one('add', object) })),
      ...(links ? linkFaults(layout, ledger.state, links) : []).map(({ words, objects }): Finding => ({ line: words, what: 'missing', mend: () => host.mendLinks(objects) })),
      ...drift.flatMap(({ family, tables }) => tables.map((table): Finding => ({ line: describeDrift(family, table), what: table.missing > 0 ? 'missing' : 'leaked', mend: () => host.firewall.mend(family) }))),
    ];
  };

  const steady = async (): Promise<Finding[]> => {
    const first = await look();
    if (first.length === 0) return first;
    await pause(BETWEEN);
    const lines = new Set(first.map(({ line }) => line));
    return (await look()).filter(({ line }) => lines.has(line));
  };

  const said = (findings: readonly Finding[]): Found => ({ leaked: linesOf(findings, 'leaked'), missing: linesOf(findings, 'missing') });

  return {
    find: async () => said(await steady()),
    async fix() {
      const before = await steady();
      for (const { mend } of before) await mend().catch(() => {});
      const after = before.length === 0 ? [] : await steady();
      const left = new Set(after.map(({ line }) => line));
      return { fixed: before.map(({ line }) => line).filter((line) => !left.has(line)), ...said(after) };
    },
  };
};

const linesOf = (findings: readonly Finding[], what: Finding['what']): string[] => findings.filter((finding) => finding.what === what).map(({ line }) => line);

/** Files that may be precious to somebody are told of, and left to people. */
const isVolume = ({ dataRoot }: Layout, object: HostObject): boolean => object.kind === 'directory' && object.path.startsWith(`${dataRoot}/volumes/`);

import type { Family, Table } from '../operations/operation.ts';
import type { Ruleset } from '../operations/ruleset.ts';
import { FOREIGN_CHAINS, isOurs } from './firewall.ts';

/** What one table has that it should not, or lacks, and what puts it right. */
export type TableDrift = {
  readonly table: Table;
  /** Chains of berth's that are to hold exactly these rules, by "TABLE CHAIN". */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Lines of iptables-restore for chains that others share. */
  readonly lines: readonly string[];
  /** How many rules are lacking, and how many are too many. */
  readonly missing: number;
  readonly extra: number;
};

type Listing = ReadonlyMap<string, readonly string[]>;

/** Closed before it is opened: the ways in come last. */
const TABLES: readonly Table[] = ['raw', 'mangle', 'filter', 'nat'];

/**
 * Compares a family's tables (`there`: "TABLE CHAIN" to its rules, built-in chains included) with what they should hold.
 * Only tables that differ are named. What is not berth's is left where it is.
 */
export const firewallDrift = (there: Listing, wanted: Ruleset, bridges: ReadonlySet<string>): TableDrift[] =>
  TABLES.flatMap((table) => {
    const own = [...wanted.chains].filter(([key, rules]) => isIn(table, key) && !sameLines(there.get(key), rules));
    const administrators = table === 'filter' ? FOREIGN_CHAINS.filter((name) => !there.has(`filter ${name}`)) : [];
    const shared = sharedDrift(table, there, wanted, bridges);
    // Of a table that is gone, the policies are gone as well.
    const policies = [...wanted.policies].filter(([key]) => isIn(table, key) && !there.has(key)).map(([key, target]) => `:${chainOf(key)} ${target} [0:0]`);
    const lines = [...policies, ...administrators.map((name) => `:${name} - [0:0]`), ...shared.lines];
    if (own.length === 0 && lines.length === 0) return [];
    const lacking = own.map(([key, rules]) => [lack(rules, there.get(key) ?? []), lack(there.get(key) ?? [], rules)] as const);
    return [
      {
        table,
        chains: new Map(own),
        lines,
        missing: shared.missing + lacking.reduce((sum, [missing]) => sum + missing, 0),
        extra: shared.extra + lacking.reduce((sum, [, extra]) => sum + extra, 0),
      },
    ];
  });

/** In words for people: `ipv4 nat: 3 rules missing`. */
export const describeDrift = (family: Family, { table, ...counts }: TableDrift): string => `${family} ${table}: ${describeCounts(counts)}`;

export const describeCounts = ({ missing, extra }: { readonly missing: number; readonly extra: number }): string => {
  const counts = [...(missing > 0 ? [`${missing} missing`] : []), ...(extra > 0 ? [`${extra} too many`] : [])];
  return counts.length === 0 ? 'chains missing or out of order' : `rules ${counts.join(', ')}`;
};

const sharedDrift = (table: Table, there: Listing, wanted: Ruleset, bridges: ReadonlySet<string>) => {
  const places = new Map<string, { spec: string; at: 'top' | 'end' }[]>();
  for (const { table: of, chain, spec, at } of wanted.shared) {
    if (of !== table) continue;
    const list = places.get(chain) ?? [];
    places.set(chain, list);
    if (at === 'top') list.unshift({ spec: spec.join(' '), at });
    else list.push({ spec: spec.join(' '), at });
  }
  for (const key of there.keys()) if (isIn(table, key) && !wanted.chains.has(key) && !places.has(chainOf(key))) places.set(chainOf(key), []);
  const all = [...places].map(([chain, list]) => chainDrift(table, chain, list, there.get(`${table} ${chain}`) ?? [], bridges));
  return { lines: all.flatMap(({ lines }) => lines), missing: all.reduce((sum, { missing }) => sum + missing, 0), extra: all.reduce((sum, { extra }) => sum + extra, 0) };
};

/** One chain that others share: `wanted` from its top to its end. */
const chainDrift = (table: Table, chain: string, wanted: readonly { readonly spec: string; readonly at: 'top' | 'end' }[], there: readonly string[], bridges: ReadonlySet<string>) => {
  const left = counted(wanted.map(({ spec }) => spec));
  const [kept, stale]: [string[], string[]] = [[], []];
  for (const rule of there)
    if (take(left, rule)) kept.push(rule);
    else if (left.has(rule) || isOurs(table, chain, rule, bridges)) stale.push(rule);
  const missing = wanted.filter(({ spec }) => take(left, spec));
  const tops = missing.filter(({ at }) => at === 'top');
  const ends = missing.filter(({ at }) => at === 'end');
  const after = [...tops.map(({ spec }) => spec), ...kept, ...ends.map(({ spec }) => spec)];
  const remove = (rules: readonly string[]): string[] => rules.map((rule) => `-D ${chain} ${rule}`);
  const add = (rules: readonly { readonly spec: string; readonly at: 'top' | 'end' }[]): string[] => [
    ...rules.filter(({ at }) => at === 'top').reverse().map(({ spec }) => `-I ${chain} ${spec}`),
    ...rules.filter(({ at }) => at === 'end').map(({ spec }) => `-A ${chain} ${spec}`),
  ];
  const inOrder = !isOrdered(table, chain) || sameLines(after, wanted.map(({ spec }) => spec));
  return {
    lines: [...remove(stale), ...(inOrder ? add(missing) : [...remove(kept), ...add(wanted)])],
    missing: missing.length,
    extra: stale.length,
  };
};

/** Where it matters which of berth's rules a packet meets first: DOCKER-USER before all others, DOCKER before relays. */
const isOrdered = (table: Table, chain: string): boolean => chain === 'FORWARD' || (table === 'nat' && chain !== 'POSTROUTING');

const isIn = (table: Table, key: string): boolean => key.startsWith(`${table} `);
const chainOf = (key: string): string => key.slice(key.indexOf(' ') + 1);

const counted = (rules: readonly string[]): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const rule of rules) counts.set(rule, (counts.get(rule) ?? 0) + 1);
  return counts;
};

const take = (counts: Map<string, number>, rule: string): boolean => {
  const left = counts.get(rule) ?? 0;
  if (left > 0) counts.set(rule, left - 1);
  return left > 0;
};

/** How many of `rules` are not in `others`. */
const lack = (rules: readonly string[], others: readonly string[]): number => {
  const counts = counted(others);
  return rules.filter((rule) => !take(counts, rule)).length;
};

const sameLines = (a: readonly string[] | undefined, b: readonly string[]): boolean => a !== undefined && a.length === b.length && a.every((line, i) => line === b[i]);

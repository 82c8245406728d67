import type { KindOf, Operation, Table } from './operation.ts';

/** What one family's tables hold of berth's, as `iptables-save` would list it. */
export type Ruleset = {
  /** berth's own chains, by "TABLE CHAIN", and all that is in them. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Rules in chains that others share, in the order in which they were added. */
  readonly shared: readonly SharedRule[];
  /** Policies that berth has given to built-in chains, by "TABLE CHAIN". */
  readonly policies: ReadonlyMap<string, string>;
};

export type SharedRule = { readonly table: Table; readonly chain: string; readonly spec: readonly string[]; readonly at: 'top' | 'end' };

/** A ruleset that follows what is done: kept beside the tables, so that what others do to these can be seen. */
export type KeptRuleset = Ruleset & {
  /** All of it anew. */
  become(chains: ReadonlyMap<string, readonly string[]>, shared: readonly SharedRule[]): void;
  follow(operation: Operation & { readonly object: KindOf<'rule'> | KindOf<'chain'> }): void;
  policy(table: string, chain: string, target: string): void;
  /** Whether rules of berth's are in that chain. */
  concerns(table: string, chain: string): boolean;
};

export const keptRuleset = (): KeptRuleset => {
  const chains = new Map<string, string[]>();
  const policies = new Map<string, string>();
  // By chain: what is done costs no more for what others have there.
  const shared = new Map<string, SharedRule[]>();
  const into = <T>(list: T[], one: T, at: 'top' | 'end'): void => void (at === 'top' ? list.unshift(one) : list.push(one));
  const outOf = <T>(list: T[], same: (one: T) => boolean): void => {
    const index = list.findIndex(same);
    if (index !== -1) list.splice(index, 1);
  };
  const add = (rule: SharedRule): void => {
    const key = `${rule.table} ${rule.chain}`;
    shared.set(key, [...(shared.get(key) ?? []), { table: rule.table, chain: rule.chain, spec: rule.spec, at: rule.at }]);
  };
  return {
    chains,
    policies,
    get shared() {
      return [...shared.values()].flat();
    },
    become(all, rules) {
      chains.clear();
      shared.clear();
      for (const [key, own] of all) chains.set(key, [...own]);
      rules.forEach(add);
    },
    follow({ action, object }) {
      if (object.kind === 'chain') {
        const key = `${object.table} ${object.name}`;
        if (action === 'remove') chains.delete(key);
        else if (!chains.has(key)) chains.set(key, []);
        return;
      }
      const key = `${object.table} ${object.chain}`;
      const own = chains.get(key);
      const spec = object.spec.join(' ');
      if (action === 'add') own ? into(own, spec, object.at) : add(object);
      else if (own) outOf(own, (one) => one === spec);
      else outOf(shared.get(key) ?? [], (one) => one.spec.join(' ') === spec);
    },
    policy: (table, chain, target) => void policies.set(`${table} ${chain}`, target),
    concerns: (table, chain) => chains.has(`${table} ${chain}`) || (shared.get(`${table} ${chain}`)?.length ?? 0) > 0,
  };
};

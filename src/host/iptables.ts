import type { Family, KindOf, Operation } from '../operations/operation.ts';
import { keptRuleset, type KeptRuleset, type Ruleset, type SharedRule } from '../operations/ruleset.ts';
import { run, runQuick, type Child } from './command.ts';
import { plainly, type Step } from './step.ts';

type FirewallObject = KindOf<'chain'> | KindOf<'rule'>;
export type FirewallOperation = Operation & { readonly object: FirewallObject };

const TOOLS = { ipv4: ['iptables-restore', 'iptables-save'], ipv6: ['ip6tables-restore', 'ip6tables-save'] } as const;
const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

export type Iptables = {
  /** One transaction a family. Changes that wait for each other go together. */
  apply(operations: readonly FirewallOperation[]): Promise<void>;
  /** What is there: "TABLE CHAIN" to its rules, as `iptables-save` lists them; built-in chains included. */
  list(family: Family): Promise<Listing>;
  /** These chains hold exactly these rules from now on; and these lines are run besides. One transaction. */
  replace(family: Family, chains: Listing, lines: readonly Line[]): Promise<void>;
  /** What the family is to hold, as a start; `apply` keeps it up to date, and `mend` compares with it. */
  expect(family: Family, chains: Listing, shared: readonly SharedRule[]): void;
  /** From now on, `remedy` says what is to be done when the tables hold something else than what was put there. */
  heal(remedy: Remedy): void;
  /** Looks, when no change is on its way, and does what the remedy says. Changes wait meanwhile. */
  mend(family: Family): Promise<void>;
  /** Whether rules of berth's are in that chain. */
  concerns(family: Family, table: string, chain: string): boolean;
};

type Listing = ReadonlyMap<string, readonly string[]>;
type Line = { readonly table: string; readonly line: string };
/** undefined: all is well, or is to be left as it is. */
export type Remedy = (family: Family, there: Listing, kept: Ruleset) => { readonly chains: Listing; readonly lines: readonly Line[]; readonly done: () => void } | undefined;
/** Told of each tool that is about to change rules. */
export type Began = (tool: Child) => void;

type Waiting = { readonly operations: readonly FirewallOperation[]; readonly done: () => void; readonly failed: (error: unknown) => void };

export const createIptables = (step: Step = plainly, began: Began = () => {}): Iptables => {
  let waiting: Waiting[] = [];
  let mends: (() => Promise<void>)[] = [];
  let busy = false;
  const kept: Readonly<Record<Family, KeptRuleset>> = { ipv4: keptRuleset(), ipv6: keptRuleset() };
  const restore: Restore = (family, tables) => restoreTables(family, tables, step, began);

  const follow = (operations: readonly FirewallOperation[]): void => {
    for (const operation of operations) kept[operation.object.family].follow(operation);
  };

  let remedy: Remedy = () => undefined;
  const mendNow = async (family: Family): Promise<void> => {
    const wanted = remedy(family, await list(family), kept[family]);
    if (!wanted) return;
    await replace(family, wanted.chains, wanted.lines);
    wanted.done();
  };
  /** Where somebody has taken a chain away, nothing can be put into it. */
  const applyMended = async (operations: readonly FirewallOperation[]): Promise<void> => {
    for (const family of FAMILIES) if (operations.some(({ object }) => object.family === family)) await mendNow(family);
    await applyAll(operations, restore);
  };

  const drain = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    while (waiting.length + mends.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await applyAll(batch.flatMap(({ operations }) => operations), restore);
        for (const { operations, done } of batch) {
          follow(operations);
          done();
        }
      } catch {
        // One of them is bad, and a transaction is whole: each alone, so that only the bad one fails.
        for (const { operations, done, failed } of batch)
          await applyMended(operations).then(() => {
            follow(operations);
            done();
          }, failed);
      }
      await mends.shift()?.();
    }
    busy = false;
  };

  const replace = async (family: Family, chains: Listing, lines: readonly Line[]): Promise<void> => {
    const tables = new Map<string, string[]>();
    const into = (table: string, ...more: string[]): void => void tables.set(table, [...(tables.get(table) ?? []), ...more]);
    for (const key of chains.keys()) {
      const [table = '', chain = ''] = key.split(' ');
      into(table, `:${chain} - [0:0]`);
    }
    for (const { table, line } of lines) into(table, line);
    for (const [key, rules] of chains) {
      const [table = '', chain = ''] = key.split(' ');
      into(table, ...rules.map((rule) => `-A ${chain} ${rule}`));
    }
    await restore(family, tables);
    for (const { table, line } of lines) {
      const [, chain, target] = /^:(\S+) ([A-Z]+) /.exec(line) ?? [];
      if (chain !== undefined && target !== undefined) kept[family].policy(table, chain, target);
    }
  };

  return {
    apply: (operations) =>
      new Promise((done, failed) => {
        waiting.push({ operations, done, failed });
        void drain();
      }),
    list,
    replace,
    expect: (family, chains, shared) => kept[family].become(chains, shared),
    heal: (told) => void (remedy = told),
    mend: (family) =>
      new Promise((done, failed) => {
        mends.push(() => mendNow(family).then(done, failed));
        void drain();
      }),
    concerns: (family, table, chain) => kept[family].concerns(table, chain),
  };
};

type Restore = (family: Family, tables: Listing) => Promise<void>;

const applyAll = async (operations: readonly FirewallOperation[], restore: Restore): Promise<void> => {
  await Promise.all(
    FAMILIES.map(async (family) => {
      const own = operations.filter(({ object }) => object.family === family);
      if (own.length === 0) return;
      try {
        await restore(family, tablesOf(own));
      } catch (error) {
        // "Already gone" and "already there" are success, but fail a transaction: look, leave those out, try once more.
        const left = stillNeeded(own, await list(family));
        if (left.length === own.length) throw error;
        if (left.length > 0) await restore(family, tablesOf(left));
      }
    }),
  );
};

const lineOf = ({ action, object }: FirewallOperation): string =>
  object.kind === 'chain'
    ? action === 'add' ? `:${object.name} - [0:0]` : `-X ${object.name}`
    : `${action === 'remove' ? '-D' : object.at === 'top' ? '-I' : '-A'} ${object.chain} ${object.spec.join(' ')}`;

const tablesOf = (operations: readonly FirewallOperation[]): Map<string, string[]> => {
  const tables = new Map<string, string[]>();
  for (const operation of operations) {
    const lines = tables.get(operation.object.table) ?? [];
    lines.push(lineOf(operation));
    tables.set(operation.object.table, lines);
  }
  return tables;
};

const stillNeeded = (operations: readonly FirewallOperation[], there: Listing): FirewallOperation[] =>
  operations.filter(({ action, object }) => {
    const present =
      object.kind === 'chain'
        ? there.has(`${object.table} ${object.name}`)
        : (there.get(`${object.table} ${object.chain}`) ?? []).includes(object.spec.join(' '));
    return present === (action === 'remove');
  });

const restoreTables = async (family: Family, tables: Listing, step: Step, began: Began): Promise<void> => {
  const text = [...tables].map(([table, lines]) => `*${table}\n${lines.map(checked).join('\n')}\nCOMMIT\n`).join('');
  await step(`rules of ${family}`, () => runQuick([TOOLS[family][0], '--wait', '--noflush', '--verbose'], `${text}${DONE}${' '.repeat(STDIO_BUFFER)}\n`, DONE, began));
};

/**
 * A comment, which --verbose prints when it is its turn: after the last COMMIT has succeeded. The tool does not end for
 * three times as long where rules were removed, because the kernel keeps it until nobody looks at them any more. It is
 * padded, or the C library would keep it to itself until that end.
 */
const DONE = '# berth: done';
const STDIO_BUFFER = 8192;

/** The input of iptables-restore is a grammar: a line break in a word would be a rule of its own. */
const checked = (line: string): string => {
  if (!/^[\w.,:/!\[\] =+-]+$/.test(line)) throw new Error(`refused as a firewall rule: ${JSON.stringify(line)}`);
  return line;
};

const list = async (family: Family): Promise<Listing> => {
  const { stdout } = await run([TOOLS[family][1]]);
  const chains = new Map<string, string[]>();
  let table = '';
  for (const line of stdout.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1);
    else if (line.startsWith(':')) chains.set(`${table} ${line.slice(1).split(' ')[0]}`, []);
    else if (line.startsWith('-A ')) {
      const [, chain = ''] = line.split(' ');
      chains.get(`${table} ${chain}`)?.push(line.slice(`-A ${chain} `.length));
    }
  }
  return chains;
};

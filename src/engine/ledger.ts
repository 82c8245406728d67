import type { Operation } from '../operations/operation.ts';
import type { RecordChange, State } from '../model/state.ts';
import { withChanges } from '../model/state.ts';
import type { Store } from './host.ts';

/** What a decision comes to: the records it puts or takes away, and what its caller wants to know. */
export type Decision<T> = { readonly changes: readonly RecordChange[]; readonly result: T };

export type Ledger = {
  readonly state: State;
  /**
   * One change, whole: decide (synchronously, so what it takes is taken), commit, then make the host so.
   * When the host fails, the records go back to what they were and the failure is thrown.
   */
  change<T>(decide: (state: State) => Decision<T>): Promise<T>;
  /** As `change`, for the way down: the host does as much as it can, and nothing is taken back. */
  settle<T>(decide: (state: State) => Decision<T>): Promise<T>;
  /** Records alone: the host has what they want already, or is left to `reconcile`. */
  found(changes: readonly RecordChange[]): Promise<void>;
  /**
   * Work on what the host has of a record, which stays as it is until the work is done: changes of it wait. undefined: it is
   * just being changed.
   */
  still(collection: RecordChange['collection'], key: string, work: () => Promise<void>): Promise<void> | undefined;
};

export const createLedger = ({
  store,
  execute,
  attempt,
  diff,
}: {
  store: Store;
  execute: (operations: readonly Operation[]) => Promise<void>;
  attempt: (operations: readonly Operation[]) => Promise<unknown>;
  diff: (before: State, after: State, changes: readonly RecordChange[]) => readonly Operation[];
}): Ledger => {
  let state = store.load();
  const turns = createTurns();

  const decideAndCommit = async <T>(decide: (state: State) => Decision<T>) => {
    const before = state;
    const { changes, result } = decide(before);
    state = withChanges(before, changes);
    const operations = diff(before, state, changes);
    const turn = operations.length > 0 ? turns.next(changes) : undefined;
    try {
      await store.commit(changes);
    } catch (error) {
      turn?.over();
      state = withChanges(state, reversal(before, state, changes));
      throw error;
    }
    return { before, changes, result, operations, turn };
  };

  return {
    get state() {
      return state;
    },
    async change(decide) {
      const { before, changes, result, operations, turn } = await decideAndCommit(decide);
      try {
        await turn?.work(() => execute(operations));
      } catch (error) {
        const back = reversal(before, state, changes);
        state = withChanges(state, back);
        await store.commit(back);
        throw error;
      }
      return result;
    },
    async settle(decide) {
      const { result, operations, turn } = await decideAndCommit(decide);
      await turn?.work(() => attempt(operations));
      return result;
    },
    async found(changes) {
      const before = state;
      state = withChanges(state, changes);
      try {
        await store.commit(changes);
      } catch (error) {
        state = withChanges(state, reversal(before, state, changes));
        throw error;
      }
    },
    still: (collection, key, work) => (turns.isTaken({ collection, key }) ? undefined : turns.next([{ collection, key }]).work(work)),
  };
};

/**
 * The host's work on one record is done in the order of the decisions: what is made anew under an old name is made
 * after the old is gone. Works on different records do not wait for each other.
 */
const createTurns = () => {
  const last = new Map<string, Promise<void>>();
  const keyOf = ({ collection, key }: Pick<RecordChange, 'collection' | 'key'>): string => `${collection}/${key}`;
  return {
    isTaken: (record: Pick<RecordChange, 'collection' | 'key'>): boolean => last.has(keyOf(record)),
    next(changes: readonly Pick<RecordChange, 'collection' | 'key'>[]) {
      const keys = changes.map(keyOf);
      const earlier = keys.flatMap((key) => last.get(key) ?? []);
      let finished = (): void => {};
      const mine = new Promise<void>((resolve) => (finished = resolve));
      for (const key of keys) last.set(key, mine);
      const over = (): void => {
        for (const key of keys) if (last.get(key) === mine) last.delete(key);
        finished();
      };
      return {
        over,
        async work(body: () => Promise<unknown>): Promise<void> {
          try {
            if (earlier.length > 0) await Promise.all(earlier);
            await body();
          } finally {
            over();
          }
        },
      };
    },
  };
};

/** Puts back the records of a change, but not those that someone else has changed since. */
const reversal = (before: State, now: State, changes: readonly RecordChange[]): RecordChange[] =>
  changes
    .filter(({ collection, key, record }) => now[collection].get(key) === record)
    .map(({ collection, key }) => ({ collection, key, record: before[collection].get(key) }) as RecordChange);

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
  /** Records that are to be there before anything else is: committed, and the host left to `reconcile`. */
  found(changes: readonly RecordChange[]): Promise<void>;
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

  const decideAndCommit = async <T>(decide: (state: State) => Decision<T>) => {
    const before = state;
    const { changes, result } = decide(before);
    state = withChanges(before, changes);
    const operations = diff(before, state, changes);
    try {
      await store.commit(changes);
    } catch (error) {
      state = withChanges(state, reversal(before, state, changes));
      throw error;
    }
    return { before, changes, result, operations };
  };

  return {
    get state() {
      return state;
    },
    async change(decide) {
      const { before, changes, result, operations } = await decideAndCommit(decide);
      try {
        if (operations.length > 0) await execute(operations);
      } catch (error) {
        const back = reversal(before, state, changes);
        state = withChanges(state, back);
        await store.commit(back);
        throw error;
      }
      return result;
    },
    async settle(decide) {
      const { result, operations } = await decideAndCommit(decide);
      if (operations.length > 0) await attempt(operations);
      return result;
    },
    async found(changes) {
      state = withChanges(state, changes);
      await store.commit(changes);
    },
  };
};

/** Puts back the records of a change, but not those that someone else has changed since. */
const reversal = (before: State, now: State, changes: readonly RecordChange[]): RecordChange[] =>
  changes
    .filter(({ collection, key, record }) => now[collection].get(key) === record)
    .map(({ collection, key }) => ({ collection, key, record: before[collection].get(key) }) as RecordChange);

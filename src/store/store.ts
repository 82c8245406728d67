import fs from 'node:fs';
import path from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { systemError } from '../model/errors.ts';
import { emptyState, withChanges, type Collection, type RecordChange, type State } from '../model/state.ts';

export type Store = {
  load(): State;
  /** One transaction; resolves when it would survive a power cut. */
  commit(changes: readonly RecordChange[]): Promise<void>;
  close(): Promise<void>;
};

/** What the records look like; a store written by a later berth is refused, not misread. */
const VERSION = 1;
const COLLECTIONS = Object.keys(emptyState) as Collection[];

/**
 * The state on disk, DATA_ROOT/state: an LMDB database, one key a record ("containers/ID"), JSON values. LMDB because a
 * commit of one record costs half a millisecond with its sync to disk, whatever else is stored, and because a
 * transaction is there or not there after a crash, with no log to replay. It comes with its binaries inside the package.
 */
export const openStore = (dataRoot: string): Store => {
  const directory = path.join(dataRoot, 'state');
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const database: RootDatabase<unknown, string> = open({ path: directory, encoding: 'json' });
  const version = database.get('version');
  if (version === undefined) database.putSync('version', VERSION);
  else if (version !== VERSION) {
    void database.close();
    throw systemError(`${directory} was written by another version of berth (format ${String(version)}, this one reads ${VERSION})`);
  }
  return {
    load() {
      const changes: RecordChange[] = [];
      for (const { key, value } of database.getRange()) {
        const at = key.indexOf('/');
        const collection = key.slice(0, at) as Collection;
        if (COLLECTIONS.includes(collection)) changes.push({ collection, key: key.slice(at + 1), record: value } as RecordChange);
      }
      return withChanges(emptyState, changes);
    },
    async commit(changes) {
      if (changes.length === 0) return;
      // Handed over in one turn of the event loop, and so in one transaction.
      await Promise.all(
        changes.map(({ collection, key, record }) =>
          record === undefined ? database.remove(`${collection}/${key}`) : database.put(`${collection}/${key}`, record),
        ),
      );
      await database.flushed;
    },
    close: () => database.close(),
  };
};

/** A store that forgets: for tests. */
export const memoryStore = (state: State = emptyState): Store => ({ load: () => state, commit: async () => {}, close: async () => {} });

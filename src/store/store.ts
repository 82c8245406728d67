import fs from 'node:fs';
import path from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { messageOf, systemError } from '../model/errors.ts';
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
  checkFile(path.join(directory, 'data.mdb'));
  const database: RootDatabase<unknown, string> = open({ path: directory, encoding: 'json' });
  const version = database.get('version');
  if (version === undefined) database.putSync('version', VERSION);
  else if (version !== VERSION) {
    void database.close();
    throw systemError(`${directory} was written by another version of berth (format ${String(version)}, this one reads ${VERSION})`);
  }
  keepRoom(database, path.join(directory, 'data.mdb'));
  return {
    load() {
      const changes: RecordChange[] = [];
      for (const key of database.getKeys()) {
        const at = key.indexOf('/');
        const collection = key.slice(0, at) as Collection;
        if (COLLECTIONS.includes(collection)) changes.push({ collection, key: key.slice(at + 1), record: recordAt(database, directory, key) } as RecordChange);
      }
      return withChanges(emptyState, changes);
    },
    async commit(changes) {
      if (changes.length === 0) return;
      // Handed over in one turn of the event loop, and so in one transaction.
      const writes = changes.map(({ collection, key, record }) =>
        record === undefined ? database.remove(`${collection}/${key}`) : database.put(`${collection}/${key}`, record),
      );
      try {
        await Promise.all(writes);
        await database.flushed;
      } catch (error) {
        throw systemError(`cannot write the state to ${directory} (is the disk full?): ${await reasonOf(error)}`, error);
      }
    },
    close: () => database.close(),
  };
};

/** One that can not be read is nobody's to guess at, or to leave out: what it names may run. */
const recordAt = (database: RootDatabase<unknown, string>, directory: string, key: string): unknown => {
  let record: unknown;
  let why = 'it is not one';
  try {
    record = database.get(key);
  } catch (error) {
    why = messageOf(error);
  }
  if (typeof record !== 'object' || record === null) throw systemError(`the record ${key} of the state in ${directory} can not be read (${why}): nothing was changed`);
  return record;
};

/** Where LMDB's first page says what it is (MDB_meta.mm_magic, after the page's header). */
const [MAGIC, MAGIC_AT, PAGE] = [0xbeefc0de, 24, 4096];

/** LMDB maps the file as it is, and would fall over one that is something else. Such a file is left as it is, and refused. */
const checkFile = (file: string): void => {
  if (!fs.existsSync(file)) return;
  const fd = fs.openSync(file, 'r');
  try {
    const start = Buffer.alloc(MAGIC_AT + 4);
    const length = fs.readSync(fd, start, 0, start.length, 0);
    const { size } = fs.fstatSync(fd);
    if (size === 0) return;
    if (length < start.length || size < 2 * PAGE || start.readUInt32LE(MAGIC_AT) !== MAGIC)
      throw systemError(`${file} is not the state of a berth, or is damaged: it was left as it is`);
  } finally {
    fs.closeSync(fd);
  }
};

/** Bytes of free pages in the database's file. */
const ROOM = 2 * 1024 * 1024;

/**
 * A change is written to pages that are free. With some always there, a full disk does not keep anyone from removing
 * what fills it.
 */
const keepRoom = (database: RootDatabase<unknown, string>, file: string): void => {
  if (fs.statSync(file).size > ROOM) return;
  database.putSync('room', 'x'.repeat(ROOM));
  database.removeSync('room');
};

/** LMDB's own words, which come with the failed transaction as a promise. */
const reasonOf = async (error: unknown): Promise<string> => {
  const { commitError } = error as { commitError?: unknown };
  return messageOf(await Promise.resolve(commitError ?? error).catch((reason: unknown) => reason));
};

/** A store that forgets: for tests. */
export const memoryStore = (state: State = emptyState): Store => ({ load: () => state, commit: async () => {}, close: async () => {} });

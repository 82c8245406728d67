import fs from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { attribute, fdPath, leafPath, O_DIRECTORY, O_NOFOLLOW, O_RDONLY } from './open-beneath.ts';

type Change = { readonly path: string; readonly kind: 'modified' | 'added' | 'deleted' };

/**
 * What an overlay's upper directory changes in its lower ones (topmost first), sorted by path. A directory that is
 * only there for what is in it counts as modified when something in it did.
 */
export const changesOf = async (upper: string, lower: readonly string[]): Promise<readonly Change[]> => {
  const below = lower.flatMap((path) => openOrNone(path));
  const top = openOrNone(upper);
  try {
    const changes = (await Promise.all(top.map((fd) => changesIn(fd, below, '')))).flat();
    return changes.sort((a, b) => (a.path < b.path ? -1 : 1));
  } finally {
    for (const fd of [...below, ...top]) fs.closeSync(fd);
  }
};

const changesIn = async (upper: number, lower: readonly number[], path: string): Promise<Change[]> => {
  const names = fs.readdirSync(fdPath(upper), { encoding: 'latin1' }).sort();
  const changes: Change[] = [];
  for (const name of names) changes.push(...(await changeAt(upper, lower, name, `${path}/${name}`)));
  // Others have their turn between two directories.
  await setImmediate();
  if (attribute(leafPath(upper, '.'), OPAQUE) !== 'y') return changes;
  // Everything of before is gone, except what was made again.
  const again = new Set(names);
  const gone = new Set(lower.flatMap((fd) => fs.readdirSync(fdPath(fd), { encoding: 'latin1' })).filter((name) => !again.has(name) && was(lower, name)));
  return [...changes, ...[...gone].sort().map((name): Change => ({ path: text(`${path}/${name}`), kind: 'deleted' }))];
};

const OPAQUE = 'trusted.overlay.opaque';

const changeAt = async (upper: number, lower: readonly number[], name: string, path: string): Promise<Change[]> => {
  const now = fs.lstatSync(leafPath(upper, name), { throwIfNoEntry: false });
  if (!now) return [];
  const before = was(lower, name);
  if (isWhiteout(now)) return before ? [{ path: text(path), kind: 'deleted' }] : [];
  const own: Change = { path: text(path), kind: before ? 'modified' : 'added' };
  if (!now.isDirectory()) return before && isSame(before, now) ? [] : [own];
  const inside = await inDirectory(leafPath(upper, name), async (fd) => {
    const below = before?.isDirectory() ? lowerOf(lower, name) : [];
    try {
      return await changesIn(fd, below, path);
    } finally {
      for (const open of below) fs.closeSync(open);
    }
  });
  return before && isSame(before, now) && inside.length === 0 ? [] : [own, ...inside];
};

/** What the lower directories together have at a name. */
const was = (lower: readonly number[], name: string): fs.Stats | undefined => {
  for (const fd of lower) {
    const stat = fs.lstatSync(leafPath(fd, name), { throwIfNoEntry: false });
    if (stat) return isWhiteout(stat) ? undefined : stat;
  }
  return undefined;
};

/** The directories of that name which show through: down to one that hides the rest. */
const lowerOf = (lower: readonly number[], name: string): number[] => {
  const found: number[] = [];
  for (const fd of lower) {
    const stat = fs.lstatSync(leafPath(fd, name), { throwIfNoEntry: false });
    if (!stat) continue;
    if (!stat.isDirectory()) break;
    found.push(fs.openSync(leafPath(fd, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (attribute(leafPath(fd, name), OPAQUE) === 'y') break;
  }
  return found;
};

const isWhiteout = (stat: fs.Stats): boolean => stat.isCharacterDevice() && stat.rdev === 0;

/** A directory's size and time tell nothing of itself, only that something in it came or went. */
const isSame = (a: fs.Stats, b: fs.Stats): boolean =>
  a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && a.rdev === b.rdev && (a.isDirectory() || (a.size === b.size && a.mtimeMs === b.mtimeMs));

/** [] when a running container has put something else in its place meanwhile. */
const inDirectory = async (path: Buffer, body: (fd: number) => Promise<Change[]>): Promise<Change[]> => {
  let fd: number;
  try {
    fd = fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch {
    return [];
  }
  try {
    return await body(fd);
  } finally {
    fs.closeSync(fd);
  }
};

const openOrNone = (path: string): number[] => {
  try {
    return [fs.openSync(path, O_RDONLY | O_DIRECTORY)];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
};

const text = (path: string): string => Buffer.from(path, 'latin1').toString('utf8');

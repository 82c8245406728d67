import fs from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { fdPath, leafPath, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openSubdirectory } from './open-beneath.ts';
import { mountPoints, unmount } from './syscalls.ts';

/** Deeper directories are moved up first: each level holds a descriptor. */
const DEEPEST = 32;
/** Names at work at a time: as many as Node has threads for them. */
const AT_ONCE = 4;

/**
 * Removes a directory and all that is in it; follows no link, and stops (EXDEV) before anything that is mounted in it:
 * that is somebody else's, and would be emptied.
 */
export const removeTree = async (directory: string): Promise<void> => {
  let top: number;
  try {
    top = fs.openSync(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    if (isGone(error)) return;
    throw error;
  }
  try {
    // What is moved up comes to lie here, and is met in a next round.
    while (await empty(top, top, 1)) continue;
  } finally {
    fs.closeSync(top);
  }
  await fs.promises.rmdir(directory).catch(ignoreGone);
};

/** True when something was moved to the top. */
const empty = async (directory: number, top: number, depth: number): Promise<boolean> => {
  let moved = false;
  const entries = await fs.promises.readdir(fdPath(directory), { withFileTypes: true, encoding: 'buffer' });
  const names = entries.map((entry) => ({ name: (entry.name as unknown as Buffer).toString('latin1'), isDirectory: entry.isDirectory() }));
  const files = names.filter(({ isDirectory }) => !isDirectory);
  const next = files.values();
  await Promise.all(
    Array.from({ length: Math.min(AT_ONCE, files.length) }, async () => {
      for (const { name } of next) await fs.promises.unlink(leafPath(directory, name)).catch(ignoreGone);
    }),
  );
  for (const { name, isDirectory } of names) {
    if (!isDirectory) continue;
    if (depth === DEEPEST) {
      fs.renameSync(leafPath(directory, name), leafPath(top, randomBytes(8).toString('hex')));
      moved = true;
      continue;
    }
    const child = openSubdirectory(directory, name);
    try {
      moved = (await empty(child, top, depth + 1)) || moved;
    } finally {
      fs.closeSync(child);
    }
    await fs.promises.rmdir(leafPath(directory, name)).catch(ignoreGone);
  }
  return moved;
};

const isGone = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';
const ignoreGone = (error: unknown): void => {
  if (!isGone(error)) throw error;
};

/** Gives a directory another name under `trash`, at once: its own is free from then on. undefined: it was not there. */
export const moveAside = (directory: string, trash: string): string | undefined => {
  fs.mkdirSync(trash, { recursive: true, mode: 0o700 });
  const aside = path.join(trash, `${GONE}${randomBytes(8).toString('hex')}`);
  try {
    fs.renameSync(directory, aside);
    return aside;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
};

/** What the names begin with of what is to be removed, and of a volume's content on its way. */
export const GONE = 'gone-';
export const STAGE = 'volume-';

/** Removes what a daemon that crashed has left there; what may be mounted in it is unmounted first. */
export const sweepTrash = async (trash: string): Promise<void> => {
  const names = await fs.promises.readdir(trash).catch(() => []);
  const own = names.filter((name) => name.startsWith(GONE) || name.startsWith(STAGE)).map((name) => path.join(trash, name));
  for (const mount of mountsBelow(own)) unmount(mount);
  for (const at of own) {
    if (fs.lstatSync(at).isDirectory()) await removeTree(at);
    else fs.unlinkSync(at);
  }
};

const mountsBelow = (directories: readonly string[]): string[] =>
  directories.length === 0 ? [] : [...mountPoints()].filter((at) => directories.some((directory) => at.startsWith(`${directory}/`))).sort().reverse();

import { createHash, randomBytes, type Hash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { copyTo, type CopyOptions } from './build-copy.ts';
import { download } from './download.ts';
import { fdPath, leafPath, O_DIRECTORY, O_PATH, openBeneath, removeLeaf, withOpen } from './open-beneath.ts';
import { removeTree } from './remove-tree.ts';
import { untar } from './untar.ts';

/** What the names of build contexts under DATA_ROOT/tmp begin with. */
export const BUILD_PREFIX = 'build-';

/** Files for builds: contexts that clients send, root file systems of other images, what ADD brings from elsewhere. */
export const createBuildFiles = ({ dataRoot }: { readonly dataRoot: string }) => {
  const temporary = path.join(dataRoot, 'tmp');

  const made = async <T>(fill: (directory: string) => Promise<T>): Promise<{ readonly directory: string; readonly filled: T }> => {
    const directory = path.join(temporary, BUILD_PREFIX + randomBytes(8).toString('hex'));
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    try {
      return { directory, filled: await fill(directory) };
    } catch (error) {
      await removeTree(directory);
      throw error;
    }
  };
  const ofDirectory = (directory: string) => {
    const tree = openSource(directory);
    return {
      ...tree,
      async close(): Promise<void> {
        tree.close();
        await removeTree(directory);
      },
    };
  };

  return {
    /** Unpacks a context's tar, compressed or not. Closing it removes it. */
    async openContext(tar: Readable) {
      const { directory } = await made((directory) => withDirectory(directory, (fd) => untar(fd, '/', tar, { keepDirectories: false, owner: undefined, unfilled: true })));
      return ofDirectory(directory);
    },
    /** One file from a URL, by the name that is asked for. */
    async fetch(url: string, name: string, gone: AbortSignal) {
      const { directory, filled } = await made((directory) => download(url, path.join(directory, name), gone));
      return { ...ofDirectory(directory), size: filled };
    },
    /** Files that others look after. */
    openRoot(rootfs: string) {
      const tree = openSource(rootfs);
      return { ...tree, close: async (): Promise<void> => tree.close() };
    },
  };
};

const withDirectory = async <T>(directory: string, body: (fd: number) => Promise<T>): Promise<T> => {
  const fd = fs.openSync(directory, O_PATH | O_DIRECTORY);
  try {
    return await body(fd);
  } finally {
    fs.closeSync(fd);
  }
};

/** Paths are as a Dockerfile has them, in UTF-8; links lead as if the directory were the root. Nobody changes it meanwhile. */
const openSource = (directory: string) => {
  const root = fs.openSync(directory, O_PATH | O_DIRECTORY);
  const open = (name: string): number => openBeneath(root, binary(name), O_PATH);
  return {
    kind(name: string): 'directory' | 'file' | undefined {
      try {
        return withOpen(root, binary(name), O_PATH, (fd) => (fs.fstatSync(fd).isDirectory() ? 'directory' : 'file'));
      } catch (error) {
        if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
        throw error;
      }
    },
    /** Every path of it that matches, each directory before what is in it. */
    match(expression: RegExp): string[] {
      const found: string[] = [];
      walk(root, '', (name) => {
        const spelled = text(name);
        if (expression.test(spelled)) found.push(spelled);
      });
      return found;
    },
    text: (name: string): string => withOpen(root, binary(name), O_PATH, (fd) => fs.readFileSync(fdPath(fd), 'utf8')),
    remove(name: string): void {
      const [above, leaf] = [path.posix.dirname(`/${name}`), path.posix.basename(name)];
      withOpen(root, binary(above), O_PATH | O_DIRECTORY, (fd) => removeLeaf(fd, binary(leaf)));
    },
    /** `file:...` or `dir:...`: equal when the content is, and what may be done with it. */
    async digest(name: string): Promise<string> {
      const fd = open(name);
      try {
        return await digestOf(fd);
      } finally {
        fs.closeSync(fd);
      }
    },
    async copy(name: string, to: CopyOptions): Promise<void> {
      const fd = open(name);
      try {
        await copyTo(fd, path.posix.basename(name), to);
      } finally {
        fs.closeSync(fd);
      }
    },
    close: (): void => fs.closeSync(root),
  };
};

const digestOf = async (fd: number): Promise<string> => {
  const hash = createHash('sha256');
  const stat = fs.fstatSync(fd);
  if (!stat.isDirectory()) {
    await addEntry(hash, '', Buffer.from(fdPath(fd)), stat);
    return `file:${hash.digest('hex')}`;
  }
  const entries: string[] = [];
  walk(fd, '', (name) => entries.push(name));
  for (const name of entries) {
    const place = leafPath(fd, name);
    await addEntry(hash, name, place, fs.lstatSync(place));
  }
  return `dir:${hash.digest('hex')}`;
};

/** What a copy would be: its type and mode, where a link leads, what is in a file. Neither times nor owners. */
const addEntry = async (hash: Hash, name: string, place: Buffer, stat: fs.Stats): Promise<void> => {
  const link = stat.isSymbolicLink() ? fs.readlinkSync(place, { encoding: 'latin1' }) : '';
  hash.update(`${name.length} ${name} ${stat.mode.toString(8)} ${stat.isFile() ? stat.size : 0} ${link.length} ${link}\0`, 'latin1');
  if (!stat.isFile()) return;
  if (stat.size <= SMALL) {
    hash.update(fs.readFileSync(place));
    // Others have their turn between two files.
    return setImmediate();
  }
  for await (const chunk of fs.createReadStream(place, { highWaterMark: SMALL })) hash.update(chunk as Buffer);
};

const SMALL = 1024 * 1024;

/** Calls back for everything below an open directory, in the order of names; follows nothing. Names are binary strings. */
const walk = (root: number, below: string, visit: (name: string) => void): void => {
  const names = fs.readdirSync(leafPath(root, below === '' ? '.' : below), { encoding: 'latin1' }).sort();
  for (const name of names) {
    const whole = below === '' ? name : `${below}/${name}`;
    visit(whole);
    if (fs.lstatSync(leafPath(root, whole)).isDirectory()) walk(root, whole, visit);
  }
};

const binary = (name: string): string => Buffer.from(name).toString('latin1');
const text = (name: string): string => Buffer.from(name, 'latin1').toString('utf8');

import fs from 'node:fs';
import path from 'node:path';
import { decompressed } from './compression.ts';
import { openMade } from './container-view.ts';
import { fdPath, hasAttributes, O_DIRECTORY, O_PATH, O_RDONLY, openBeneath, withOpen } from './open-beneath.ts';
import { tarOf, tarOfFile } from './tar.ts';
import { untar } from './untar.ts';

export type CopyOptions = {
  /** The mounted root file system it goes to. */
  readonly rootfs: string;
  /** Absolute there; a slash at its end means a directory. */
  readonly destination: string;
  /** Whose the copies are, and the directories that have to be made for them. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** A file that is an archive is unpacked instead, and is whose the archive says. */
  readonly unpack: boolean;
};

/** Copies an open file under its name, or all that is in an open directory. Paths of the other side are looked up beneath its root. */
export const copyTo = async (from: number, name: string, { rootfs, destination, owner, unpack }: CopyOptions): Promise<void> => {
  const root = fs.openSync(rootfs, O_PATH | O_DIRECTORY);
  try {
    const to = Buffer.from(destination).toString('latin1');
    const stat = fs.fstatSync(from);
    if (stat.isDirectory()) {
      // Unlike those of a file, the directories above it are nobody's.
      fs.closeSync(made(root, path.posix.dirname(to), ROOT));
      return await into(made(root, to, owner), (fd) => copyEntries(from, fd, owner));
    }
    if (!stat.isFile()) throw new Error(`${name} is neither a file nor a directory`);
    if (unpack && (await isArchive(fdPath(from)))) {
      return await into(made(root, to, ROOT), (fd) => untar(fd, '/', fs.createReadStream(fdPath(from)), { keepDirectories: false, owner: undefined }));
    }
    const leaf = Buffer.from(name).toString('latin1');
    const place = to.endsWith('/') || isDirectory(root, to) ? { above: to, leaf } : resolved(root, to, owner);
    await into(made(root, place.above, owner), (fd) => copyFile(from, fd, place.leaf, owner));
  } finally {
    fs.closeSync(root);
  }
};

type Owner = CopyOptions['owner'];
const ROOT: Owner = { uid: 0, gid: 0 };

const into = async (directory: number, body: (directory: number) => Promise<void>): Promise<void> => {
  try {
    await body(directory);
  } finally {
    fs.closeSync(directory);
  }
};

const copyEntries = async (from: number, to: number, owner: Owner): Promise<void> => {
  const names = fs.readdirSync(fdPath(from), { encoding: 'latin1' }).sort();
  if (names.length === 0) return;
  const { tar, done } = tarOf(from, { kind: 'entries', names });
  await untar(to, '/', tar, { keepDirectories: false, owner, plain: true });
  await done;
};

const copyFile = async (from: number, to: number, leaf: string, owner: Owner): Promise<void> => {
  const options = { keepDirectories: false, owner, plain: true };
  const there = fs.readlinkSync(fdPath(from), { encoding: 'latin1' });
  // Only a tar of its own name can bring attributes along.
  if (hasAttributes(fdPath(from)) && path.posix.basename(there) === leaf) {
    const above = fs.openSync(Buffer.from(path.posix.dirname(there), 'latin1'), O_RDONLY | O_DIRECTORY);
    try {
      const { tar, done } = tarOf(above, { kind: 'leaf', name: leaf });
      await untar(to, '/', tar, options);
      await done;
    } finally {
      fs.closeSync(above);
    }
    return;
  }
  const { tar, done } = tarOfFile(fs.openSync(fdPath(from), 'r'), leaf);
  await untar(to, '/', tar, options);
  tar.destroy();
  await done;
};

/** Opens a directory, making it and those above it where they are missing. */
const made = (root: number, directory: string, owner: Owner): number => {
  const parts = directory.split('/').filter((part) => part !== '');
  const missing = parts.map((_, at) => `/${parts.slice(0, at + 1).join('/')}`).filter((each) => !isThere(root, each));
  const fd = openDirectory(root, directory);
  for (const each of missing) withOpen(root, each, O_PATH, (at) => fs.chownSync(fdPath(at), owner.uid, owner.gid));
  return fd;
};

const openDirectory = (root: number, directory: string): number => {
  const refused = new Error(`mkdir ${Buffer.from(directory, 'latin1').toString()}: not a directory`);
  let fd: number;
  try {
    fd = openMade(root, directory, 'directory');
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENOTDIR' ? refused : error;
  }
  if (fs.fstatSync(fd).isDirectory()) return fd;
  fs.closeSync(fd);
  throw refused;
};

/** Where a file of that path comes to be: a link is followed, as far as it leads. */
const resolved = (root: number, file: string, owner: Owner): { readonly above: string; readonly leaf: string } => {
  fs.closeSync(made(root, path.posix.dirname(file), owner));
  const fd = openMade(root, file, 'file');
  try {
    const base = fs.readlinkSync(fdPath(root), { encoding: 'latin1' });
    const real = fs.readlinkSync(fdPath(fd), { encoding: 'latin1' }).slice(base.length);
    return { above: path.posix.dirname(real), leaf: path.posix.basename(real) };
  } finally {
    fs.closeSync(fd);
  }
};

const isThere = (root: number, at: string): boolean => kindOf(root, at) !== undefined;
const isDirectory = (root: number, at: string): boolean => kindOf(root, at) === 'directory';

const kindOf = (root: number, at: string): 'directory' | 'other' | undefined => {
  try {
    const fd = openBeneath(root, at, O_PATH);
    try {
      return fs.fstatSync(fd).isDirectory() ? 'directory' : 'other';
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
};

const BLOCK = 512;
const [SUM_AT, SUM_LENGTH] = [148, 8];

/** A tar, compressed or not: its first block says so, by its sum. */
const isArchive = async (file: string): Promise<boolean> => {
  const source = fs.createReadStream(file, { highWaterMark: 64 * 1024 });
  const chunks: Buffer[] = [];
  let plain = source as Awaited<ReturnType<typeof decompressed>>;
  try {
    plain = await decompressed(source);
    for await (const chunk of plain) {
      chunks.push(chunk as Buffer);
      if (chunks.reduce((sum, { length }) => sum + length, 0) >= BLOCK) break;
    }
  } catch {
    return false;
  } finally {
    plain.destroy();
    source.destroy();
  }
  const block = Buffer.concat(chunks).subarray(0, BLOCK);
  if (block.length < BLOCK) return false;
  const said = parseInt(block.toString('latin1', SUM_AT, SUM_AT + SUM_LENGTH), 8);
  const sum = block.reduce((total, byte, at) => total + (at >= SUM_AT && at < SUM_AT + SUM_LENGTH ? 0x20 : byte), 0);
  return said === sum;
};

import fs from 'node:fs';
import koffi from 'koffi';
import { fdPath, leafPath, O_DIRECTORY, O_NOFOLLOW, O_PATH, openBeneath, withOpen } from './open-beneath.ts';
import { isWithin } from '../model/path.ts';
import { libc } from './syscalls.ts';

/** Something to be seen in a container's files besides its root file system. */
export type ViewMount = {
  readonly source: string;
  readonly subpath: string;
  readonly destination: string;
  readonly readonly: boolean;
  readonly recursive: boolean;
};

/**
 * A container's files as the container has them, whether it runs or not: its root file system with its volumes and
 * binds in place, in a mount namespace that no process is in. It is reached through `root` alone, and is gone when closed.
 */
export type ContainerView = {
  /** Its root directory: what `openBeneath` starts from. */
  readonly root: number;
  /** Where an open file of the view is, as the container names it. */
  pathOf(fd: number): string;
  /** Whether something is mounted on a path, on what is above it, or on what is below. */
  hasMounts(path: string): boolean;
  close(): void;
};

const [MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE] = [1, 32, 4096, 16384, 1 << 18, 1 << 19];
const CLONE_NEWNS = 0x20000;

const mountCall = libc.func('int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)');
const unshareCall = libc.func('int unshare(int flags)');
const setnsCall = libc.func('int setns(int fd, int type)');

export const openView = (rootfs: string, mounts: readonly ViewMount[]): ContainerView =>
  inOwnNamespace(() => {
    const root = fs.openSync(rootfs, O_PATH | O_DIRECTORY);
    try {
      const places = mounts.flatMap((mount) => place(root, mount) ?? []);
      // The descriptor keeps the namespace, and with it the mounts.
      const namespace = fs.openSync('/proc/thread-self/ns/mnt', 'r');
      const base = linkOf(root);
      return {
        root,
        pathOf: (fd) => linkOf(fd).slice(base.length) || '/',
        hasMounts: (path) => places.map((at) => at.slice(base.length) || '/').some((at) => isWithin(at, path) || isWithin(path, at)),
        close() {
          fs.closeSync(root);
          fs.closeSync(namespace);
        },
      };
    } catch (error) {
      fs.closeSync(root);
      throw error;
    }
  });

/** So many links in a path are a loop, as the kernel has it. */
const LINKS = 40;

/** Opens a path, making the directories (and at its end, if asked, the empty file) that are missing, also where a link leads. */
export const openMade = (root: number, path: string, end: 'directory' | 'file', links = 0): number => {
  const parts = path.split('/').filter((part) => part !== '');
  for (const [at, part] of parts.entries()) {
    if (isThere(root, parts.slice(0, at + 1).join('/'))) continue;
    const above = parts.slice(0, at);
    const rest = parts.slice(at + 1);
    const words = withOpen(root, `/${above.join('/')}`, O_PATH | O_DIRECTORY, (fd) => {
      const leaf = leafPath(fd, part);
      if (fs.lstatSync(leaf, { throwIfNoEntry: false })?.isSymbolicLink()) return fs.readlinkSync(leaf, { encoding: 'latin1' });
      if (rest.length > 0 || end === 'directory') fs.mkdirSync(leaf, { mode: 0o755 });
      else fs.closeSync(fs.openSync(leaf, fs.constants.O_CREAT | fs.constants.O_EXCL | O_NOFOLLOW, 0o755));
      return undefined;
    });
    if (words === undefined) continue;
    if (links === LINKS) throw Object.assign(new Error(`ELOOP: ${path}`), { code: 'ELOOP' });
    return openMade(root, [...(words.startsWith('/') ? [] : above), words, ...rest].join('/'), end, links + 1);
  }
  return openBeneath(root, path, O_PATH);
};

const isThere = (root: number, path: string): boolean => {
  try {
    fs.closeSync(openBeneath(root, path, O_PATH));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
};

/** Resolves to where it came to lie. */
const place = (root: number, { source, subpath, destination, readonly, recursive }: ViewMount): string | undefined => {
  const from = openSource(source, subpath);
  if (from === undefined) return undefined;
  const path = Buffer.from(destination).toString('latin1');
  try {
    let where: string;
    const at = openMade(root, path, fs.fstatSync(from).isDirectory() ? 'directory' : 'file');
    try {
      where = linkOf(at);
      mount(fdPath(from), fdPath(at), MS_BIND | (recursive ? MS_REC : 0));
    } finally {
      fs.closeSync(at);
    }
    // What is below may be shared with the host: changes here must not reach it.
    withOpen(root, path, O_PATH, (top) => {
      mount(null, fdPath(top), MS_PRIVATE | MS_REC);
      if (readonly) mount(null, fdPath(top), MS_REMOUNT | MS_BIND | MS_RDONLY);
    });
    return where;
  } finally {
    fs.closeSync(from);
  }
};

/** undefined when it is not there: a bind's source is only made at start. */
const openSource = (source: string, subpath: string): number | undefined => {
  try {
    const top = fs.openSync(source, O_PATH);
    if (subpath === '') return top;
    try {
      return openBeneath(top, Buffer.from(subpath).toString('latin1'), O_PATH);
    } finally {
      fs.closeSync(top);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
};

let home: number | undefined;

/**
 * Runs `body` with this thread in a fresh copy of the host's mounts. Synchronous, so nothing else of ours runs
 * meanwhile; the other threads stay where they are. Unmounting on the host reaches the copy, nothing goes back.
 */
const inOwnNamespace = <T>(body: () => T): T => {
  home ??= fs.openSync('/proc/thread-self/ns/mnt', 'r');
  const directory = process.cwd();
  if (unshareCall(CLONE_NEWNS) === -1) throw new Error(`cannot make a mount namespace: errno ${koffi.errno()}`);
  try {
    mount(null, '/', MS_SLAVE | MS_REC);
    return body();
  } finally {
    // A daemon that cannot get back would see and mount everything in the wrong place: better none.
    if (setnsCall(home, CLONE_NEWNS) === -1) process.abort();
    process.chdir(directory);
  }
};

const mount = (source: string | null, target: string, flags: number): void => {
  if (mountCall(source, target, null, flags, null) === -1) throw new Error(`cannot mount ${source ?? ''} at ${target}: errno ${koffi.errno()}`);
};

const linkOf = (fd: number): string => fs.readlinkSync(fdPath(fd), { encoding: 'latin1' });

import fs from 'node:fs';
import koffi from 'koffi';
import { errnoName } from './errno.ts';
import { libc } from './syscalls.ts';

/**
 * Paths of trees that are not ours (a container's, a volume's), looked up by the kernel so that nothing in them
 * leads out: `..` and links stop at the tree's root, links that jump (/proc/PID/root) are refused.
 * Names are binary strings, a character a byte, as in a tar: files need not be named in UTF-8.
 */

const [SYS_OPENAT2, RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT] = [437, 0x01, 0x02, 0x04, 0x08, 0x10];
const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants;

const syscall = libc.func('long syscall(long number, long directory, void *path, void *how, long size)');
const mknodCall = libc.func('int mknod(void *path, uint mode, ulong device)');
const lsetxattrCall = libc.func('int lsetxattr(void *path, void *name, void *value, size_t size, int flags)');
const listxattrCall = libc.func('long listxattr(void *path, void *list, size_t size)');
const lgetxattrCall = libc.func('long lgetxattr(void *path, void *name, void *value, size_t size)');

const openHow = Buffer.alloc(24);
/** The kernel says EAGAIN when something was renamed above the path while it looked. */
const ATTEMPTS = 1000;

/** Opens `path` as a process with its root at the directory `root` would. A file descriptor; throws as `fs.openSync` does. */
export const openBeneath = (root: number, path: string, flags: number): number => open(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);

/** As `openBeneath`, but a path that leads out of `root` is refused (EXDEV), not bent back. */
export const openWithin = (root: number, path: string, flags: number): number => open(root, path, flags, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);

/** As `openWithin`, by names alone: no link on the way, nothing mounted on it. */
export const openPlain = (root: number, path: string, flags: number): number =>
  open(root, path, flags, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);

/** One directory in another, never a link to one; refused (EXDEV) when something is mounted on it. */
export const openSubdirectory = (directory: number, leaf: string): number =>
  open(directory, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);

const open = (root: number, path: string, flags: number, resolve: number): number => {
  openHow.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  openHow.writeBigUInt64LE(0n, 8);
  openHow.writeBigUInt64LE(BigInt(resolve), 16);
  const name = terminated(path);
  for (let attempt = 1; ; attempt++) {
    const fd = Number(syscall(SYS_OPENAT2, root, name, openHow, openHow.length));
    if (fd >= 0) return fd;
    const error = failure('openat2', path);
    if (error.code !== 'EAGAIN' || attempt === ATTEMPTS) throw error;
  }
};

/** As `openBeneath`, for the time of `body`. */
export const withOpen = <T>(root: number, path: string, flags: number, body: (fd: number) => T): T => {
  const fd = openBeneath(root, path, flags);
  try {
    return body(fd);
  } finally {
    fs.closeSync(fd);
  }
};

/** One name in an open directory, for calls that do not follow the last link of a path. */
export const leafPath = (directory: number, leaf: string): Buffer => Buffer.from(`/proc/self/fd/${directory}/${leaf}`, 'latin1');

/** The file behind a descriptor, for calls that want a path. */
export const fdPath = (fd: number): string => `/proc/self/fd/${fd}`;

export const makeNode = (path: Buffer, mode: number, device: bigint): void => {
  if (mknodCall(Buffer.concat([path, zero]), mode, device) === -1) throw failure('mknod', path.toString('latin1'));
};

/** Device numbers as the kernel has them: makedev(3). */
export const deviceNumber = (major: number, minor: number): bigint => {
  const [a, b] = [BigInt(major), BigInt(minor)];
  return ((a & 0xfffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn);
};

export const setAttribute = (path: Buffer, name: string, value: Buffer): void => {
  if (lsetxattrCall(Buffer.concat([path, zero]), terminated(name), value, value.length, 0) === -1) throw failure('lsetxattr', path.toString('latin1'));
};

/** Whether what a path leads to has extended attributes. */
export const hasAttributes = (path: string): boolean => Number(listxattrCall(terminated(path), null, 0)) > 0;

/** A short attribute's text; undefined when there is none. */
export const attribute = (path: Buffer, name: string): string | undefined => {
  const value = Buffer.alloc(256);
  const length = Number(lgetxattrCall(Buffer.concat([path, zero]), terminated(name), value, value.length));
  return length < 0 ? undefined : value.toString('latin1', 0, length);
};

/** Removes what is at a name, with all below it, and follows nothing. */
export const removeLeaf = (directory: number, leaf: string): void => {
  const path = leafPath(directory, leaf);
  if (!fs.lstatSync(path).isDirectory()) {
    fs.unlinkSync(path);
    return;
  }
  const fd = fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    for (const name of fs.readdirSync(fdPath(fd), { encoding: 'latin1' })) removeLeaf(fd, name);
  } finally {
    fs.closeSync(fd);
  }
  fs.rmdirSync(path);
};

const zero = Buffer.alloc(1);
const terminated = (text: string): Buffer => {
  if (text.includes('\0')) throw Object.assign(new Error('EINVAL: a name with a zero byte'), { code: 'EINVAL' });
  return Buffer.from(`${text}\0`, 'latin1');
};


const failure = (call: string, path: string): Error & { code: string } => {
  const errno = koffi.errno();
  const code = errnoName(errno);
  return Object.assign(new Error(`${code}: ${call} ${path}`), { code, errno: -errno, syscall: call });
};

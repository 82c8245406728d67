import fs from 'node:fs';
import os from 'node:os';
import koffi from 'koffi';
import { errnoName } from './errno.ts';

/** The one door to system calls Node has no name for. Every function throws an Error with `code` and `syscall`, as Node's own do. */
export const libc = koffi.load('libc.so.6');

const c = {
  mount: libc.func('int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)'),
  umount2: libc.func('int umount2(const char *target, int flags)'),
  unshare: libc.func('int unshare(int flags)'),
  setns: libc.func('int setns(int fd, int type)'),
  mkfifo: libc.func('int mkfifo(const char *path, uint mode)'),
  ioctl: libc.func('int ioctl(int fd, ulong request, void *argument)'),
  syscall: libc.func('long syscall(long number, long a, long b, long c)'),
  fcntl: libc.func('int fcntl(int fd, int command, int argument)'),
  renameat2: libc.func('int renameat2(int from, const char *source, int to, const char *target, uint flags)'),
  statfs: libc.func('int statfs(const char *path, void *result)'),
  pipe2: libc.func('int pipe2(int *ends, int flags)'),
  strerror: libc.func('const char *strerror(int number)'),
};

const MS_BIND = 4096;
const MNT_DETACH = 2;
const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;
const CLONE_NEWNET = 0x40000000;
const TIOCSWINSZ = 0x5414;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const F_GETFL = 3;
const F_SETFL = 4;
const F_SETPIPE_SZ = 1031;
const F_DUPFD_CLOEXEC = 1030;
const O_CLOEXEC = 0o2000000;
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;

const check = (result: number, syscall: string, what: string): void => {
  if (result !== -1) return;
  const errno = koffi.errno();
  const code = errnoName(errno);
  throw Object.assign(new Error(`${code}: ${syscall} ${what}`), { errno: -errno, code, syscall });
};

/** Both close when another program is started. */
export const makePipe = (): readonly [reading: number, writing: number] => {
  const ends = new Int32Array(2);
  check(c.pipe2(ends, O_CLOEXEC), 'pipe2', '');
  return [ends[0] ?? -1, ends[1] ?? -1];
};

/** Another descriptor for the same, of at least this number. */
export const copyAbove = (fd: number, least: number): number => {
  const copy = c.fcntl(fd, F_DUPFD_CLOEXEC, least) as number;
  check(copy, 'fcntl', `descriptor ${fd}`);
  return copy;
};

export const mountOverlay = (target: string, options: string): void =>
  check(c.mount('overlay', target, 'overlay', 0, options), 'mount', `overlay ${target}`);

export const mountBind = (source: string, target: string): void =>
  check(c.mount(source, target, null, MS_BIND, null), 'mount', `${source} ${target}`);

export const mountTmpfs = (target: string, options: string): void =>
  check(c.mount('tmpfs', target, 'tmpfs', 0, options), 'mount', `tmpfs ${target}`);

export const mountCgroup = (controller: string, target: string): void =>
  check(c.mount('cgroup', target, 'cgroup', 0, controller), 'mount', `cgroup ${controller} ${target}`);

/** Takes the mount out of the tree at once; the kernel lets go of it when its last user does. Not mounted: nothing to do. */
export const unmount = (target: string): void => {
  if (c.umount2(target, MNT_DETACH) === -1 && ![os.constants.errno.EINVAL, os.constants.errno.ENOENT].includes(koffi.errno()))
    check(-1, 'umount2', target);
};

/**
 * As `unmount`, on a thread of its own: taking an overlay away writes its upper layer back to the disk,
 * which may last.
 */
export const unmountAside = (target: string): Promise<void> =>
  new Promise((resolve, reject) => {
    c.umount2.async(target, MNT_DETACH, (error: Error | null, result: number) => {
      if (error) reject(error);
      else if (result === -1 && isMountPoint(target)) reject(new Error(`cannot unmount ${target}`));
      else resolve();
    });
  });

export type MountCall = { readonly source: string; readonly target: string; readonly type: string; readonly flags: number; readonly data: string };

/** mount(2), on a thread of its own. What the kernel has against it, as Go words it; undefined: it is mounted. */
export const mountAside = ({ source, target, type, flags, data }: MountCall): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    c.mount.async(orNull(source), target, orNull(type), flags, orNull(data), (error: Error | null, result: number) => {
      if (error) reject(error);
      else resolve(result === -1 ? errnoWords() : undefined);
    });
  });

/** The same, at once. */
export const mountNow = ({ source, target, type, flags, data }: MountCall): string | undefined =>
  c.mount(orNull(source), target, orNull(type), flags, orNull(data)) === -1 ? errnoWords() : undefined;

const orNull = (text: string): string | null => (text === '' ? null : text);

const errnoWords = (): string => {
  const words = c.strerror(koffi.errno()) as string;
  return words.charAt(0).toLowerCase() + words.slice(1);
};

/** Whether something is mounted at a directory; a bind of the same file system counts too. */
export const isMountPoint = (directory: string): boolean => {
  const here = mountIdOf(directory);
  return here !== undefined && here !== mountIdOf(`${directory}/..`);
};

/** What is forbidden on the mount that a path lies on, as words of `mount -o`; nothing when it is not there. */
export const mountWords = (path: string): string[] => {
  const result = Buffer.alloc(120);
  if (c.statfs(path, result) === -1) return [];
  const flags = result.readUInt32LE(FLAGS_OFFSET);
  return [[1, 'ro'] as const, [2, 'nosuid'] as const, [4, 'nodev'] as const, [8, 'noexec'] as const].filter(([flag]) => flags & flag).map(([, word]) => word);
};

/** Of f_flags in struct statfs: ten longs are before it. */
const FLAGS_OFFSET = 80;

/** Where something is mounted, in this thread's mount namespace. */
export const mountPoints = (): Set<string> =>
  new Set(
    fs
      .readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .flatMap((line) => {
        const at = line.split(' ')[4];
        return at === undefined ? [] : [at.replace(/\\(\d{3})/g, (_all, octal: string) => String.fromCharCode(parseInt(octal, 8)))];
      }),
  );

const O_PATH = 0o10000000;

const mountIdOf = (directory: string): string | undefined => {
  let fd: number;
  try {
    fd = fs.openSync(directory, O_PATH | fs.constants.O_DIRECTORY);
  } catch {
    return undefined;
  }
  try {
    return /^mnt_id:\s*(\d+)/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
  } finally {
    fs.closeSync(fd);
  }
};

/** Two names change places: whoever looks sees the one or the other, never neither. */
export const exchange = (a: string, b: string): void => check(c.renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), 'renameat2', `${a} ${b}`);

export const makeFifo = (path: string, mode: number): void => check(c.mkfifo(path, mode), 'mkfifo', path);

/** Lets a pipe hold more before its writer has to wait. A wish: the kernel's limit for pipes may be lower. */
export const widenPipe = (fd: number, bytes: number): void => void c.fcntl(fd, F_SETPIPE_SZ, bytes);

/** A copy of another process's descriptor. */
export const copyDescriptor = (holder: number, fd: number): number => {
  const process = c.syscall(SYS_PIDFD_OPEN, holder, 0, 0);
  check(process, 'pidfd_open', `${holder}`);
  try {
    const copy = c.syscall(SYS_PIDFD_GETFD, process, fd, 0);
    check(copy, 'pidfd_getfd', `${holder} ${fd}`);
    return copy;
  } finally {
    fs.closeSync(process);
  }
};

/** Sets the size of a terminal by its master; the kernel tells the programs on it (SIGWINCH). */
export const windowSize = (master: number, rows: number, columns: number): void => {
  const size = Buffer.alloc(8);
  size.writeUInt16LE(rows, 0);
  size.writeUInt16LE(columns, 2);
  check(c.ioctl(master, TIOCSWINSZ, size), 'ioctl', 'TIOCSWINSZ');
};

/** Keeps the files of ours below a directory from the processes we start: a library may have opened them without saying so. */
export const closeOnExec = (directory: string): void => {
  for (const fd of fs.readdirSync('/proc/self/fd').map(Number)) {
    try {
      if (fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${directory}/`)) check(c.fcntl(fd, F_SETFD, FD_CLOEXEC), 'fcntl', `${fd}`);
    } catch (error) {
      // The one by which the list was read.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
};

export const makeNonBlocking = (fd: number): void => {
  const flags = c.fcntl(fd, F_GETFL, 0);
  check(flags, 'fcntl', `${fd}`);
  check(c.fcntl(fd, F_SETFL, flags | fs.constants.O_NONBLOCK), 'fcntl', `${fd}`);
};

let ownNetns: number | undefined;

/**
 * Runs `body` with this thread inside another network namespace. Synchronous, so nothing else of ours runs
 * meanwhile: sockets made and commands spawned in `body` belong there, and stay there.
 */
export const inNetns = <T>(path: string, body: () => T): T => {
  ownNetns ??= fs.openSync('/proc/thread-self/ns/net', 'r');
  const fd = fs.openSync(path, 'r');
  try {
    check(c.setns(fd, CLONE_NEWNET), 'setns', path);
  } finally {
    fs.closeSync(fd);
  }
  try {
    return body();
  } finally {
    goHome();
  }
};

/** Makes a network namespace and keeps it at `path` (a bind mount of nsfs), as `ip netns add` does under /run/netns. */
export const createNetns = (path: string): void => {
  ownNetns ??= fs.openSync('/proc/thread-self/ns/net', 'r');
  fs.closeSync(fs.openSync(path, 'wx', 0o444));
  try {
    check(c.unshare(CLONE_NEWNET), 'unshare', 'network namespace');
    mountBind('/proc/thread-self/ns/net', path);
  } catch (error) {
    fs.unlinkSync(path);
    throw error;
  } finally {
    goHome();
  }
};

/** A daemon that cannot get back to its own network would do everything in the wrong one: better none. */
const goHome = (): void => {
  if (ownNetns !== undefined && c.setns(ownNetns, CLONE_NEWNET) === -1) process.abort();
};

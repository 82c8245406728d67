import fs from 'node:fs';
import net from 'node:net';
import { errnoName } from './errno.ts';
import { copyAbove, libc, makePipe } from './syscalls.ts';

/**
 * Starts a program without a copy of this process. Node's own way is fork(2), which copies the page tables of everything the
 * daemon has in memory, 1 to 9 ms at each start, and a fault for every page written after it; glibc's posix_spawn(3) borrows the
 * memory until the program is there (0.2 ms).
 */
const c = {
  spawn: libc.func('int posix_spawn(int *pid, const char *path, const void *actions, const void *attributes, const char **argv, const char **envp)'),
  actions: libc.func('int posix_spawn_file_actions_init(void *actions)'),
  copyTo: libc.func('int posix_spawn_file_actions_adddup2(void *actions, int from, int to)'),
  enter: libc.func('int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)'),
  noActions: libc.func('int posix_spawn_file_actions_destroy(void *actions)'),
  attributes: libc.func('int posix_spawnattr_init(void *attributes)'),
  flags: libc.func('int posix_spawnattr_setflags(void *attributes, short flags)'),
  mask: libc.func('int posix_spawnattr_setsigmask(void *attributes, const void *signals)'),
  defaults: libc.func('int posix_spawnattr_setsigdefault(void *attributes, const void *signals)'),
  waitpid: libc.func('int waitpid(int pid, int *status, int options)'),
};
const [SETSIGDEF, SETSIGMASK, SETSID, WNOHANG] = [0x04, 0x08, 0x80, 1];
/** Larger than glibc's posix_spawn_file_actions_t and posix_spawnattr_t (80 and 336 bytes), and its sigset_t. */
const [ACTIONS, ATTRIBUTES, SIGNALS] = [256, 512, 128];

/** A descriptor that a started program has open for as long as it runs: when it closes, it is time to ask how it ended. Above those that scripts use. */
const LIFELINE = 9;

export type Spawned = {
  readonly pid: number;
  /** Its exit code, or 128 and the number of the signal that ended it. Never rejects. */
  readonly ended: Promise<number>;
};

/**
 * FILE is a path. `stdio` are descriptors of ours for the program's first ones; they stay ours. A program of a `session` of its own is
 * not waited for when this process has nothing else to do. Throws what the kernel says, with its `code`.
 */
export const spawnProgram = ([file = '', ...args]: readonly string[], options: {
  readonly cwd?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdio: readonly number[];
  readonly session?: boolean;
}): Spawned => {
  const { cwd, env, stdio, session = false } = options;
  const [reading, writing] = makePipe();
  // One that is to become a lower one would be overwritten before its turn.
  const copies = stdio.map((fd) => (fd <= LIFELINE ? { fd: copyAbove(fd, LIFELINE + 1), own: true } : { fd, own: false }));
  const [actions, attributes] = [Buffer.alloc(ACTIONS), Buffer.alloc(ATTRIBUTES)];
  c.actions(actions);
  c.attributes(attributes);
  let pid = 0;
  try {
    copies.forEach(({ fd }, to) => c.copyTo(actions, fd, to));
    c.copyTo(actions, writing, LIFELINE);
    if (cwd !== undefined) c.enter(actions, cwd);
    // Node ignores SIGPIPE, and what is ignored would stay so.
    c.defaults(attributes, Buffer.alloc(SIGNALS, 0xff));
    c.mask(attributes, Buffer.alloc(SIGNALS));
    c.flags(attributes, SETSIGDEF | SETSIGMASK | (session ? SETSID : 0));
    const found = new Int32Array(1);
    const words = Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
    const errno = c.spawn(found, file, actions, attributes, [file, ...args, null], [...words, null]) as number;
    if (errno !== 0) throw failure(errno, file);
    pid = found[0] ?? 0;
  } catch (error) {
    fs.closeSync(reading);
    throw error;
  } finally {
    c.noActions(actions);
    fs.closeSync(writing);
    for (const { fd, own } of copies) if (own) fs.closeSync(fd);
  }
  return { pid, ended: endOf(pid, reading, session) };
};

const endOf = (pid: number, lifeline: number, unref: boolean): Promise<number> =>
  new Promise((resolve) => {
    const status = new Int32Array(1);
    let wait = 1;
    const ask = (): void => {
      const answer = c.waitpid(pid, status, WNOHANG) as number;
      if (answer !== 0) return resolve(answer === pid ? codeOf(status[0] ?? 0) : 255);
      // It let go of its lifeline, and lives.
      wait = Math.min(wait * 2, 1000);
      const timer = setTimeout(ask, wait);
      if (unref) timer.unref();
    };
    const socket = new net.Socket({ fd: lifeline, readable: true, writable: false });
    socket.on('error', () => {}).on('close', ask).resume();
    if (unref) socket.unref();
  });

/** As wait(2) has it: a signal in the low byte, else the code in the next. */
const codeOf = (status: number): number => ((status & 0x7f) === 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f));

const failure = (errno: number, file: string): Error => {
  const code = errnoName(errno);
  return Object.assign(new Error(`spawn ${file} ${code}`), { errno: -errno, code, syscall: `spawn ${file}`, path: file });
};

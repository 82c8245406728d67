import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { cgroupOf, readTable, readText } from './cgroup.ts';
import { libc } from './syscalls.ts';

/** Tells when the kernel has killed something of a container's for want of memory. */
export type MemoryWatch = {
  /** The last look, after the container has ended. */
  settle(exitCode: number): Promise<void>;
  close(): void;
};

const eventfd = libc.func('int eventfd(uint initial, int flags)');
const readCounter = libc.func('long read(int fd, void *buffer, ulong size)');
const [EFD_NONBLOCK, EFD_CLOEXEC] = [0o4000, 0o2000000];

/** A container that lives on after such a kill is seen to at this interval; one that dies of it, at its end. */
const LOOK_MS = 1000;
/** The kernel takes note of a removed cgroup some time later. */
const [REMOVAL_MS, REMOVAL_STEP_MS] = [300, 10];

const ROOT = '/sys/fs/cgroup';

export const createMemoryWatches = () => {
  const looks = new Set<() => void>();
  let timer: NodeJS.Timeout | undefined;
  const every = (look: () => void): (() => void) => {
    looks.add(look);
    timer ??= setInterval(() => looks.forEach((each) => each()), LOOK_MS).unref();
    return () => {
      looks.delete(look);
      if (looks.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    };
  };

  return {
    /**
     * Before the container begins, which may be too short to be watched otherwise: makes its memory cgroup.
     * undefined: nobody counts here.
     */
    prepare(cgroupsPath: string, killed: () => void): MemoryWatch | undefined {
      if (fs.existsSync(`${ROOT}/cgroup.controllers`) || !cgroupsPath.startsWith('/')) return undefined;
      const directory = path.join(ROOT, 'memory', cgroupsPath);
      try {
        fs.mkdirSync(directory, { recursive: true });
        return watchFirst(directory, killed, every);
      } catch {
        return undefined;
      }
    },
    /** A container that runs already. */
    adopt(id: string, pid: number, killed: () => void): MemoryWatch | undefined {
      const cgroup = cgroupOf(id, pid);
      const directory = cgroup?.directory('memory');
      if (!cgroup || directory === undefined) return undefined;
      try {
        return cgroup.version === '1' ? watchFirst(directory, killed, every) : watchSecond(directory, killed);
      } catch {
        return undefined;
      }
    },
  };
};

/**
 * cgroup v1: a counter that the kernel adds one to for each kill, and one more some time after the cgroup is removed.
 * It outlives the cgroup, which the runtime removes before we hear of the end: one, then, is a kill only if two follow.
 */
const watchFirst = (directory: string, killed: () => void, every: (look: () => void) => () => void): MemoryWatch => {
  const counter = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) as number;
  if (counter < 0) throw new Error('cannot make an event counter');
  try {
    const control = fs.openSync(`${directory}/memory.oom_control`, 'r');
    try {
      fs.writeFileSync(`${directory}/cgroup.event_control`, `${counter} ${control}`);
    } finally {
      fs.closeSync(control);
    }
  } catch (error) {
    fs.closeSync(counter);
    throw error;
  }
  const bytes = Buffer.alloc(8);
  let kills = 0;
  let told = 0;
  const tell = (): void => {
    if (kills <= told) return;
    told = kills;
    killed();
  };
  const count = (): void => {
    if (readCounter(counter, bytes, 8) === 8) kills += Number(bytes.readBigUInt64LE(0));
  };
  const stop = every(() => {
    count();
    if (kills > told && fs.existsSync(directory)) tell();
  });
  let closed = false;
  const close = (): void => {
    if (closed) return;
    closed = true;
    stop();
    fs.closeSync(counter);
  };
  return {
    close,
    async settle() {
      if (closed) return;
      stop();
      count();
      // A kill is counted before the process dies of it: no count, no kill.
      if (kills > told && !fs.existsSync(directory)) {
        for (let waited = 0; kills === told + 1 && waited < REMOVAL_MS; waited += REMOVAL_STEP_MS) {
          await pause(REMOVAL_STEP_MS);
          count();
        }
        kills -= 1;
      }
      tell();
      close();
    },
  };
};

/**
 * cgroup v2: the kernel tells of changes to memory.events by inotify. When it is gone before it could be read, a
 * change and a death by KILL are taken for what they most likely are.
 */
const watchSecond = (directory: string, killed: () => void): MemoryWatch => {
  const file = `${directory}/memory.events`;
  const kills = (): number => readTable(file)['oom_kill'] ?? 0;
  let told = kills();
  let unread = false;
  const look = (): void => {
    unread = readText(file) === undefined;
    const now = kills();
    if (now <= told) return;
    told = now;
    killed();
  };
  const watcher = fs.watch(file, (event) => void (event === 'change' && look()));
  watcher.unref();
  watcher.on('error', () => {});
  return {
    close: () => watcher.close(),
    async settle(exitCode) {
      if (unread && exitCode === 137) killed();
      watcher.close();
    },
  };
};

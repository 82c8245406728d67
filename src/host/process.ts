import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import type { ChildProcess } from 'node:child_process';
import type { JsonObject } from '../model/json.ts';
import { EngineError } from '../model/errors.ts';
import { launch, run } from './command.ts';
import { makeFifo, setWindowSize, widenPipe } from './syscalls.ts';
import { startFailure } from './runtime-error.ts';
import type { SeccompCache } from './seccomp-cache.ts';

/**
 * A pipe that nobody holds open is gone with what is in it. The supervisor waits here, pipes in hand, until a daemon
 * has its end of them; then the end of the output is really its end.
 */
const HOLD = 'read -r released <"$hold"';

/**
 * Processes that outlive the daemon, without a supervisor daemon: a shell of one line waits for the runtime and leaves
 * its exit code in a file. Three FIFOs stand between: output waits in them while no daemon reads, and the shell holds
 * them open for writing, so that a reader may come and go.
 *
 *   EXEC_ROOT/processes/ID/  config.json or process.json, in, out, err, hold, log
 *   EXEC_ROOT/ends/          ID.pid (the process has begun), ID.exit (its code), ID.shell (the supervisor's pid)
 *
 * The scripts are constants; whatever varies goes in as "$@" or by the environment.
 */
const SUPERVISE = `exit=$1; shell=$2; hold=$3; shift 3; echo $$ >"$shell"; "$@"; echo $? >"$exit"; ${HOLD}`;

/**
 * As above, with standard input: the shell holds the writing end (descriptor 3), so that it is not the daemon's death
 * that ends the input. USR1 makes it let go: that is end-of-file. (A shell gives
 * what it runs in the background the null device for input, hence descriptor 4.)
 */
const SUPERVISE_INPUT = `exit=$1; shell=$2; hold=$3; shift 3; trap 'exec 3>&-' USR1; echo $$ >"$shell"; exec 4<&0
"$@" <&4 3>&- 4<&- & child=$!
while :; do wait $child; code=$?; kill -0 $child 2>/dev/null || break; done
echo $code >"$exit"; ${HOLD}`;

/** A terminal that survives the daemon: script(1) holds the master. The runtime copies between it and the container's own. */
const SUPERVISE_TERMINAL = `exit=$1; shell=$2; hold=$3; shift 3; echo $$ >"$shell"; script -q -e -f -E never -c '${[
  'exec "$BERTH_RUNTIME" --root "$BERTH_ROOT" --log "$BERTH_LOG"',
  '$BERTH_VERB "$BERTH_OPTION" "$BERTH_SOURCE" --pid-file "$BERTH_PID_FILE" "$BERTH_ID"',
].join(' ')}' /dev/null; echo $? >"$exit"; ${HOLD}`;

/** Bytes a process may print while nobody reads, before it has to wait. */
const PIPE_BYTES = 1024 * 1024;
/** How long output may still come after the exit code, when something the container left behind holds the pipes. */
const LINGER_MS = 2000;

type OutputStream = 'stdout' | 'stderr';
type Exit = { readonly code: number; readonly at: string };
type Listener = {
  readonly output: (stream: OutputStream, chunk: Buffer) => boolean;
  readonly exited: (exit: Exit) => void;
};
export type Request = Listener & {
  readonly id: string;
  readonly run:
    | { readonly kind: 'container'; readonly spec: JsonObject; readonly runtime: string }
    | { readonly kind: 'exec'; readonly containerId: string; readonly process: JsonObject; readonly runtime: string };
  readonly tty: boolean;
  readonly stdin: boolean;
};
export type Running = {
  readonly pid: number;
  readonly pidStart: number;
  write(chunk: Buffer, written: () => void): boolean;
  endInput(): void;
  resize(rows: number, columns: number): void;
  resume(): void;
};

export const createProcesses = ({
  execRoot,
  now,
  runtimePath,
  seccomp,
}: {
  execRoot: string;
  /** RFC 3339 of a moment in milliseconds, or of now. */
  now: (milliseconds?: number) => string;
  runtimePath: (name: string) => string;
  seccomp: SeccompCache;
}) => {
  const directoryOf = (id: string): string => path.join(execRoot, 'processes', id);
  const endOf = (id: string, what: 'pid' | 'exit' | 'shell'): string => path.join(execRoot, 'ends', `${id}.${what}`);
  const runtimeRoot = path.join(execRoot, 'runtime');
  for (const name of ['processes', 'ends', 'runtime']) fs.mkdirSync(path.join(execRoot, name), { recursive: true, mode: 0o700 });

  const watched = new Map<string, () => void>();
  // Watching by inotify costs nothing while nothing happens, and serves adopted processes, whose parent we are not.
  const watcher = fs.watch(path.join(execRoot, 'ends'), (_event, name) => {
    if (name) watched.get(name.slice(0, name.lastIndexOf('.')))?.();
  });
  watcher.unref();

  /** The number in one of the files of `ends`; undefined while it is absent or still empty. */
  const readEnd = (id: string, what: 'pid' | 'exit' | 'shell'): number | undefined => {
    try {
      const text = fs.readFileSync(endOf(id, what), 'utf8').trim();
      return /^\d+$/.test(text) ? Number(text) : undefined;
    } catch {
      return undefined;
    }
  };

  const exitOf = (id: string): Exit | undefined => {
    const code = readEnd(id, 'exit');
    return code === undefined ? undefined : { code, at: now(fs.statSync(endOf(id, 'exit')).mtimeMs) };
  };

  const attachTo = (id: string, tty: boolean, stdin: boolean, listener: Listener, pid: () => number) => {
    const directory = directoryOf(id);
    const sockets = (tty ? (['stdout'] as const) : (['stdout', 'stderr'] as const)).map((stream) => {
      const fd = fs.openSync(path.join(directory, stream === 'stdout' ? 'out' : 'err'), fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
      widenPipe(fd, PIPE_BYTES);
      const socket = new net.Socket({ fd, readable: true, writable: false });
      socket.on('error', () => {});
      return socket;
    });
    const flow = (): void =>
      sockets.forEach((socket, index) => {
        let first = true;
        socket.on('data', (chunk: Buffer) => {
          const bytes = first && index === 1 ? inDockersWords(chunk) : chunk;
          first = false;
          if (!listener.output(index === 1 ? 'stderr' : 'stdout', bytes)) for (const each of sockets) each.pause();
        });
      });

    let input: net.Socket | undefined;
    const openInput = (): net.Socket | undefined => {
      if (!stdin || input) return input;
      try {
        const fd = fs.openSync(path.join(directory, 'in'), fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
        input = new net.Socket({ fd, readable: false, writable: true });
        input.on('error', () => {});
      } catch {
        // No reader: the process is gone, and what was meant for it goes nowhere.
      }
      return input;
    };

    let ended = sockets.length;
    let done = false;
    const finish = (): void => {
      const exit = exitOf(id);
      if (done || !exit) return;
      done = true;
      watched.delete(id);
      for (const socket of sockets) socket.destroy();
      input?.destroy();
      listener.exited(exit);
    };
    let released = false;
    const check = (): void => {
      if (exitOf(id) === undefined) return;
      if (!released) release(id);
      released = true;
      if (ended === 0) finish();
      else setTimeout(finish, LINGER_MS).unref();
    };
    for (const socket of sockets)
      socket.on('close', () => {
        ended -= 1;
        check();
      });

    return {
      check,
      /** Lets output come. Not before it is the process's own: a runtime that fails says so there too. */
      flow,
      abandon: (): void => {
        done = true;
        for (const socket of sockets) socket.destroy();
        input?.destroy();
      },
      controls: {
        write(chunk: Buffer, written: () => void): boolean {
          const socket = openInput();
          if (!socket || socket.destroyed) {
            written();
            return true;
          }
          return socket.write(chunk, () => written());
        },
        endInput(): void {
          if (tty || !stdin) return;
          openInput()?.end();
          const shell = readEnd(id, 'shell');
          if (shell !== undefined && isOurShell(shell, id)) process.kill(shell, 'SIGUSR1');
        },
        resize(rows: number, columns: number): void {
          const runtime = tty ? parentOf(pid()) : undefined;
          const master = runtime === undefined ? undefined : masterOf(runtime);
          if (runtime !== undefined && master !== undefined) setWindowSize(runtime, master, rows, columns);
        },
        resume(): void {
          for (const socket of sockets) socket.resume();
        },
      },
    };
  };

  const start = async (request: Request): Promise<Running> => {
    const { id, tty, stdin } = request;
    const directory = directoryOf(id);
    forget(id);
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const name of ['hold', 'out', ...(tty || stdin ? ['in'] : []), ...(tty ? [] : ['err'])]) makeFifo(path.join(directory, name), 0o600);

    const isContainer = request.run.kind === 'container';
    const source = request.run.kind === 'container' ? directory : path.join(directory, 'process.json');
    if (request.run.kind === 'container')
      fs.writeFileSync(path.join(directory, 'config.json'), JSON.stringify(seccomp.apply(request.run.spec, request.run.runtime)), { mode: 0o600 });
    else fs.writeFileSync(source, JSON.stringify(request.run.process), { mode: 0o600 });

    const runtime = runtimePath(request.run.runtime);
    const runtimeId = request.run.kind === 'container' ? id : request.run.containerId;
    const log = path.join(directory, 'log');
    const [verb, option] = isContainer ? ['run', '--bundle'] : ['exec', '--process'];
    const argv = tty
      ? ['/bin/sh', '-c', SUPERVISE_TERMINAL, 'berth-supervisor', endOf(id, 'exit'), endOf(id, 'shell'), path.join(directory, 'hold')]
      : ['/bin/sh', '-c', stdin ? SUPERVISE_INPUT : SUPERVISE, 'berth-supervisor', endOf(id, 'exit'), endOf(id, 'shell'), path.join(directory, 'hold'),
         runtime, '--root', runtimeRoot, '--log', log, verb, option, source, '--pid-file', endOf(id, 'pid'), runtimeId];
    const environment: Record<string, string> = {
      PATH: process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      ...(tty
        ? { SHELL: '/bin/sh', BERTH_RUNTIME: runtime, BERTH_ROOT: runtimeRoot, BERTH_LOG: log, BERTH_VERB: verb, BERTH_OPTION: option,
            BERTH_SOURCE: source, BERTH_PID_FILE: endOf(id, 'pid'), BERTH_ID: runtimeId }
        : {}),
    };

    const opened: number[] = [];
    const open = (name: string, flags: number): number => {
      const fd = fs.openSync(name, flags);
      opened.push(fd);
      return fd;
    };
    const { O_RDONLY, O_WRONLY, O_RDWR } = fs.constants;
    const stdio: number[] = [];
    let attached: ReturnType<typeof attachTo> | undefined;
    let child: ChildProcess | undefined;
    try {
      const fifo = (name: string): string => path.join(directory, name);
      if (tty) {
        const out = open(fifo('out'), O_RDWR);
        stdio.push(open(fifo('in'), O_RDWR), out, out);
      } else {
        // Opening the reading end would wait for a writer: first both ends, then each half.
        if (stdin) open(fifo('in'), O_RDWR);
        stdio.push(stdin ? open(fifo('in'), O_RDONLY) : open('/dev/null', O_RDONLY), open(fifo('out'), O_RDWR), open(fifo('err'), O_RDWR));
        if (stdin) stdio.push(open(fifo('in'), O_WRONLY));
      }
      let pid = 0;
      attached = attachTo(id, tty, stdin || tty, request, () => pid);
      const { check, controls } = attached;
      const begun = new Promise<number>((resolve, reject) => {
        const look = (): void => {
          const found = readEnd(id, 'pid');
          if (found !== undefined) {
            watched.set(id, check);
            resolve(found);
          } else if (exitOf(id) !== undefined) {
            watched.delete(id);
            reject(startFailure(log, isContainer ? 'container' : 'exec', argsOf(request)));
          }
        };
        watched.set(id, look);
        child = launch(argv, { cwd: directory, stdio, env: environment });
        child.on('error', reject);
        child.on('exit', () => watched.get(id)?.());
      });
      pid = await begun;
      attached.flow();
      const pidStart = startTimeOf(pid) ?? 0;
      if (isContainer) seccomp.learn(request.run.kind === 'container' ? request.run.spec : {}, request.run.runtime, path.join(runtimeRoot, id));
      queueMicrotask(check);
      return { pid, pidStart, ...controls };
    } catch (error) {
      attached?.abandon();
      watched.delete(id);
      forget(id);
      throw error instanceof EngineError ? error : new EngineError('system', error instanceof Error ? error.message : String(error), { cause: error });
    } finally {
      for (const fd of opened) fs.closeSync(fd);
    }
  };

  const held = new Map<string, number>();
  /** Lets a supervisor go that has written down the end. Our own end of its FIFO stays open until it has surely read. */
  const release = (id: string): void => {
    try {
      const fd = held.get(id) ?? fs.openSync(path.join(directoryOf(id), 'hold'), fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
      held.set(id, fd);
      fs.writeSync(fd, '\n');
    } catch {
      // Its directory is gone, and so is the supervisor.
    }
  };

  const forget = (id: string): void => {
    watched.delete(id);
    if (exitOf(id) !== undefined) release(id);
    const fd = held.get(id);
    if (fd !== undefined) fs.closeSync(fd);
    held.delete(id);
    fs.rmSync(directoryOf(id), { recursive: true, force: true });
    for (const what of ['pid', 'exit', 'shell'] as const) fs.rmSync(endOf(id, what), { force: true });
  };

  return {
    start,
    forget,
    async adopt(
      id: string,
      was: { readonly pid: number; readonly pidStart: number; readonly tty: boolean; readonly stdin: boolean },
      listener: Listener,
    ): Promise<Running | { readonly exit: Exit } | undefined> {
      if (!fs.existsSync(path.join(directoryOf(id), 'out'))) return exitFound(exitOf(id));
      const alive = startTimeOf(was.pid) === was.pidStart;
      const shell = readEnd(id, 'shell');
      // Neither the process, nor the one who would write down how it ended.
      if (!alive && exitOf(id) === undefined && (shell === undefined || !isOurShell(shell, id))) return undefined;
      const attached = attachTo(id, was.tty, was.stdin || was.tty, listener, () => was.pid);
      watched.set(id, attached.check);
      attached.flow();
      queueMicrotask(attached.check);
      return { pid: was.pid, pidStart: was.pidStart, ...attached.controls };
    },
    signal(pid: number, pidStart: number, signal: number): void {
      if (pid <= 0 || startTimeOf(pid) !== pidStart) return;
      try {
        process.kill(pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    },
    async pause(containerId: string, runtime: string): Promise<void> {
      await run([runtimePath(runtime), '--root', runtimeRoot, 'pause', containerId]);
    },
    async unpause(containerId: string, runtime: string): Promise<void> {
      await run([runtimePath(runtime), '--root', runtimeRoot, 'resume', containerId]);
    },
    async pids(containerId: string): Promise<readonly number[]> {
      const first = readEnd(containerId, 'pid');
      return first === undefined ? [] : cgroupPids(first);
    },
    async list(pids: readonly number[], args: readonly string[]): Promise<{ titles: string[]; rows: string[][] }> {
      const { stdout } = await run(['ps', ...args]);
      return parseProcessList(stdout, new Set(pids));
    },
    /** What an earlier daemon's crash may have left of processes that nobody knows. */
    async sweep(known: ReadonlySet<string>): Promise<void> {
      for (const id of fs.readdirSync(path.join(execRoot, 'processes'))) if (!known.has(id)) forget(id);
      for (const name of fs.readdirSync(path.join(execRoot, 'ends'))) {
        const id = name.slice(0, name.lastIndexOf('.'));
        if (!known.has(id)) fs.rmSync(path.join(execRoot, 'ends', name), { force: true });
      }
    },
    /** Ends what the runtime still has of a container, its processes and cgroup too. */
    async discard(containerId: string, runtime: string): Promise<void> {
      if (!fs.existsSync(path.join(runtimeRoot, containerId))) return;
      await run([runtimePath(runtime), '--root', runtimeRoot, 'delete', '--force', containerId]);
    },
    close(): void {
      watcher.close();
    },
  };
};

const exitFound = (exit: Exit | undefined): { readonly exit: Exit } | undefined => (exit ? { exit } : undefined);

const argsOf = ({ run: what }: Request): readonly string[] => {
  const about = what.kind === 'container' ? (what.spec['process'] as JsonObject | undefined) : what.process;
  return (about?.['args'] as readonly string[] | undefined) ?? [];
};

/** Ticks since boot at which a process began; undefined when there is none of that number, or only its remains. */
export const startTimeOf = (pid: number): number | undefined => {
  if (pid <= 0) return undefined;
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
};

/** A number may have been given to another process since: the supervisor names the id it works for. */
const isOurShell = (pid: number, id: string): boolean => {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(id);
  } catch {
    return false;
  }
};

/** The runtime, which is the parent of a container's process. */
const parentOf = (pid: number): number | undefined => {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    return parent > 1 ? parent : undefined;
  } catch {
    return undefined;
  }
};

/** The descriptor by which the runtime holds the container's terminal. */
const masterOf = (runtime: number): number | undefined => {
  try {
    const found = fs.readdirSync(`/proc/${runtime}/fd`).find((fd) => fs.readlinkSync(`/proc/${runtime}/fd/${fd}`).endsWith('/ptmx'));
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
};

/** crun's last words, of a program that could not be executed after all, as runc has them. */
const inDockersWords = (chunk: Buffer): Buffer => {
  if (!chunk.subarray(0, 24).equals(EXEC_FAILED)) return chunk;
  return Buffer.from(chunk.toString().replace(/^exec container process (?:\(missing dynamic library\?\) )?`(.*)`: (.*)\n?$/, (_all, file: string, reason: string) => `exec ${file}: ${reason.toLowerCase()}\n`));
};
const EXEC_FAILED = Buffer.from('exec container process `');

const cgroupPids = (pid: number): number[] => {
  const lines = fs.readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
  const line = lines.find((text) => /^\d+:(pids|memory):/.test(text)) ?? lines.find((text) => text.startsWith('0::'));
  const [, controllers = '', at = '/'] = line?.split(':') ?? [];
  const root = path.join('/sys/fs/cgroup', controllers, at);
  return fs
    .readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => path.basename(name) === 'cgroup.procs')
    .flatMap((name) => fs.readFileSync(path.join(root, name), 'utf8').split('\n').filter(Boolean).map(Number));
};

/** The rows of `ps` whose PID is one of these. The last column takes the rest of its line. */
const parseProcessList = (text: string, pids: ReadonlySet<number>): { titles: string[]; rows: string[][] } => {
  const [head = '', ...lines] = text.split('\n');
  const titles = head.trim().split(/\s+/);
  const column = titles.indexOf('PID');
  if (column < 0) throw new EngineError('system', "Couldn't find PID field in ps output");
  const rows = lines
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const words = line.trim().split(/\s+/);
      return [...words.slice(0, titles.length - 1), words.slice(titles.length - 1).join(' ')];
    })
    .filter((row) => pids.has(Number(row[column])));
  return { titles, rows };
};

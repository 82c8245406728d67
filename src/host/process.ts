import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { JsonObject } from '../model/json.ts';
import type { Exit, ProcessListener, ProcessRequest, RunningProcess } from '../model/process.ts';
import { EngineError, messageOf, systemError } from '../model/errors.ts';
import { launch, run } from './command.ts';
import { listenForConsole } from './console.ts';
import { copyDescriptor, makeFifo } from './syscalls.ts';
import { allPids, cgroupPids, isOurShell, parseProcessList, startTimeOf } from './proc.ts';
import { startFailure } from './runtime-error.ts';
import { plainly, type Step } from './step.ts';
import { KEEP_TERMINAL, launchOf } from './supervisor.ts';
import type { SeccompCache } from './seccomp-cache.ts';
import { openPipes, PIPE_BYTES, terminalWires, type Wires } from './wires.ts';

/** How long output may still come after the exit code, when something the container left behind holds the pipes. */
const LINGER_MS = 2000;

/** How long the runtime may take to begin a container or an exec. It takes milliseconds; on a machine in trouble, seconds. */
const BEGIN_PATIENCE_MS = 120_000;

/** The same when nobody waits for it. */
const START_PATIENCE_MS = 10_000;

const ENDS = ['pid', 'exit', 'shell', 'keeper'] as const;
type End = (typeof ENDS)[number];
export const createProcesses = ({
  execRoot,
  now,
  runtimePath,
  seccomp,
  patience = BEGIN_PATIENCE_MS,
  step = plainly,
}: {
  execRoot: string;
  /** RFC 3339 of a moment in milliseconds, or of now. */
  now: (milliseconds?: number) => string;
  runtimePath: (name: string) => string;
  seccomp: SeccompCache;
  patience?: number;
  step?: Step;
}) => {
  const directoryOf = (id: string): string => path.join(execRoot, 'processes', id);
  const endOf = (id: string, what: End): string => path.join(execRoot, 'ends', `${id}.${what}`);
  // Short: a socket's path has room for 107 characters.
  const consoleOf = (id: string): string => path.join(execRoot, 'tty', id.slice(0, 12));
  const runtimeRoot = path.join(execRoot, 'runtime');
  for (const name of ['processes', 'ends', 'runtime', 'tty']) fs.mkdirSync(path.join(execRoot, name), { recursive: true, mode: 0o700 });

  const watched = new Map<string, () => void>();
  // Watching by inotify costs nothing while nothing happens, and serves adopted processes, whose parent we are not.
  const watcher = fs.watch(path.join(execRoot, 'ends'), (_event, name) => {
    if (name) watched.get(name.slice(0, name.lastIndexOf('.')))?.();
  });
  watcher.unref();

  /** The number in one of the files of `ends`; undefined while it is absent or still empty. */
  const readEnd = (id: string, what: End): number | undefined => {
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

  /** Follows a process to its end: output as it comes, then how it ended, once. */
  const follow = (id: string, wires: Wires, listener: ProcessListener) => {
    let open = wires.outputs.length;
    let done = false;
    let released = false;
    const finish = (): void => {
      const exit = exitOf(id);
      if (done || !exit) return;
      done = true;
      watched.delete(id);
      wires.close();
      listener.exited(exit);
    };
    const check = (): void => {
      if (exitOf(id) === undefined) return;
      if (!released) {
        release(id);
        setTimeout(giveUp, LINGER_MS).unref();
      }
      released = true;
      if (open === 0) finish();
    };
    // Clients that are slow to read get what the pipes hold, at once and whole; what is left behind may not fill our memory with more.
    let [paused, left] = [false, Infinity];
    const giveUp = (): void => {
      if (!paused || left !== Infinity) return finish();
      left = 2 * PIPE_BYTES;
      resumeAll();
      setTimeout(finish, LINGER_MS).unref();
    };
    const pauseAll = (): void => {
      paused = true;
      wires.outputs.forEach(({ socket }) => socket.pause());
    };
    const resumeAll = (): void => {
      paused = false;
      wires.outputs.forEach(({ socket }) => socket.resume());
    };
    for (const { stream, socket } of wires.outputs) {
      let first = true;
      socket.on('close', () => {
        open -= 1;
        check();
      });
      socket.on('data', (chunk: Buffer) => {
        const bytes = first && stream === 'stderr' ? inDockersWords(chunk) : chunk;
        first = false;
        left -= bytes.length;
        if (!listener.output(stream, bytes) && left === Infinity) pauseAll();
        if (left < 0) finish();
      });
    }
    watched.set(id, check);
    queueMicrotask(check);
    return {
      write: wires.write,
      endInput: wires.endInput,
      resize: wires.resize,
      resume: resumeAll,
    };
  };

  const pipesOf = (id: string, tty: boolean, stdin: boolean, pid: () => number): Wires =>
    openPipes({
      directory: directoryOf(id),
      terminal: tty,
      stdin: stdin || tty,
      pid,
      letGo() {
        const shell = readEnd(id, 'shell');
        if (shell !== undefined && isOurShell(shell, id)) process.kill(shell, 'SIGUSR1');
      },
    });

  /** Keeps a terminal's master open should the daemon die: without one, the programs on it would be hung up. */
  const keepTerminal = (id: string, master: number): void => {
    const directory = directoryOf(id);
    const nothing = fs.openSync('/dev/null', 'r+');
    const argv = ['/bin/sh', '-c', KEEP_TERMINAL, 'berth-terminal', endOf(id, 'keeper'), path.join(directory, 'hold')];
    try {
      launch(argv, { cwd: directory, stdio: [nothing, nothing, nothing, master], env: {} });
    } catch {
      // It is kept for another daemon's sake; this one has it.
    } finally {
      fs.closeSync(nothing);
    }
  };

  const start = async (request: ProcessRequest): Promise<RunningProcess> => {
    const { id, tty, stdin } = request;
    const directory = directoryOf(id);
    forget(id);
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const byConsole = tty && request.run.runtime === 'crun';
    for (const name of ['hold', ...(byConsole ? [] : ['out', ...(tty || stdin ? ['in'] : []), ...(tty ? [] : ['err'])])])
      makeFifo(path.join(directory, name), 0o600);
    const { kind } = request.run;
    const source = request.run.kind === 'container' ? directory : path.join(directory, 'process.json');
    if (request.run.kind === 'container')
      fs.writeFileSync(path.join(directory, 'config.json'), JSON.stringify(seccomp.apply(request.run.spec, request.run.runtime)), { mode: 0o600 });
    else fs.writeFileSync(source, JSON.stringify(request.run.process), { mode: 0o600 });

    let pid = 0;
    const console = byConsole ? await listenForConsole(consoleOf(id), consoleSizeOf(request)) : undefined;
    let wires = console ? undefined : pipesOf(id, tty, stdin, () => pid);
    try {
      pid = await step('beginning', () => begin(request, source, console ? consoleOf(id) : undefined, () => wires?.holdInput()));
      if (console) {
        const master = await console.take();
        wires = terminalWires(master);
        if (kind === 'container') keepTerminal(id, master);
      }
      const pidStart = startTimeOf(pid) ?? 0;
      if (request.run.kind === 'container') seccomp.learn(request.run.spec, request.run.runtime, path.join(runtimeRoot, id));
      // Only now, when output is the process's own: a runtime that fails says so there too.
      return { pid, pidStart, ...follow(id, wires ?? pipesOf(id, tty, stdin, () => pid), request) };
    } catch (error) {
      wires?.close();
      if (request.run.kind === 'container') await deleteLeft(id, request.run.runtime).catch(() => {});
      forget(id);
      throw error instanceof EngineError ? error : systemError(`cannot start ${kind} ${id}: ${messageOf(error)}`, error);
    } finally {
      console?.close();
    }
  };

  /** Launches it; resolves to its pid once it has begun, fails with the runtime's reason when it does not. */
  const begin = async (request: ProcessRequest, source: string, consoleSocket: string | undefined, holdInput: () => void): Promise<number> => {
    const { id, tty, stdin } = request;
    const directory = directoryOf(id);
    const { kind } = request.run;
    const launched = launchOf({
      kind,
      tty,
      stdin,
      consoleSocket,
      runtime: runtimePath(request.run.runtime),
      runtimeRoot,
      container: request.run.kind === 'container' ? id : request.run.containerId,
      source,
      directory,
      ends: { pid: endOf(id, 'pid'), exit: endOf(id, 'exit'), shell: endOf(id, 'shell') },
    });
    let timer: NodeJS.Timeout | undefined;
    try {
      // A FIFO without a writer is at its end; where no supervisor holds it open, we do from the beginning.
      if (kind === 'exec') holdInput();
      return await new Promise<number>((resolve, reject) => {
        const look = (): void => {
          const found = readEnd(id, 'pid');
          if (found !== undefined) resolve(found);
          else if (exitOf(id) !== undefined) reject(startFailure(path.join(directory, 'log'), kind, argsOf(request)));
        };
        watched.set(id, look);
        const hangs = systemError(`${request.run.runtime} did not begin ${kind} ${id} within ${patience / 1000} seconds`);
        timer = setTimeout(() => {
          if (child.pid !== undefined) endAll(-child.pid);
          reject(hangs);
        }, patience);
        const child = step('launch', () => launch(launched.argv, { cwd: directory, stdio: launched.stdio, env: launched.environment }));
        void child.ended.then((code) => {
          // Without a supervisor it is we who write down how it ended.
          if (launched.alone && fs.existsSync(directory)) fs.writeFileSync(endOf(id, 'exit'), `${code}\n`);
          watched.get(id)?.();
        });
      });
    } finally {
      clearTimeout(timer);
      launched.close();
    }
  };

  const held = new Map<string, number>();
  /** Lets a supervisor go that has written down the end. Our own end of its FIFO stays open until it has surely read. */
  const release = (id: string): void => {
    try {
      const fd = held.get(id) ?? fs.openSync(path.join(directoryOf(id), 'hold'), fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
      held.set(id, fd);
      // A line for the supervisor, and one for the terminal's keeper.
      fs.writeSync(fd, '\n\n');
    } catch {
      // Its directory is gone, and so is the supervisor.
    }
  };

  /** A start without a daemon has come to its end: there is a pid, or an exit code, or nobody who could write down either. */
  const decided = async (id: string): Promise<void> => {
    for (const end = Date.now() + START_PATIENCE_MS; Date.now() < end; await pause(10))
      if (readEnd(id, 'pid') !== undefined || exitOf(id) !== undefined || supervisorOf(id) === undefined) return;
  };

  /** It writes down its pid first of all, but may not have come to that yet. */
  const supervisorOf = (id: string): number | undefined => {
    const shell = readEnd(id, 'shell');
    return shell !== undefined ? (isOurShell(shell, id) ? shell : undefined) : allPids().find((pid) => isOurShell(pid, endOf(id, 'shell')));
  };

  /** What the runtime says no to, in its words. */
  const ask = async (runtime: string, verb: 'pause' | 'resume', containerId: string): Promise<void> => {
    await run([runtimePath(runtime), '--root', runtimeRoot, verb, containerId]).catch((error: { stderr?: string }) => {
      throw systemError(`OCI runtime ${verb} failed: ${error.stderr?.trim() || messageOf(error)}`, error);
    });
  };

  /** What the runtime knows of it: its processes, its cgroup. */
  const deleteLeft = async (containerId: string, runtime: string): Promise<void> => {
    if (fs.existsSync(path.join(runtimeRoot, containerId))) await run([runtimePath(runtime), '--root', runtimeRoot, 'delete', '--force', containerId]);
  };

  const forget = (id: string): void => {
    watched.delete(id);
    if (exitOf(id) !== undefined) release(id);
    step('no process', () => fs.rmSync(directoryOf(id), { recursive: true, force: true }));
    for (const what of ENDS) fs.rmSync(endOf(id, what), { force: true });
    fs.rmSync(consoleOf(id), { force: true });
    // Only now: a supervisor that opens its FIFO when nobody writes to it, and nobody can any more, would wait for ever.
    const fd = held.get(id);
    if (fd !== undefined) fs.closeSync(fd);
    held.delete(id);
  };

  return {
    start,
    forget,
    async adopt(
      id: string,
      was: { readonly pid: number; readonly pidStart: number; readonly tty: boolean; readonly stdin: boolean },
      listener: ProcessListener,
    ): Promise<RunningProcess | { readonly exit: Exit } | undefined> {
      if (!fs.existsSync(path.join(directoryOf(id), 'hold'))) return was.pid === 0 ? undefined : exitFound(exitOf(id));
      // The daemon ended in the middle of its start. That goes on without one: it begins or it fails, and then we know.
      if (was.pid === 0) {
        await decided(id);
        if (readEnd(id, 'pid') === undefined) return undefined;
      }
      const pid = was.pid || (readEnd(id, 'pid') ?? 0);
      const pidStart = was.pidStart || (startTimeOf(pid) ?? 0);
      const alive = pid !== 0 && startTimeOf(pid) === pidStart;
      const shell = readEnd(id, 'shell');
      // Neither the process, nor the one who would write down how it ended.
      if (!alive && exitOf(id) === undefined && (shell === undefined || !isOurShell(shell, id))) return undefined;
      const keeper = readEnd(id, 'keeper');
      // Its terminal went with the daemon, before anybody else could keep it.
      if (keeper === undefined && !fs.existsSync(path.join(directoryOf(id), 'out'))) return undefined;
      const wires = keeper === undefined ? pipesOf(id, was.tty, was.stdin, () => pid) : isOurShell(keeper, id) ? terminalWires(copyDescriptor(keeper, 3)) : undefined;
      if (!wires) return exitFound(exitOf(id));
      return { pid, pidStart, ...follow(id, wires, listener) };
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
      await ask(runtime, 'pause', containerId);
    },
    async unpause(containerId: string, runtime: string): Promise<void> {
      await ask(runtime, 'resume', containerId);
    },
    async update(containerId: string, runtime: string, resources: JsonObject): Promise<void> {
      // In a file: the runtime opens what it is given by name, and a pipe of Node's has none.
      const file = path.join(directoryOf(containerId), 'resources.json');
      fs.writeFileSync(file, JSON.stringify(resources), { mode: 0o600 });
      try {
        await run([runtimePath(runtime), '--root', runtimeRoot, 'update', '--resources', file, containerId]);
      } catch (error) {
        const { exitCode, stderr = '' } = error as { exitCode?: number; stderr?: string };
        if (exitCode === undefined) throw error;
        throw systemError(`${runtime} did not terminate successfully: exit status ${exitCode}: ${stderr.trim()}\n: unknown`, error);
      } finally {
        fs.rmSync(file, { force: true });
      }
    },
    async pids(containerId: string): Promise<readonly number[]> {
      const first = readEnd(containerId, 'pid');
      try {
        return first === undefined ? [] : cgroupPids(first);
      } catch (error) {
        // It has just ended.
        if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
        throw error;
      }
    },
    async list(pids: readonly number[], args: readonly string[]): Promise<{ titles: string[]; rows: string[][] }> {
      const { stdout } = await run(['ps', ...args]).catch((error: { stderr?: string }) => {
        // ps has a page to say about it; its first line tells.
        throw systemError(`ps: ${error.stderr?.split('\n').find((line) => line !== '') ?? messageOf(error)}`, error);
      });
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
    /** Processes that neither a record names nor anybody here follows. */
    strays(known: ReadonlySet<string>): readonly string[] {
      const ids = [...fs.readdirSync(path.join(execRoot, 'processes')), ...fs.readdirSync(path.join(execRoot, 'ends')).map((name) => name.slice(0, name.lastIndexOf('.')))];
      return [...new Set(ids)].filter((id) => !known.has(id) && !watched.has(id));
    },
    /** Ends what the runtime still has of a container, its processes and cgroup too. */
    async discard(containerId: string, runtime: string): Promise<void> {
      // It and the runtime below it, should they still be about to begin.
      const shell = supervisorOf(containerId);
      if (shell !== undefined) endAll(-shell);
      await deleteLeft(containerId, runtime);
    },
    close(): void {
      watcher.close();
    },
  };
};

const endAll = (group: number): void => {
  try {
    process.kill(group, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
};

const exitFound = (exit: Exit | undefined): { readonly exit: Exit } | undefined => (exit ? { exit } : undefined);

const processOf = ({ run: what }: ProcessRequest): JsonObject | undefined => (what.kind === 'container' ? (what.spec['process'] as JsonObject | undefined) : what.process);

const consoleSizeOf = (request: ProcessRequest): readonly [rows: number, columns: number] | undefined => {
  const size = processOf(request)?.['consoleSize'] as { readonly height: number; readonly width: number } | undefined;
  return size && [size.height, size.width];
};

const argsOf = (request: ProcessRequest): readonly string[] => (processOf(request)?.['args'] as readonly string[] | undefined) ?? [];

/** crun's last words, of a program that could not be executed after all, as runc has them. */
const inDockersWords = (chunk: Buffer): Buffer => {
  if (!chunk.subarray(0, 24).equals(EXEC_FAILED)) return chunk;
  return Buffer.from(chunk.toString().replace(/^exec container process (?:\(missing dynamic library\?\) )?`(.*)`: (.*)\n?$/, (_all, file: string, reason: string) => `exec ${file}: ${reason.toLowerCase()}\n`));
};
const EXEC_FAILED = Buffer.from('exec container process `');


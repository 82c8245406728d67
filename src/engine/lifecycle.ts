import type { Container, ContainerState } from '../model/container.ts';
import { conflict, messageOf, notFound, notModified, systemError, unavailable } from '../model/errors.ts';
import type { RecordChange, State } from '../model/state.ts';
import type { SandboxContext } from '../plan/endpoint.ts';
import { begunHealth, ceasedHealth, probeOf } from '../plan/health.ts';
import { logFault } from '../plan/log-options.ts';
import { cgroupsPath } from '../plan/oci-spec.ts';
import { volumesTakenAlong } from '../plan/volumes.ts';
import { createAttachments, type Attachments } from './attachments.ts';
import { containerEvents } from './container-events.ts';
import type { Events } from './events.ts';
import type { HealthProbes } from './health.ts';
import type { Exit, Host, LogWriter, MemoryWatch, RunningProcess } from './host.ts';
import type { Ledger } from './ledger.ts';
import { createLocks } from './locks.ts';
import { raiseSandbox } from './raise-sandbox.ts';
import { createRestarts } from './restarts.ts';

/** A container's way through its states: begin, end, begin again, be removed. */
export type Lifecycle = {
  start(id: string): Promise<void>;
  /** Sends `signal`, then after `timeout` seconds KILL; resolves when the container has ended. */
  stop(id: string, signal: number, timeout: number): Promise<void>;
  /** The same because the daemon ends: no client meant it, and the next daemon begins again what its policy says. */
  quit(id: string, signal: number, timeout: number): Promise<void>;
  /** One signal, without waiting. */
  signal(container: Container, signal: number): void;
  /** Ends the waiting of a container that is about to begin again; it stays as it ended. */
  stayEnded(id: string): Promise<void>;
  /** Remembers that a client wanted it to end, so that no restart policy undoes that. */
  stoppedByClient(id: string): Promise<void>;
  /** Resolves when the process has ended and that is on record. */
  ended(id: string): Promise<void>;
  pause(id: string): Promise<void>;
  unpause(id: string): Promise<void>;
  /** `ref` is what the client called it, for the refusal. */
  remove(id: string, options: { force: boolean; volumes: boolean; ref?: string }): Promise<void>;
  /** Takes up what an earlier daemon left running. */
  adopt(container: Container): Promise<void>;
  /** Resolves when those that an earlier daemon was removing are gone: no client should meet them. */
  departed(): Promise<void>;
  /** Until this work is done, no container's end is put on record and none begins again by itself: the host is being compared with the state. */
  quietly(work: () => Promise<void>): Promise<void>;
  /** Runs when nobody else changes the container, and keeps others from it until it is done. */
  inTurn<T>(id: string, work: () => Promise<T>): Promise<T>;
  attachments(id: string): Attachments;
  process(id: string): RunningProcess | undefined;
  /** Calls back at the end of the container's process, and when it is removed. */
  watch(id: string, listener: (what: 'ended' | 'removed', exit: Exit | undefined) => void): () => void;
};

export type LifecycleParts = {
  readonly ledger: Ledger;
  readonly host: Host;
  readonly events: Events;
  readonly sandboxContext: () => SandboxContext;
  /** Writes the container's files and gives the runtime spec of its first process. */
  readonly prepare: (container: Container, state: State) => Promise<import('../model/json.ts').JsonObject>;
  /** What this container has links to is at other addresses now: its /etc/hosts says so. */
  readonly relink: (container: Container) => void;
  readonly execsEnded: (containerId: string) => void;
  readonly health: HealthProbes;
  /** A container is gone: layers may be left that only it had. */
  readonly removed: (container: Container) => void;
};

type Live = { readonly process: RunningProcess; readonly log: LogWriter };

const NO_LOG: LogWriter = { write: () => {}, close: () => {} };

const SIGKILL = 9;
/** A process that KILL does not end within this many milliseconds hangs in the kernel. */
const KILL_PATIENCE = 10_000;

export const createLifecycle = (parts: LifecycleParts): Lifecycle => {
  const { ledger, host, events } = parts;
  const inTurn = createLocks();
  const ending = new Map<string, Promise<void>>();
  const locked = <T>(id: string, work: () => Promise<T>): Promise<T> =>
    inTurn(id, async () => {
      await ending.get(id);
      return work();
    });
  const live = new Map<string, Live>();
  /** See `quietly`. */
  let calm: Promise<void> = Promise.resolve();
  const attached = new Map<string, Attachments>();
  const memory = new Map<string, MemoryWatch>();
  /** Containers whose latest run had something killed for want of memory. */
  const outOfMemory = new Set<string>();
  const watchers = new Map<string, Set<(what: 'ended' | 'removed', exit: Exit | undefined) => void>>();
  /** The daemon ends, and nothing begins again under this one. */
  let quitting = false;
  /** Containers whose end a client's stop is waiting for. */
  const stopping = new Set<string>();
  /** Containers that go as soon as their process has ended: removal joins the change that records the end. */
  const leaving = new Map<string, { volumes: boolean; gone: () => void }>();

  const recordOf = (id: string): Container => {
    const container = ledger.state.containers.get(id);
    if (!container) throw notFound(`No such container: ${id}`);
    return container;
  };

  const attachments = (id: string): Attachments => {
    const known = attached.get(id);
    if (known) return known;
    const made = createAttachments();
    attached.set(id, made);
    return made;
  };

  const tell = (id: string, what: 'ended' | 'removed', exit: Exit | undefined): void => {
    for (const listener of [...(watchers.get(id) ?? [])]) listener(what, exit);
    if (what === 'removed') watchers.delete(id);
  };

  const put = (container: Container): RecordChange => ({ collection: 'containers', key: container.id, record: container });
  const withState = (container: Container, state: Partial<ContainerState>): Container => ({ ...container, state: { ...container.state, ...state } });
  const update = (id: string, state: Partial<ContainerState>) =>
    ledger.change((now) => {
      const container = now.containers.get(id);
      return { changes: container ? [put(withState(container, state))] : [], result: undefined };
    });

  const { emit, networks: emitNetworks, volumes: emitVolumes } = containerEvents(events);

  const openLog = ({ id, spec }: Container): LogWriter => (spec.log.driver === 'none' ? NO_LOG : host.logs.open(id, spec.log.options));

  const start = async (id: string, again = false): Promise<void> => {
    const before = recordOf(id);
    if (before.state.status === 'paused') throw conflict('cannot start a paused container, try unpause instead');
    if (before.state.status === 'running' || (before.state.status === 'restarting' && !again)) throw notModified();
    if (before.state.status === 'removing' || before.state.leaving) throw conflict('container is marked for removal and cannot be started');
    if (!again) restarts.cancel(id);
    const fault = logFault(before.spec.log);
    const log = fault === undefined ? openLog(before) : NO_LOG;
    const clients = attachments(id);
    let joined: Container | undefined;
    try {
      if (fault !== undefined) throw systemError(`failed to create task for container: failed to initialize logging driver: ${fault}`);
      const planned = await raiseSandbox(parts, id);
      const spec = await parts.prepare(planned, ledger.state);
      watchMemory(planned);
      joined = planned;
      emitVolumes(joined, 'mount');
      emitNetworks(joined, joined.sandbox, 'connect');
      let process: RunningProcess | undefined;
      // Should it end before its beginning is on record, the end waits for that.
      let ended: Exit | undefined;
      let recorded = false;
      process = await host.processes.start({
        id,
        run: { kind: 'container', spec, runtime: planned.spec.runtime },
        tty: planned.spec.tty,
        stdin: planned.spec.openStdin,
        output: (stream, chunk) => {
          log.write(stream, chunk);
          return clients.output(stream, chunk);
        },
        exited: (exit) => {
          ended = exit;
          if (recorded) void finish(id, exit);
        },
      });
      const started = begun(before, process, { again });
      live.set(id, { process, log });
      clients.begin(process);
      watchMemory(planned, process.pid);
      await update(id, started);
      emit(planned, 'start');
      parts.health.begin(id);
      recorded = true;
      if (ended) void finish(id, ended);
    } catch (error) {
      log.close();
      live.delete(id);
      memory.get(id)?.close();
      memory.delete(id);
      clients.end();
      attached.delete(id);
      await lower(id, error, joined);
      throw error;
    }
  };

  const begun = (before: Container, { pid, pidStart }: RunningProcess, { again }: { again: boolean }): Partial<ContainerState> => ({
    status: 'running',
    pid,
    pidStart,
    startedAt: host.now(),
    finishedAt: before.state.finishedAt,
    exitCode: 0,
    error: '',
    oomKilled: false,
    ...(probeOf(before) ? { health: begunHealth(before.state.health) } : {}),
    ...(again ? {} : { restartCount: 0, stoppedByClient: false }),
  });

  /** Only where there is a limit: nothing else needs to be watched, and starts without one cost nothing. */
  const watchMemory = (container: Container, pid?: number): void => {
    const { id, spec } = container;
    if ((spec.resources.memory <= 0 && spec.cgroupParent === '') || memory.has(id)) return;
    const killed = (): void => {
      emit(ledger.state.containers.get(id) ?? container, 'oom');
      if (live.has(id)) void update(id, { oomKilled: true }).catch(() => {});
      outOfMemory.add(id);
    };
    if (pid === undefined) outOfMemory.delete(id);
    const watch = pid === undefined ? host.memory.prepare(cgroupsPath(container), killed) : host.memory.adopt(id, pid, killed);
    if (watch) memory.set(id, watch);
  };

  /** A start that failed: the sandbox goes, the reason stays. `joined`: it was on its networks already. */
  const lower = async (id: string, error: unknown, joined: Container | undefined): Promise<void> => {
    const { exitCode = 128 } = error as { exitCode?: number };
    await ledger.settle((state) => {
      const container = state.containers.get(id);
      if (!container) return { changes: [], result: undefined };
      const { startedAt } = container.state;
      const next = withState(container, { status: startedAt === undefined ? 'created' : 'exited', pid: 0, pidStart: 0, exitCode, error: messageOf(error) });
      return { changes: [put({ ...next, sandbox: undefined })], result: undefined };
    });
    if (joined) emitNetworks(joined, joined.sandbox, 'disconnect');
    if (joined) emitVolumes(joined, 'unmount');
    const container = ledger.state.containers.get(id);
    if (!container?.spec.autoRemove) return;
    emitTaken(await discard(id, { volumes: true }));
    emit(container, 'destroy');
    tell(id, 'removed', { code: exitCode, at: host.now() });
  };

  /** The process has ended. Whoever wants the container next waits until that is on record. */
  const finish = (id: string, exit: Exit): Promise<void> => {
    const work = calm.then(() => settleEnd(id, exit)).finally(() => {
      if (ending.get(id) === work) ending.delete(id);
    });
    ending.set(id, work);
    return work;
  };

  /** Its sandbox goes, and the container too if it was to. */
  const settleEnd = async (id: string, exit: Exit, lost = false): Promise<void> => {
    const container = ledger.state.containers.get(id);
    live.get(id)?.log.close();
    live.delete(id);
    const clients = attached.get(id);
    attached.delete(id);
    if (!container) return;
    parts.execsEnded(id);
    parts.health.cease(id);
    const watch = memory.get(id);
    memory.delete(id);
    if (watch) await watch.settle(exit.code);
    const { startedAt = exit.at } = container.state;
    // The kernel dates files by a clock that lags some milliseconds behind ours.
    const finishedAt = Date.parse(exit.at) <= Date.parse(startedAt) ? startedAt : exit.at;
    const duration = Math.max(0, Math.floor((Date.parse(exit.at) - Date.parse(startedAt)) / 1000));
    const delay = quitting || lost || leaving.has(id) || container.state.leaving ? undefined : restarts.delay(container, exit, Date.parse(exit.at) - Date.parse(startedAt));
    const alone = container.state.leaving ?? (container.spec.autoRemove && delay === undefined ? { volumes: true } : undefined);
    const departure = leaving.get(id) ?? (alone && { ...alone, gone: () => {} });
    const ended: Partial<ContainerState> = {
      status: delay === undefined ? 'exited' : 'restarting',
      pid: 0,
      pidStart: 0,
      exitCode: exit.code,
      finishedAt,
      ...(delay === undefined ? {} : { restartCount: container.state.restartCount + 1 }),
      ...(outOfMemory.delete(id) ? { oomKilled: true } : {}),
      ...ceased(ledger.state.containers.get(id)),
    };
    // Clients see the end of the output at once; what waits for the container waits for its records.
    clients?.end();
    const taken = departure ? await discard(id, departure) : [];
    if (!departure) {
      await ledger.settle((state) => {
        const now = state.containers.get(id);
        return { changes: now ? [put({ ...withState(now, ended), sandbox: undefined })] : [], result: undefined };
      });
    }
    host.processes.forget(id);
    emitNetworks(container, container.sandbox, 'disconnect');
    emitVolumes(container, 'unmount');
    emit(container, 'die', { execDuration: String(duration), exitCode: String(exit.code) });
    tell(id, 'ended', exit);
    if (departure) {
      leaving.delete(id);
      emitTaken(taken);
      emit(container, 'destroy');
      tell(id, 'removed', exit);
      departure.gone();
    } else if (delay !== undefined) restarts.schedule(id, delay);
  };

  /** The record goes, and all the host has of it; with it the volumes nobody else uses. */
  const discard = async (id: string, { volumes }: { volumes: boolean }): Promise<readonly string[]> => {
    const container = ledger.state.containers.get(id);
    if (!container) return [];
    const taken = await ledger.settle((state) => {
      const now = state.containers.get(id);
      const along = now && volumes ? volumesTakenAlong(now, state.containers.values()) : [];
      const changes: RecordChange[] = [
        { collection: 'containers', key: id, record: undefined },
        ...along.map((name): RecordChange => ({ collection: 'volumes', key: name, record: undefined })),
      ];
      return { changes: now ? changes : [], result: along };
    });
    parts.removed(container);
    return taken;
  };

  const emitTaken = (volumes: readonly string[]): void => {
    for (const name of volumes) events.emit({ type: 'volume', action: 'destroy', id: name, attributes: { driver: 'local' } });
  };

  const restarts = createRestarts((id, claim) => {
    void calm.then(() => locked(id, async () => {
      if (ledger.state.containers.get(id)?.state.status === 'restarting' && !quitting && claim()) await start(id, true).catch(() => {});
    }));
  });

  /** A client's stop or kill of a container that waits to begin again: it does not. */
  const settleRestart = async (container: Container): Promise<void> => {
    const { id, state } = container;
    restarts.cancel(id);
    await update(id, { status: 'exited', stoppedByClient: true });
    tell(id, 'ended', { code: state.exitCode, at: state.finishedAt ?? host.now() });
  };

  const ended = (id: string): Promise<void> =>
    new Promise((resolve) => {
      const stop = watch(id, () => {
        stop();
        resolve();
      });
      if (!live.has(id) && !ending.has(id)) {
        stop();
        resolve();
      }
    });

  const watch: Lifecycle['watch'] = (id, listener) => {
    const own = watchers.get(id) ?? new Set();
    watchers.set(id, own);
    own.add(listener);
    return () => {
      own.delete(listener);
      if (own.size === 0 && watchers.get(id) === own) watchers.delete(id);
    };
  };

  const send = (container: Container, signal: number): void => host.processes.signal(container.state.pid, container.state.pidStart, signal);

  const within = async (done: Promise<void>, milliseconds: number): Promise<boolean> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), milliseconds)));
    const result = await Promise.race([done.then(() => true), late]);
    clearTimeout(timer);
    return result;
  };

  /** So that its signals reach it. One that has ended meanwhile can not be unfrozen, and one that does not end is found out by waiting. */
  const unfreeze = async (container: Container): Promise<void> => {
    if (container.state.status === 'paused') await host.processes.unpause(container.id, container.spec.runtime).catch(() => {});
  };

  const kill = async (container: Container): Promise<void> => {
    const done = ended(container.id);
    send(container, SIGKILL);
    await unfreeze(container);
    if (!(await within(done, KILL_PATIENCE))) throw systemError(`tried to kill container, but did not receive an exit event: ${container.id}`);
  };

  /** In its own time, and else by force. */
  const end = async (container: Container, signal: number, timeout: number): Promise<void> => {
    const { id } = container;
    const done = ended(id);
    emit(container, 'kill', { signal: String(signal) });
    send(container, signal);
    stopping.add(id);
    try {
      await unfreeze(container);
      if (!(timeout < 0 ? await done.then(() => true) : await within(done, timeout * 1000))) {
        emit(container, 'kill', { signal: String(SIGKILL) });
        await kill(container);
      }
    } finally {
      stopping.delete(id);
    }
  };

  return {
    start: (id) => (quitting ? Promise.reject(unavailable('the daemon is ending: it starts nothing any more')) : locked(id, () => start(id))),
    async quit(id, signal, timeout) {
      quitting = true;
      await locked(id, async () => {
        if (live.has(id)) await end(recordOf(id), signal, timeout);
      });
    },
    signal(container, signal) {
      send(container, signal);
    },
    stayEnded: (id) => locked(id, async () => {
      const container = recordOf(id);
      if (container.state.status === 'restarting') await settleRestart(container);
    }),
    stoppedByClient: (id) => update(id, { stoppedByClient: true }),
    ended,
    pause: (id) =>
      locked(id, async () => {
        await host.processes.pause(id, recordOf(id).spec.runtime);
        parts.health.cease(id);
        await update(id, { status: 'paused', ...ceased(ledger.state.containers.get(id)) });
      }),
    unpause: (id) =>
      locked(id, async () => {
        await host.processes.unpause(id, recordOf(id).spec.runtime);
        await update(id, { status: 'running' });
        parts.health.begin(id);
      }),
    stop: (id, signal, timeout) =>
      locked(id, async () => {
        const container = recordOf(id);
        if (container.state.status === 'restarting') {
          await settleRestart(container);
          emit(container, 'stop');
          return;
        }
        if (!live.has(id)) return;
        await update(id, { stoppedByClient: true });
        await end(container, signal, timeout);
        emit(container, 'stop');
      }),
    remove: (id, { force, volumes, ref = id }) => {
      // Somebody waits, perhaps for ever, for it to end by itself.
      if (force && stopping.has(id)) send(recordOf(id), SIGKILL);
      return locked(id, async () => {
        const container = recordOf(id);
        const running = live.has(id);
        if (running || container.state.status === 'restarting') {
          if (!force) throw conflict(
            `cannot remove container "${ref}": container is ${container.state.status}: ${container.state.status === 'paused' ? 'unpause and then ' : ''}stop the container before removing or force remove`,
          );
        }
        restarts.cancel(id);
        if (running) {
          const gone = new Promise<void>((resolve) => leaving.set(id, { volumes, gone: resolve }));
          try {
            // From here on it is going, and should this daemon be gone before it, the next one sees to it.
            await update(id, { stoppedByClient: true, leaving: { volumes } });
            emit(container, 'kill', { signal: String(SIGKILL) });
            await kill(container);
            await gone;
          } catch (error) {
            await update(id, { leaving: undefined });
            throw error;
          } finally {
            leaving.delete(id);
          }
          return;
        }
        emitTaken(await discard(id, { volumes }));
        host.processes.forget(id);
        emit(container, 'destroy');
        tell(id, 'removed', undefined);
      });
    },
    async adopt(container) {
      const { id, state, spec } = container;
      if (state.status === 'restarting' && container.sandbox === undefined) {
        restarts.resume(id, state, Date.parse(host.now()));
        return;
      }
      const log = openLog(container);
      const clients = attachments(id);
      let early: Exit | undefined;
      let ready = false;
      const found = await host.processes.adopt(
        id,
        { pid: state.pid, pidStart: state.pidStart, tty: spec.tty, stdin: spec.openStdin },
        {
          output: (stream, chunk) => {
            log.write(stream, chunk);
            return clients.output(stream, chunk);
          },
          exited: (exit) => {
            early = exit;
            if (ready) void finish(id, exit);
          },
        },
      );
      if (!found && state.pid === 0) {
        // The daemon ended before the runtime had begun it: nobody was told that it runs, and it does not.
        log.close();
        await host.processes.discard(id, spec.runtime);
        await ledger.settle((now) => {
          const current = now.containers.get(id);
          return { changes: current ? [put({ ...current, sandbox: undefined })] : [], result: undefined };
        });
        if (state.status === 'restarting') restarts.resume(id, state, Date.parse(host.now()));
      } else if (found && 'pid' in found) {
        live.set(id, { process: found, log });
        clients.begin(found);
        // It began, and the daemon ended before that was on record.
        if (state.pid === 0) await update(id, begun(container, found, { again: state.status === 'restarting' }));
        watchMemory(container, found.pid);
        if (recordOf(id).state.status === 'running') void calm.then(() => live.has(id) && parts.health.begin(id));
        ready = true;
        if (state.leaving && !early) {
          send(container, SIGKILL);
          await unfreeze(container);
        }
        if (early) await settleEnd(id, early);
      } else {
        log.close();
        if (!found) await host.processes.discard(id, spec.runtime).catch(() => {});
        // Nobody wrote down how it ended: the host went down under it, and it begins again (or not) with the daemon.
        await settleEnd(id, found?.exit ?? { code: 255, at: host.now() }, found === undefined);
      }
    },
    async departed() {
      const going = [...ledger.state.containers.values()].filter(({ state }) => state.leaving);
      await Promise.all(going.map(({ id }) => within(ended(id), KILL_PATIENCE)));
    },
    async quietly(work) {
      const mine = work();
      calm = mine.catch(() => {});
      await mine;
    },
    inTurn: locked,
    attachments,
    process: (id) => live.get(id)?.process,
    watch,
  };
};

const ceased = (container: Container | undefined): Partial<ContainerState> => (container?.state.health ? { health: ceasedHealth(container.state.health) } : {});

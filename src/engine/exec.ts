import type { Container, Exec } from '../model/container.ts';
import { conflict, EngineError, invalid, notFound } from '../model/errors.ts';
import type { JsonObject } from '../model/json.ts';
import { createAttachments } from './attachments.ts';
import { containerEvents } from './container-events.ts';
import type { Events } from './events.ts';
import { findContainer } from './find.ts';
import type { Exit, Host, RunningProcess } from './host.ts';
import type { Ledger } from './ledger.ts';
import type { Peer } from './peer.ts';
import type { Execs } from './services.ts';

export type ExecsParts = {
  readonly ledger: Ledger;
  readonly host: Pick<Host, 'processes'>;
  readonly events: Events;
  readonly hex: (bytes: number) => string;
  /** The OCI process of an exec: user, environment, capabilities as the container's. */
  readonly prepare: (container: Container, exec: Exec, consoleSize: readonly [rows: number, columns: number] | undefined) => JsonObject;
};

/** Ended execs are remembered this long for those who ask how they ended. */
const REMEMBER_MS = 5 * 60_000;
const SIGKILL = 9;

type Entry = { exec: Exec; process: RunningProcess | undefined; started: boolean };

/** Execs live as long as the daemon: they are not in the store, as the reference engine's are not. */
export const createExecs = (parts: ExecsParts): Execs & {
  readonly idsOf: (containerId: string) => readonly string[];
  readonly containerEnded: (containerId: string) => void;
  readonly kill: (id: string) => void;
  /** Nobody will ask how it ended. */
  readonly forget: (id: string) => void;
} => {
  const { ledger, host, events } = parts;
  const entries = new Map<string, Entry>();

  const entryOf = (id: string): Entry => {
    const entry = entries.get(id);
    if (!entry) throw notFound(`No such exec instance: ${id}`);
    return entry;
  };

  const containerOf = ({ exec }: Entry): Container => {
    const container = ledger.state.containers.get(exec.containerId);
    if (!container) throw notFound(`No such container: ${exec.containerId}`);
    return container;
  };

  const requireReady = (container: Container, ref: string): void => {
    const { status } = container.state;
    if (status === 'paused') throw conflict(`Container ${ref} is paused, unpause the container before exec`);
    if (status === 'restarting') throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
    if (status !== 'running') throw conflict(`container ${container.id} is not running`);
  };

  const emit = (container: Container, action: string, exec: Exec, attributes: Record<string, string> = {}): void =>
    containerEvents(events).emit(container, action, { execID: exec.id, ...attributes });

  /** Starts it; `ended` resolves when it has ended and its streams are done. */
  const begin = async (entry: Entry, peer: Peer | undefined, consoleSize: readonly [number, number] | undefined): Promise<{ ended: Promise<void> }> => {
    const container = containerOf(entry);
    const { exec } = entry;
    const clients = createAttachments();
    const stdin = exec.attachStdin && peer !== undefined;
    const streams = peer
      ? clients.attach(peer, { stdin, stdout: exec.attachStdout, stderr: exec.attachStderr, endInput: !exec.tty })
      : Promise.resolve();
    let finished: (exit: Exit) => void = () => {};
    const exit = new Promise<Exit>((resolve) => (finished = resolve));
    const ended = exit.then(({ code }) => {
      entry.exec = { ...entry.exec, running: false, exitCode: code };
      entry.process = undefined;
      host.processes.forget(exec.id);
      emit(container, 'exec_die', exec, { exitCode: String(code) });
      clients.end();
      setTimeout(() => entries.delete(exec.id), REMEMBER_MS).unref();
      return streams;
    });
    emit(container, `exec_start: ${commandLine(exec)}`, exec);
    const process = await host.processes.start({
      id: exec.id,
      run: { kind: 'exec', containerId: container.id, process: parts.prepare(container, exec, consoleSize ?? exec.consoleSize), runtime: container.spec.runtime },
      tty: exec.tty,
      stdin,
      output: (stream, chunk) => clients.output(stream, chunk),
      exited: finished,
    });
    if (entry.exec.exitCode === undefined) {
      entry.process = process;
      entry.exec = { ...entry.exec, running: true, pid: process.pid };
    }
    clients.begin(process);
    return { ended };
  };

  const failed = (entry: Entry, error: unknown): void => {
    const { exitCode = 126 } = error as { exitCode?: number };
    entry.exec = { ...entry.exec, running: false, exitCode };
    setTimeout(() => entries.delete(entry.exec.id), REMEMBER_MS).unref();
  };

  const claim = (id: string): Entry => {
    const entry = entryOf(id);
    const container = containerOf(entry);
    requireReady(container, container.id);
    if (entry.started) throw conflict(`Error: Exec command ${id} ${entry.exec.running ? 'is already running' : 'has already run'}`);
    entry.started = true;
    return entry;
  };

  return {
    async create(ref, request) {
      const container = findContainer(ledger.state, ref);
      requireReady(container, ref);
      if (request.cmd.length === 0) throw invalid('No exec command specified');
      const id = parts.hex(32);
      const exec: Exec = { ...request, id, containerId: container.id, running: false, exitCode: undefined, pid: 0 };
      entries.set(id, { exec, process: undefined, started: false });
      emit(container, `exec_create: ${commandLine(exec)}`, exec);
      return id;
    },
    find: (id) => entryOf(id).exec,
    start(id, { consoleSize }) {
      const entry = claim(id);
      return {
        tty: entry.exec.tty,
        async run(peer) {
          try {
            const { ended } = await begin(entry, peer, consoleSize);
            await ended;
          } catch (error) {
            failed(entry, error);
            throw error;
          }
        },
      };
    },
    async startDetached(id) {
      const entry = claim(id);
      try {
        await begin(entry, undefined, undefined);
      } catch (error) {
        failed(entry, error);
        throw error;
      }
    },
    async resize(id, rows, columns) {
      const entry = entryOf(id);
      if (!entry.process) throw new EngineError('conflict', `cannot resize a stopped exec: ${id}`);
      entry.process.resize(rows, columns);
    },
    idsOf: (containerId) => [...entries.values()].filter(({ exec }) => exec.containerId === containerId && exec.exitCode === undefined).map(({ exec }) => exec.id),
    kill(id) {
      const process = entries.get(id)?.process;
      if (process) host.processes.signal(process.pid, process.pidStart, SIGKILL);
    },
    forget: (id) => void entries.delete(id),
    containerEnded(containerId) {
      for (const [id, { exec, started }] of entries) if (exec.containerId === containerId && !started) entries.delete(id);
    },
  };
};

/** As events have it: the program, a blank, and the words that follow it, if any do. */
const commandLine = ({ cmd: [program = '', ...args] }: Exec): string => `${program} ${args.join(' ')}`;

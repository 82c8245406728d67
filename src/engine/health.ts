import { Readable } from 'node:stream';
import type { Container, ProbeResult } from '../model/container.ts';
import { messageOf } from '../model/errors.ts';
import { healthAfter, probeDelay, probeOf, type Probe } from '../plan/health.ts';
import { containerEvents } from './container-events.ts';
import type { Events } from './events.ts';
import type { OutputStream } from './host.ts';
import type { Ledger } from './ledger.ts';
import type { Peer } from './peer.ts';
import type { Execs } from './services.ts';

/** Asks containers at their intervals whether they are well, by execs, and keeps what they answer on record. */
export type HealthProbes = {
  /** The container runs (again): its probes go on. */
  begin(id: string): void;
  /** It has ended, or is paused. */
  cease(id: string): void;
};

export type HealthParts = {
  readonly ledger: Ledger;
  readonly events: Events;
  readonly execs: Pick<Execs, 'create' | 'find' | 'start'> & { kill(id: string): void; forget(id: string): void };
  readonly now: () => string;
};

/** Bytes of a probe's output that are kept. */
const OUTPUT_LIMIT = 4096;
/** Longer, and a timer fires at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const createHealthProbes = ({ ledger, events, execs, now }: HealthParts): HealthProbes => {
  const rounds = new Map<string, { timer: NodeJS.Timeout | undefined; ceased: boolean }>();

  const sinceStart = ({ state }: Container, at: string): number => (Date.parse(at) - Date.parse(state.startedAt ?? at)) * 1e6;

  const begin = (id: string): void => {
    cease(id);
    const container = ledger.state.containers.get(id);
    if (!container || !probeOf(container)) return;
    const round = { timer: undefined as NodeJS.Timeout | undefined, ceased: false };
    rounds.set(id, round);
    const next = (): void => {
      const current = ledger.state.containers.get(id);
      const { health } = current?.state ?? {};
      const probe = current && probeOf(current);
      if (round.ceased || !current?.spec.healthcheck || !health || !probe) return;
      const delay = probeDelay(health, current.spec.healthcheck, sinceStart(current, now())) / 1e6;
      round.timer = setTimeout(() => {
        void ask(id, probe, () => round.ceased).then(next, next);
      }, Math.min(delay, LONGEST_TIMER));
    };
    next();
  };

  const ask = async (id: string, probe: Probe, ceased: () => boolean): Promise<void> => {
    const start = now();
    const { exitCode, output } = await run(id, probe).catch((error: unknown) => ({ exitCode: -1, output: messageOf(error) }));
    if (!ceased()) await record(id, { start, end: now(), exitCode, output });
  };

  const run = async (id: string, { cmd, timeout }: Probe): Promise<Pick<ProbeResult, 'exitCode' | 'output'>> => {
    const exec = await execs.create(id, {
      cmd,
      env: [],
      user: '',
      workingDir: '',
      privileged: false,
      tty: false,
      attachStdin: false,
      attachStdout: true,
      attachStderr: true,
      detachKeys: '',
        consoleSize: undefined,
    });
    const { peer, output } = collector();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      execs.kill(exec);
    }, Math.min(timeout / 1e6, LONGEST_TIMER));
    try {
      await execs.start(exec, { tty: false, consoleSize: undefined }).run(peer);
      if (!late) return { exitCode: execs.find(exec).exitCode ?? -1, output: output() };
      const said = output();
      return { exitCode: -1, output: `Health check exceeded timeout (${inWords(timeout)})${said === '' ? '' : `: ${said}`}` };
    } finally {
      clearTimeout(timer);
      execs.forget(exec);
    }
  };

  const record = async (id: string, result: ProbeResult): Promise<void> => {
    const change = await ledger.change((state) => {
      const container = state.containers.get(id);
      const { health: before } = container?.state ?? {};
      const { healthcheck } = container?.spec ?? {};
      if (!container || !before || !healthcheck) return { changes: [], result: undefined };
      const after = healthAfter(before, result, { healthcheck, sinceStart: sinceStart(container, result.start) });
      const record = { ...container, state: { ...container.state, health: after } };
      return { changes: [{ collection: 'containers', key: id, record }], result: after.status === before.status ? undefined : record };
    });
    if (!change) return;
    containerEvents(events).emit(change, `health_status: ${change.state.health?.status ?? ''}`);
  };

  const cease = (id: string): void => {
    const round = rounds.get(id);
    if (!round) return;
    round.ceased = true;
    clearTimeout(round.timer);
    rounds.delete(id);
  };

  return { begin, cease };
};

/** A client that only listens, and not to the end of a long story. */
const collector = (): { readonly peer: Peer; readonly output: () => string } => {
  const chunks: Buffer[] = [];
  let size = 0;
  return {
    peer: {
      write(_stream: OutputStream, chunk) {
        if (size <= OUTPUT_LIMIT) chunks.push(chunk);
        size += chunk.length;
        return true;
      },
      drained: () => {},
      input: Readable.from([]),
      end: () => {},
      closed: () => {},
    },
    output() {
      const bytes = Buffer.concat(chunks);
      return bytes.length > OUTPUT_LIMIT ? `${bytes.toString('utf8', 0, OUTPUT_LIMIT)}...` : bytes.toString();
    },
  };
};

/** Go's way with durations: `500ms`, `30s`, `1m30s`. */
const inWords = (nanoseconds: number): string => {
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`;
  const [hours, minutes, seconds] = [Math.floor(nanoseconds / 3600e9), Math.floor(nanoseconds / 60e9) % 60, (nanoseconds % 60e9) / 1e9];
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`;
};

import type { Exit, Host, Logs, LogLine, LogQuery, OutputStream, ProcessListener, ProcessRequest, RunningProcess } from '../engine/host.ts';
import { formatTime, parseTime } from '../model/time.ts';
import type { HostObject, Operation } from '../operations/operation.ts';
import { undo } from '../operations/operation.ts';
import { renderObject } from '../operations/render.ts';

/** A process that does what a test makes it do, and remembers what was done to it. */
export type FakeProcess = {
  readonly request: ProcessRequest;
  readonly pid: number;
  readonly signals: readonly number[];
  /** What came by its standard input, and whether more can come. */
  readonly input: string;
  readonly inputEnded: boolean;
  readonly size: readonly [rows: number, columns: number] | undefined;
  readonly paused: boolean;
  readonly running: boolean;
  /** Signals that end it. KILL always does. */
  deadly: ReadonlySet<number>;
  /** False: whoever reads it is not ready for more. */
  print(text: string, stream?: OutputStream): boolean;
  end(code?: number): void;
};

export type FakeHost = Host & {
  /** What the host has, by line. */
  render(): string;
  has(object: HostObject): boolean;
  /** From now on, objects for which this gives a reason can not be made; () => undefined: all can. */
  refuse(reason: (object: HostObject) => string | undefined): void;
  /** The next process does not start. */
  failStart(error: Error): void;
  /** By the container's id, or the exec's. */
  process(id: string): FakeProcess;
  readonly paths: Set<string>;
};

const [SIGTERM, SIGKILL] = [15, 9];

/** A machine in memory, for tests of the engine: it holds state, so that they ask what is there in the end, not who called what. */
export const fakeHost = (): FakeHost => {
  const objects = new Map<string, HostObject>();
  const paths = new Set<string>();
  let refusal: (object: HostObject) => string | undefined = () => undefined;
  let nanoseconds = 1_795_450_000_000_000_000n;
  const now = (): string => formatTime((nanoseconds += 1_000_001n));
  const { processes, process, failStart } = fakeProcesses(now);

  const apply = ({ action, object }: Operation): void => {
    const reason = action === 'add' ? refusal(object) : undefined;
    if (reason !== undefined) throw new Error(`cannot add ${renderObject(object)}: ${reason}`);
    // There already, and gone already, are success.
    if (action === 'add') objects.set(JSON.stringify(object), object);
    else objects.delete(JSON.stringify(object));
  };
  const attempt = (operations: readonly Operation[]): Error[] =>
    operations.flatMap((operation) => {
      try {
        apply(operation);
        return [];
      } catch (error) {
        return [error as Error];
      }
    });

  return {
    now,
    async execute(operations) {
      const done: Operation[] = [];
      try {
        for (const operation of operations) {
          apply(operation);
          done.push(operation);
        }
      } catch (error) {
        attempt(undo(done));
        throw error;
      }
    },
    attempt: async (operations) => attempt(operations),
    pathExists: (path) => paths.has(path),
    sizes: async (_container, imageSize) => ({ own: 0, root: imageSize }),
    processes,
    statistics: { read: () => undefined, forget: () => {} },
    memory: { prepare: () => undefined, adopt: () => undefined },
    logs: fakeLogs(now),
    render: () => [...objects.values()].map(renderObject).join('\n'),
    has: (object) => objects.has(JSON.stringify(object)),
    refuse: (reason) => void (refusal = reason),
    failStart,
    process,
    paths,
  };
};

type Held = { -readonly [K in keyof FakeProcess]: FakeProcess[K] } & { signals: number[]; listener: ProcessListener; exit: Exit | undefined };

const fakeProcesses = (now: () => string): Pick<FakeHost, 'processes' | 'process' | 'failStart'> => {
  const held = new Map<string, Held>();
  let pids = 1000;
  let failure: Error | undefined;

  const find = (id: string): Held => {
    const process = held.get(id);
    if (!process) throw new Error(`no process of ${id}`);
    return process;
  };
  const create = (request: ProcessRequest): Held => {
    const made: Held = {
      request,
      listener: request,
      pid: ++pids,
      signals: [],
      input: '',
      inputEnded: !request.stdin,
      size: undefined,
      paused: false,
      running: true,
      exit: undefined,
      deadly: new Set([SIGTERM]),
      print: (text, stream = 'stdout') => made.listener.output(stream, Buffer.from(text)),
      end(code = 0) {
        if (!made.running) return;
        made.running = false;
        made.exit = { code, at: now() };
        made.listener.exited(made.exit);
      },
    };
    return made;
  };
  const handle = (process: Held): RunningProcess => ({
    pid: process.pid,
    pidStart: process.pid,
    write(chunk, written) {
      if (process.running && !process.inputEnded) process.input += chunk.toString();
      setImmediate(written);
      return true;
    },
    endInput: () => void (process.inputEnded = true),
    resize: (rows, columns) => void (process.size = [rows, columns]),
    resume: () => {},
  });

  return {
    process: find,
    failStart: (error) => void (failure = error),
    processes: {
      async start(request) {
        const error = failure;
        failure = undefined;
        if (error) throw error;
        const process = create(request);
        held.set(request.id, process);
        return handle(process);
      },
      async adopt(id, was, listener) {
        const process = held.get(id);
        if (!process || process.pid !== was.pid) return undefined;
        if (process.exit) return { exit: process.exit };
        process.listener = listener;
        return handle(process);
      },
      signal(pid, _pidStart, signal) {
        const process = [...held.values()].find((one) => one.pid === pid && one.running);
        if (!process) return;
        process.signals.push(signal);
        // As the kernel: whoever sent it goes on first.
        if (signal === SIGKILL || process.deadly.has(signal)) setImmediate(() => process.end(128 + signal));
      },
      pause: async (id) => void (find(id).paused = true),
      unpause: async (id) => void (find(id).paused = false),
      update: async () => {},
      pids: async (id) => [...held.values()].filter(({ request: { id: own, run }, running }) => running && (own === id || (run.kind === 'exec' && run.containerId === id))).map(({ pid }) => pid),
      list: async (pids) => ({ titles: ['PID', 'CMD'], rows: pids.map((pid) => [`${pid}`, 'fake']) }),
      forget: (id) => void held.delete(id),
      discard: async (id) => void held.delete(id),
    },
  };
};

const fakeLogs = (now: () => string): Logs => {
  const logs = new Map<string, { lines: LogLine[]; open: boolean; wake: Set<() => void> }>();
  const logOf = (id: string) => {
    const log = logs.get(id) ?? { lines: [], open: false, wake: new Set() };
    logs.set(id, log);
    return log;
  };
  const wanted = ({ stdout, stderr, since, until }: LogQuery) => ({ stream, time }: LogLine): boolean => {
    const at = parseTime(time) ?? 0n;
    return (stream === 'stdout' ? stdout : stderr) && (since === undefined || at >= since) && (until === undefined || at <= until);
  };
  return {
    path: (id) => `/fake/${id}-json.log`,
    open(id) {
      const log = logOf(id);
      log.open = true;
      const rest = { stdout: '', stderr: '' };
      const tell = (): void => {
        for (const wake of log.wake) wake();
        log.wake.clear();
      };
      return {
        write(stream, chunk) {
          const lines = (rest[stream] + chunk.toString()).split(/(?<=\n)/);
          rest[stream] = lines.at(-1)?.endsWith('\n') ? '' : (lines.pop() ?? '');
          for (const text of lines) if (text !== '') log.lines.push({ stream, time: now(), text });
          tell();
        },
        close() {
          for (const stream of ['stdout', 'stderr'] as const) if (rest[stream] !== '') log.lines.push({ stream, time: now(), text: rest[stream] });
          log.open = false;
          tell();
        },
      };
    },
    async *read(id, query) {
      const log = logOf(id);
      let read = log.lines.length;
      const past = log.lines.filter(wanted(query));
      yield query.tail === undefined ? past : past.slice(past.length - Math.min(query.tail, past.length));
      while (query.follow && !query.follow.aborted) {
        if (read < log.lines.length) {
          const fresh = log.lines.slice(read);
          read = log.lines.length;
          yield fresh.filter(wanted(query));
        } else if (!log.open) return;
        else
          await new Promise<void>((resolve) => {
            log.wake.add(resolve);
            query.follow?.addEventListener('abort', () => resolve(), { once: true });
          });
      }
    },
  };
};

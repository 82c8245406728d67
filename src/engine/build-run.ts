import { Readable } from 'node:stream';
import type { CreateRequest } from '../model/container.ts';
import { EngineError, systemError } from '../model/errors.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Ledger } from './ledger.ts';
import type { OutputStream } from './host.ts';
import type { Peer } from './peer.ts';
import type { Containers, Progress } from './services.ts';

/** A RUN that ended otherwise than well. */
export class CommandFailed extends EngineError {
  readonly exitCode: number;
  constructor(command: readonly string[], exitCode: number) {
    super('system', `The command '${command.join(' ')}' returned a non-zero code: ${exitCode}`);
    this.name = 'CommandFailed';
    this.exitCode = exitCode;
  }
}

export type BuildRuns = {
  /** Runs a container to its end, and yields what it prints. It stays. */
  run(id: string, command: readonly string[], gone: AbortSignal): AsyncGenerator<Progress>;
  create(request: CreateRequest): Promise<string>;
  remove(id: string): Promise<void>;
  /** It has served, and is a container like others from now on. */
  keep(id: string): Promise<void>;
};

export const createBuildRuns = ({ containers, lifecycle, ledger }: { readonly containers: Containers; readonly lifecycle: Lifecycle; readonly ledger: Ledger }): BuildRuns => ({
  create: async (request) => (await containers.create({ ...request, temporary: true })).id,

  async *run(id, command, gone) {
    const output = createOutput();
    const stop = (): void => {
      output.close();
      void lifecycle.remove(id, { force: true, volumes: true }).catch(() => {});
    };
    const attached = containers.attach(id, { stdin: false, stdout: true, stderr: true, logs: false, stream: true, detachKeys: '' }).run(output.peer);
    const never = new AbortController();
    try {
      const { done } = containers.wait(id, 'next-exit', never.signal);
      await lifecycle.start(id);
      if (gone.aborted) stop();
      gone.addEventListener('abort', stop);
      yield* output.lines();
      await attached;
      const { code } = await done;
      if (gone.aborted) throw systemError('context canceled');
      if (code !== 0) throw new CommandFailed(command, code);
    } finally {
      gone.removeEventListener('abort', stop);
      never.abort();
      output.close();
    }
  },

  remove: (id) => lifecycle.remove(id, { force: true, volumes: true }),

  keep: (id) =>
    ledger.change((state) => {
      const container = state.containers.get(id);
      if (!container) return { changes: [], result: undefined };
      const { temporary, ...record } = container;
      return { changes: [{ collection: 'containers', key: id, record }], result: undefined };
    }),
});

/** More than so many bytes that nobody has taken yet, and the process has to wait. */
const ENOUGH = 256 * 1024;

/** A client of a container's output that hands it on as lines of a build: errors in red, as the reference engine has them. */
const createOutput = () => {
  const waiting: { readonly stream: OutputStream; readonly text: string }[] = [];
  const decoders = { stdout: new TextDecoder('utf-8', { ignoreBOM: true }), stderr: new TextDecoder('utf-8', { ignoreBOM: true }) };
  let [bytes, over] = [0, false];
  let wake = (): void => {};
  let drained = (): void => {};
  let closed = (): void => {};
  const add = (stream: OutputStream, text: string): void => {
    if (text === '') return;
    waiting.push({ stream, text });
    bytes += text.length;
    wake();
  };
  const end = (): void => {
    if (over) return;
    for (const stream of ['stdout', 'stderr'] as const) add(stream, decoders[stream].decode());
    over = true;
    wake();
  };
  const peer: Peer = {
    write(stream, chunk) {
      if (stream === 'stdout' || stream === 'stderr') add(stream, decoders[stream].decode(chunk, { stream: true }));
      return over || bytes < ENOUGH;
    },
    drained: (listener) => void (drained = listener),
    input: Readable.from([]),
    end,
    closed: (listener) => void (closed = listener),
  };
  return {
    peer,
    close(): void {
      end();
      waiting.length = 0;
      closed();
    },
    async *lines(): AsyncGenerator<Progress> {
      for (;;) {
        const next = waiting.shift();
        if (next) {
          bytes -= next.text.length;
          if (bytes < ENOUGH) drained();
          yield { stream: next.stream === 'stderr' ? `\u001b[91m${next.text}\u001b[0m` : next.text };
        } else if (over) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
};

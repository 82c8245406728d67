import type { OutputStream, RunningProcess } from './host.ts';
import type { Peer } from './peer.ts';

export type AttachOptions = {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** The client's end of input is the process's. */
  readonly endInput: boolean;
};

/** The clients attached to one process: what it prints goes to each, what they send goes to it. */
export type Attachments = {
  /** Resolves when the process has ended, or the client has gone. May come before the process does. */
  attach(peer: Peer, options: AttachOptions): Promise<void>;
  /** The process is there: input flows from now on. */
  begin(process: RunningProcess): void;
  /** False: some client is behind, and the process has to wait. */
  output(stream: OutputStream, chunk: Buffer): boolean;
  /** The process has ended: every client is told, and let go. */
  end(): void;
};

type Client = { readonly peer: Peer; readonly options: AttachOptions; readonly finished: () => void; behind: boolean };

export const createAttachments = (): Attachments => {
  const clients = new Set<Client>();
  let process: RunningProcess | undefined;

  const goOn = (): void => {
    if (![...clients].some(({ behind }) => behind)) process?.resume();
  };

  const pump = ({ peer, options }: Client): void => {
    if (!options.stdin || !process) return;
    const to = process;
    peer.input.on('data', (chunk: Buffer) => {
      const more = to.write(chunk, () => peer.input.resume());
      if (!more) peer.input.pause();
    });
    peer.input.on('end', () => {
      if (options.endInput) to.endInput();
    });
    peer.input.resume();
  };

  return {
    attach: (peer, options) =>
      new Promise((finished) => {
        const client: Client = { peer, options, finished, behind: false };
        clients.add(client);
        peer.closed(() => {
          clients.delete(client);
          goOn();
          finished();
        });
        peer.drained(() => {
          client.behind = false;
          goOn();
        });
        // What an attached client sends that nobody wants is read all the same, or its end would never be seen.
        if (!options.stdin) peer.input.resume();
        pump(client);
      }),
    begin(running) {
      process = running;
      for (const client of clients) pump(client);
    },
    output(stream, chunk) {
      let flowing = true;
      for (const client of clients) {
        if (!client.options[stream]) continue;
        if (!client.peer.write(stream, chunk)) {
          client.behind = true;
          flowing = false;
        }
      }
      return flowing;
    },
    end() {
      for (const { peer, finished } of clients) {
        peer.end();
        finished();
      }
      clients.clear();
      process = undefined;
    },
  };
};

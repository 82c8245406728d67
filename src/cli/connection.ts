import http from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { UsageError } from './command.ts';

/** Calls over the daemon's socket. An answer that is no success is thrown, in the daemon's words. */
export type Connection = {
  readonly host: string;
  /** The whole answer, as JSON; so is the body, if there is one. */
  readonly json: (method: string, path: string, body?: object) => Promise<unknown>;
  /** The answer's headers have come; its body is the caller's to read. */
  readonly open: (method: string, path: string) => Promise<IncomingMessage>;
  /** Sends a body as it comes; resolves when it was taken. */
  readonly send: (method: string, path: string, body: Readable, headers?: Readonly<Record<string, string>>) => Promise<void>;
};

export const DEFAULT_HOST = 'unix:///run/berth/berth.sock';

export class ApiError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const connect = (host: string, signal: AbortSignal): Connection => {
  const socketPath = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
  if (socketPath === undefined) throw new UsageError(`unsupported host ${JSON.stringify(host)}: berth is reached at unix:///PATH`);

  const request = (method: string, path: string, headers: Readonly<Record<string, string>> = {}) => {
    const outgoing = http.request({ socketPath, method, path, agent: false, headers: { host: 'berth', ...headers }, signal });
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.on('response', resolve);
      outgoing.on('error', (error: NodeJS.ErrnoException) => reject(signal.aborted ? signal.reason : unreachable(error, host)));
    });
    return { outgoing, answer: answer.then((incoming) => succeeded(incoming, method, path)) };
  };

  return {
    host,
    async json(method, path, body) {
      const { outgoing, answer } = request(method, path, body === undefined ? {} : { 'content-type': 'application/json' });
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
      const told = await buffer(await answer);
      return told.length === 0 ? undefined : JSON.parse(told.toString());
    },
    open(method, path) {
      const { outgoing, answer } = request(method, path);
      outgoing.end();
      return answer;
    },
    async send(method, path, body, headers) {
      const { outgoing, answer } = request(method, path, headers);
      // A daemon that refuses early closes its end: what it says then is the reason, not the broken pipe.
      const sent = pipeline(body, outgoing, { signal }).then(() => undefined, (error: unknown) => error);
      try {
        (await answer).resume();
      } catch (error) {
        body.destroy();
        const reason = await sent;
        throw error instanceof ApiError || reason === undefined || isBroken(reason) ? error : reason;
      }
      const reason = await sent;
      if (reason !== undefined) throw reason;
    },
  };
};

const succeeded = async (incoming: IncomingMessage, method: string, path: string): Promise<IncomingMessage> => {
  const status = incoming.statusCode ?? 0;
  if (status < 300) return incoming;
  const text = (await buffer(incoming)).toString();
  const words = messageIn(text) ?? (text.trim() || `status ${status}`);
  throw new ApiError(status, /^page not found$|\/archive: no such volume$/.test(words) ? `this engine has no ${method} ${path.replace(/\?.*/, '')}: is it berth?` : words);
};

const messageIn = (text: string): string | undefined => {
  try {
    return (JSON.parse(text) as { message?: string }).message;
  } catch {
    return undefined;
  }
};

const isBroken = (error: unknown): boolean => ['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes((error as NodeJS.ErrnoException).code ?? '');

const unreachable = (error: NodeJS.ErrnoException, host: string): Error =>
  error.code === 'ENOENT' || error.code === 'ECONNREFUSED'
    ? new Error(`cannot connect to ${host}: is berthd running?`)
    : error.code === 'EACCES'
      ? new Error(`cannot connect to ${host}: permission denied`)
      : error;

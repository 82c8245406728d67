import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Json } from '../model/json.ts';

/** One JSON value and a newline, as Go's encoder ends it. */
export const sendJson = (res: ServerResponse, status: number, value: Json): void => {
  const body = `${JSON.stringify(value)}\n`;
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }).end(body);
};

export const sendEmpty = (res: ServerResponse, status: number): void => {
  res.writeHead(status, status === 204 ? {} : { 'Content-Length': 0 }).end();
};

/** Fires when the client is gone, or the answer complete. */
export const goneSignal = (res: ServerResponse): AbortSignal => {
  const controller = new AbortController();
  res.once('close', () => controller.abort());
  return controller.signal;
};

/** Sends the headers at once, before there is anything to say. */
export const startStream = (res: ServerResponse, contentType: string): void => {
  res.writeHead(200, { 'Content-Type': contentType });
  res.flushHeaders();
};

/** Writes, and waits while the client reads more slowly than we write. False: the client is gone. */
export const writeTo = async (res: ServerResponse, chunk: Buffer | string, gone: AbortSignal): Promise<boolean> => {
  if (gone.aborted) return false;
  if (!res.write(chunk)) await eitherOf([res, 'drain'], [res, 'close']);
  return !gone.aborted;
};

/** A stream as the whole answer. The headers wait for its first bytes: until then an error is still an error's answer. */
export const sendStream = async (res: ServerResponse, source: Readable, headers: Readonly<Record<string, string>>): Promise<void> => {
  if (source.readableLength === 0 && !source.readableEnded) await eitherOf([source, 'readable'], [source, 'end'], [source, 'error'], [res, 'close']);
  if (source.errored) throw source.errored;
  if (res.closed) {
    source.destroy();
    return;
  }
  res.writeHead(200, headers);
  await pipeline(source, res).catch((error: unknown) => {
    // A client that went away is no error of ours.
    if (!res.closed && !res.destroyed) throw error;
  });
};

type Emitter = Pick<Readable | ServerResponse, 'once' | 'off'>;

/** Resolves with the first of these events, and forgets the others. */
export const eitherOf = (...events: readonly (readonly [emitter: Emitter, event: string])[]): Promise<void> =>
  new Promise((resolve) => {
    const happened = (): void => {
      for (const [emitter, event] of events) emitter.off(event, happened);
      resolve();
    };
    for (const [emitter, event] of events) emitter.once(event, happened);
  });

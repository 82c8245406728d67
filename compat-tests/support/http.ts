// Plain HTTP over the engine's socket, for what clients hide: statuses, headers, raw streams.

import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { engine } from './engine.ts';

export type Answer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  // The tests read fields of bodies that the engine may get wrong; a type here would only pretend to know.
  readonly json: () => any;
};

export type Body = string | Buffer | object;

/** A body that is neither text nor bytes is sent as JSON. */
export const http = (method: string, path: string, body?: Body, headers?: Record<string, string>) => call(engine.socket, method, path, body, headers);

export const call = async (socketPath: string, method: string, path: string, body?: Body, headers?: Record<string, string>): Promise<Answer> =>
  (await begin(socketPath, method, path, body, headers)).answer;

/** Resolves as soon as the engine has sent the headers; the rest is still to come. */
export const opened = (method: string, path: string, body?: Body) => begin(engine.socket, method, path, body);

export type Opened = { readonly status: number; readonly stream: IncomingMessage; readonly answer: Promise<Answer> };

function begin(socketPath: string, method: string, path: string, body?: Body, headers: Record<string, string> = {}): Promise<Opened> {
  const raw = body === undefined || typeof body === 'string' || Buffer.isBuffer(body);
  const payload = raw ? body : JSON.stringify(body);
  const type = raw ? {} : { 'content-type': 'application/json' };
  const length = payload === undefined ? {} : { 'content-length': `${Buffer.byteLength(payload)}` };
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, agent: false, headers: { ...type, ...length, ...headers } }, stream => {
      const status = stream.statusCode ?? 0;
      resolve({ status, stream, get answer() { return answerOf(status, stream); } });
    });
    outgoing.on('error', reject).end(payload);
  });
}

async function answerOf(status: number, stream: IncomingMessage): Promise<Answer> {
  const bytes = await buffer(stream);
  const text = bytes.toString();
  return { status, headers: stream.headers, bytes, text, json: () => JSON.parse(text) };
}

export type Hijacked = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly stream: Duplex; readonly early: Buffer };

/** Asks to take the connection over, as attach and exec start are called; `early` came together with the answer. */
export function hijack(path: string, body: object = {}): Promise<Hijacked> {
  const payload = JSON.stringify(body);
  const headers = { 'content-type': 'application/json', 'content-length': `${Buffer.byteLength(payload)}`, connection: 'Upgrade', upgrade: 'tcp' };
  return new Promise((resolve, reject) => {
    request({ socketPath: engine.socket, method: 'POST', path, agent: false, headers })
      .on('upgrade', (incoming, stream, early) => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, stream, early }))
      .on('response', incoming => reject(new Error(`not taken over: ${incoming.statusCode}`)))
      .on('error', reject)
      .end(payload);
  });
}

export type Frame = { readonly stream: 'stdin' | 'stdout' | 'stderr'; readonly bytes: Buffer };

/** Takes apart the multiplexed stream: a byte for the stream, three of nothing, four for the length, and the bytes. */
export function frames(bytes: Buffer): readonly Frame[] {
  const found: Frame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const stream = (['stdin', 'stdout', 'stderr'] as const)[bytes[at]!];
    const end = at + 8 + bytes.readUInt32BE(at + 4);
    if (stream === undefined || end > bytes.length) throw new Error(`not a multiplexed stream at byte ${at}: ${bytes.subarray(at, at + 16).toString('hex')}`);
    found.push({ stream, bytes: bytes.subarray(at + 8, end) });
    at = end;
  }
  return found;
}

/** All of one stream's bytes as text. */
export const only = (stream: Frame['stream'], bytes: Buffer) =>
  Buffer.concat(frames(bytes).filter(frame => frame.stream === stream).map(frame => frame.bytes)).toString();

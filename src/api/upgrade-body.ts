import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { invalid } from '../model/errors.ts';
import { eitherOf } from './answer.ts';
import { BODY_LIMIT, BODY_PATIENCE, tooLarge, tooSlow } from './body.ts';

/**
 * The body of a request that Node has stopped speaking HTTP on, and the socket as it is after that body. `wanted` says
 * whether a body is expected at all: without it the stream begins at once.
 */
export const readUpgradeBody = async (req: IncomingMessage, socket: Socket, head: Buffer, wanted: boolean): Promise<string> => {
  const chunked = req.headers['transfer-encoding'] !== undefined;
  if (chunked && !wanted) {
    // docker-modem ends its empty body before it takes the connection over.
    socket.unshift(head.subarray(0, LAST_CHUNK.length).equals(LAST_CHUNK) ? head.subarray(LAST_CHUNK.length) : head);
    return '';
  }
  const length = Number(req.headers['content-length'] ?? 0);
  if (length > BODY_LIMIT) throw tooLarge();
  const complete = (read: Buffer): Split | undefined => {
    if (chunked) return splitChunks(read);
    return read.length < length ? undefined : { body: read.subarray(0, length), rest: read.subarray(length) };
  };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(tooSlow()), BODY_PATIENCE)));
  try {
    for (let read = head; ; ) {
      const split = complete(read);
      if (split) {
        if (split.rest.length > 0) socket.unshift(split.rest);
        return split.body.toString();
      }
      if (read.length > BODY_LIMIT) throw tooLarge();
      const more = await Promise.race([nextChunk(socket), late]);
      if (!more) throw invalid('invalid JSON: unexpected EOF');
      read = Buffer.concat([read, more]);
    }
  } finally {
    clearTimeout(timer);
  }
};

const LAST_CHUNK = Buffer.from('0\r\n\r\n');

type Split = { readonly body: Buffer; readonly rest: Buffer };

/** Unwraps `LENGTH CRLF bytes CRLF ... 0 CRLF CRLF`; undefined while some of it is missing. */
const splitChunks = (read: Buffer): Split | undefined => {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = read.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const digits = /^[0-9a-f]{1,8}(?=$|[\s;])/i.exec(read.toString('latin1', at, Math.min(line, at + 64)))?.[0];
    const length = parseInt(digits ?? '', 16);
    if (Number.isNaN(length)) throw invalid('invalid chunked encoding');
    const end = line + 2 + length + 2;
    if (read.length < end) return undefined;
    if (length === 0) return { body: Buffer.concat(parts), rest: read.subarray(end) };
    parts.push(read.subarray(line + 2, line + 2 + length));
    at = end;
  }
};

const nextChunk = async (socket: Socket): Promise<Buffer | undefined> => {
  for (;;) {
    const chunk = socket.read() as Buffer | null;
    if (chunk) return chunk;
    if (socket.readableEnded || socket.destroyed) return undefined;
    await eitherOf([socket, 'readable'], [socket, 'end'], [socket, 'close']);
  }
};

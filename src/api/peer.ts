import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { Peer } from '../engine/peer.ts';
import { frame, frameHeader } from './frames.ts';

// Up to here copying a chunk behind its header costs less than writing two buffers.
const COPIED = 4096;

// How long a client that has been sent everything may keep its half of the connection open. It closes at once unless it hangs.
const LINGER = 2000;

/** The engine's end of a connection: `out` takes the bytes, framed or not. */
export const peerOf = (out: Writable, input: Readable, framed: boolean, close: () => void): Peer => ({
  write(stream, chunk) {
    // Nobody waits for a drain that can not come: `closed` has told.
    if (out.destroyed || out.writableEnded) return true;
    if (!framed) return out.write(chunk);
    if (chunk.length <= COPIED) return out.write(frame(stream, chunk));
    out.cork();
    out.write(frameHeader(stream, chunk.length));
    const room = out.write(chunk);
    out.uncork();
    return room;
  },
  drained: (listener) => void out.on('drain', listener),
  input,
  end: close,
  closed: (listener) => void (out.destroyed ? queueMicrotask(listener) : out.once('close', listener)),
});

/**
 * Sends what is left and closes. Reads on meanwhile: closing a socket with unread bytes in it would reset the
 * connection, and a client that still sends would report that instead of the last output.
 */
export const closeSocket = (socket: Socket): void => {
  if (socket.destroyed || socket.writableEnded) return;
  socket.end();
  socket.unpipe();
  socket.resume();
  let timer: NodeJS.Timeout | undefined;
  socket.once('finish', () => (timer = setTimeout(() => socket.destroy(), LINGER)));
  socket.once('close', () => clearTimeout(timer));
};

export const closeResponse = (res: ServerResponse): void => {
  if (!res.writableEnded) res.end();
};

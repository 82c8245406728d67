import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { hasBody } from './body.ts';

/** How long, in milliseconds, a client may keep the daemon waiting. Nothing of it concerns what flows from here to a client. */
export type Patience = {
  /** For a whole request head. */
  readonly head: number;
  /** For the next byte of an archive that is being sent. */
  readonly upload: number;
  /** For the rest of a body that nobody reads, after the answer. */
  readonly rest: number;
  /** For the next request on a connection. */
  readonly idle: number;
};

export const PATIENCE: Patience = { head: 60_000, upload: 600_000, rest: 5_000, idle: 3_600_000 };

/** So many connections are enough for anyone. With more, those between two requests are closed. */
const [MANY, MOST] = [2048, 8192];

/**
 * Clients that are slow, silent or many keep others from nothing. What takes hours by its nature (an event stream, `logs -f`,
 * attach, wait) has no limit, nor has an upload that goes on.
 */
export const limitConnections = (server: Server, patience: Patience = PATIENCE): void => {
  server.headersTimeout = patience.head;
  server.requestTimeout = 0;
  server.timeout = 0;
  server.keepAliveTimeout = patience.idle;
  server.maxConnections = MOST;
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    if (open.has(socket)) return;
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    if (open.size > MANY) server.closeIdleConnections();
  });
  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    if (hasBody(req)) watchBody(req, res, patience);
  });
};

/** A request whose body is a person's typing: it may be silent as long as they like. */
export const isTyped = (req: IncomingMessage): void => void typed.add(req);
const typed = new WeakSet<IncomingMessage>();

const watchBody = (req: IncomingMessage, res: ServerResponse, { upload, rest }: Patience): void => {
  const { socket } = req;
  let seen = socket.bytesRead;
  let since = Date.now();
  const look = setInterval(() => {
    if (req.complete || socket.destroyed) return over();
    // Bytes that wait here to be read: it is us who are slow.
    const moves = socket.bytesRead !== seen || req.readableLength > 0 || typed.has(req);
    if (moves) [seen, since] = [socket.bytesRead, Date.now()];
    if (Date.now() - since > upload) socket.destroy();
  }, upload / 4).unref();
  const over = (): void => clearInterval(look);
  req.once('end', over);
  res.once('close', over);
  res.once('finish', () => {
    if (req.complete) return;
    const timer = setTimeout(() => socket.destroy(), rest).unref();
    req.once('end', () => clearTimeout(timer));
  });
};

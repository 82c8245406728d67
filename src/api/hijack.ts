import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { PassThrough, Readable, type Duplex } from 'node:stream';
import type { Peer } from '../engine/peer.ts';
import { invalid, messageOf } from '../model/errors.ts';
import { hasBody } from './body.ts';
import { isTyped } from './connections.ts';
import { untilDetached } from './detach-keys.ts';
import { endWithError } from './errors.ts';
import { RAW_STREAM, streamType } from './frames.ts';
import { closeResponse, closeSocket, peerOf } from './peer.ts';
import { queryOf } from './query.ts';
import { API_VERSION, refusalText, SERVER, standardHeaders, takeVersion, versionOf } from './version.ts';
import { readUpgradeBody } from './upgrade-body.ts';

/** A call whose connection becomes a stream of bytes both ways. */
export type HijackRoute = {
  /** Its one group is the container's or exec's reference. */
  readonly path: RegExp;
  /** The usual headers stand in the 101 answer too: exec start has them, attach has not. */
  readonly standardHeaders: boolean;
  /** Whether the request has a JSON body before the stream begins. */
  readonly body: boolean;
  /** Says no (throws) before any byte flows. undefined: done, there is no stream. */
  readonly open: (request: HijackRequest) => Promise<Hijack | undefined>;
};

/** Takes the connection over in a way of its own; false: it is not its call. */
export type UpgradeTaker = (req: IncomingMessage, socket: Socket, head: Buffer) => boolean;

export type HijackRequest = { readonly ref: string; readonly query: URLSearchParams; readonly req: IncomingMessage; readonly body: string };

export type Hijack = {
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly detachKeys: Buffer;
  readonly run: (peer: Peer) => Promise<void>;
};

/**
 * Node's 'upgrade' event: attach and exec start become raw connections. Node hands over every request with an Upgrade
 * header once there is a listener; the others go back in, without that header, as plain requests.
 */
export const upgradeListener =
  (server: Server, routes: readonly HijackRoute[], takers: readonly UpgradeTaker[] = []) =>
  (req: IncomingMessage, stream: Duplex, head: Buffer): void => {
    const socket = stream as Socket;
    if (takers.some((takes) => takes(req, socket, head))) return;
    const path = (req.url ?? '').split('?', 1)[0] ?? '';
    const route = req.method === 'POST' ? routes.find((each) => each.path.test(path)) : undefined;
    if (!route) {
      socket.unshift(Buffer.concat([plainRequest(req), head]));
      server.emit('connection', socket);
      return;
    }
    socket.on('error', () => socket.destroy());
    void upgrade(route, req, socket, head);
  };

/** The same call from a client that does not ask to upgrade: output only, raw, until the connection closes. */
export const serveUnupgraded = async (route: HijackRoute, req: IncomingMessage, res: ServerResponse, ref: string, body: string): Promise<void> => {
  const hijack = await route.open({ ref, query: queryOf(req), req, body });
  if (!hijack) {
    res.writeHead(200, { 'Content-Length': 0 }).end();
    return;
  }
  res.shouldKeepAlive = false;
  res.useChunkedEncodingByDefault = false;
  res.writeHead(200, { 'Content-Type': RAW_STREAM });
  res.flushHeaders();
  const sent = hijack.stdin && !route.body && hasBody(req);
  if (sent) isTyped(req);
  const input = sent ? req : hijack.stdin ? new PassThrough() : Readable.from([]);
  await run(hijack, peerOf(res, input, !hijack.tty, () => closeResponse(res)));
};

const upgrade = async (route: HijackRoute, req: IncomingMessage, socket: Socket, head: Buffer): Promise<void> => {
  let hijack: Hijack | undefined;
  try {
    if (!takeVersion(req, (refusal) => endWithError(socket, invalid(refusalText(refusal)), refusedHeaders))) return;
    const ref = decodeURIComponent(route.path.exec((req.url ?? '').split('?', 1)[0] ?? '')?.[1] ?? '');
    const body = await readUpgradeBody(req, socket, head, route.body);
    hijack = await route.open({ ref, query: queryOf(req), req, body });
  } catch (error) {
    endWithError(socket, error, standardHeaders.map(([name, value]) => `${name}: ${value}`));
    return;
  }
  if (!hijack) {
    socket.end(`HTTP/1.1 200 OK\r\n${standardHeaders.map(([name, value]) => `${name}: ${value}`).join('\r\n')}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    return;
  }
  const lines = [
    'HTTP/1.1 101 UPGRADED',
    `Content-Type: ${streamType(hijack.tty, versionOf(req))}`,
    'Connection: Upgrade',
    'Upgrade: tcp',
    ...(route.standardHeaders ? standardHeaders.map(([name, value]) => `${name}: ${value}`) : []),
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  await run(hijack, peerOf(socket, inputOf(socket, hijack), !hijack.tty, () => closeSocket(socket)));
};

/** Whatever goes wrong from here on can only be told in the stream, as the reference engine tells it. */
const run = async (hijack: Hijack, peer: Peer): Promise<void> => {
  try {
    await hijack.run(peer);
  } catch (error) {
    peer.write('stdout', Buffer.from(`${messageOf(error)}\r\n`));
  }
  peer.end();
};

const inputOf = (socket: Socket, { stdin, tty, detachKeys }: Hijack): Readable => {
  if (!stdin) {
    socket.resume();
    return Readable.from([]);
  }
  const input = tty ? untilDetached(detachKeys, () => closeSocket(socket)) : new PassThrough();
  socket.pipe(input);
  // Half closed: the input has ended and is still to be read. Closed without that: there is no more of it.
  socket.once('close', () => {
    if (!socket.readableEnded) input.destroy();
  });
  input.on('error', () => undefined);
  return input;
};

const refusedHeaders = [`Api-Version: ${API_VERSION}`, 'Ostype: linux', `Server: ${SERVER}`];

const plainRequest = (req: IncomingMessage): Buffer => {
  const lines = [`${req.method} ${req.url} HTTP/${req.httpVersion}`];
  for (let at = 0; at < req.rawHeaders.length; at += 2) {
    const name = req.rawHeaders[at] ?? '';
    if (!['upgrade', 'connection', 'http2-settings'].includes(name.toLowerCase())) lines.push(`${name}: ${req.rawHeaders[at + 1]}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
};

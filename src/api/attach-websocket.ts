import { Router } from 'express';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { createWebSocketStream, WebSocketServer, type WebSocket } from 'ws';
import type { Peer } from '../engine/peer.ts';
import type { Engine } from '../engine/services.ts';
import { invalid, messageOf } from '../model/errors.ts';
import { parseDetachKeys, untilDetached } from './detach-keys.ts';
import { endWithError } from './errors.ts';
import type { UpgradeTaker } from './hijack.ts';
import { peerOf } from './peer.ts';
import { flag, queryOf, text } from './query.ts';
import { refusalText, standardHeaders, takeVersion, versionOf } from './version.ts';

/** GET /containers/{id}/attach/ws: what a container prints comes as binary messages, both streams in one; what is sent goes to its input. */
export const attachWebsocket = ({ containers }: Engine): UpgradeTaker => {
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: false, clientTracking: false, maxPayload: MESSAGE_LIMIT });

  const open = (req: IncomingMessage): ((websocket: WebSocket) => Promise<void>) => {
    const query = queryOf(req);
    const ref = decodeURIComponent(PATH.exec(pathOf(req))?.[1] ?? '');
    const written = text(query, 'detachKeys');
    const keys = parseDetachKeys(written);
    if (!keys) throw invalid(`Invalid detach keys (${written}) provided`);
    // Before 1.42 nobody chose: it was all of them.
    const chosen = (name: string): boolean => versionOf(req) < 42 || flag(query, name);
    const [stdin, stdout, stderr] = [chosen('stdin'), chosen('stdout'), chosen('stderr')];
    const stream = flag(query, 'stream') && (stdin || stdout || stderr);
    const { tty, run } = containers.attach(ref, { stdin: stdin && stream, stdout, stderr, logs: flag(query, 'logs'), stream, detachKeys: written });
    return (websocket) => run(websocketPeer(websocket, { stdin: stdin && stream, tty, keys }));
  };

  return (req, socket, head) => {
    if (req.method !== 'GET' || !PATH.test(pathOf(req))) return false;
    socket.on('error', () => socket.destroy());
    try {
      if (!takeVersion(req, (refusal) => endWithError(socket, invalid(refusalText(refusal)), headers))) return true;
      const run = open(req);
      if (req.headers.upgrade?.toLowerCase() !== 'websocket') {
        endNotWebsocket(socket);
        return true;
      }
      server.handleUpgrade(req, socket, head, (websocket) => {
        run(websocket).catch((error: unknown) => websocket.close(1011, messageOf(error).slice(0, REASON_LIMIT)));
      });
    } catch (error) {
      endWithError(socket, error, headers);
    }
    return true;
  };
};

/** The same path from a client that does not ask to upgrade. */
export const attachWebsocketRoutes = ({ containers }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });
  router.get('/containers/:ref/attach/ws', (req, res) => {
    containers.find(req.params.ref);
    for (const name of res.getHeaderNames()) res.removeHeader(name);
    res.shouldKeepAlive = false;
    res.writeHead(400).end(NOT_WEBSOCKET);
  });
  return router;
};

const websocketPeer = (websocket: WebSocket, { stdin, tty, keys }: { readonly stdin: boolean; readonly tty: boolean; readonly keys: Buffer }): Peer => {
  const stream = createWebSocketStream(websocket);
  const close = (): void => void stream.end();
  stream.on('error', () => stream.destroy());
  const input = stdin && tty ? untilDetached(keys, close) : new PassThrough();
  input.on('error', () => undefined);
  stream.pipe(input);
  return peerOf(stream, input, false, close);
};

const PATH = /^(?:\/v[0-9.]+)?\/containers\/([^/]+)\/attach\/ws$/;
const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0] ?? '';

// Some keys, or a paste; what would be more comes in several messages.
const MESSAGE_LIMIT = 1024 * 1024;
// A close frame holds no more.
const REASON_LIMIT = 120;
const NOT_WEBSOCKET = 'not websocket protocol';
const headers = standardHeaders.map(([name, value]) => `${name}: ${value}`);

const endNotWebsocket = (socket: Socket): void => {
  socket.end(`HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: ${NOT_WEBSOCKET.length}\r\n\r\n${NOT_WEBSOCKET}`);
  socket.resume();
};

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { STATUS_CODES } from 'node:http';
import { EngineError, messageOf, type ErrorKind } from '../model/errors.ts';

const statusOf: Record<ErrorKind, number> = {
  'not-modified': 304,
  'invalid-parameter': 400,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'too-large': 413,
  'too-slow': 408,
  system: 500,
  'not-implemented': 501,
  unavailable: 503,
};

/** The status and message that a thrown value becomes. What is not an EngineError is a fault of ours: 500. */
export const failure = (error: unknown): { readonly status: number; readonly message: string } => {
  if (error instanceof EngineError) return { status: statusOf[error.kind], message: error.message };
  // Express refuses a path with a broken percent escape this way.
  if (error instanceof URIError) return { status: 400, message: error.message };
  return { status: 500, message: messageOf(error) };
};

/** Docker's error body: `message` and nothing else. After the headers have gone out only the connection can tell. */
export const sendError = (res: ServerResponse, error: unknown): void => {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  // Of the answer that was meant; HTTP/1.0 can not even have it.
  res.removeHeader('trailer');
  const { status, message } = failure(error);
  if (status === 304) {
    res.writeHead(304).end();
    return;
  }
  const body = errorBody(message);
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }).end(body);
};

/** Nothing of the usual headers: the reference engine refuses such a request before it sets them. */
export const sendPageNotFound = (res: ServerResponse): void => {
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  const body = errorBody('page not found');
  res.writeHead(404, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }).end(body);
};

/** The same on a connection that Node no longer speaks HTTP on, which it ends. */
export const endWithError = (socket: Socket, error: unknown, headers: readonly string[]): void => {
  const { status, message } = failure(error);
  const body = errorBody(message);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    ...headers,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
  socket.resume();
};

const errorBody = (message: string): string => `${JSON.stringify({ message })}\n`;

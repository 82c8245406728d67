import type { IncomingMessage } from 'node:http';
import { EngineError, invalid } from '../model/errors.ts';
import { scanJson, skipSpace } from './json-syntax.ts';

// The largest create request of a real client is some tens of KiB; this one holds a thousand port bindings many times over.
export const BODY_LIMIT = 4 * 1024 * 1024;

/** The request's JSON; undefined when it has no body. */
export const readJson = async (req: IncomingMessage): Promise<unknown> => {
  checkContentType(req);
  if (!hasBody(req)) return undefined;
  return parseJson(await readBody(req));
};

/** The same where a body must be there. */
export const readRequiredJson = async (req: IncomingMessage): Promise<unknown> => {
  checkContentType(req);
  return parseJson(hasBody(req) ? await readBody(req) : '');
};

export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] !== undefined && headers['content-length'] !== '0');

export const checkContentType = (req: IncomingMessage): void => {
  const type = req.headers['content-type'] ?? '';
  if (type === 'application/json' || (type === '' && !hasBody(req))) return;
  const media = type.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (media === '') throw invalid(`malformed Content-Type header (${type}): mime: no media type`);
  if (media !== 'application/json') throw invalid(`unsupported Content-Type header (${type}): must be 'application/json'`);
};

/** One JSON value; faults in the words of Go's decoder, which stops at the value's end and only then looks for more. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    const scan = scanJson(text);
    if ('fault' in scan) throw invalid(`invalid JSON: ${scan.fault}`);
    const next = text[skipSpace(text, scan.end)];
    if (next !== undefined && next !== ']' && next !== '}') throw invalid('unexpected content after JSON');
    return JSON.parse(text.slice(0, scan.end));
  }
};

export const tooLarge = (): EngineError => new EngineError('too-large', 'http: request body too large');
export const tooSlow = (): EngineError => new EngineError('too-slow', 'http: request body came too slowly');

/** Milliseconds that a client has for a body of JSON: it has all of it before it calls. */
export const BODY_PATIENCE = 60_000;

const readBody = async (req: IncomingMessage): Promise<string> => {
  if (Number(req.headers['content-length'] ?? 0) > BODY_LIMIT) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  // By hand: `for await` would take the connection down with what it throws, and nobody would hear why.
  return new Promise((resolve, reject) => {
    const settle = (error: Error | undefined): void => {
      clearTimeout(timer);
      req.off('data', take).off('end', end).off('close', cut);
      if (error) reject(error);
      else resolve(Buffer.concat(chunks, size).toString());
    };
    const take = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > BODY_LIMIT) settle(tooLarge());
      else chunks.push(chunk);
    };
    const end = (): void => settle(undefined);
    const cut = (): void => settle(invalid('invalid JSON: unexpected EOF'));
    const timer = setTimeout(() => settle(tooSlow()), BODY_PATIENCE);
    req.on('data', take).once('end', end).once('close', cut);
  });
};

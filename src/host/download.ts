import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { pipeline } from 'node:stream/promises';

const REDIRECTS = 10;

/** Writes what a URL gives to a file that only root reads, dated as the server dates it. Resolves to its bytes. */
export const download = async (url: string, file: string, gone: AbortSignal): Promise<number> => {
  const answer = await get(new URL(url), gone, REDIRECTS);
  await pipeline(answer, fs.createWriteStream(file, { flags: 'wx', mode: 0o600 }), { signal: gone });
  const modified = Date.parse(answer.headers['last-modified'] ?? '');
  if (!Number.isNaN(modified)) fs.utimesSync(file, modified / 1000, modified / 1000);
  return fs.statSync(file).size;
};

const get = async (url: URL, gone: AbortSignal, redirects: number): Promise<http.IncomingMessage> => {
  const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const { get: ask } = url.protocol === 'https:' ? https : http;
    ask(url, { signal: gone, agent: false }, resolve).on('error', (error: NodeJS.ErrnoException) => reject(new Error(`Get ${JSON.stringify(url.href)}: ${inWords(error)}`)));
  });
  const { statusCode = 0, headers } = answer;
  if ([301, 302, 303, 307, 308].includes(statusCode) && headers.location !== undefined) {
    answer.destroy();
    if (redirects === 0) throw new Error(`Get ${JSON.stringify(url.href)}: stopped after ${REDIRECTS} redirects`);
    const next = new URL(headers.location, url);
    if (next.protocol !== 'http:' && next.protocol !== 'https:') throw new Error(`Get ${JSON.stringify(url.href)}: unsupported protocol scheme ${JSON.stringify(next.protocol.slice(0, -1))}`);
    return get(next, gone, redirects - 1);
  }
  if (statusCode >= 400) {
    answer.destroy();
    throw new Error(`failed to GET ${url.href} with status ${statusCode} ${http.STATUS_CODES[statusCode] ?? ''}`.trim());
  }
  return answer;
};

const inWords = (error: NodeJS.ErrnoException & { address?: string; port?: number }): string =>
  error.code === 'ECONNREFUSED' ? `dial tcp ${error.address}:${error.port}: connect: connection refused` : error.message;

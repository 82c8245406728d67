import { Router } from 'express';
import type { IncomingMessage } from 'node:http';
import type { Engine } from '../engine/services.ts';
import { invalid } from '../model/errors.ts';
import { sendEmpty, sendJson, sendStream } from './answer.ts';
import { flag, queryOf, text } from './query.ts';
import { volumeView } from './volumes.ts';

/**
 * berth's own: whole volumes as archives. The sha-256 of a tar goes as RFC 9530 has it, `Content-Digest:
 * sha-256=:BASE64:`; of one that is sent, in a trailer after it (`Trailer` announces it); of one that is received, in a
 * header, or in a trailer.
 */
export const volumeArchiveRoutes = ({ volumes, volumeArchives }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.head('/volumes/:name/archive', (req, res) => {
    volumes.find(req.params.name);
    res.writeHead(200, TAR).end();
  });

  router.get('/volumes/:name/archive', async (req, res) => {
    const { stream, digest } = await volumeArchives.backup(req.params.name, { pause: flag(queryOf(req), 'pause') });
    // Trailers are of HTTP/1.1.
    const trailed = req.httpVersion === '1.1';
    if (trailed) stream.once('end', () => res.addTrailers({ [DIGEST]: `sha-256=:${digest()}:` }));
    await sendStream(res, stream, trailed ? { ...TAR, Trailer: DIGEST } : TAR);
  });

  router.put('/volumes/:name/archive', async (req, res) => {
    const query = queryOf(req);
    const mode = text(query, 'mode') || 'replace';
    if (mode !== 'replace' && mode !== 'merge') throw invalid(`invalid mode ${JSON.stringify(mode)}: must be replace or merge`);
    // A header that nothing can be made of is refused before anything is sent.
    digestIn(req.headers);
    await volumeArchives.restore(req.params.name, req, { mode, pause: flag(query, 'pause'), expected: () => digestIn(req.headers) ?? digestIn(req.trailers) });
    sendEmpty(res, 200);
  });

  router.post('/volumes/:name/clone', async (req, res) => {
    const query = queryOf(req);
    sendJson(res, 201, volumeView(await volumeArchives.clone(req.params.name, text(query, 'name'), { pause: flag(query, 'pause') })));
  });

  router.post('/volumes/:name/rename', async (req, res) => {
    await volumeArchives.rename(req.params.name, text(queryOf(req), 'name'));
    sendEmpty(res, 204);
  });

  return router;
};

const TAR = { 'Content-Type': 'application/x-tar' } as const;
const DIGEST = 'Content-Digest';

/** The sha-256 in base64; undefined when there is none. Other algorithms may stand beside it. */
const digestIn = (headers: IncomingMessage['headers'] | NodeJS.Dict<string>): string | undefined => {
  const value = headers['content-digest'] ?? headers['repr-digest'];
  if (value === undefined) return undefined;
  const found = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*(?:;[^,]*)?(?:,|$)/.exec(String(value));
  if (found) return found[1];
  if (/(?:^|,)\s*sha-256=/.test(String(value))) throw invalid(`invalid Content-Digest: ${String(value)}`);
  return undefined;
};

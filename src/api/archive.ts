import { Router } from 'express';
import type { Engine, PathStat } from '../engine/services.ts';
import { invalid } from '../model/errors.ts';
import { sendEmpty, sendStream } from './answer.ts';
import { flag, queryOf, text } from './query.ts';
import { goTime } from './time.ts';

export const archiveRoutes = ({ archives }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.head('/containers/:ref/archive', async (req, res) => {
    const stat = await archives.stat(req.params.ref, parsePath(queryOf(req)));
    res.setHeader(STAT_HEADER, statView(stat));
    res.writeHead(200).end();
  });

  router.get('/containers/:ref/archive', async (req, res) => {
    const { stat, tar } = await archives.read(req.params.ref, parsePath(queryOf(req)));
    await sendStream(res, tar, { 'Content-Type': 'application/x-tar', [STAT_HEADER]: statView(stat) });
  });

  router.put('/containers/:ref/archive', async (req, res) => {
    const query = queryOf(req);
    await archives.write(req.params.ref, parsePath(query), req, {
      noOverwriteDirNonDir: flag(query, 'noOverwriteDirNonDir'),
      copyUidGid: flag(query, 'copyUIDGID'),
    });
    sendEmpty(res, 200);
  });

  router.get('/containers/:ref/export', async (req, res) => {
    await sendStream(res, await archives.export(req.params.ref), { 'Content-Type': 'application/octet-stream' });
  });

  return router;
};

const STAT_HEADER = 'X-Docker-Container-Path-Stat';

/** The missing space is the reference engine's. */
const parsePath = (query: URLSearchParams): string => {
  const path = text(query, 'path');
  if (path === '') throw invalid('bad parameter: pathcannot be empty');
  return path;
};

const statView = ({ name, size, mode, mtime, linkTarget }: PathStat): string =>
  Buffer.from(JSON.stringify({ name, size, mode, mtime: goTime(mtime), linkTarget })).toString('base64');

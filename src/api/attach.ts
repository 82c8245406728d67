import { Router } from 'express';
import type { Engine } from '../engine/services.ts';
import { invalid } from '../model/errors.ts';
import { parseDetachKeys } from './detach-keys.ts';
import { serveUnupgraded, type HijackRoute } from './hijack.ts';
import { flag, text } from './query.ts';

/** POST /containers/{id}/attach, upgraded. */
export const attachHijack = ({ containers }: Engine): HijackRoute => ({
  path: /^(?:\/v[0-9.]+)?\/containers\/([^/]+)\/attach$/,
  standardHeaders: false,
  body: false,
  async open({ ref, query }) {
    const written = text(query, 'detachKeys');
    const detachKeys = parseDetachKeys(written);
    if (!detachKeys) throw invalid(`Invalid detach keys (${written}) provided`);
    const stream = flag(query, 'stream');
    const stdin = flag(query, 'stdin') && stream;
    const { tty, run } = containers.attach(ref, {
      stdin,
      stdout: flag(query, 'stdout'),
      stderr: flag(query, 'stderr'),
      logs: flag(query, 'logs'),
      stream,
      detachKeys: written,
    });
    return { tty, stdin, detachKeys, run };
  },
});

export const attachRoutes = (hijack: HijackRoute): Router => {
  const router = Router({ caseSensitive: true, strict: true });
  router.post('/containers/:ref/attach', async (req, res) => {
    await serveUnupgraded(hijack, req, res, req.params.ref, '');
  });
  return router;
};

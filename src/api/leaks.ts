import { Router } from 'express';
import type { Engine } from '../engine/services.ts';
import { sendJson } from './answer.ts';

/** berth's own: what is on the host that nobody owns, and what should be and is not. `berth doctor` asks. */
export const leakRoutes = ({ leaks }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });
  router.get('/berth/leaks', async (_req, res) => {
    const { leaked, missing } = await leaks.find();
    sendJson(res, 200, { Leaked: leaked, Missing: missing });
  });
  router.post('/berth/leaks/fix', async (_req, res) => {
    const { fixed, leaked, missing } = await leaks.fix();
    sendJson(res, 200, { Fixed: fixed, Leaked: leaked, Missing: missing });
  });
  return router;
};

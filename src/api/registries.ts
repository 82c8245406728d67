import { Router } from 'express';
import type { Engine } from '../engine/services.ts';
import { goneSignal, sendJson } from './answer.ts';
import { readRequiredJson } from './body.ts';
import { parseLogin } from './credentials.ts';

export const registryRoutes = ({ registries }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.post('/auth', async (req, res) => {
    await registries.login({ ...parseLogin(await readRequiredJson(req)), gone: goneSignal(res) });
    sendJson(res, 200, { IdentityToken: '', Status: 'Login Succeeded' });
  });

  return router;
};

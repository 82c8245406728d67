import { Router } from 'express';
import { checkFilters } from '../engine/filters.ts';
import type { Engine } from '../engine/services.ts';
import { invalid, notImplemented } from '../model/errors.ts';
import { parseName } from '../model/image-reference.ts';
import { goneSignal, sendJson } from './answer.ts';
import { readRequiredJson } from './body.ts';
import { credentialsOf, parseLogin } from './credentials.ts';
import { parseFilters } from './filters.ts';
import { queryOf, text, wholeNumber } from './query.ts';

export const registryRoutes = ({ registries }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.post('/auth', async (req, res) => {
    await registries.login({ ...parseLogin(await readRequiredJson(req)), gone: goneSignal(res) });
    sendJson(res, 200, { IdentityToken: '', Status: 'Login Succeeded' });
  });

  router.get('/distribution/*name/json', async (req, res) => {
    const named = parseName(req.params.name.join('/'));
    const { mediaType, digest, size, platforms } = await registries.distribution({ named, credentials: credentialsOf(req), gone: goneSignal(res) });
    sendJson(res, 200, {
      Descriptor: { mediaType, digest, size },
      Platforms: platforms.map(({ architecture, os, variant }) => ({ architecture, os, ...(variant === '' ? {} : { variant }) })),
    });
  });

  router.get('/images/search', (req) => {
    const query = queryOf(req);
    const written = text(query, 'limit');
    const limit = written === '' ? undefined : wholeNumber(written, (problem) => invalid(`invalid limit specified: ${problem}`));
    checkFilters(parseFilters(query), SEARCH_FILTERS);
    if (limit !== undefined && limit !== 0 && (limit < 1 || limit > 100)) throw invalid(`limit ${limit} is outside the range of [1, 100]`);
    throw notImplemented('searching Docker Hub is not implemented by berth: its web pages find images, and docker pull takes their names');
  });

  return router;
};

const SEARCH_FILTERS = ['is-automated', 'is-official', 'stars'];

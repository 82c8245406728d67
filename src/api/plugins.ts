import { Router, type Request } from 'express';
import { booleanFilter, checkFilters } from '../engine/filters.ts';
import { messageOf, notFound, notImplemented, systemError } from '../model/errors.ts';
import { parseName } from '../model/image-reference.ts';
import { sendJson } from './answer.ts';
import { parseFilters } from './filters.ts';
import { queryOf, text, wholeNumber } from './query.ts';

/** There are no plugins: what asks for one finds none, and what would bring one is told so. */
export const pluginRoutes = (): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.get('/plugins', (req, res) => {
    const filters = parseFilters(queryOf(req));
    checkFilters(filters, ['capability', 'enabled']);
    booleanFilter(filters, 'enabled');
    sendJson(res, 200, []);
  });

  router.get('/plugins/privileges', (req) => {
    named(text(queryOf(req), 'remote'));
    throw none();
  });

  router.post('/plugins/pull', (req) => {
    named(text(queryOf(req), 'remote'));
    throw none();
  });

  router.post('/plugins/create', (req) => {
    const name = text(queryOf(req), 'name');
    if (name === '') throw systemError('failed to parse reference : invalid reference format');
    throw none();
  });

  router.post('/plugins/*name/upgrade', (req) => {
    named(text(queryOf(req), 'remote'));
    throw notFound(`plugin ${JSON.stringify(withTag(nameOf(req)))} not found`);
  });

  router.post('/plugins/*name/enable', (req) => {
    wholeNumber(text(queryOf(req), 'timeout'));
    throw absent(req);
  });

  for (const path of ['/plugins/*name/disable', '/plugins/*name/push', '/plugins/*name/set']) {
    router.post(path, (req: Request<{ name: string[] }>) => {
      throw absent(req);
    });
  }
  router.get('/plugins/*name/json', (req) => {
    throw absent(req);
  });
  router.delete('/plugins/*name', (req) => {
    throw absent(req);
  });
  return router;
};

const none = () => notImplemented('plugins are not implemented by berth');

const nameOf = (req: Request<{ name: string[] }>): string => req.params.name.join('/');
const absent = (req: Request<{ name: string[] }>) => notFound(`plugin ${JSON.stringify(nameOf(req))} not found`);
const withTag = (name: string): string => (/:[^/]*$/.test(name) ? name : `${name}:latest`);

/** The reference engine calls a name that is none its own failure. */
const named = (remote: string): void => {
  try {
    parseName(remote);
  } catch (error) {
    throw systemError(messageOf(error));
  }
};

import { Router } from 'express';
import { notImplemented } from '../model/errors.ts';

type Method = 'get' | 'post' | 'delete';

/** The rest of the Docker API: known paths that are told so, instead of "page not found". */
export const notImplementedRoutes = (): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  for (const [method, path] of CHECKPOINTS) {
    router[method](path, () => {
      throw notImplemented('This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.');
    });
  }
  return router;
};

const CHECKPOINTS: readonly (readonly [Method, string])[] = [
  ['get', '/containers/:ref/checkpoints'],
  ['post', '/containers/:ref/checkpoints'],
  ['delete', '/containers/:ref/checkpoints/:checkpoint'],
];

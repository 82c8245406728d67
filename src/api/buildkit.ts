import { Router } from 'express';
import { invalid, notImplemented, systemError } from '../model/errors.ts';
import type { HijackRoute } from './hijack.ts';

/** BuildKit's own protocol, which the CLI speaks only where buildx is installed. */
export const buildkitHijack: HijackRoute = {
  path: /^(?:\/v[0-9.]+)?\/(session|grpc)$/,
  standardHeaders: true,
  body: false,
  open: () => {
    throw notImplemented('BuildKit is not part of berth: build with DOCKER_BUILDKIT=0, or with a builder of its own (docker buildx create)');
  },
};

/** The same without the upgrade that it takes. */
export const buildkitRoutes = (): Router => {
  const router = Router({ caseSensitive: true, strict: true });
  router.post('/session', () => {
    throw invalid(NO_UPGRADE);
  });
  router.post('/grpc', () => {
    throw systemError(NO_UPGRADE);
  });
  return router;
};

const NO_UPGRADE = 'no upgrade proto in request';

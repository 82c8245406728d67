import { Router, type Response } from 'express';
import type { Engine } from '../engine/services.ts';
import { sendJson } from './answer.ts';
import { readJson } from './body.ts';
import { endpointOf } from './container-create.ts';
import { endpointSettings } from './container-schema.ts';
import { decode } from './decode.ts';
import { connectOptions, disconnectOptions, parseCreate } from './networks.ts';
import { flag, queryOf } from './query.ts';

/** What a call would do to the host, without doing it: the call as it is, with /berth/explain before its path. See explain.md. */
export const explainRoutes = ({ explain }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });
  const send = (res: Response, operations: readonly string[]): void => sendJson(res, 200, { Operations: operations });

  router.post('/berth/explain/networks/create', async (req, res) => send(res, explain.createNetwork(parseCreate(await readJson(req)))));
  router.delete('/berth/explain/networks/:ref', (req, res) => send(res, explain.removeNetwork(req.params.ref)));
  router.post('/berth/explain/networks/:ref/connect', async (req, res) => {
    const { Container, EndpointConfig } = decode(connectOptions, await readJson(req));
    send(res, explain.connect(req.params.ref, Container, endpointOf(EndpointConfig ?? endpointSettings.zero)));
  });
  router.post('/berth/explain/networks/:ref/disconnect', async (req, res) => {
    const { Container } = decode(disconnectOptions, await readJson(req));
    send(res, explain.disconnect(req.params.ref, Container));
  });
  router.post('/berth/explain/containers/:ref/start', (req, res) => send(res, explain.start(req.params.ref)));
  router.post('/berth/explain/containers/:ref/stop', (req, res) => send(res, explain.stop(req.params.ref)));
  router.delete('/berth/explain/containers/:ref', (req, res) => {
    const query = queryOf(req);
    send(res, explain.remove(req.params.ref, { force: flag(query, 'force'), volumes: flag(query, 'v') }));
  });
  return router;
};

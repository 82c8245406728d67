import { Router } from 'express';
import type { Engine } from '../engine/services.ts';
import { notFound, notImplemented, unavailable } from '../model/errors.ts';

type Method = 'get' | 'post' | 'delete';

/** The rest of the Docker API: known paths that are told so, instead of "page not found". */
export const notImplementedRoutes = ({ containers }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  for (const [method, path, what] of OF_CONTAINERS) {
    router[method](`/containers/:ref/${path}`, (req: { params: { ref?: string } }) => {
      containers.find(req.params.ref ?? '');
      throw notImplemented(`${what} is not implemented by berth yet`);
    });
  }
  for (const [method, path, what] of OTHERS) {
    router[method](path, () => {
      throw notImplemented(`${what} is not implemented by berth yet`);
    });
  }
  for (const [method, path] of OF_SWARM) {
    router[method](path, () => {
      throw unavailable(NOT_A_MANAGER);
    });
  }
  router.post('/swarm/leave', () => {
    throw unavailable('This node is not part of a swarm');
  });
  router.get('/plugins/:name/json', (req) => {
    throw notFound(`plugin ${JSON.stringify(req.params.name)} not found`);
  });
  return router;
};

const OF_CONTAINERS: readonly (readonly [Method, string, string])[] = [
  ['get', 'attach/ws', 'attaching over a websocket'],
  ['get', 'checkpoints', 'checkpointing containers'],
  ['post', 'checkpoints', 'checkpointing containers'],
  ['delete', 'checkpoints/:checkpoint', 'checkpointing containers'],
];

const OTHERS: readonly (readonly [Method, string, string])[] = [
  ['post', '/build', 'building images'],
  ['post', '/build/cancel', 'building images'],
  ['post', '/session', 'building images'],
  ['post', '/grpc', 'building images'],
  ['get', '/distribution/*name/json', 'asking registries'],
  ['post', '/swarm/init', 'swarm mode'],
  ['post', '/swarm/join', 'swarm mode'],
  ['get', '/plugins/privileges', 'plugins'],
  ['post', '/plugins/pull', 'plugins'],
  ['post', '/plugins/create', 'plugins'],
  ['delete', '/plugins/:name', 'plugins'],
  ['post', '/plugins/:name/enable', 'plugins'],
  ['post', '/plugins/:name/disable', 'plugins'],
  ['post', '/plugins/:name/upgrade', 'plugins'],
  ['post', '/plugins/:name/push', 'plugins'],
  ['post', '/plugins/:name/set', 'plugins'],
];

const NOT_A_MANAGER = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

const resource = (path: string, change: readonly (readonly [Method, string])[]): readonly (readonly [Method, string])[] => [
  ['get', path],
  ['get', `${path}/:id`],
  ['delete', `${path}/:id`],
  ...change,
];

const OF_SWARM: readonly (readonly [Method, string])[] = [
  ['get', '/swarm'],
  ['get', '/swarm/unlockkey'],
  ['post', '/swarm/update'],
  ['post', '/swarm/unlock'],
  ...resource('/nodes', [['post', '/nodes/:id/update']]),
  ...resource('/services', [
    ['post', '/services/create'],
    ['post', '/services/:id/update'],
    ['get', '/services/:id/logs'],
  ]),
  ...resource('/tasks', [['get', '/tasks/:id/logs']]),
  ...resource('/secrets', [
    ['post', '/secrets/create'],
    ['post', '/secrets/:id/update'],
  ]),
  ...resource('/configs', [
    ['post', '/configs/create'],
    ['post', '/configs/:id/update'],
  ]),
];

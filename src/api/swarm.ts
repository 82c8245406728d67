import { Router, type Request } from 'express';
import { invalid, notImplemented, systemError, unavailable } from '../model/errors.ts';
import { readJson } from './body.ts';
import { decode, string, struct } from './decode.ts';
import { parseFilters } from './filters.ts';
import { booleanOf, flag, queryOf, text } from './query.ts';

type Check = (query: URLSearchParams) => void;
type Method = 'get' | 'post' | 'put' | 'delete';

/** The calls of swarm mode, answered as by an engine that is no manager of a swarm: what is wrong is told first. */
export const swarmRoutes = (): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  for (const [method, path, ...checks] of CALLS) {
    router[method](path, (req: Request) => {
      for (const check of checks) check(queryOf(req));
      throw unavailable(NOT_A_MANAGER);
    });
  }
  for (const path of ['/swarm/init', '/swarm/join']) {
    router.post(path, async (req) => {
      const { ListenAddr } = decode(listener, await readJson(req));
      if (ListenAddr === '') throw invalid('invalid ListenAddr "": invalid empty address');
      throw notImplemented('swarm mode is not implemented by berth');
    });
  }
  router.post('/swarm/leave', () => {
    throw unavailable('This node is not part of a swarm');
  });
  router.put('/volumes/:name', () => {
    throw unavailable('volume update only valid for cluster volumes, but swarm is unavailable');
  });
  return router;
};

export const NOT_A_MANAGER = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

const listener = struct('swarm.InitRequest', { ListenAddr: string });

/** Updates name the version that they change. */
const versioned = (what: string): Check => (query) => {
  const version = text(query, 'version');
  if (/^\d+$/.test(version)) return;
  throw invalid(what === 'secret' || what === 'config' ? `invalid ${what} version` : `invalid ${what} version '${version}': strconv.ParseUint: parsing ${JSON.stringify(version)}: invalid syntax`);
};

const streams: Check = (query) => {
  if (!flag(query, 'stdout') && !flag(query, 'stderr')) throw systemError('Bad parameters: you must choose at least one stream');
};

const filtered: Check = (query) => void parseFilters(query);

const withDefaults: Check = (query) => void booleanOf(query, 'insertDefaults');

const CALLS: readonly (readonly [Method, string, ...Check[]])[] = [
  ['get', '/swarm'],
  ['get', '/swarm/unlockkey'],
  ['post', '/swarm/update', versioned('swarm')],
  ['post', '/swarm/unlock'],
  ['get', '/nodes', filtered],
  ['get', '/nodes/:id'],
  ['delete', '/nodes/:id'],
  ['post', '/nodes/:id/update', versioned('node')],
  ['get', '/services', filtered],
  ['post', '/services/create'],
  ['get', '/services/:id', withDefaults],
  ['delete', '/services/:id'],
  ['post', '/services/:id/update', versioned('service')],
  ['get', '/services/:id/logs', streams],
  ['get', '/tasks', filtered],
  ['get', '/tasks/:id'],
  ['get', '/tasks/:id/logs', streams],
  ['get', '/secrets', filtered],
  ['post', '/secrets/create'],
  ['get', '/secrets/:id'],
  ['delete', '/secrets/:id'],
  ['post', '/secrets/:id/update', versioned('secret')],
  ['get', '/configs', filtered],
  ['post', '/configs/create'],
  ['get', '/configs/:id'],
  ['delete', '/configs/:id'],
  ['post', '/configs/:id/update', versioned('config')],
];

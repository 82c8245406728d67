// Swarm mode and plugins, as an engine answers that is in no swarm and has no plugin.

import assert from 'node:assert/strict';
import { check, type Resource } from './check.ts';
import type { Body } from '../support/http.ts';

const NOT_A_MANAGER = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

const unavailable = (endpoint: string, query = '', body?: Body) => {
  const [method = '', path = ''] = endpoint.split(' ');
  return check(endpoint, 'not a manager of a swarm', lab => lab.refuses(503, NOT_A_MANAGER, method, `${path.replace('{id}', 'mx-nosuch')}${query}`, body));
};

const wrong = (endpoint: string, behaviour: string, status: number, message: string | RegExp, query = '', body?: Body) => {
  const [method = '', path = ''] = endpoint.split(' ');
  return check(endpoint, behaviour, lab => lab.refuses(status, message, method, `${path.replace(/\{\w+\}/, 'mx-nosuch')}${query}`, body));
};

const noVersion = (endpoint: string, what: string) => wrong(endpoint, 'not without a version', 400, `invalid ${what} version '': strconv.ParseUint: parsing "": invalid syntax`, '', {});

export const swarm: Resource = {
  title: 'swarm',
  about: 'answers as an engine that is in no swarm',
  later: 'swarm mode',
  checks: [
    unavailable('GET /swarm'),
    unavailable('GET /swarm/unlockkey'),
    unavailable('POST /swarm/update', '?version=1', {}),
    noVersion('POST /swarm/update', 'swarm'),
    unavailable('POST /swarm/unlock', '', { UnlockKey: 'x' }),
    wrong('POST /swarm/leave', 'not part of a swarm', 503, 'This node is not part of a swarm'),
    wrong('POST /swarm/init', 'not without an address', 400, 'invalid ListenAddr "": invalid empty address', '', {}),
    wrong('POST /swarm/join', 'not without an address', 400, 'invalid ListenAddr "": invalid empty address', '', {}),
    unavailable('GET /nodes'),
    wrong('GET /nodes', 'filters that are none', 400, 'invalid filter', '?filters={bad'),
    unavailable('GET /nodes/{id}'),
    unavailable('DELETE /nodes/{id}'),
    unavailable('POST /nodes/{id}/update', '?version=1', {}),
    noVersion('POST /nodes/{id}/update', 'node'),
    unavailable('GET /services'),
    unavailable('POST /services/create', '', {}),
    unavailable('GET /services/{id}'),
    unavailable('DELETE /services/{id}'),
    unavailable('POST /services/{id}/update', '?version=1', {}),
    noVersion('POST /services/{id}/update', 'service'),
    unavailable('GET /services/{id}/logs', '?stdout=1'),
    wrong('GET /services/{id}/logs', 'no stream', 500, 'Bad parameters: you must choose at least one stream'),
    unavailable('GET /tasks'),
    unavailable('GET /tasks/{id}'),
    unavailable('GET /tasks/{id}/logs', '?stdout=1'),
    unavailable('GET /secrets'),
    unavailable('POST /secrets/create', '', {}),
    unavailable('GET /secrets/{id}'),
    unavailable('DELETE /secrets/{id}'),
    unavailable('POST /secrets/{id}/update', '?version=1', {}),
    wrong('POST /secrets/{id}/update', 'not without a version', 400, 'invalid secret version', '', {}),
    unavailable('GET /configs'),
    unavailable('POST /configs/create', '', {}),
    unavailable('GET /configs/{id}'),
    unavailable('DELETE /configs/{id}'),
    unavailable('POST /configs/{id}/update', '?version=1', {}),
    check('POST /networks/create', 'networks of a swarm', lab => lab.refuses(403, /This node is not a swarm manager/, 'POST', '/networks/create', { Name: lab.name('x'), Scope: 'swarm', Driver: 'overlay' })),
  ],
};

const notFound = (endpoint: string, query = '', body?: Body) => wrong(endpoint, 'no such plugin', 404, /^plugin "mx-nosuch(:latest)?" not found$/, query, body);

export const plugins: Resource = {
  title: 'plugins',
  about: 'answers as an engine that has none',
  later: 'plugins',
  checks: [
    check('GET /plugins', 'none; filters', async lab => {
      assert.deepEqual(await lab.ask(200, 'GET', '/plugins?filters={"capability":["volumedriver"]}'), []);
      await lab.refuses(400, "invalid filter 'nosuch'", 'GET', '/plugins?filters={"nosuch":["x"]}');
    }),
    wrong('GET /plugins/privileges', 'a name that is none', 500, 'invalid reference format'),
    wrong('POST /plugins/pull', 'a name that is none', 500, 'invalid reference format', '', []),
    wrong('POST /plugins/create', 'a name that is none', 500, 'failed to parse reference : invalid reference format'),
    notFound('GET /plugins/{name}/json'),
    notFound('DELETE /plugins/{name}'),
    notFound('POST /plugins/{name}/enable', '?timeout=0'),
    wrong('POST /plugins/{name}/enable', 'a timeout that is none', 500, 'strconv.Atoi: parsing "x": invalid syntax', '?timeout=x'),
    notFound('POST /plugins/{name}/disable'),
    notFound('POST /plugins/{name}/upgrade', '?remote=127.0.0.1:1/x', []),
    notFound('POST /plugins/{name}/push'),
    notFound('POST /plugins/{name}/set', '', ['a=b']),
  ],
};

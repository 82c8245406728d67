import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import request from 'supertest';
import { createEvents } from '../engine/events.ts';
import type { LogQuery } from '../engine/host.ts';
import type { CreateRequest } from '../model/container.ts';
import { conflict, invalid, notFound, notModified, systemError } from '../model/errors.ts';
import type { Filters } from '../engine/filters.ts';
import type { Volume } from '../model/volume.ts';
import { createApp } from './app.ts';
import { fakeEngine, options } from './fake.ts';

const app = (parts: Parameters<typeof fakeEngine>[0], more: object = {}): http.Server => createApp(fakeEngine(parts), { ...options, ...more });

const listening = async (t: TestContext, parts: Parameters<typeof fakeEngine>[0]): Promise<number> => {
  const server = app(parts).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
};

const wholeBody = (res: unknown, done: (error: Error | null, body: Buffer) => void): void =>
  void (res as Readable).toArray().then((chunks: Buffer[]) => done(null, Buffer.concat(chunks)));

const volume: Volume = { name: 'v', created: '2026-11-23T17:44:37Z', driver: 'local', mountpoint: '/m', labels: undefined, options: undefined } as Volume;

test('the usual headers, and no others', async () => {
  const { headers } = await request(app({ volumes: { list: () => [volume] } })).get('/v1.50/volumes').expect(200);
  const { date, connection, ...rest } = headers;
  assert.ok(date);
  assert.deepEqual(rest, {
    'api-version': '1.51',
    'docker-experimental': 'false',
    ostype: 'linux',
    server: 'Docker/28.5.2 (linux)',
    'content-type': 'application/json',
    'content-length': '158',
  });
});

test('ping', async () => {
  const { headers, text } = await request(app({})).get('/_ping').expect(200);
  assert.equal(text, 'OK');
  assert.equal(headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(headers['builder-version'], '1');
  assert.equal(headers['cache-control'], 'no-cache, no-store, must-revalidate');
  assert.equal(headers['swarm'], 'inactive');
  await request(app({})).head('/_ping').expect(200).expect('content-length', '0');
  await request(app({})).get('/v1.24/_ping').expect(200);
});

test('versions', async () => {
  const old = await request(app({})).get('/v1.10/info').expect(400);
  assert.equal(old.headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(old.text, 'client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version\n');
  await request(app({})).get('/v9.99/info').expect(400, { message: 'client version 9.99 is too new. Maximum supported API version is 1.51' });
  await request(app({ volumes: { list: () => [] } })).get('/volumes').expect(200, { Volumes: [], Warnings: null });
});

test('what is not there', async () => {
  const { headers } = await request(app({})).get('/nosuch').expect(404, { message: 'page not found' });
  assert.equal(headers['api-version'], undefined);
  assert.equal(headers['server'], undefined);
  await request(app({})).patch('/v1.50/containers/json').expect(404, { message: 'page not found' });
  await request(app({})).head('/containers/json').expect(404);
  await request(app({})).get('/containers/json/').expect(404);
  await request(app({})).get('/v1.50').expect(404);
});

test('errors: kinds become statuses, others 500 and are told', async () => {
  const faults: unknown[] = [];
  const server = app(
    {
      containers: {
        start: async (ref) => {
          if (ref === 'running') throw notModified();
          if (ref === 'taken') throw conflict('taken');
          if (ref === 'broken') throw new TypeError('a fault');
          throw notFound(`No such container: ${ref}`);
        },
      },
    },
    { fault: (_request: string, error: unknown) => faults.push(error) },
  );
  await request(server).post('/containers/x/start').expect(404, { message: 'No such container: x' });
  await request(server).post('/containers/taken/start').expect(409, { message: 'taken' });
  await request(server).post('/containers/running/start').expect(304, '');
  assert.equal(faults.length, 0);
  await request(server).post('/containers/broken/start').expect(500, { message: 'a fault' });
  assert.equal(faults.length, 1);
});

test('bodies: content type, absence, size', async () => {
  const server = app({ volumes: { create: async ({ name }) => ({ ...volume, name }) }, containers: {} });
  await request(server).post('/volumes/create').set('Content-Type', 'text/plain').send('{}').expect(400, { message: "unsupported Content-Type header (text/plain): must be 'application/json'" });
  await request(server).post('/volumes/create').set('Content-Type', 'application/json').send('{bad').expect(400, { message: "invalid JSON: invalid character 'b' looking for beginning of object key string" });
  await request(server).post('/volumes/create').set('Content-Type', 'application/json').send('{"Name":5}').expect(400, { message: 'invalid JSON: json: cannot unmarshal number into Go struct field CreateOptions.Name of type string' });
  await request(server).post('/volumes/create').expect(201);
  await request(server).post('/volumes/create').set('Content-Type', 'application/json; charset=utf-8').send('{"name":"a"}').expect(201);
  await request(server).post('/containers/create').expect(400, { message: 'invalid JSON: got EOF while reading request body' });
  await request(server).post('/volumes/create').set('Content-Type', 'application/json').send(`"${'x'.repeat(5 << 20)}"`).expect(413);
});

test('filters: both forms, and what is none', async () => {
  const seen: Filters[] = [];
  const server = app({ volumes: { list: (filters) => (seen.push(filters), []) }, containers: { list: async () => [] } });
  await request(server).get('/volumes').query({ filters: '{"label":["a","b"]}' }).expect(200);
  await request(server).get('/volumes').query({ filters: '{"label":{"a":true,"c":false}}' }).expect(200);
  assert.deepEqual(seen.map((filters) => [...filters]), [[['label', ['a', 'b']]], [['label', ['a']]]]);
  await request(server).get('/volumes').query({ filters: 'bad' }).expect(400, { message: 'error reading volume filters: invalid filter' });
  await request(server).get('/containers/json').query({ filters: '[]' }).expect(400, { message: 'invalid filter' });
  await request(server).get('/containers/json').query({ limit: 'abc' }).expect(500, { message: 'strconv.Atoi: parsing "abc": invalid syntax' });
});

test('create: the request in model words, warnings together', async () => {
  const seen: CreateRequest[] = [];
  const server = app({ containers: { create: async (create) => (seen.push(create), { id: 'abc', warnings: ['w'] }) } });
  await request(server).post('/v1.50/containers/create?name=x').send({ Image: 'busybox', Cmd: ['true'] }).expect(201, { Id: 'abc', Warnings: ['w'] });
  assert.equal(seen[0]?.name, 'x');
  assert.deepEqual(seen[0]?.spec.cmd, ['true']);
});

test('wait: headers at once, the code when it comes', async (t) => {
  let exit: (result: { code: number; error: string }) => void = () => undefined;
  const port = await listening(t, { containers: { wait: () => ({ done: new Promise((resolve) => (exit = resolve)) }) } });
  const req = http.request({ port, method: 'POST', path: '/v1.50/containers/x/wait?condition=next-exit' }).end();
  const [res] = (await once(req, 'response')) as [http.IncomingMessage];
  assert.equal(res.headers['content-type'], 'application/json');
  exit({ code: 3, error: '' });
  assert.deepEqual(JSON.parse((await res.toArray()).join('')), { StatusCode: 3 });
  await request(app({})).post('/containers/x/wait?condition=bad').expect(400, { message: 'invalid condition: "bad"' });
});

test('wait: the engine is told when the client goes away', async (t) => {
  let gone: AbortSignal | undefined;
  const port = await listening(t, { containers: { wait: (_ref, _condition, signal) => ((gone = signal), { done: new Promise(() => undefined) }) } });
  const req = http.request({ port, method: 'POST', path: '/containers/x/wait' }).end();
  await once(req, 'response');
  req.destroy();
  assert.ok(gone);
  if (!gone.aborted) await once(gone, 'abort');
});

test('logs: frames, times, the query', async () => {
  let asked: LogQuery | undefined;
  const server = app({
    containers: {
      logs: (_ref, query) => {
        asked = query;
        return {
          tty: false,
          details: '',
          batches: Readable.from([
            [
              { stream: 'stdout' as const, time: '2026-11-23T17:45:00.1Z', text: 'héllo\n' },
              { stream: 'stderr' as const, time: '2026-11-23T17:45:00.12Z', text: 'err\n' },
            ],
          ]),
        };
      },
    },
  });
  const get = (query: string) => request(server).get(`/v1.50/containers/x/logs?${query}`).buffer(true).parse(wholeBody);
  const { body, headers } = await get('stdout=1&stderr=1&since=5.5&tail=3').expect(200);
  assert.equal(headers['content-type'], 'application/vnd.docker.multiplexed-stream');
  assert.deepEqual(body, Buffer.from('\x01\0\0\0\0\0\0\x07héllo\n\x02\0\0\0\0\0\0\x04err\n'));
  assert.equal(asked?.since, 5_500_000_000n);
  assert.equal(asked?.tail, 3);
  assert.equal(asked?.follow, undefined);
  const times = await get('stdout=1&timestamps=1&tail=all').expect(200);
  assert.ok((times.body as Buffer).toString().includes('2026-11-23T17:45:00.100000000Z héllo\n'));
  await request(server).get('/v1.41/containers/x/logs?stdout=1').expect('content-type', 'application/vnd.docker.raw-stream');
  await request(server).get('/containers/x/logs').expect(400, { message: 'Bad parameters: you must choose at least one stream' });
  await request(server).get('/containers/x/logs?stdout=1&since=abc').expect(500, { message: 'strconv.ParseInt: parsing "abc": invalid syntax' });
});

test('events: the past, filtered; the present, until the client goes', async (t) => {
  let now = 1795455943_495063600n;
  const events = createEvents(() => now);
  events.emit({ type: 'container', action: 'create', id: 'c1', attributes: { name: 'web', image: 'busybox' } });
  events.emit({ type: 'network', action: 'connect', id: 'n1', attributes: { name: 'bridge', type: 'bridge', container: 'c1' } });
  const server = app({ events });
  const { text } = await request(server).get('/events?since=1795455943&until=1795455944').expect(200).expect('content-type', 'application/json').buffer(true).parse(wholeBody).then(({ body }) => ({ text: String(body) }));
  assert.deepEqual(
    text.trim().split('\n'),
    [
      '{"status":"create","id":"c1","from":"busybox","Type":"container","Action":"create","Actor":{"ID":"c1","Attributes":{"name":"web","image":"busybox"}},"scope":"local","time":1795455943,"timeNano":1795455943495063600}',
      '{"Type":"network","Action":"connect","Actor":{"ID":"n1","Attributes":{"name":"bridge","type":"bridge","container":"c1"}},"scope":"local","time":1795455943,"timeNano":1795455943495063600}',
    ],
  );
  const port = await listening(t, { events });
  const req = http.request({ port, path: '/events?filters=%7B%22container%22%3A%7B%22we%22%3Atrue%7D%2C%22event%22%3A%5B%22die%22%5D%7D' }).end();
  const [res] = (await once(req, 'response')) as [http.IncomingMessage];
  assert.equal(events.listeners(), 1);
  now += 1n;
  events.emit({ type: 'container', action: 'start', id: 'c1', attributes: { name: 'web' } });
  events.emit({ type: 'container', action: 'die', id: 'c2', attributes: { name: 'db' } });
  events.emit({ type: 'container', action: 'die', id: 'c1', attributes: { name: 'web' } });
  const [line] = (await once(res, 'data')) as [Buffer];
  assert.equal((JSON.parse(line.toString()) as { Action: string }).Action, 'die');
  req.destroy();
  while (events.listeners() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await request(server).get('/events?since=2&until=1').expect(400, { message: '`since` time (2) cannot be after `until` time (1)' });
});

test('images: names with slashes, streams with errors in them', async () => {
  const seen: unknown[] = [];
  const server = app({
    images: {
      tag: async (...args) => void seen.push(args),
      remove: async (ref) => [{ untagged: ref }, { deleted: 'sha256:1' }],
      import: async (tar, { repo, message, changes }) => (seen.push([(await tar.toArray()).join(''), repo, message, changes]), 'sha256:2'),
      load: async function* () {
        yield { status: 'Loading', id: 'a', progress: { current: 1, total: 2 } };
        yield { stream: 'Loaded image: a\n' };
        throw new Error('unexpected EOF');
      },
      save: () => Readable.from((async function* () { throw notFound('No such image: x'); })()),
      find: (ref) => {
        throw notFound(`No such image: ${ref}:latest`);
      },
    },
  });
  await request(server).post('/v1.50/images/a.b/c:1/tag?repo=x&tag=y').expect(201, '');
  await request(server).delete('/images/my/bb:1').expect(200, [{ Untagged: 'my/bb:1' }, { Deleted: 'sha256:1' }]);
  await request(server).post('/images/create?fromSrc=-&repo=busybox:latest&changes=A&changes=B').send('tar').expect(200, { status: 'sha256:2' });
  assert.deepEqual(seen, [['a.b/c:1', 'x', 'y'], ['tar', 'busybox:latest', 'Imported from -', ['A', 'B']]]);
  const { text } = await request(server).post('/images/load?quiet=1').buffer(true).parse(wholeBody).then(({ body }) => ({ text: String(body) }));
  assert.equal(text, '{"stream":"Loaded image: a\\n"}\r\n{"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}\r\n');
  await request(server).get('/images/get?names=x').expect(404, { message: 'No such image: x' });
  await request(server).get('/images/nosuch/json').expect(404, { message: 'No such image: nosuch:latest' });
});

test('pull, push and login: who asks for what, and how it went', async () => {
  const seen: unknown[] = [];
  const server = app({
    images: {
      pull: async function* ({ named, platform, credentials }) {
        seen.push([named.path, named.tag ?? named.digest, platform, credentials]);
        if (named.path === 'library/nosuch') throw notFound('manifest for nosuch:1 not found');
        yield { status: 'Pulling from a', id: '1' };
        yield { status: 'Pulling fs layer', id: 'b', progress: {} };
        yield { status: 'Downloading', id: 'b', progress: { current: 1_500_000, total: 3_000_000 } };
        throw new Error('connection reset');
      },
      push: async function* ({ named, credentials }) {
        seen.push([named.path, named.tag, credentials]);
        yield { aux: { tag: '1', digest: 'sha256:d', size: 3 } };
      },
    },
    registries: {
      login: async ({ server: host, credentials: { username, password } }) => {
        if (password !== 'right') throw systemError(`${username} at ${host}`);
      },
    },
  });
  const header = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const { text } = await request(server).post('/images/create?fromImage=x&tag=1&platform=linux').set('X-Registry-Auth', header({ username: 'u', password: 'p?>' })).buffer(true).parse(wholeBody).then(({ body }) => ({ text: String(body) }));
  assert.deepEqual(text.trim().split('\r\n'), [
    '{"status":"Pulling from a","id":"1"}',
    '{"status":"Pulling fs layer","progressDetail":{},"id":"b"}',
    `{"status":"Downloading","progressDetail":{"current":1500000,"total":3000000},"progress":"[${'='.repeat(25)}\\u003e${' '.repeat(25)}]    1.5MB/3MB","id":"b"}`,
    '{"errorDetail":{"message":"connection reset"},"error":"connection reset"}',
  ]);
  const digest = `sha256:${'0'.repeat(64)}`;
  await request(server).post(`/images/create?fromImage=nosuch&tag=${digest}`).set('X-Registry-Auth', 'e30=').expect(404, { message: 'manifest for nosuch:1 not found' });
  await request(server).post('/images/a.b:1/c/push?tag=2').set('X-Registry-Auth', header({ auth: Buffer.from('u:a:b').toString('base64') })).expect(200, { progressDetail: {}, aux: { Tag: '1', Digest: 'sha256:d', Size: 3 } });
  await request(server).post('/images/x/push').expect(400, { message: 'bad parameters and missing X-Registry-Auth: invalid X-Registry-Auth header: EOF' });
  assert.deepEqual(seen, [
    ['library/x', '1', 'linux', { username: 'u', password: 'p?>', identityToken: '' }],
    ['library/nosuch', digest, '', undefined],
    ['c', '2', { username: 'u', password: 'a:b', identityToken: '' }],
  ]);
  await request(server).post('/auth').send({ username: 'u', password: 'right', serveraddress: 'h' }).expect(200, { IdentityToken: '', Status: 'Login Succeeded' });
  await request(server).post('/auth').send({ username: 'u', password: 'wrong', serveraddress: 'h' }).expect(500, { message: 'u at h' });
});

test('archives: the stat as a header, the path that must be there', async () => {
  const stat = { name: 'f', size: 4, mode: 8389065, mtime: '2026-11-23T17:44:56.872557320Z', linkTarget: '' };
  const written: unknown[] = [];
  const server = app({
    archives: {
      stat: async () => stat,
      read: async () => ({ stat, tar: Readable.from([Buffer.from('tar')]) }),
      write: async (ref, path, tar, flags) => {
        written.push([ref, path, (await tar.toArray()).join(''), flags]);
        if (path === '/bad') throw invalid('mounted volume is marked read-only');
      },
    },
  });
  const header = Buffer.from('{"name":"f","size":4,"mode":8389065,"mtime":"2026-11-23T17:44:56.87255732Z","linkTarget":""}').toString('base64');
  await request(server).head('/containers/x/archive?path=/f').expect(200).expect('x-docker-container-path-stat', header);
  await request(server).get('/containers/x/archive?path=/f').expect(200).expect('x-docker-container-path-stat', header).expect('content-type', 'application/x-tar');
  await request(server).get('/containers/x/archive').expect(400, { message: 'bad parameter: pathcannot be empty' });
  await request(server).put('/containers/x/archive?path=/d&noOverwriteDirNonDir=true').send('abc').expect(200, '');
  await request(server).put('/containers/x/archive?path=/bad').send('abc').expect(400, { message: 'mounted volume is marked read-only' });
  assert.deepEqual(written[0], ['x', '/d', 'abc', { noOverwriteDirNonDir: true, copyUidGid: false }]);
});

test('not served yet: told so, after the container has been found', async () => {
  const server = app({ containers: { find: (ref) => { throw notFound(`No such container: ${ref}`); } } });
  await request(server).get('/v1.50/containers/nosuch/stats?stream=0').expect(404, { message: 'No such container: nosuch' });
  await request(server).post('/v1.50/build?version=2').expect(501, { message: 'building with BuildKit is not implemented by berth: use the classic builder (DOCKER_BUILDKIT=0)' });
  await request(server).get('/v1.50/nodes').expect(503, {
    message: 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  });
  await request(server).post('/v1.50/nodes/x/update').expect(400, { message: "invalid node version '': strconv.ParseUint: parsing \"\": invalid syntax" });
  await request(server).post('/secrets/x/update').expect(400, { message: 'invalid secret version' });
  await request(server).post('/swarm/init').send({ ListenAddr: '0.0.0.0:2377' }).expect(501, { message: 'swarm mode is not implemented by berth' });
  await request(server).put('/volumes/x').expect(503, { message: 'volume update only valid for cluster volumes, but swarm is unavailable' });
  await request(server).get('/plugins').expect(200, []);
  await request(server).get('/plugins?filters={"nosuch":["x"]}').expect(400, { message: "invalid filter 'nosuch'" });
  await request(server).delete('/plugins/some/thing').expect(404, { message: 'plugin "some/thing" not found' });
  await request(server).get('/images/search?term=x&limit=101').expect(400, { message: 'limit 101 is outside the range of [1, 100]' });
  await request(server).get('/images/search?term=x').expect(501);
  await request(server).post('/session').expect(400, { message: 'no upgrade proto in request' });
  await request(server).options('/nosuch').expect(200);
});

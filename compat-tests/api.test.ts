// The edge of the API: versions, unknown paths, bodies that are wrong, and the shape of errors.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { docker, dockerOut, dockerWith } from './support/docker.ts';
import { http } from './support/http.ts';
import { scope } from './support/scope.ts';

const { name } = scope('api');
const { ApiVersion, MinAPIVersion } = (await http('GET', '/version')).json();

const error = async (method: string, path: string, body?: string | object, headers?: Record<string, string>) => {
  const { status, headers: answered, json } = await http(method, path, body, headers);
  assert.equal(answered['content-type'], 'application/json');
  // An error is a message and nothing else.
  assert.deepEqual(Object.keys(json()), ['message']);
  return [status, json().message] as const;
};

describe('ping, version, info', () => {
  test('GET and HEAD /_ping', async () => {
    const get = await http('GET', '/_ping');
    const head = await http('HEAD', '/_ping');
    assert.deepEqual([get.status, get.text, head.status, head.text], [200, 'OK', 200, '']);
    for (const { headers } of [get, head]) {
      assert.equal(headers['api-version'], ApiVersion);
      assert.equal(headers['ostype'], 'linux');
      assert.equal(headers['docker-experimental'], 'false');
      assert.equal(headers['swarm'], 'inactive');
      assert.equal(headers['cache-control'], 'no-cache, no-store, must-revalidate');
      assert.equal(headers['pragma'], 'no-cache');
      assert.match(headers['content-type']!, /^text\/plain/);
      assert.match(String(headers['server']), /^\S+\/\S+ \(linux\)$/);
      assert.ok(headers['builder-version'] !== undefined);
    }
  });

  test('every answer has the headers', async () => {
    for (const path of ['/version', '/containers/ct-nosuch/json', '/containers/json']) {
      const { headers } = await http('GET', path);
      assert.equal(headers['api-version'], ApiVersion, path);
      assert.equal(headers['ostype'], 'linux', path);
    }
  });

  test('version', async () => {
    const { json } = await http('GET', '/version');
    const version = json();
    assert.match(version.ApiVersion, /^1\.\d+$/);
    assert.equal(version.MinAPIVersion, '1.24');
    assert.deepEqual([version.Os, version.Arch], ['linux', 'amd64']);
    for (const field of ['Version', 'GitCommit', 'GoVersion', 'KernelVersion', 'BuildTime']) assert.equal(typeof version[field], 'string', field);
    const engine = version.Components.find((component: any) => component.Name === 'Engine');
    assert.equal(engine.Version, version.Version);
    assert.equal(engine.Details.ApiVersion, version.ApiVersion);
  });

  test('docker version and docker info are content', async () => {
    assert.match(await dockerOut('version'), /^Server:[^]*API version: +1\.\d+ \(minimum version 1\.24\)/m);
    const text = await dockerOut('info');
    for (const line of [/^ Containers: \d+$/m, /^ Storage Driver: overlay2$/m, /^ Cgroup Version: [12]$/m, /^ Default Runtime: \S+$/m, /^ OSType: linux$/m]) assert.match(text, line);
  });

  test('info counts', async () => {
    const info = (await http('GET', '/info')).json();
    assert.equal(info.Containers, info.ContainersRunning + info.ContainersPaused + info.ContainersStopped);
    assert.ok(info.Images >= 1);
    assert.equal(info.Swarm.LocalNodeState, 'inactive');
    assert.ok(info.SecurityOptions.some((option: string) => option.startsWith('name=seccomp')));
    assert.deepEqual(info.Plugins.Volume, ['local']);
    for (const driver of ['bridge', 'host', 'null']) assert.ok(info.Plugins.Network.includes(driver), driver);
    assert.ok(info.NCPU >= 1 && info.MemTotal > 1e8);
  });
});

describe('versions in the path', () => {
  test('from the least to the most, and none', async () => {
    const [least, most] = [Number(MinAPIVersion.split('.')[1]), Number(ApiVersion.split('.')[1])];
    for (let minor = least; minor <= most; minor++) assert.equal((await http('GET', `/v1.${minor}/containers/json`)).status, 200, `v1.${minor}`);
    assert.equal((await http('GET', '/containers/json')).status, 200);
  });

  test('too old, too new', async () => {
    const old = await http('GET', '/v1.10/info');
    assert.equal(old.status, 400);
    assert.match(old.text, /client version 1\.10 is too old\. Minimum supported API version is 1\.24, please upgrade your client to a newer version/);
    assert.deepEqual(await error('GET', '/v9.99/info'), [400, `client version 9.99 is too new. Maximum supported API version is ${ApiVersion}`]);
  });

  test('the CLI takes the engine\'s version', async () => {
    assert.equal(await dockerOut('version', '-f', '{{.Client.APIVersion}}'), Number(ApiVersion.split('.')[1]) < 50 ? ApiVersion : '1.50');
    const { stdout } = await dockerWith({ env: { DOCKER_API_VERSION: '1.30' } }, 'version', '-f', '{{.Client.APIVersion}}');
    assert.equal(stdout, '1.30\n');
    const old = await dockerWith({ env: { DOCKER_API_VERSION: '1.24' } }, 'ps');
    assert.equal(old.exitCode, 0, old.stderr);
  });

  test('v1 is version 1, which is too old', async () => assert.equal((await http('GET', '/v1/containers/json')).status, 400));

  test('/volumes is no version', async () => assert.equal((await http('GET', '/volumes')).status, 200));
});

describe('what is not there', () => {
  test('page not found', async () => {
    assert.deepEqual(await error('GET', '/nosuch'), [404, 'page not found']);
    assert.deepEqual(await error('GET', '/v1.40/nosuch'), [404, 'page not found']);
    assert.deepEqual(await error('GET', '/'), [404, 'page not found']);
    assert.deepEqual(await error('PATCH', '/containers/json'), [404, 'page not found']);
  });

  test('no such thing', async () => {
    assert.deepEqual(await error('GET', '/containers/ct-nosuch/json'), [404, 'No such container: ct-nosuch']);
    assert.deepEqual(await error('GET', '/images/ct-nosuch/json'), [404, 'No such image: ct-nosuch:latest']);
    assert.deepEqual(await error('GET', '/volumes/ct-nosuch'), [404, 'get ct-nosuch: no such volume']);
    assert.deepEqual(await error('GET', '/networks/ct-nosuch'), [404, 'network ct-nosuch not found']);
    assert.deepEqual(await error('GET', '/exec/ct-nosuch/json'), [404, 'No such exec instance: ct-nosuch']);
  });

  test('what this kind of engine does not do, it says in words', async () => {
    const { stderr, exitCode } = await docker('service', 'ls');
    assert.equal(exitCode, 1);
    assert.match(stderr, /This node is not a swarm manager/);
    assert.equal((await docker('plugin', 'ls')).exitCode, 0);
  });
});

describe('bodies', () => {
  const create = '/containers/create';
  const json = { 'content-type': 'application/json' };

  test('malformed JSON', async () => {
    assert.deepEqual(await error('POST', create, '{bad', json), [400, "invalid JSON: invalid character 'b' looking for beginning of object key string"]);
    const [status, message] = await error('POST', '/volumes/create', '{"Name":"x"', json);
    assert.equal(status, 400);
    assert.match(message, /invalid JSON|unexpected EOF/);
    assert.equal((await error('POST', create, '{}{}', json))[0], 400);
  });

  test('wrong types', async () => {
    const [status, message] = await error('POST', '/volumes/create', { Name: 5 });
    assert.equal(status, 400);
    assert.match(message, /^invalid JSON: json: cannot unmarshal number into Go struct field CreateOptions\.Name of type string$/);
    for (const body of [{ Image: 5 }, { Image: 'busybox', Cmd: { a: 1 } }, { Image: 'busybox', HostConfig: [] }, { Image: 'busybox', HostConfig: { Memory: 'much' } }, { Image: 'busybox', Env: 'A=1' }]) {
      const [code, text] = await error('POST', create, body);
      assert.equal(code, 400, JSON.stringify(body));
      assert.match(text, /cannot unmarshal/);
    }
  });

  test('Cmd may be a string', async () => {
    const { status, json: answer } = await http('POST', `${create}?name=${name('string')}`, { Image: 'busybox', Cmd: 'true' });
    assert.equal(status, 201);
    assert.deepEqual((await http('GET', `/containers/${answer().Id}/json`)).json().Config.Cmd, ['true']);
  });

  test('unknown fields are nothing to worry about', async () => {
    assert.equal((await http('POST', `${create}?name=${name('unknown')}`, { Image: 'busybox', NoSuchField: { a: [1] } })).status, 201);
  });

  test('the wrong content type', async () => {
    assert.deepEqual(await error('POST', '/volumes/create', '{}', { 'content-type': 'text/plain' }), [400, "unsupported Content-Type header (text/plain): must be 'application/json'"]);
    assert.equal((await http('POST', `${create}?name=${name('charset')}`, '{"Image":"busybox"}', { 'content-type': 'application/json; charset=utf-8' })).status, 201);
  });

  test('no body where one is needed', async () => {
    const [status, message] = await error('POST', create, undefined, json);
    assert.equal(status, 400);
    assert.match(message, /EOF|no command specified|config cannot be empty|invalid JSON/);
  });

  test('a large body', async () => {
    const Labels = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`label-${index}`, 'x'.repeat(100)]));
    const { status, json: answer } = await http('POST', `${create}?name=${name('large')}`, { Image: 'busybox', Labels });
    assert.equal(status, 201);
    assert.equal(Object.keys((await http('GET', `/containers/${answer().Id}/json`)).json().Config.Labels).length, 5000);
  });

  test('odd query values', async () => {
    assert.match((await error('GET', '/containers/json?limit=x'))[1], /invalid syntax/);
    for (const yes of ['1', 'true', 'True']) assert.equal((await http('GET', `/containers/json?all=${yes}`)).status, 200);
    assert.equal((await http('GET', '/containers/json?filters=')).status, 200);
  });
});

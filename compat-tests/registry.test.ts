// Registries: push, pull by tag and by digest, login, and what goes wrong.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { busyboxRootfs } from '../fixtures/busybox-rootfs.ts';
import { docker, dockerBytes, dockerFails, dockerOut, dockerode, dockerWith } from './support/docker.ts';
import { http } from './support/http.ts';
import { startRegistry, type Registry } from './support/registry.ts';
import { scope } from './support/scope.ts';
import { tar } from './support/tars.ts';

const { name, directory } = scope('registry');
const rootfs = busyboxRootfs();
const nobody = 'e30=';
const credentials = (username: string, password: string) => Buffer.from(JSON.stringify({ username, password })).toString('base64url');

let open: Registry;
let closed: Registry;
const made = new Set<string>();
const idOf = async (ref: string) => (await dockerOut('image', 'inspect', '--format', '{{.Id}}', ref));
const digestOf = async (ref: string) => (await dockerOut('image', 'inspect', '--format', '{{index .RepoDigests 0}}', ref));
/** An image under its name in the registry. Each has a layer of its own. */
const make = async (ref: string) => {
  const imported = await dockerBytes(await rootfs, 'import', '-', ref);
  assert.equal(imported.exitCode, 0, imported.stderr);
  const container = await dockerOut('create', ref, 'sh', '-c', 'x');
  const { exitCode, stderr } = await dockerBytes(await archive(ref), 'cp', '-', `${container}:/`);
  assert.equal(exitCode, 0, stderr);
  await dockerOut('commit', '-c', 'CMD ["cat","/made"]', container, ref);
  await dockerOut('rm', container);
  made.add(ref);
  return ref;
};
const archive = (text: string) => tar([{ name: 'made', body: `${text}\n` }]);
const lines = (text: string): any[] => text.trim().split('\r\n').map(line => JSON.parse(line));
const pull = (ref: string, auth = nobody) => {
  const at = ref.includes('@') ? ref.indexOf('@') : ref.lastIndexOf(':');
  return http('POST', `/images/create?fromImage=${encodeURIComponent(ref.slice(0, at))}&tag=${encodeURIComponent(ref.slice(at + 1))}`, undefined, { 'X-Registry-Auth': auth });
};
const push = (ref: string, auth = nobody) => {
  const at = ref.lastIndexOf(':');
  return http('POST', `/images/${ref.slice(0, at)}/push?tag=${ref.slice(at + 1)}`, undefined, { 'X-Registry-Auth': auth });
};

before(async () => {
  // alice, whose password is `secret`
  closed = await startRegistry(5972, 'alice:$2b$04$pRS8Z7y/l5CejxCovCgYgO1Y5e.t.1cLZd4jLHADHlSZicmGQ8rZC');
  open = await startRegistry(5971);
});
after(async () => {
  for (const ref of made) await docker('rmi', '-f', ref);
  await open?.close();
  await closed?.close();
});

describe('push and pull', () => {
  test('what was pushed is pulled: by tag, and by digest', async () => {
    const ref = await make(`${open.host}/${name('a')}/x:1`);
    const id = await idOf(ref);
    const pushed = await dockerOut('push', ref);
    assert.match(pushed, new RegExp(`^The push refers to repository \\[${ref.slice(0, -2)}\\]$`, 'm'));
    assert.match(pushed, /^[0-9a-f]{12}: Pushed$/m);
    const [, digest = ''] = /^1: digest: (sha256:[0-9a-f]{64}) size: \d+$/m.exec(pushed) ?? [];
    const byDigest = `${ref.slice(0, -2)}@${digest}`;
    assert.equal(await digestOf(ref), byDigest);

    await dockerOut('rmi', ref);
    await dockerFails(1, 'No such image', 'image', 'inspect', id);
    const pulled = await dockerOut('pull', ref);
    assert.match(pulled, /^1: Pulling from /);
    // The layer below is the tests' own image's too.
    for (const state of ['Already exists', 'Pull complete']) assert.equal(pulled.match(new RegExp(`^[0-9a-f]{12}: ${state}$`, 'gm'))?.length, 1, pulled);
    assert.deepEqual(pulled.split('\n').slice(-3), [`Digest: ${digest}`, `Status: Downloaded newer image for ${ref}`, ref]);
    assert.equal(await idOf(ref), id);
    assert.equal(await dockerOut('run', '--rm', '--name', name('run'), ref), ref);
    assert.equal(await dockerOut('images', '--digests', '--format', '{{.Tag}} {{.Digest}} {{.ID}}', ref.slice(0, -2)), `1 ${digest} ${id.slice(7, 19)}`);
    assert.match(await dockerOut('pull', ref), new RegExp(`^Status: Image is up to date for ${ref}$`, 'm'));

    await dockerOut('rmi', ref);
    made.add(byDigest);
    assert.match(await dockerOut('pull', byDigest), new RegExp(`^Status: Downloaded newer image for ${byDigest}$`, 'm'));
    assert.equal(await idOf(byDigest), id);
    const image = JSON.parse(await dockerOut('image', 'inspect', byDigest))[0];
    assert.deepEqual([image.RepoTags, image.RepoDigests], [[], [byDigest]]);
    assert.deepEqual(lines((await pull(byDigest)).text).map(({ status }) => status).slice(-2), [`Digest: ${digest}`, `Status: Image is up to date for ${byDigest}`]);
    await dockerOut('rmi', byDigest);
    await dockerFails(1, 'No such image', 'image', 'inspect', id);
  });

  test('how far a push is, in bytes', async () => {
    const ref = `${open.host}/${name('large')}:1`;
    const imported = await dockerBytes(await tar([{ name: 'large', body: randomBytes(24e6) }]), 'import', '-', ref);
    assert.equal(imported.exitCode, 0, imported.stderr);
    made.add(ref);
    const moving = lines((await push(ref)).text).filter(line => line.status === 'Pushing' && line.progressDetail.current > 0);
    assert.ok(moving.length > 0);
    for (const { progressDetail: { current, total }, progress } of moving) {
      assert.ok(total >= 24e6 && current <= total + 1e6, `${current} of ${total}`);
      assert.match(progress, /^\[=*> *\] +\S+MB/);
    }
  });

  test('what a name stands for, without pulling it', async () => {
    const ref = await make(`${open.host}/${name('asked')}:1`);
    const pushed = await dockerOut('push', ref);
    const [, digest, size] = /^1: digest: (sha256:[0-9a-f]{64}) size: (\d+)$/m.exec(pushed) ?? [];
    const { status, json } = await http('GET', `/distribution/${ref}/json`);
    assert.equal(status, 200);
    assert.deepEqual(json(), {
      Descriptor: { mediaType: 'application/vnd.docker.distribution.manifest.v2+json', digest, size: Number(size) },
      Platforms: [{ architecture: 'amd64', os: 'linux' }],
    });
    const absent = await http('GET', `/distribution/${ref.slice(0, -1)}2/json`);
    assert.deepEqual([absent.status, absent.json()], [404, { message: 'manifest unknown: manifest unknown' }]);
  });

  test('run pulls what is not there', async () => {
    const ref = await make(`${open.host}/${name('run')}:1`);
    await dockerOut('push', ref);
    await dockerOut('rmi', ref);
    const { stdout, stderr, exitCode } = await docker('run', '--rm', '--name', name('absent'), ref);
    assert.deepEqual([stdout, exitCode], [`${ref}\n`, 0], stderr);
    assert.match(stderr, new RegExp(`^Unable to find image '${ref}' locally`));
    assert.match(stderr, /Status: Downloaded newer image/);
  });

  test('the streams, line by line', async () => {
    const ref = await make(`${open.host}/${name('lines')}:1`);
    const pushed = lines((await push(ref)).text);
    assert.deepEqual(pushed[0], { status: `The push refers to repository [${ref.slice(0, -2)}]` });
    const { progressDetail, aux } = pushed.at(-1);
    assert.deepEqual(progressDetail, {});
    assert.deepEqual(pushed.at(-2), { status: `1: digest: ${aux.Digest} size: ${aux.Size}` });
    assert.equal(aux.Tag, '1');
    assert.equal(pushed.filter(line => line.status === 'Preparing').length, 2);
    assert.ok(pushed.some(line => line.status === 'Pushed'));
    assert.equal(lines((await push(ref)).text).filter(line => line.status === 'Layer already exists').length, 2);

    await dockerOut('rmi', ref);
    const { status, headers, text } = await pull(ref);
    assert.deepEqual([status, headers['content-type']], [200, 'application/json']);
    const pulled = lines(text);
    assert.deepEqual(pulled[0], { status: `Pulling from ${ref.slice(ref.indexOf('/') + 1, -2)}`, id: '1' });
    for (const state of ['Already exists', 'Pulling fs layer', 'Download complete', 'Pull complete']) {
      const each = pulled.filter(line => line.status === state);
      assert.equal(each.length, 1, state);
      for (const { id, progressDetail } of each) assert.deepEqual([/^[0-9a-f]{12}$/.test(id), progressDetail], [true, {}]);
    }
    const downloading = pulled.filter(line => line.status === 'Downloading').at(-1);
    assert.match(downloading.progress, /^\[=+>\] +[0-9.]+k?M?B\/[0-9.]+k?M?B$/);
    assert.equal(downloading.progressDetail.current, downloading.progressDetail.total);
  });

  test('all tags of a repository', async () => {
    const repository = `${open.host}/${name('all')}`;
    await make(`${repository}:1`);
    const id = await idOf(`${repository}:1`);
    await dockerOut('tag', `${repository}:1`, `${repository}:two`);
    made.add(`${repository}:two`);
    const pushed = await dockerOut('push', '-a', repository);
    assert.match(pushed, /^1: digest: /m);
    assert.match(pushed, /^two: digest: /m);
    await dockerOut('rmi', `${repository}:1`, `${repository}:two`);
    assert.match(await dockerOut('pull', '-a', repository), new RegExp(`^Status: Downloaded newer image for ${repository}$`, 'm'));
    assert.deepEqual([await idOf(`${repository}:1`), await idOf(`${repository}:two`)], [id, id]);
  });

  test('the events of both', async () => {
    const ref = await make(`${open.host}/${name('events')}:1`);
    const since = Math.floor(Date.now() / 1000);
    await dockerOut('push', ref);
    await dockerOut('pull', ref);
    const told = await dockerOut('events', '--since', `${since}`, '--until', `${Math.ceil(Date.now() / 1000)}`, '--filter', 'event=push', '--filter', 'event=pull', '--format', '{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}}');
    assert.deepEqual(told.split('\n').filter(line => line.includes(ref)), ['push', 'pull'].map(action => `${action} ${ref} ${ref.slice(0, -2)}`));
  });

  test('an image for several machines', async () => {
    const repository = `${open.host}/${name('multi')}`;
    const ids: Record<string, string> = {};
    for (const architecture of ['amd64', 'arm64']) {
      const ref = `${repository}:${architecture}`;
      const { stdout, stderr, exitCode } = await dockerBytes(await tar([{ name: 'f', body: architecture }]), 'import', '--platform', `linux/${architecture}`, '-', ref);
      assert.equal(exitCode, 0, stderr);
      made.add(ref);
      ids[architecture] = stdout.toString().trim();
      made.add(stdout.toString().trim());
      await dockerOut('push', ref);
    }
    const path = new URL(`http://${repository}`).pathname;
    const manifests = await Promise.all(Object.keys(ids).map(async architecture => ({ ...await open.manifest(path, architecture), platform: { os: 'linux', architecture } })));
    await open.putManifest(path, 'all', { schemaVersion: 2, mediaType: 'application/vnd.docker.distribution.manifest.list.v2+json', manifests });
    for (const architecture of ['amd64', 'arm64']) await dockerOut('rmi', `${repository}:${architecture}`);
    const ref = `${repository}:all`;
    made.add(ref);
    await dockerOut('pull', ref);
    assert.equal(await idOf(ref), ids['amd64']);
    await dockerOut('pull', '--platform', 'linux/arm64', ref);
    assert.equal(await idOf(ref), ids['arm64']);
    await dockerFails(1, 'no matching manifest for linux/s390x in the manifest list entries', 'pull', '--platform', 'linux/s390x', ref);
  });

  test('dockerode', async () => {
    const ref = await make(`${open.host}/${name('rode')}:1`);
    const follow = (stream: NodeJS.ReadableStream) => new Promise<any[]>((resolve, reject) => dockerode.modem.followProgress(stream, (error, output) => (error ? reject(error) : resolve(output))));
    await follow(await dockerode.getImage(ref.slice(0, -2)).push({ tag: '1', authconfig: { username: '', password: '', serveraddress: open.host } }));
    await dockerode.getImage(ref).remove();
    assert.match((await follow(await dockerode.pull(ref))).at(-1).status, /^Status: Downloaded newer image/);
  });
});

describe('what goes wrong', () => {
  test('nothing there', async () => {
    const absent = `${open.host}/${name('nosuch')}`;
    const digest = `sha256:${'0'.repeat(64)}`;
    for (const ref of [`${absent}:1`, `${absent}@${digest}`]) {
      const { status, text } = await pull(ref);
      assert.deepEqual([status, JSON.parse(text)], [404, { message: `manifest for ${ref} not found: manifest unknown: manifest unknown` }]);
    }
    await dockerFails(1, `repository ${absent} not found: name unknown: repository name not known to registry`, 'pull', '-a', absent);
    const missing = `An image does not exist locally with the tag: ${absent}`;
    assert.deepEqual(lines((await push(`${absent}:1`)).text).at(-1), { errorDetail: { message: missing }, error: missing });
    await dockerFails(125, 'manifest unknown', 'run', '--rm', `${absent}:1`);
  });

  test('nobody listens', async () => {
    const words = 'Get "http://127.0.0.1:5979/v2/": dial tcp 127.0.0.1:5979: connect: connection refused';
    const { status, text } = await pull('127.0.0.1:5979/x:1');
    assert.deepEqual([status, JSON.parse(text)], [500, { message: words }]);
    const ref = await make(`127.0.0.1:5979/${name('unheard')}:1`);
    assert.equal(lines((await push(ref)).text).at(-1).error, words);
    await dockerFails(1, words, 'login', '-u', 'a', '-p', 'b', '127.0.0.1:5979');
  });

  test('another platform than the only one', async () => {
    const ref = await make(`${open.host}/${name('platform')}:1`);
    await dockerOut('push', ref);
    await dockerFails(1, /does not match the specified platform: wanted linux\/arm64/, 'pull', '--platform', 'linux/arm64', ref);
    await dockerFails(1, 'cannot parse platform specifier', 'pull', '--platform', 'a/b/c/d', ref);
  });
});

describe('credentials', () => {
  test('login', async () => {
    const login = (password: string) => http('POST', '/auth', { username: 'alice', password, serveraddress: closed.host });
    const good = await login('secret');
    assert.deepEqual([good.status, good.json()], [200, { IdentityToken: '', Status: 'Login Succeeded' }]);
    const bad = await login('wrong');
    assert.equal(bad.json().message, `login attempt to http://${closed.host}/v2/ failed with status: 401 Unauthorized`);
    assert.ok(bad.status >= 400);
  });

  test('nobody gets nothing', async () => {
    const ref = await make(`${closed.host}/${name('private')}:1`);
    assert.equal(lines((await push(ref)).text).at(-1).error, 'no basic auth credentials');
    const { status, text } = await pull(ref);
    assert.deepEqual([status, JSON.parse(text).message], [500, `Head "http://${closed.host}/v2/${name('private')}/manifests/1": no basic auth credentials`]);
    const wrong = credentials('alice', 'wrong');
    assert.equal(lines((await push(ref, wrong)).text).at(-1).error, 'unauthorized: authentication required');
    const refused = await pull(ref, wrong);
    assert.deepEqual([refused.status, refused.json()], [500, { message: 'unauthorized: authentication required' }]);
  });

  test('the CLI keeps what it logged in with, and sends it', async () => {
    const ref = await make(`${closed.host}/${name('mine')}:1`);
    const env = { DOCKER_CONFIG: await directory() };
    const as = async (...args: string[]) => {
      const { stdout, stderr, exitCode } = await dockerWith({ env }, ...args);
      assert.equal(exitCode, 0, stderr);
      return stdout;
    };
    const { exitCode } = await dockerWith({ env, input: 'secret' }, 'login', '-u', 'alice', '--password-stdin', closed.host);
    assert.equal(exitCode, 0);
    assert.match(await as('push', ref), /^1: digest: sha256:/m);
    await as('rmi', ref);
    assert.match(await as('pull', ref), /Downloaded newer image/);
  });
});

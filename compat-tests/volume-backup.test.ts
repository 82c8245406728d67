// berth's own: volumes as archives, without a container to help.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { buffer } from 'node:stream/consumers';
import { describeBerth } from './support/berth.ts';
import { dockerBytes, dockerFails, dockerOut, inspect } from './support/docker.ts';
import { engine } from './support/engine.ts';
import { eventually } from './support/eventually.ts';
import { http } from './support/http.ts';
import { scope } from './support/scope.ts';
import { names, tar, untar } from './support/tars.ts';

const { name, directory } = scope('backup');
let count = 0;
const filled = async (word: string, script = 'mkdir -p /v/sub; echo one >/v/f; echo two >/v/sub/g; ln -s f /v/link; chown 12:34 /v/sub; chmod 751 /v') => {
  const volume = name(word);
  await dockerOut('run', '--rm', '--name', name(`fill${count++}`), '-v', `${volume}:/v`, 'busybox', 'sh', '-c', script);
  return volume;
};
const look = (volume: string, script: string) => dockerOut('run', '--rm', '--name', name(`look${count++}`), '-v', `${volume}:/v`, 'busybox', 'sh', '-c', script);
const sha256 = (bytes: Buffer) => `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`;

type Answer = { readonly status: number; readonly bytes: Buffer; readonly trailers: NodeJS.Dict<string> };

/** A call with trailers, on either side. */
const exchange = (method: string, path: string, body?: { readonly bytes: Buffer; readonly trailers?: Record<string, string>; readonly headers?: Record<string, string> }): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const headers = body?.trailers ? { trailer: Object.keys(body.trailers).join(', ') } : {};
    const outgoing = request({ socketPath: engine.socket, method, path, agent: false, headers: { ...headers, ...body?.headers } }, async (incoming) => {
      const bytes = await buffer(incoming);
      resolve({ status: incoming.statusCode ?? 0, bytes, trailers: incoming.trailers });
    });
    outgoing.on('error', reject);
    if (body) outgoing.write(body.bytes);
    if (body?.trailers) outgoing.addTrailers(body.trailers);
    outgoing.end();
  });

describeBerth('docker cp of a volume', () => {
  test('out of it and into it', async () => {
    const volume = await filled('cp');
    const { stdout, stderr } = await dockerBytes(undefined, 'cp', `volume.${volume}:/sub`, '-');
    assert.deepEqual(names(await untar(stdout)), ['sub/', 'sub/g'], stderr);
    const file = join(await directory(), 'new');
    await writeFile(file, 'new\n');
    await dockerOut('cp', '-q', file, `volume.${volume}:/sub/`);
    const { exitCode } = await dockerBytes(await tar([{ name: 'piped', body: 'piped\n' }]), 'cp', '-', `volume.${volume}:/`);
    assert.equal(exitCode, 0);
    assert.equal(await look(volume, 'cat /v/sub/new /v/piped'), 'new\npiped');
    assert.equal(JSON.parse(Buffer.from((await http('HEAD', `/containers/volume.${volume}/archive?path=/link`)).headers['x-docker-container-path-stat'] as string, 'base64').toString()).linkTarget, '/f');
  });

  test('a real container of that name goes first', async () => {
    const volume = await filled('shadowed');
    await dockerOut('create', '--name', `volume.${volume}`, 'busybox');
    try {
      assert.equal((await http('HEAD', `/containers/volume.${volume}/archive?path=/bin/busybox`)).status, 200);
    } finally {
      await dockerOut('rm', `volume.${volume}`);
    }
    assert.equal((await http('HEAD', `/containers/volume.${volume}/archive?path=/bin/busybox`)).status, 404);
  });

  test('mistakes', async () => {
    const volume = await filled('cp-mistakes');
    await dockerFails(1, 'No such container: volume.ct-nosuch', 'cp', 'volume.ct-nosuch:/x', '-');
    await dockerFails(1, `Could not find the file /nosuch in container volume.${volume}`, 'cp', `volume.${volume}:/nosuch`, '-');
  });

  test('no link leads out of it', async () => {
    const volume = await filled('escape', 'ln -s /etc/passwd /v/passwd; ln -s / /v/root');
    assert.equal((await http('GET', `/containers/volume.${volume}/archive?path=/passwd/`)).status, 404);
    const file = join(await directory(), name('escaped'));
    await writeFile(file, 'x');
    await dockerOut('cp', '-q', file, `volume.${volume}:/root/`);
    assert.equal(await look(volume, `ls /v`), [name('escaped'), 'passwd', 'root'].sort().join('\n'));
  });
});

describeBerth('backup and restore', () => {
  test('all of it, with its sha-256 after it, and back', async () => {
    const volume = await filled('whole');
    const { status, bytes, trailers } = await exchange('GET', `/volumes/${volume}/archive`);
    assert.equal(status, 200);
    assert.equal(trailers['content-digest'], sha256(bytes));
    assert.deepEqual(names(await untar(bytes)), ['./', './f', './link', './sub/', './sub/g']);

    await dockerOut('volume', 'create', name('restored'));
    const digest = { 'content-digest': sha256(bytes) };
    assert.equal((await exchange('PUT', `/volumes/${name('restored')}/archive`, { bytes, headers: digest })).status, 200);
    assert.equal(await look(name('restored'), 'cat /v/f /v/link /v/sub/g; stat -c "%u:%g" /v/sub; stat -c %a /v'), 'one\none\ntwo\n12:34\n751');
    assert.equal((await exchange('PUT', `/volumes/${name('restored')}/archive`, { bytes, trailers: digest })).status, 200);
  });

  test('replace takes what was there away, merge leaves it', async () => {
    const volume = await filled('modes');
    const bytes = await tar([{ name: 'new', body: 'new\n' }]);
    assert.equal((await exchange('PUT', `/volumes/${volume}/archive?mode=merge`, { bytes })).status, 200);
    assert.equal(await look(volume, 'ls /v'), 'f\nlink\nnew\nsub');
    assert.equal((await exchange('PUT', `/volumes/${volume}/archive`, { bytes })).status, 200);
    assert.equal(await look(volume, 'ls /v'), 'new');
    assert.equal((await exchange('PUT', `/volumes/${volume}/archive?mode=other`, { bytes })).status, 400);
  });

  test('what is broken leaves the volume as it was', async () => {
    const volume = await filled('broken');
    const bytes = await tar([{ name: 'f', body: 'x'.repeat(100_000) }]);
    const wrong = sha256(Buffer.from('something else'));
    for (const mode of ['replace', 'merge']) {
      const put = async (body: Parameters<typeof exchange>[2]) => (await exchange('PUT', `/volumes/${volume}/archive?mode=${mode}`, body)).status;
      assert.equal(await put({ bytes, headers: { 'content-digest': wrong } }), 400);
      assert.equal(await put({ bytes, trailers: { 'content-digest': wrong } }), 400);
      assert.equal(await put({ bytes, headers: { 'content-digest': 'sha-256=nonsense' } }), 400);
      assert.equal(await put({ bytes: bytes.subarray(0, 50_000) }), 500);
      assert.equal(await put({ bytes: Buffer.from('garbage') }), 500);
      await assert.rejects(new Promise((_resolve, reject) => {
        const outgoing = request({ socketPath: engine.socket, method: 'PUT', path: `/volumes/${volume}/archive?mode=${mode}`, agent: false });
        outgoing.on('error', reject);
        outgoing.write(bytes.subarray(0, 50_000), () => outgoing.destroy(new Error('gone')));
      }), /gone/);
      assert.equal(await look(volume, 'cat /v/f; ls /v'), 'one\nf\nlink\nsub');
    }
  });

  test('not under the feet of a running container', async () => {
    const volume = await filled('running');
    const user = name('user');
    await dockerOut('run', '-d', '--name', user, '-v', `${volume}:/v`, 'busybox', 'sleep', '1000');
    const bytes = await tar([{ name: 'new', body: 'new\n' }]);
    const refused = await exchange('PUT', `/volumes/${volume}/archive`, { bytes });
    assert.equal(refused.status, 409);
    assert.match(refused.bytes.toString(), new RegExp(`in use by running containers: ${user}`));
    assert.equal((await exchange('PUT', `/volumes/${volume}/archive?mode=merge&pause=1`, { bytes })).status, 200);
    assert.equal(await dockerOut('exec', user, 'cat', '/v/new'), 'new');
    const { bytes: back } = await exchange('GET', `/volumes/${volume}/archive?pause=1`);
    assert.ok(names(await untar(back)).includes('./new'));
    assert.equal(await dockerOut('exec', user, 'echo', 'thawed'), 'thawed');
  });

  test('frozen containers write nothing', async () => {
    const volume = await filled('frozen');
    const user = name('writer');
    await dockerOut('run', '-d', '--name', user, '-v', `${volume}:/v`, 'busybox', 'sh', '-c', 'dd if=/dev/zero of=/v/big bs=1M count=16 2>/dev/null; i=0; while :; do i=$((i+1)); echo $i >/v/a; echo $i >/v/z; done');
    await eventually(() => dockerOut('exec', user, 'test', '-e', '/v/z'));
    for (let round = 0; round < 3; round++) {
      const found = await untar((await exchange('GET', `/volumes/${volume}/archive?pause=1`)).bytes);
      const [a, z] = ['./a', './z'].map((entry) => Number(found.find((one) => one.name === entry)!.body.toString() || '-1'));
      assert.ok(a === z || a === -1 || z === -1 || a === z! + 1, `${a} and ${z} are of different times`);
    }
    await dockerOut('rm', '-f', user);
  });

  test('mistakes', async () => {
    for (const method of ['GET', 'PUT']) assert.equal((await http(method, '/volumes/ct-nosuch/archive')).status, 404);
    assert.equal((await http('HEAD', '/volumes/ct-nosuch/archive')).status, 404);
  });
});

describeBerth('clone and rename', () => {
  test('a clone is a copy, and another volume', async () => {
    const volume = await filled('origin');
    const answer = await http('POST', `/volumes/${volume}/clone?name=${name('clone')}`);
    assert.equal(answer.status, 201);
    assert.equal(answer.json().Name, name('clone'));
    assert.equal(await look(name('clone'), 'cat /v/f; stat -c "%u:%g" /v/sub; stat -c %a /v; echo changed >/v/f'), 'one\n12:34\n751');
    assert.equal(await look(volume, 'cat /v/f'), 'one');
    assert.equal((await http('POST', `/volumes/${volume}/clone?name=${name('clone')}`)).status, 409);
    assert.equal((await http('POST', `/volumes/${volume}/clone?name=bad/name`)).status, 400);
    assert.equal((await http('POST', `/volumes/${volume}/clone`)).status, 400);
    assert.equal((await http('POST', `/volumes/ct-nosuch/clone?name=${name('x')}`)).status, 404);
  });

  test('of a volume in use, too', async () => {
    const volume = await filled('busy');
    await dockerOut('run', '-d', '--name', name('busy-user'), '-v', `${volume}:/v`, 'busybox', 'sleep', '1000');
    for (const [at, query] of ['', '&pause=1'].entries()) {
      assert.equal((await http('POST', `/volumes/${volume}/clone?name=${name(`busy-clone${at}`)}${query}`)).status, 201);
      assert.equal(await look(name(`busy-clone${at}`), 'cat /v/f; stat -c %a /v'), 'one\n751');
    }
  });

  test('stopped containers follow a rename', async () => {
    const volume = await filled('before');
    const user = name('follower');
    await dockerOut('create', '--name', user, '-v', `${volume}:/v`, 'busybox', 'cat', '/v/f');
    const { status } = await http('POST', `/volumes/${volume}/rename?name=${name('after')}`);
    assert.equal(status, 204);
    assert.equal(await dockerOut('start', '-a', user), 'one');
    const { Mounts, HostConfig } = await inspect(user);
    assert.deepEqual([Mounts[0].Name, HostConfig.Binds], [name('after'), [`${name('after')}:/v`]]);
    await dockerFails(1, 'no such volume', 'volume', 'inspect', volume);
    // The old name is free, and another volume.
    assert.equal(await look(volume, 'ls /v'), '');
    assert.equal(await look(name('after'), 'cat /v/f'), 'one');
  });

  test('not while one runs, nor to a name that is taken', async () => {
    const volume = await filled('held');
    const user = name('holder');
    await dockerOut('run', '-d', '--name', user, '-v', `${volume}:/v`, 'busybox', 'sleep', '1000');
    const refused = await http('POST', `/volumes/${volume}/rename?name=${name('free')}`);
    assert.equal(refused.status, 409);
    assert.ok(refused.json().message.includes(user), refused.text);
    await dockerOut('rm', '-f', user);
    await dockerOut('volume', 'create', name('taken'));
    assert.equal((await http('POST', `/volumes/${volume}/rename?name=${name('taken')}`)).status, 409);
    assert.equal((await http('POST', `/volumes/${volume}/rename?name=bad/name`)).status, 400);
  });
});


// Archives and what could go wrong with them: hostile tars, hostile containers, full disks, clients that go away.

import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { describeBerth } from './support/berth.ts';
import { dockerBytes, dockerOut, inspect, run } from './support/docker.ts';
import { engine } from './support/engine.ts';
import { eventually } from './support/eventually.ts';
import { http, opened } from './support/http.ts';
import { scope } from './support/scope.ts';
import { tar, untar, type Entry } from './support/tars.ts';

const { name, directory } = scope('safe');
const box = name('box');
const archive = (path: string, ref = box) => `/containers/${ref}/archive?path=${encodeURIComponent(path)}`;
const put = async (path: string, bytes: Buffer, ref = box) => {
  const { status, text } = await http('PUT', archive(path, ref), bytes);
  return `${status} ${text === '' ? '' : JSON.parse(text).message}`.trim();
};

before(async () => {
  await dockerOut('run', '-d', '--name', box, 'busybox', 'sleep', '1000');
  await dockerOut('exec', box, 'sh', '-c', 'mkdir -p /d/sub; echo one >/d/f');
});

describe('tars that want more than their directory', () => {
  const entry = (rest: Entry): Promise<Buffer> => tar([rest]);

  test('are refused, or stay inside', async () => {
    assert.equal(await put('/d', await entry({ name: '../../../evil', body: 'x' })), '500 "../../../evil" is outside of "/d"');
    assert.equal(await put('/d', await entry({ name: 'a/../../evil', body: 'x' })), '500 "../evil" is outside of "/d"');
    assert.equal(await put('/d', await entry({ name: 'up', type: 'symlink', linkname: '../../etc/passwd' })), '500 invalid symlink "/d/up" -> "../../etc/passwd"');
    assert.equal(await put('/d', await entry({ name: 'hard', type: 'link', linkname: '../etc/passwd' })), '500 invalid hardlink "/etc/passwd" -> "../etc/passwd"');
    assert.equal(await put('/d', await entry({ name: 'f/below', body: 'x' })), '500 open /d/f/below: not a directory');
    assert.equal(await put('/d', await entry({ name: '/absolute', body: 'x' })), '200');
    assert.equal(await put('/d', await entry({ name: 'link', type: 'symlink', linkname: '/etc/passwd' })), '200');
    assert.equal(await dockerOut('exec', box, 'sh', '-c', 'ls /d; ls -d /evil /absolute 2>/dev/null; readlink /d/link'), 'absolute\nf\nlink\nsub\n/etc/passwd');
  });

  test('devices, FIFOs and modes are the container\'s own affair', async () => {
    const nodes: Entry[] = [
      { name: 'null', type: 'character-device', devmajor: 1, devminor: 3, mode: 0o666 },
      { name: 'disk', type: 'block-device', devmajor: 7, devminor: 0 },
      { name: 'pipe', type: 'fifo', mode: 0o640 },
      { name: 'suid', body: 'x', mode: 0o4755, uid: 11, gid: 12 },
    ];
    assert.equal(await put('/d/sub', await tar(nodes)), '200');
    assert.equal(await dockerOut('exec', box, 'sh', '-c', 'cd /d/sub; stat -c "%n %F %a %u %t:%T" *'), 'disk block special file 644 0 7:0\nnull character special file 666 0 1:3\npipe fifo 640 0 0:0\nsuid regular file 4755 11 0:0');
    // A device is an entry and no content; who reads it would never end.
    const found = await untar((await http('GET', archive('/d/sub'))).bytes);
    assert.deepEqual(found.map(({ name: entryName, type }) => `${entryName} ${type}`).sort(), ['sub/ directory', 'sub/disk block-device', 'sub/null character-device', 'sub/pipe fifo', 'sub/suid file']);
  });

  test('broken ones', async () => {
    const bytes = await tar([{ name: 'big', body: 'x'.repeat(100_000) }]);
    assert.equal(await put('/d', bytes.subarray(0, 50_000)), '500 unexpected EOF');
    assert.equal(await put('/d', gzipSync(bytes).subarray(0, 60)), '500 unexpected EOF');
    assert.equal(await put('/d', Buffer.from('garbage'.repeat(300))), '500 archive/tar: invalid tar header');
    assert.equal(await put('/d', Buffer.alloc(0)), '200');
    assert.equal(await put('/d', gzipSync(await tar([{ name: 'zipped', body: 'z' }]))), '200');
    assert.equal(await dockerOut('exec', box, 'cat', '/d/zipped'), 'z');
  });

  test('a reader that stops at the end breaks no pipe', async () => {
    for (const path of ['/d', '/d/f', '/']) {
      const { exitCode, stderr } = await run(['bash', '-c', 'set -o pipefail; docker cp "$1" - | tar t >/dev/null', 'bash', `${box}:${path}`]);
      assert.equal(exitCode, 0, stderr);
    }
  });
});

describe('more than the disk holds', () => {
  test('a tar bomb in a volume with a limit', async () => {
    const [small, user] = [name('small'), name('small-user')];
    await dockerOut('volume', 'create', '-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=size=1m,nr_inodes=50', small);
    await dockerOut('run', '-d', '--name', user, '-v', `${small}:/v`, 'busybox', 'sleep', '1000');
    assert.equal(await put('/v', await tar([{ name: 'bomb', body: Buffer.alloc(4_000_000) }]), user), '500 write /v/bomb: no space left on device');
    assert.match(await put('/v', await tar(Array.from({ length: 100 }, (_, index) => ({ name: `f${index}` }))), user), /^500 open \/v\/f\d+: no space left on device$/);
    await dockerOut('exec', user, 'sh', '-c', 'rm -f /v/*');
    assert.equal(await put('/v', await tar([{ name: 'f', body: 'x' }]), user), '200');
    await dockerOut('rm', '-f', user);
    await dockerOut('volume', 'rm', small);
  });
});

describe('a container that swaps links while it is archived', () => {
  test('never shows the host, and never has it written to', async () => {
    const host = await directory();
    await mkdir(join(host, 'inner'));
    const marker = name('marker-of-the-host');
    await writeFile(join(host, 'secret'), marker);
    await writeFile(join(host, 'inner/secret'), marker);
    const ref = name('swapper');
    // x is by turns a directory, a link to the host's own path, and a link that climbs to it.
    const script = `mkdir -p /d/real; echo inside >/d/real/secret; ln -s ${host} /d/absolute; ln -s ../../../../../../../../..${host} /d/climbing
      touch /ready; while :; do mv /d/real /d/x; mv /d/x /d/real; mv /d/absolute /d/x; mv /d/x /d/absolute; mv /d/climbing /d/x; mv /d/x /d/climbing; done`;
    await dockerOut('run', '-d', '--name', ref, 'busybox', 'sh', '-c', script);
    await eventually(() => dockerOut('exec', ref, 'test', '-e', '/ready'));
    const evil = await tar([{ name: 'evil', body: 'x' }, { name: 'inner', type: 'directory' }, { name: 'inner/evil', body: 'x' }]);
    const through = await tar([{ name: 'x/evil', body: 'x' }, { name: 'x/secret', body: 'x' }]);
    for (let round = 0; round < 40; round++) {
      const answers = await Promise.all([
        ...['/d', '/d/x', '/d/x/', '/d/x/.', '/d/x/secret', '/d/x/inner'].map((path) => http('GET', archive(path, ref))),
        http('PUT', archive('/d/x', ref), evil),
        http('PUT', archive('/d', ref), through),
      ]);
      for (const { bytes } of answers) assert.ok(!bytes.includes(marker));
    }
    await dockerOut('rm', '-f', ref);
    assert.deepEqual([(await readdir(host)).sort(), await readdir(join(host, 'inner'))], [['inner', 'secret'], ['secret']]);
  });
});

// Other engines keep a container to themselves while its archive is read.
describeBerth('a large archive on its way', () => {
  const ref = name('large');
  before(async () => {
    await dockerOut('run', '-d', '--name', ref, 'busybox', 'sh', '-c', 'truncate -s 9000000000 /large; sleep 1000');
    await eventually(() => dockerOut('exec', ref, 'test', '-e', '/large'));
  });

  test('everybody else is answered', async () => {
    const streams = await Promise.all(['/large', '/'].map((path) => opened('GET', archive(path, ref))));
    for (const { stream } of streams) stream.resume();
    const begun = performance.now();
    assert.equal((await inspect(ref)).State.Running, true);
    assert.equal(await dockerOut('exec', ref, 'echo', 'hi'), 'hi');
    assert.match(await dockerOut('ps', '--filter', `name=${ref}`), /Up/);
    assert.equal((await http('HEAD', archive('/large', ref))).status, 200);
    assert.ok(performance.now() - begun < 15_000);
    for (const { stream } of streams) stream.destroy();
  });

  test('its size is said in full', async () => {
    const { stream } = await opened('GET', archive('/large', ref));
    const start = await new Promise<Buffer>((resolve) => stream.once('data', resolve));
    stream.destroy();
    assert.match(start.toString('latin1', 0, 2048), / size=9000000000\n/);
  });

  test('a client that goes away holds nothing', async () => {
    const { stream } = await opened('GET', archive('/', ref));
    stream.destroy();
    const bytes = await tar([{ name: 'half', body: Buffer.alloc(5_000_000) }]);
    await assert.rejects(new Promise((_resolve, reject) => {
      const outgoing = request({ socketPath: engine.socket, method: 'PUT', path: archive('/', ref), agent: false });
      outgoing.on('error', reject);
      outgoing.write(bytes.subarray(0, 2_000_000), () => outgoing.destroy(new Error('gone')));
    }), /gone/);
    await dockerOut('rm', '-f', ref);
  });
});

describeBerth('files with holes', () => {
  test('are restored from every form of tar', async () => {
    const here = await directory();
    for (const [index, options] of [['--format=gnu'], ['--format=posix'], ['--format=posix', '--sparse-version=0.1']].entries()) {
      const { exitCode, stderr } = await run(['bash', '-c', 'cd "$1"; truncate -s 3M h; printf data | dd of=h bs=1 seek=1048576 conv=notrunc status=none; shift; tar -S "$@" -cf h.tar h', 'bash', here, ...options]);
      assert.equal(exitCode, 0, stderr);
      const { stderr: words } = await run(['bash', '-c', 'docker cp - "$1" <"$2"', 'bash', `${box}:/tmp`, join(here, 'h.tar')]);
      assert.equal(words, '', `${index}`);
      assert.equal(await dockerOut('exec', box, 'sh', '-c', 'stat -c %s /tmp/h; dd if=/tmp/h bs=1 skip=1048576 count=4 2>/dev/null; rm /tmp/h'), `${3 * 2 ** 20}\ndata`);
    }
    const { stdout } = await dockerBytes(undefined, 'cp', `${box}:/d/f`, '-');
    assert.equal(stdout.length, 2048);
  });
});

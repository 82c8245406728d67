// docker cp, export and diff, and the archive calls under them.

import assert from 'node:assert/strict';
import { chmod, lstat, mkdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { randomBytes } from 'node:crypto';
import { describeBerth } from './support/berth.ts';
import { dockerBytes, dockerFails, dockerOut } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { http, opened } from './support/http.ts';
import { scope } from './support/scope.ts';
import { names, tar, untar } from './support/tars.ts';

const { name, directory } = scope('cp');
const box = name('box');
const script = 'mkdir -p /d/sub; echo one >/d/f; echo two >/d/sub/g; ln -s f /d/rel; ln -s /d/f /d/abs; ln -s /d /dirlink; echo v >/vol/v; chmod 4711 /d/f; chown 12:34 /d/sub; mkfifo /d/pipe; touch /ready; sleep 1000';

before(async () => {
  await dockerOut('run', '-d', '--name', box, '-v', `${name('vol')}:/vol`, 'busybox', 'sh', '-c', script);
  await eventually(() => dockerOut('exec', box, 'test', '-e', '/ready'));
});

const out = async (path: string) => {
  const { stdout, stderr, exitCode } = await dockerBytes(undefined, 'cp', `${box}:${path}`, '-');
  assert.equal(exitCode, 0, stderr);
  return untar(stdout);
};
const into = (...args: string[]) => dockerOut('cp', '-q', ...args);
const cat = (path: string) => dockerOut('exec', box, 'cat', path);

describe('docker cp from a container', () => {
  test('a directory: types, owners, modes and links', async () => {
    const found = await out('/d');
    assert.deepEqual(names(found), ['d/', 'd/abs', 'd/f', 'd/pipe', 'd/rel', 'd/sub/', 'd/sub/g']);
    const by = (path: string) => found.find(entry => entry.name === path)!;
    assert.deepEqual([by('d/f').type, by('d/f').mode & 0o7777, by('d/f').body.toString()], ['file', 0o4711, 'one\n']);
    assert.deepEqual([by('d/sub/').type, by('d/sub/').uid, by('d/sub/').gid], ['directory', 12, 34]);
    assert.deepEqual([by('d/rel').type, by('d/rel').linkname, by('d/abs').linkname], ['symlink', 'f', '/d/f']);
    assert.equal(by('d/pipe').type, 'fifo');
  });

  test('a file to a file, a directory\'s contents, a link, and what a link means', async () => {
    const here = await directory();
    await into(`${box}:/d/f`, join(here, 'f'));
    assert.equal(await readFile(join(here, 'f'), 'utf8'), 'one\n');
    await into(`${box}:/d/sub/.`, join(here, 'contents'));
    assert.equal(await readFile(join(here, 'contents/g'), 'utf8'), 'two\n');
    await into(`${box}:/d/rel`, join(here, 'rel'));
    assert.equal(await readlink(join(here, 'rel')), 'f');
    await into('-L', `${box}:/d/abs`, join(here, 'abs'));
    assert.ok((await lstat(join(here, 'abs'))).isFile());
    await into(`${box}:/d/sub`, here);
    assert.equal(await readFile(join(here, 'sub/g'), 'utf8'), 'two\n');
  });

  test('a link to a directory, without and with a slash', async () => {
    assert.deepEqual(names(await out('/dirlink')), ['dirlink']);
    assert.deepEqual(names(await out('/dirlink/')), ['dirlink/', 'dirlink/abs', 'dirlink/f', 'dirlink/pipe', 'dirlink/rel', 'dirlink/sub/', 'dirlink/sub/g']);
  });

  test('a volume, and what is inside one', async () => {
    assert.deepEqual(names(await out('/vol')), ['vol/', 'vol/v']);
    assert.deepEqual(names(await out('/vol/v')), ['v']);
  });

  test('a path relative to the root', async () => assert.deepEqual(names(await out('d/f')), ['f']));

  test('/etc/hosts as the container sees it', async () => assert.match((await out('/etc/hosts'))[0]!.body.toString(), /127\.0\.0\.1\s+localhost/));

  test('what is not there', async () => {
    await dockerFails(1, `Could not find the file /nosuch in container ${box}`, 'cp', `${box}:/nosuch`, '-');
    await dockerFails(1, 'No such container: ct-nosuch', 'cp', 'ct-nosuch:/x', '-');
  });
});

describe('docker cp into a container', () => {
  test('a file under a new name, into a directory, over a file, into a volume', async () => {
    const file = join(await directory(), 'new');
    await writeFile(file, 'new\n');
    await into(file, `${box}:/d/renamed`);
    await into(file, `${box}:/d/`);
    await into(file, `${box}:/d/sub`);
    await into(file, `${box}:/vol/in-volume`);
    for (const path of ['/d/renamed', '/d/new', '/d/sub/new', '/vol/in-volume']) assert.equal(await cat(path), 'new');
    await writeFile(file, 'newer\n');
    await into(file, `${box}:/d/renamed`);
    assert.equal(await cat('/d/renamed'), 'newer');
  });

  test('a directory: made when missing, put inside when there, its contents with /.', async () => {
    const here = join(await directory(), 'dir');
    await mkdir(join(here, 'e'), { recursive: true });
    await writeFile(join(here, 'e/x'), 'x\n');
    await symlink('e/x', join(here, 'l'));
    await into(here, `${box}:/made`);
    await into(here, `${box}:/made`);
    await into(`${here}/.`, `${box}:/made`);
    assert.equal((await dockerOut('exec', box, 'find', '/made')).split('\n').sort().join(' '), '/made /made/dir /made/dir/e /made/dir/e/x /made/dir/l /made/e /made/e/x /made/l');
  });

  test('the mode stays; the owner is root, or with -a whose it was', async () => {
    const file = join(await directory(), 'owned');
    await writeFile(file, 'x');
    await chmod(file, 0o751);
    await into(file, `${box}:/owned`);
    assert.equal(await dockerOut('exec', box, 'stat', '-c', '%u %g %a', '/owned'), '0 0 751');
  });

  test('a tar from stdin', async () => {
    const archive = await tar([{ name: 't/', type: 'directory' }, { name: 't/f', body: 'tarred', uid: 5, gid: 6 }]);
    const { exitCode, stderr } = await dockerBytes(archive, 'cp', '-', `${box}:/tmp`);
    assert.equal(exitCode, 0, stderr);
    assert.equal(await dockerOut('exec', box, 'sh', '-c', 'cat /tmp/t/f; stat -c " %u %g" /tmp/t/f'), 'tarred 5 6');
  });

  test('through a link that leads out of the root', async () => {
    await dockerOut('exec', box, 'sh', '-c', 'ln -s /../../../../../../tmp /escape; ln -s ../../../../../../../etc/passwd /passwdlink');
    const file = join(await directory(), name('escapee'));
    await writeFile(file, 'inside');
    await into(file, `${box}:/escape/`);
    assert.equal(await cat(`/tmp/${name('escapee')}`), 'inside');
    await assert.rejects(lstat(`/tmp/${name('escapee')}`), { code: 'ENOENT' });
    const here = await directory();
    await into('-L', `${box}:/passwdlink`, join(here, 'p'));
    assert.equal(await readFile(join(here, 'p'), 'utf8'), 'root:x:0:0:root:/root:/bin/sh\n');
  });

  test('mistakes', async () => {
    const here = await directory();
    await writeFile(join(here, 'f'), 'x');
    await mkdir(join(here, 'dir'));
    await dockerFails(1, `Could not find the file /nosuchdir in container ${box}`, 'cp', join(here, 'f'), `${box}:/nosuchdir/x`);
    await dockerFails(1, 'no such directory', 'cp', join(here, 'f'), `${box}:/nosuchdir/`);
    await dockerFails(1, 'cannot copy directory', 'cp', join(here, 'dir'), `${box}:/d/f`);
    await dockerFails(1, 'No such container: ct-nosuch', 'cp', join(here, 'f'), 'ct-nosuch:/x');
  });

  test('large and byte-exact, both ways', async () => {
    const here = await directory();
    const bytes = randomBytes(8 * 1024 * 1024 + 11);
    await writeFile(join(here, 'large'), bytes);
    await into(join(here, 'large'), `${box}:/large`);
    await into(`${box}:/large`, join(here, 'back'));
    assert.ok((await readFile(join(here, 'back'))).equals(bytes));
  });
});

describe('in every state', () => {
  test('stopped, and started again', async () => {
    const stopped = name('stopped');
    const file = join(await directory(), 's');
    await writeFile(file, 'while stopped');
    await dockerOut('create', '--name', stopped, '-v', `${name('vol2')}:/v`, 'busybox', 'cat', '/s', '/v/s');
    await into(file, `${stopped}:/s`);
    await into(file, `${stopped}:/v/s`);
    assert.equal(await dockerOut('start', '-a', stopped), 'while stoppedwhile stopped');
    const { stdout } = await dockerBytes(undefined, 'cp', `${stopped}:/s`, '-');
    assert.deepEqual(names(await untar(stdout)), ['s']);
  });

  test('read-only', async () => {
    const ro = name('ro');
    await dockerOut('run', '-d', '--name', ro, '-v', `${name('vol')}:/vol:ro`, '--read-only', 'busybox', 'sleep', '1000');
    const file = join(await directory(), 'z');
    await writeFile(file, 'z');
    await dockerFails(1, 'mounted volume is marked read-only', 'cp', file, `${ro}:/vol/z`);
    await dockerFails(1, 'container rootfs is marked read-only', 'cp', file, `${ro}:/z`);
  });
});

describe('the calls', () => {
  const archive = (path: string, ref = box) => `/containers/${ref}/archive?path=${encodeURIComponent(path)}`;
  const stat = async (path: string) => JSON.parse(Buffer.from((await http('HEAD', archive(path))).headers['x-docker-container-path-stat'] as string, 'base64').toString());

  test('HEAD tells name, size, mode and link target', async () => {
    const { mtime, ...file } = await stat('/d/f');
    assert.deepEqual(file, { name: 'f', size: 4, mode: 0x800000 | 0o711, linkTarget: '' });
    assert.ok(Math.abs(Date.now() - Date.parse(mtime)) < 300_000);
    const directoryStat = await stat('/d/sub');
    assert.deepEqual([directoryStat.name, directoryStat.mode], ['sub', 0x80000000 + 0o755]);
    const link = await stat('/d/rel');
    assert.deepEqual([link.name, link.mode, link.linkTarget], ['rel', 0x8000000 + 0o777, '/d/f']);
    assert.equal((await stat('/d/abs')).linkTarget, '/d/f');
    assert.equal((await stat('/d/pipe')).mode, 0x2000000 + 0o644);
    assert.equal((await stat('/dirlink/')).name, 'dirlink');
  });

  test('GET tells the same, and sends a tar', async () => {
    const { status, headers } = await http('GET', archive('/d/sub'));
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'application/x-tar');
    assert.equal(JSON.parse(Buffer.from(headers['x-docker-container-path-stat'] as string, 'base64').toString()).name, 'sub');
  });

  test('PUT is 200', async () => {
    const { status, text } = await http('PUT', archive('/tmp'), await tar([{ name: 'put', body: 'x' }]), { 'content-type': 'application/x-tar' });
    assert.deepEqual([status, text], [200, '']);
  });

  test('mistakes', async () => {
    for (const method of ['HEAD', 'GET']) {
      assert.equal((await http(method, archive('/nosuch'))).status, 404);
      assert.equal((await http(method, archive('/x', 'ct-nosuch'))).status, 404);
      assert.equal((await http(method, `/containers/${box}/archive`)).status, 400);
    }
    const bytes = await tar([{ name: 'f', body: 'x' }]);
    assert.equal((await http('PUT', archive('/nosuch'), bytes)).status, 404);
    const onFile = await http('PUT', archive('/d/f'), bytes);
    assert.deepEqual([onFile.status, onFile.json()], [500, { message: 'extraction point is not a directory' }]);
    const garbage = await http('PUT', archive('/d'), 'garbage');
    assert.deepEqual([garbage.status, garbage.json()], [500, { message: 'unexpected EOF' }]);
    assert.deepEqual((await http('GET', archive('/nosuch'))).json(), { message: `Could not find the file /nosuch in container ${box}` });
  });

  test('noOverwriteDirNonDir', async () => {
    const query = '&noOverwriteDirNonDir=1';
    const refused = await http('PUT', archive('/d') + query, await tar([{ name: 'sub', body: 'x' }]));
    assert.equal(refused.status, 500);
    assert.match(refused.json().message, /^cannot overwrite directory ".*\/sub" with non-directory "\/?.*"$/);
    assert.equal((await http('PUT', archive('/d') + query, await tar([{ name: 'sub/', type: 'directory' }]))).status, 200);
  });

  test('an archive that wants out stays in', async () => {
    const { status } = await http('PUT', archive('/tmp'), await tar([{ name: `../../../../tmp/${name('outside')}`, body: 'x' }]));
    assert.notEqual(status, 404);
    await assert.rejects(lstat(`/tmp/${name('outside')}`), { code: 'ENOENT' });
  });
});

describe('docker export and docker diff', () => {
  const changed = name('changed');
  before(() => dockerOut('run', '--name', changed, 'busybox', 'sh', '-c', 'echo x >/added; rm /etc/group; echo y >>/etc/passwd; mkdir /newdir; touch /newdir/f'));

  test('export is the whole filesystem', async () => {
    const { stdout } = await dockerBytes(undefined, 'export', changed);
    const found = await untar(stdout);
    assert.ok(names(found).includes('bin/busybox'));
    assert.equal(found.find(entry => entry.name === 'added')!.body.toString(), 'x\n');
    assert.ok(!names(found).includes('etc/group'));
    assert.equal(found.find(entry => entry.name === 'etc/passwd')!.body.toString(), 'root:x:0:0:root:/root:/bin/sh\ny\n');
  });

  test('diff: added, changed, deleted', async () => {
    assert.deepEqual((await dockerOut('diff', changed)).split('\n').sort(), ['A /added', 'A /newdir', 'A /newdir/f', 'C /etc', 'C /etc/passwd', 'D /etc/group']);
    const { json } = await http('GET', `/containers/${changed}/changes`);
    assert.ok(json().some((change: any) => change.Path === '/etc/group' && change.Kind === 2));
  });

  test('nothing changed', async () => {
    await dockerOut('create', '--name', name('same'), 'busybox');
    assert.equal(await dockerOut('diff', name('same')), '');
  });
});

describe('while the container stops, starts and goes', () => {
  const FILES = 400;
  const make = (path: string) => `mkdir -p ${path}; i=0; while [ $i -lt ${FILES} ]; do echo $i >${path}/f$i; i=$((i+1)); done`;
  const whole = async (bytes: Buffer, at: string) => assert.equal((await untar(bytes)).filter(entry => entry.name.startsWith(`${at}/f`) && entry.body.length > 0).length, FILES);

  test('every archive is whole', async () => {
    const ref = name('racer');
    await dockerOut('run', '-d', '--name', ref, '-v', `${name('racevol')}:/v`, 'busybox', 'sh', '-c', `[ -e /ready ] || { ${make('/d')}; ${make('/v/e')}; touch /ready; }; exec sleep 1000`);
    await eventually(() => dockerOut('exec', ref, 'test', '-e', '/ready'));
    let over = false;
    const reader = async (path: string, at: string) => {
      let count = 0;
      for (; !over; count++) {
        const { status, bytes, text } = await http('GET', `/containers/${ref}/archive?path=${path}`);
        assert.equal(status, 200, text.slice(0, 300));
        await whole(bytes, at);
        const put = await http('PUT', `/containers/${ref}/archive?path=/v`, await tar([{ name: `put-${at}`, body: `${count}` }]));
        assert.equal(put.status, 200, put.text);
      }
      return count;
    };
    const readers = [reader('/d', 'd'), reader('/v/e', 'e'), reader('/d/.', '.')];
    try {
      for (let round = 0; round < 6; round++) {
        assert.equal((await http('POST', `/containers/${ref}/stop?t=0`)).status, 204);
        assert.equal((await http('POST', `/containers/${ref}/start`)).status, 204);
      }
    } finally {
      over = true;
      await Promise.all(readers);
    }
    assert.equal(await dockerOut('exec', ref, 'sh', '-c', 'ls /d | wc -l; ls /v/e | wc -l'), `${FILES}\n${FILES}`);
    await dockerOut('rm', '-f', ref);
  });
});

describeBerth('while the container is removed', () => {
  test('nobody waits for it, and nothing of it is cut', async () => {
    const ref = name('leaver');
    await dockerOut('run', '-d', '--name', ref, '-v', '/v', 'busybox', 'sh', '-c', 'dd if=/dev/zero of=/v/big bs=1M count=48; dd if=/dev/zero of=/big bs=1M count=48; mkdir /many; for i in $(seq 500); do echo $i >/many/$i; done; touch /ready; exec sleep 1000');
    await eventually(() => dockerOut('exec', ref, 'test', '-e', '/ready'));
    // Not read at first: the socket holds little, and the engine waits.
    const streams = await Promise.all(['/v', '/big', '/many', '/v/big'].map(path => opened('GET', `/containers/${ref}/archive?path=${path}`)));
    const begun = performance.now();
    assert.equal((await http('POST', `/containers/${ref}/stop?t=0`)).status, 204);
    assert.equal((await http('DELETE', `/containers/${ref}?force=1&v=1`)).status, 204);
    assert.ok(performance.now() - begun < 5_000, 'it waited for the archives');
    assert.equal((await http('GET', `/containers/${ref}/json`)).status, 404);
    const [volume, big, many, file] = await Promise.all(streams.map(async ({ answer }) => untar((await answer).bytes)));
    assert.equal(volume!.find(entry => entry.name === 'v/big')!.body.length, 48 * 2 ** 20);
    for (const found of [big, file]) assert.equal(found![0]!.body.length, 48 * 2 ** 20);
    assert.equal(many!.length, 501);
  });

  test('a client that goes away leaves nothing behind', async () => {
    const ref = name('left');
    await dockerOut('run', '--name', ref, 'busybox', 'dd', 'if=/dev/zero', 'of=/big', 'bs=1M', 'count=48');
    const { stream } = await opened('GET', `/containers/${ref}/archive?path=/big`);
    stream.destroy();
    await dockerOut('rm', ref);
  });
});

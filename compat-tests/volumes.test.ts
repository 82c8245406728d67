// docker volume, and the ways to mount.

import assert from 'node:assert/strict';
import { readFile, writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { docker, dockerBytes, dockerFails, dockerOut, inspect, inHost } from './support/docker.ts';
import { http } from './support/http.ts';
import { scope } from './support/scope.ts';
import { names, untar } from './support/tars.ts';

const { name, directory } = scope('vol');
const testName = name('');
let count = 0;
const once = (...args: string[]) => docker('run', '--rm', '--name', name(`once${count++}`), ...args);
const refused = (message: RegExp | string, ...args: string[]) => dockerFails(125, message, 'run', '--rm', '--name', name(`refused${count++}`), ...args);
const volume = async (word: string, ...options: string[]) => dockerOut('volume', 'create', ...options, name(word));

describe('docker volume', () => {
  test('create, again, inspect', async () => {
    const plain = await volume('plain');
    assert.equal(plain, name('plain'));
    assert.equal(await dockerOut('volume', 'create', plain), plain);
    const [{ CreatedAt, Mountpoint, ...rest }] = JSON.parse(await dockerOut('volume', 'inspect', plain));
    assert.deepEqual(rest, { Driver: 'local', Labels: null, Name: plain, Options: null, Scope: 'local' });
    assert.match(CreatedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.ok(Mountpoint.endsWith(`/volumes/${plain}/_data`), Mountpoint);
  });

  test('the answer of create is what inspect says', async () => {
    const { status, json } = await http('POST', '/volumes/create', { Name: name('answer'), Labels: { k: 'v' } });
    assert.equal(status, 201);
    assert.equal(json().Name, name('answer'));
    assert.deepEqual(json().Labels, { k: 'v' });
    assert.deepEqual((await http('GET', `/volumes/${name('answer')}`)).json(), json());
  });

  test('without a name one is made up', async () => {
    const made = await dockerOut('volume', 'create');
    try {
      assert.match(made, /^[0-9a-f]{64}$/);
      assert.deepEqual(JSON.parse(await dockerOut('volume', 'inspect', '-f', '{{json .Labels}}', made)), { 'com.docker.volume.anonymous': '' });
    } finally {
      await dockerOut('volume', 'rm', made);
    }
  });

  test('options: a tmpfs of one megabyte', async () => {
    const small = await volume('tmpfs', '--label', 'k=v', '-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=size=1m');
    const [{ Options, Labels }] = JSON.parse(await dockerOut('volume', 'inspect', small));
    assert.deepEqual([Options, Labels], [{ type: 'tmpfs', device: 'tmpfs', o: 'size=1m' }, { k: 'v' }]);
    const { stdout } = await once('-v', `${small}:/d`, 'busybox', 'sh', '-c', 'df -k /d | tail -1');
    assert.match(stdout, /^tmpfs +1024 /);
  });

  test('ls and its filters', async () => {
    const [one, two] = [await volume('ls-one', '--label', `${name('l')}=1`), await volume('ls-two', '--label', `${name('l')}=2`)];
    await dockerOut('create', '--name', name('lsuser'), '-v', `${two}:/v`, 'busybox');
    const list = async (...filters: string[]) => (await dockerOut('volume', 'ls', '-q', ...filters.flatMap(text => ['--filter', text]))).split('\n').filter(line => line.includes(name('ls-'))).sort();
    assert.deepEqual(await list(), [one, two]);
    assert.deepEqual(await list(`name=${name('ls-o')}`), [one]);
    assert.deepEqual(await list(`label=${name('l')}`), [one, two]);
    assert.deepEqual(await list(`label=${name('l')}=2`), [two]);
    assert.deepEqual(await list('dangling=true'), [one]);
    assert.deepEqual(await list('dangling=false'), [two]);
    assert.deepEqual(await list('driver=local'), [one, two]);
    assert.deepEqual(await list('driver=nosuch'), []);
    await dockerFails(1, "invalid filter 'nosuch'", 'volume', 'ls', '--filter', 'nosuch=1');
    const { json } = await http('GET', '/volumes');
    assert.deepEqual(Object.keys(json()).sort(), ['Volumes', 'Warnings']);
  });

  test('rm, of what is in use, of what is not there, and with -f', async () => {
    const used = await volume('used');
    const id = await dockerOut('create', '--name', name('user'), '-v', `${used}:/v`, 'busybox');
    await dockerFails(1, `remove ${used}: volume is in use - [${id}]`, 'volume', 'rm', used);
    assert.equal((await http('DELETE', `/volumes/${used}`)).status, 409);
    assert.equal((await http('DELETE', `/volumes/${used}?force=1`)).status, 409);
    await dockerOut('rm', name('user'));
    assert.equal((await http('DELETE', `/volumes/${used}`)).status, 204);
    await dockerFails(1, `get ${used}: no such volume`, 'volume', 'rm', used);
    await dockerOut('volume', 'rm', '-f', used);
    await dockerFails(1, `get ${used}: no such volume`, 'volume', 'inspect', used);
    assert.equal((await http('GET', `/volumes/${used}`)).status, 404);
  });

  test('bad names and drivers', async () => {
    const words = 'includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path';
    await dockerFails(1, `create bad/name: "bad/name" ${words}`, 'volume', 'create', 'bad/name');
    await dockerFails(1, `volume name is too short, names should be at least two alphanumeric characters`, 'volume', 'create', 'x');
    await dockerFails(1, 'error looking up volume plugin nosuchdriver: plugin "nosuchdriver" not found', 'volume', 'create', '-d', 'nosuchdriver', name('driver'));
    assert.equal((await http('POST', '/volumes/create', { Name: 'bad/name' })).status, 400);
    assert.equal((await http('POST', '/volumes/create', { Name: name('driver'), Driver: 'nosuchdriver' })).status, 404);
  });

  test('an unknown option', async () => {
    const { status, json } = await http('POST', '/volumes/create', { Name: name('option'), DriverOpts: { nosuch: 'x' } });
    assert.equal(status, 400);
    assert.match(json().message, /invalid option: "nosuch"/);
  });
});

describe('-v', () => {
  test('named, read-only, anonymous and bind, as inspect tells them', async () => {
    const shared = await directory();
    await writeFile(join(shared, 'f'), 'from the host');
    const box = name('all');
    const script = 'echo hi >/p/f; cat /p/f /host/f; touch /d/x; touch /host/x';
    const result = await docker('run', '--name', box, '-v', `${name('p')}:/p`, '-v', `${name('d')}:/d:ro`, '-v', '/anon', '-v', `${shared}:/host:ro`, 'busybox', 'sh', '-c', script);
    assert.equal(result.stdout, 'hi\nfrom the host');
    assert.equal(result.stderr, 'touch: /d/x: Read-only file system\ntouch: /host/x: Read-only file system\n');
    const { Mounts, HostConfig, Config } = await inspect(box);
    const by = (destination: string) => Mounts.find((mount: any) => mount.Destination === destination);
    const { Source, ...p } = by('/p');
    assert.deepEqual(p, { Type: 'volume', Name: name('p'), Destination: '/p', Driver: 'local', Mode: 'z', RW: true, Propagation: '' });
    assert.equal(await readFile(join(Source, 'f'), 'utf8'), 'hi\n');
    assert.deepEqual([by('/d').Mode, by('/d').RW], ['ro', false]);
    assert.deepEqual(by('/host'), { Type: 'bind', Source: shared, Destination: '/host', Mode: 'ro', RW: false, Propagation: 'rprivate' });
    assert.match(by('/anon').Name, /^[0-9a-f]{64}$/);
    assert.equal(by('/anon').Mode, '');
    // The CLI sends them in no order.
    assert.deepEqual(HostConfig.Binds.toSorted(), [`${name('p')}:/p`, `${name('d')}:/d:ro`, `${shared}:/host:ro`].toSorted());
    assert.deepEqual(Config.Volumes, { '/anon': {} });
  });

  test('a new volume is filled with what the image has there, once', async () => {
    const copied = name('copied');
    assert.equal((await once('-v', `${copied}:/etc`, 'busybox', 'grep', '-c', 'root', '/etc/passwd')).stdout, '1\n');
    assert.match((await once('-v', `${copied}:/x`, 'busybox', 'ls', '/x')).stdout, /^group$[^]*^passwd$/m);
    await once('-v', `${copied}:/x`, 'busybox', 'rm', '/x/passwd');
    assert.doesNotMatch((await once('-v', `${copied}:/etc`, 'busybox', 'ls', '/etc')).stdout, /passwd/);
  });

  test('not with nocopy', async () => {
    assert.doesNotMatch((await once('-v', `${name('nocopy')}:/etc:nocopy`, 'busybox', 'ls', '/etc')).stdout, /passwd/);
    assert.doesNotMatch((await once('--mount', `type=volume,src=${name('nocopy2')},dst=/etc,volume-nocopy`, 'busybox', 'ls', '/etc')).stdout, /passwd/);
  });

  test('a filled volume keeps owner and mode', async () => {
    assert.equal((await once('-v', `${name('mode')}:/tmp`, 'busybox', 'stat', '-c', '%a', '/tmp')).stdout, '1777\n');
  });

  test('a missing directory of -v is made, of --mount is not', async () => {
    const parent = await directory();
    await once('-v', `${parent}/made/deep:/x`, 'busybox', 'touch', '/x/f');
    assert.equal(await readFile(`${parent}/made/deep/f`, 'utf8'), '');
    await refused(`invalid mount config for type "bind": bind source path does not exist: ${parent}/nosuch`, '--mount', `type=bind,src=${parent}/nosuch,dst=/x`, 'busybox', 'true');
  });

  test('a single file', async () => {
    const file = join(await directory(), 'one');
    await writeFile(file, 'content');
    assert.equal((await once('-v', `${file}:/etc/one`, 'busybox', 'cat', '/etc/one')).stdout, 'content');
  });

  test('parents before children, in any order of the options', async () => {
    const shared = await directory();
    await mkdir(join(shared, 'log'));
    const log = name('log');
    await once('-v', `${log}:/data/log`, '-v', `${shared}:/data`, 'busybox', 'touch', '/data/log/in-volume', '/data/in-bind');
    assert.equal((await once('-v', `${log}:/l`, 'busybox', 'ls', '/l')).stdout, 'in-volume\n');
  });

  test('the same volume at two places', async () => {
    assert.equal((await once('-v', `${name('twice')}:/a`, '-v', `${name('twice')}:/b`, 'busybox', 'sh', '-c', 'echo x >/a/f; cat /b/f')).stdout, 'x\n');
  });

  test('mistakes', async () => {
    await refused('"relative/path" includes invalid characters for a local volume name', '-v', 'relative/path:/x', 'busybox', 'true');
    await refused("invalid volume specification: 'plain:relative': invalid mount config for type \"volume\": invalid mount path: 'relative' mount path must be absolute", '-v', 'plain:relative', 'busybox', 'true');
    await refused(/invalid (mode|volume specification)/, '-v', `${name('mode')}:/x:nosuch`, 'busybox', 'true');
    await refused('destination can\'t be \'/\'', '-v', `${name('root')}:/`, 'busybox', 'true');
    await refused(/Duplicate mount point: \/a/, '-v', `${name('d1')}:/a`, '-v', `${name('d2')}:/a`, 'busybox', 'true');
  });
});

describe('--volumes-from', () => {
  test('modes are kept, and :ro makes all read-only', async () => {
    const holder = name('holder');
    await dockerOut('create', '--name', holder, '-v', `${name('rw')}:/rw`, '-v', `${name('ro')}:/ro:ro`, 'busybox');
    const kept = await once('--volumes-from', holder, 'busybox', 'sh', '-c', 'touch /rw/f /ro/f');
    assert.deepEqual([kept.stderr, kept.exitCode], ['touch: /ro/f: Read-only file system\n', 1]);
    const readOnly = await once('--volumes-from', `${holder}:ro`, 'busybox', 'sh', '-c', 'ls /rw; touch /rw/g');
    assert.deepEqual([readOnly.stdout, readOnly.stderr], ['f\n', 'touch: /rw/g: Read-only file system\n']);
    await refused('invalid mode: bad', '--volumes-from', `${holder}:bad`, 'busybox', 'true');
    await refused('No such container: ct-nosuch', '--volumes-from', 'ct-nosuch', 'busybox', 'true');
  });

  test('binds come along, and an own mount at the same place wins', async () => {
    const shared = await directory();
    await writeFile(join(shared, 'f'), 'bound');
    const holder = name('holder2');
    await dockerOut('create', '--name', holder, '-v', `${shared}:/b`, '-v', `${name('theirs')}:/own`, 'busybox');
    const box = name('own');
    assert.equal(await dockerOut('run', '--name', box, '--volumes-from', holder, '-v', `${name('mine')}:/own`, 'busybox', 'cat', '/b/f'), 'bound');
    assert.equal((await inspect(box)).Mounts.find((mount: any) => mount.Destination === '/own').Name, name('mine'));
  });

  test('data outlives the container it came from', async () => {
    const [first, second] = [name('first'), name('second')];
    await dockerOut('run', '--name', first, '-v', '/data', 'busybox', 'sh', '-c', 'echo kept >/data/f');
    await dockerOut('create', '--name', second, '--volumes-from', first, 'busybox', 'cat', '/data/f');
    await dockerOut('rm', '-v', first);
    assert.equal(await dockerOut('start', '-a', second), 'kept');
  });
});

describe('memory', () => {
  test('--tmpfs and --mount type=tmpfs have their size', async () => {
    const size = async (...args: string[]) => Number((await once(...args, 'busybox', 'sh', '-c', 'df -k /t | tail -1')).stdout.split(/\s+/)[1]);
    assert.equal(await size('--tmpfs', '/t:size=128k'), 128);
    assert.equal(await size('--mount', 'type=tmpfs,dst=/t,tmpfs-size=64k'), 64);
  });

  test('--tmpfs is empty, noexec, and forgotten', async () => {
    const { stdout } = await once('--tmpfs', '/etc2', 'busybox', 'sh', '-c', 'ls /etc2; grep " /etc2 " /proc/mounts');
    assert.match(stdout, /^tmpfs \/etc2 tmpfs rw,nosuid,nodev,noexec,/);
  });
});

describe('propagation', () => {
  test('a bind can not pass on what its source does not hear', async () => {
    const here = await directory();
    const mount = async (...words: string[]) => assert.equal((await inHost('mount', ...words)).exitCode, 0);
    const tags = (mode: string) => once('-v', `${here}:/x:${mode}`, 'busybox', 'sh', '-c', "grep ' /x ' /proc/self/mountinfo | grep -o '\\(shared\\|master\\):' | sort -u");
    await mount('--bind', here, here);
    try {
      await mount('--make-private', here);
      await refused(`path ${here} is mounted on ${here} but it is not a shared mount`, '-v', `${here}:/x:shared`, 'busybox', 'true');
      await refused(`path ${here} is mounted on ${here} but it is not a shared or slave mount`, '--mount', `type=bind,src=${here},dst=/x,bind-propagation=rslave`, 'busybox', 'true');
      assert.equal((await tags('rprivate')).stdout, '');
      await mount('--make-shared', here);
      assert.equal((await tags('rshared')).stdout, 'shared:\n');
      assert.equal((await tags('rslave')).stdout, 'master:\n');
    } finally {
      await inHost('umount', here);
    }
  });

  test('of a mount and a tmpfs at one place, the tmpfs is seen', async () => {
    const { stdout } = await once('--mount', `type=volume,src=${name('hidden')},dst=/t`, '--tmpfs', '/t', 'busybox', 'grep', ' /t ', '/proc/mounts');
    assert.match(stdout, /^tmpfs \/t tmpfs [^\n]*\n$/);
  });
});

describe('volumes with options', () => {
  const mountOf = async (volume: string, ...args: string[]) => (await once('-v', `${volume}:/d`, ...args, 'busybox', 'grep', ' /d ', '/proc/mounts')).stdout;

  test('one file system for all that use it, gone after the last', async () => {
    const shared = await volume('shared', '-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=size=2m');
    const run = (box: string) => dockerOut('run', '-d', '--name', box, '-v', `${shared}:/d`, 'busybox', 'sleep', '1000');
    const [first, second, third] = [name('first-user'), name('second-user'), name('third-user')];
    await Promise.all([run(first), run(second)]);
    await dockerOut('exec', first, 'sh', '-c', 'echo shared >/d/f');
    assert.equal(await dockerOut('exec', second, 'cat', '/d/f'), 'shared');
    await dockerOut('rm', '-f', first);
    await run(third);
    assert.equal(await dockerOut('exec', third, 'cat', '/d/f'), 'shared');
    const { stdout } = await dockerBytes(undefined, 'cp', `${second}:/d/f`, '-');
    assert.deepEqual(names(await untar(stdout)), ['f']);
    await dockerOut('rm', '-f', second, third);
    assert.equal((await once('-v', `${shared}:/d`, 'busybox', 'ls', '/d')).stdout, '');
    await dockerOut('volume', 'rm', shared);
  });

  test('a directory of the host', async () => {
    const here = await directory();
    await writeFile(join(here, 'f'), 'of the host');
    const bound = await volume('bound', '-o', 'type=none', '-o', `device=${here}`, '-o', 'o=bind');
    assert.equal((await once('-v', `${bound}:/d`, 'busybox', 'sh', '-c', 'cat /d/f; touch /d/made')).stdout, 'of the host');
    await dockerOut('volume', 'rm', bound);
    assert.deepEqual([await readFile(join(here, 'f'), 'utf8'), await readFile(join(here, 'made'), 'utf8')], ['of the host', '']);
  });

  test('the words of mount -o', async () => {
    const words = await volume('words', '-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=nosuid,noexec,ro,size=1m,uid=5');
    assert.match(await mountOf(words), /^tmpfs \/d tmpfs ro,nosuid,noexec,relatime,size=1024k,uid=5/);
    const bound = await volume('bound-ro', '-o', 'type=none', '-o', `device=${await directory()}`, '-o', 'o=bind,ro');
    assert.match(await mountOf(bound), / \/d \S+ ro,/);
  });

  test('what can not be mounted', async () => {
    const cases: readonly (readonly [string, string, string, number, RegExp])[] = [
      ['nosuchfs', 'x', 'ro', 125, /mount x:\S+\/_data, flags: 0x1: no such device/],
      ['tmpfs', 'tmpfs', 'size=bogus', 125, /mount tmpfs:\S+\/_data, data: size=bogus: invalid argument/],
      ['none', '/nosuch-directory', 'bind', 127, /mount \/nosuch-directory:\S+\/_data, flags: 0x1000: no such file or directory/],
      ['nfs', ':/x', 'addr=127.0.0.1,soft', 125, /mount :\/x:\S+\/_data, data: addr=127.0.0.1,soft: /],
    ];
    for (const [index, [type, device, o, exitCode, message]] of cases.entries()) {
      const bad = await volume(`bad${index}`, '-o', `type=${type}`, '-o', `device=${device}`, '-o', `o=${o}`);
      await dockerFails(exitCode, message, 'run', '--name', name(`bad-user${index}`), '-v', `${bad}:/d`, 'busybox', 'true');
      await dockerFails(exitCode, "error while mounting volume '", 'run', '--rm', '--name', name(`bad-user-too${index}`), '-v', `${bad}:/d`, 'busybox', 'true');
    }
    await dockerFails(1, /failed to populate volume: error while mounting volume '/, 'create', '--name', name('bad-fill'), '-v', `${name('bad0')}:/etc`, 'busybox', 'true');
  });

  test('are not pruned', async () => {
    const label = name('prune');
    await volume('pruned', '--label', label);
    await volume('not-pruned', '--label', label, '-o', 'type=tmpfs', '-o', 'device=tmpfs');
    assert.deepEqual((await dockerOut('volume', 'prune', '-af', '--filter', `label=${label}`)).split('\n').filter(line => line.includes(testName)), [name('pruned')]);
    await dockerOut('volume', 'rm', name('not-pruned'));
  });
});

describe('volume-subpath', () => {
  const data = name('parts');
  const part = (subpath: string, ...command: string[]) => once('--mount', `type=volume,src=${data},dst=/x,volume-subpath=${subpath}`, 'busybox', ...command);
  before(() => once('-v', `${data}:/v`, 'busybox', 'sh', '-c', 'mkdir -p /v/a/b; echo hi >/v/a/b/f; ln -s a/b /v/in; ln -s /etc /v/abs; ln -s ../../../.. /v/up; ln -s nosuch /v/dangling; ln -s loop /v/loop'));

  test('a directory, a file, and a link that stays inside', async () => {
    assert.equal((await part('a/b', 'cat', '/x/f')).stdout, 'hi\n');
    assert.equal((await part('a/b/f', 'cat', '/x')).stdout, 'hi\n');
    assert.equal((await part('in', 'cat', '/x/f')).stdout, 'hi\n');
    assert.equal((await part('a/../a', 'ls', '/x')).stdout, 'b\n');
    assert.equal((await once('--mount', `type=volume,src=${data},dst=/x,volume-subpath=a/b,readonly`, 'busybox', 'touch', '/x/f')).exitCode, 1);
  });

  test('what leads out or nowhere', async () => {
    const start = async (subpath: string) => {
      const box = name(`part${count++}`);
      await dockerOut('create', '--name', box, '--mount', `type=volume,src=${data},dst=/x,volume-subpath=${subpath}`, 'busybox', 'true');
      const { status, json } = await http('POST', `/containers/${box}/start`);
      return `${status} ${json().message.replaceAll(/\/\S*\/_data/g, 'DATA')}`;
    };
    assert.equal(await start('abs'), '400 path concatenation escapes the base directory, base: DATA, subpath: abs');
    assert.equal(await start('up'), '400 path concatenation escapes the base directory, base: DATA, subpath: up');
    assert.equal(await start('dangling'), '404 cannot access path DATA/dangling: lstat DATA/nosuch: no such file or directory');
    assert.equal(await start('a/nosuch/x'), '404 cannot access path DATA/a/nosuch/x: lstat DATA/a/nosuch: no such file or directory');
    assert.equal(await start('loop'), '500 error while resolving symlinks in combined path "DATA/loop": EvalSymlinks: too many links');
    assert.equal(await start('a/b/f/x'), '500 error while resolving symlinks in combined path "DATA/a/b/f/x": not a directory');
  });

  test('a container that swaps it for a link never gets the host', async () => {
    const swapper = name('swapper');
    await dockerOut('run', '-d', '--name', swapper, '-v', `${data}:/v`, 'busybox', 'sh', '-c', 'mkdir /v/real; echo inside >/v/real/hostname; while :; do ln -sfn /etc /v/swap; rm /v/swap; mv /v/real /v/swap; mv /v/swap /v/real; done');
    for (let round = 0; round < 20; round++) {
      const { stdout } = await part('swap', 'cat', '/x/hostname');
      assert.match(stdout, /^(inside\n)?$/);
    }
    await dockerOut('rm', '-f', swapper);
  });
});

describe('what can not be mounted where it is to be', () => {
  const advice = 'Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type';
  test('a directory over a file, a file over a directory', async () => {
    await dockerFails(125, advice, 'run', '--rm', '--name', name('over-file'), '-v', `${name('plain-dir')}:/etc/passwd:nocopy`, 'busybox', 'true');
    await dockerFails(1, /source \S+\/etc\/passwd is not directory/, 'create', '--name', name('fill-file'), '-v', `${name('plain-dir')}:/etc/passwd`, 'busybox', 'true');
    const file = join(await directory(), 'file');
    await writeFile(file, '');
    await dockerFails(125, advice, 'run', '--rm', '--name', name('over-directory'), '-v', `${file}:/etc`, 'busybox', 'true');
  });

  test('a tmpfs with options that are none', async () => {
    await refused('invalid tmpfs option "nosuch"', '--tmpfs', '/t:nosuch', 'busybox', 'true');
    await refused('invalid tmpfs option "huge"', '--tmpfs', '/t:huge=never', 'busybox', 'true');
  });
});

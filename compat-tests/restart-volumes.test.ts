// The daemon dies of SIGKILL in the middle of things with volumes, and comes back: nothing is lost, nothing is left.

import { execa } from 'execa';
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { clientVariables } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { call } from './support/http.ts';

let daemon: Daemon;
before(async () => { daemon = await startDaemon('-restart-volumes'); });
after(() => daemon?.remove());

const docker = async (...args: string[]) => {
  const { stdout, stderr, exitCode } = await execa('docker', args, { env: { ...clientVariables, DOCKER_HOST: `unix://${daemon.socket}` }, reject: false, timeout: 30_000, stdin: 'ignore' });
  assert.equal(exitCode, 0, `docker ${args.join(' ')}: ${stderr}`);
  return stdout;
};
const again = async () => {
  await daemon.crash();
  await daemon.start();
};
const data = (...parts: string[]) => join(daemon.root, 'data', ...parts);
const mountsBelow = async (directory: string) => (await readFile('/proc/mounts', 'utf8')).split('\n').filter(line => line.split(' ')[1]?.startsWith(directory));

describe('kill -9 of the daemon', () => {
  test('a volume with options stays one, for those that run and those that come', async () => {
    await docker('volume', 'create', '-o', 'type=tmpfs', '-o', 'device=tmpfs', 'mem');
    await docker('run', '-d', '--name', 'one', '-v', 'mem:/d', 'busybox', 'sh', '-c', 'echo kept >/d/f; exec sleep 1000');
    await eventually(() => docker('exec', 'one', 'test', '-s', '/d/f'));
    await docker('run', '-d', '--name', 'ends', '-v', 'mem:/d', 'busybox', 'sleep', '1');
    await daemon.crash();
    await new Promise(resolve => setTimeout(resolve, 1200));
    await daemon.start();
    await docker('run', '-d', '--name', 'two', '-v', 'mem:/d', 'busybox', 'sleep', '1000');
    assert.equal(await docker('exec', 'two', 'cat', '/d/f'), 'kept');
    assert.equal((await mountsBelow(data('volumes'))).length, 1);
    await docker('rm', '-f', 'one', 'two', 'ends');
    assert.deepEqual(await mountsBelow(data('volumes')), []);
    await docker('volume', 'rm', 'mem');
  });

  test('a part of a volume is held, and let go', async () => {
    await docker('run', '--rm', '-v', 'parts:/v', 'busybox', 'sh', '-c', 'mkdir /v/a; echo hi >/v/a/f');
    await docker('run', '-d', '--name', 'part', '--mount', 'type=volume,src=parts,dst=/x,volume-subpath=a', 'busybox', 'sleep', '1000');
    await again();
    assert.equal(await docker('exec', 'part', 'cat', '/x/f'), 'hi');
    await docker('restart', '-t', '0', 'part');
    assert.equal(await docker('exec', 'part', 'cat', '/x/f'), 'hi');
    await docker('rm', '-f', 'part');
    assert.deepEqual(await readdir(join(daemon.root, 'exec/subpaths')), []);
  });

  test('archives and restores cut short leave nothing, and frozen containers go on', async () => {
    await docker('run', '-d', '--name', 'user', '-v', 'big:/v', 'busybox', 'sh', '-c', 'dd if=/dev/zero of=/v/big bs=1M count=64; exec sleep 1000');
    await eventually(async () => assert.match(await docker('exec', 'user', 'stat', '-c', '%s', '/v/big'), /^67108864$/m));
    await docker('create', '--name', 'stopped', '-v', 'other:/o', 'busybox');
    const slow = (path: string) => new Promise<void>((resolve) => {
      request({ socketPath: daemon.socket, path, agent: false }, (incoming) => {
        incoming.on('error', () => {});
        incoming.pause();
        resolve();
      }).on('error', () => {}).end();
    });
    await slow('/volumes/big/archive?pause=1');
    await slow('/containers/stopped/archive?path=/');
    for (const mode of ['replace', 'merge']) {
      const put = request({ socketPath: daemon.socket, method: 'PUT', path: `/volumes/other/archive?mode=${mode}`, agent: false }).on('error', () => {});
      put.write(Buffer.alloc(100_000));
    }
    await new Promise(resolve => setTimeout(resolve, 300));
    await again();
    assert.equal(await docker('exec', 'user', 'echo', 'on'), 'on');
    assert.deepEqual(await readdir(data('tmp')), []);
    assert.deepEqual(await mountsBelow(data('overlay2')).then(lines => lines.length), 1);
    await docker('rm', '-f', 'user', 'stopped');
  });

  test('what was removed, renamed or unknown is set right', async () => {
    await docker('volume', 'create', 'stays');
    await writeFile(data('volumes/stays/_data/f'), 'precious');
    await daemon.crash();
    // As if it had died between the record and the directory of `volume rm`; before the record of `rename`; and with a mount nobody knows.
    await mkdir(data('volumes/removed/_data'), { recursive: true });
    await mkdir(data('tmp/gone-0123/_data'), { recursive: true });
    await execa('mount', ['-t', 'tmpfs', 'none', data('tmp/gone-0123/_data')]);
    await execa('mv', [data('volumes/stays'), data('volumes/renamed')]);
    await writeFile(data('tmp/move-0123'), JSON.stringify({ from: data('volumes/stays'), to: data('volumes/renamed') }));
    await daemon.start();
    assert.equal(await readFile(data('volumes/stays/_data/f'), 'utf8'), 'precious');
    assert.equal((await readdir(data('volumes'))).includes('removed'), false);
    assert.equal((await readdir(data('volumes'))).includes('renamed'), false);
    assert.deepEqual(await readdir(data('tmp')), []);
    assert.equal((await call(daemon.socket, 'DELETE', '/volumes/stays')).status, 204);
  });

  test('volumes that a new state does not know are left alone', async () => {
    await docker('volume', 'create', 'unknown');
    await writeFile(data('volumes/unknown/_data/f'), 'precious');
    await daemon.crash();
    await execa('rm', ['-rf', data('state')]);
    await daemon.start();
    assert.equal(await readFile(data('volumes/unknown/_data/f'), 'utf8'), 'precious');
    await docker('volume', 'create', 'unknown');
    assert.equal(await readFile(data('volumes/unknown/_data/f'), 'utf8'), 'precious');
  });
});

// The daemon dies of SIGKILL and comes back with the same roots: what ran runs on, and nothing is lost or left.
// Only for a daemon of the tests' own, so run.ts leaves this file out for an engine that somebody else runs.

import { execa } from 'execa';
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { clientVariables } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { hostAddress } from './support/hosts.ts';
import { call, only } from './support/http.ts';
import { onDaemon } from './support/on-daemon.ts';
import { serve } from './support/reach.ts';

let daemon: Daemon;
before(async () => { daemon = await startDaemon('-restart'); });
after(() => daemon?.remove());

const { docker, at, curl } = onDaemon(() => daemon);
const state = async (name: string) => JSON.parse(await docker('inspect', '-f', '{{json .State}}', name));
const logLines = async (name: string) => only('stdout', (await call(daemon.socket, 'GET', `/containers/${name}/logs?stdout=1`)).bytes).split('\n').filter(line => line !== '').map(Number);
const consecutive = (lines: readonly number[]) => assert.deepEqual(lines, lines.map((_, index) => index + 1));

const counter = ['busybox', 'sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done'];
// Ends some time after it is told to: while the daemon is away, and nobody watches.
const endingWith = (last: string) => ['busybox', 'sh', '-c', `: of ${process.pid}; until [ -e /tmp/go ]; do sleep 0.02; done; sleep 0.7; ${last}`];

describe('kill -9 of the daemon', () => {
  let pid = 0;
  let linesBefore = 0;

  before(async () => {
    await docker('run', '-d', '--name', 'web', '-p', '21200:8080', '-v', 'kept:/kept', 'busybox', ...serve('still here'));
    await docker('run', '-d', '--name', 'counter', ...counter);
    await docker('run', '-d', '--name', 'ending', ...endingWith('echo last words; exit 23'));
    await docker('run', '-d', '--rm', '--name', 'vanishing', ...endingWith('exit 0'));
    await docker('run', '-d', '-i', '-t', '--name', 'shell', 'busybox');
    await docker('run', '-d', '--name', 'stopped', 'busybox', 'sleep', '1000');
    await docker('kill', 'stopped');
    await docker('create', '--name', 'created', 'busybox', 'echo', 'later');
    await eventually(async () => assert.equal(await curl(daemon.clientNetns, `http://${hostAddress}:21200/`), 'still here'));
    await eventually(async () => assert.ok((await logLines('counter')).length > 5));
    pid = (await state('web')).Pid;
    linesBefore = (await logLines('counter')).length;
    await Promise.all(['ending', 'vanishing'].map(name => docker('exec', name, 'touch', '/tmp/go')));
    await daemon.crash();
  });

  test('while it is away: the port answers, on the other host and here', async () => {
    assert.equal(await curl(daemon.clientNetns, `http://${hostAddress}:21200/`), 'still here');
    assert.equal(await curl(daemon.netns, `http://${hostAddress}:21200/`), 'still here');
    // The ones that end do so now, without a daemon.
    await eventually(async () => assert.equal((await execa('pgrep', ['-f', `: of ${process.pid}; until`], { reject: false })).stdout, ''));
  });

  describe('when it is back', () => {
    before(() => daemon.start());

    test('the container runs as the same process', async () => {
      const { Status, Pid } = await state('web');
      assert.deepEqual([Status, Pid], ['running', pid]);
    });

    test('the port still answers', async () => assert.equal(await curl(daemon.clientNetns, `http://${hostAddress}:21200/`), 'still here'));

    test('no line of the log is lost or doubled', async () => {
      await eventually(async () => assert.ok((await logLines('counter')).length > linesBefore + 40));
      consecutive(await logLines('counter'));
    });

    test('what ended meanwhile has its exit code and its last words', async () => {
      const ended = await eventually(async () => {
        const found = await state('ending');
        assert.equal(found.Running, false);
        return found;
      });
      // The one thing here that dockerd --live-restore does not know: its containerd dies with it, and it says 255.
      assert.deepEqual([ended.Status, ended.ExitCode, ended.Pid], ['exited', 23, 0]);
      assert.equal(await docker('wait', 'ending'), '23');
      assert.equal(await docker('logs', 'ending'), 'last words');
    });

    test('what ended meanwhile with --rm is gone', () => eventually(async () => assert.equal(await docker('ps', '-aq', '--filter', 'name=vanishing'), '')));

    test('what had not run is as it was', async () => {
      assert.deepEqual([(await state('stopped')).ExitCode, (await state('created')).Status], [137, 'created']);
      assert.equal(await docker('start', '-a', 'created'), 'later');
    });

    test('exec works, and a terminal still has its two ends', async () => {
      assert.equal(await docker('exec', 'web', 'cat', '/www/index.html'), 'still here');
      assert.equal(await docker('exec', 'shell', 'readlink', '/proc/1/fd/0'), '/dev/pts/0');
      assert.equal((await state('shell')).Running, true);
    });

    test('wait and stop work, and a new container does not get an address or port that is taken', async () => {
      const addresses = [await address('web'), await address('counter')];
      await docker('run', '-d', '--name', 'next', 'busybox', 'sleep', '1000');
      assert.ok(!addresses.includes(await address('next')));
      const clash = await execa('docker', ['run', '-d', '--name', 'clash', '-p', '21200:80', 'busybox', 'true'], { env: { ...clientVariables, DOCKER_HOST: `unix://${daemon.socket}` }, reject: false });
      assert.match(clash.stderr, /port is already allocated|address already in use/);
      const waiting = docker('wait', 'counter');
      await docker('stop', '-t', '0', 'counter');
      assert.equal(await waiting, '137');
      consecutive(await logLines('counter'));
    });

    test('images, volumes and networks are there', async () => {
      assert.match(await docker('images', '--format', '{{.Repository}}'), /^busybox$/m);
      assert.equal(await docker('volume', 'ls', '-q'), 'kept');
      assert.match(await docker('network', 'ls', '--format', '{{.Name}}'), /^bridge$/m);
    });

    test('killed twice in a row', async () => {
      for (let round = 0; round < 2; round++) {
        await daemon.crash();
        await daemon.start();
      }
      assert.deepEqual([(await state('web')).Status, (await state('web')).Pid], ['running', pid]);
      assert.equal(await curl(daemon.clientNetns, `http://${hostAddress}:21200/`), 'still here');
    });

    test('after rm -f of all, the host has nothing of them', async () => {
      const ids = (await docker('ps', '-aq', '--no-trunc')).split('\n');
      await docker('rm', '-f', '-v', ...ids);
      await eventually(async () => {
        assert.doesNotMatch(await at(daemon.netns, 'ip', '-o', 'link'), /veth/);
        assert.doesNotMatch(await at(daemon.netns, 'iptables-save'), /--dport|-d 172\.17\.0\.\d+\/32/);
        assert.doesNotMatch(await at(daemon.netns, 'ss', '-lnt'), /:21200 /);
        const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter(line => line.includes(daemon.root) && /overlay|mqueue|\/shm|nsfs/.test(line));
        // The reference keeps the namespace of the host itself mounted under this name.
        assert.deepEqual(mounts.filter(line => !line.includes('/netns/default ')), []);
        const cgroups = (await execa('find', ['/sys/fs/cgroup', '-type', 'd'], { reject: false })).stdout;
        for (const id of ids) assert.ok(!cgroups.includes(id), id);
        for (const id of ids) assert.ok(!(await commandLines()).includes(id), `a process of ${id} is left`);
      }, { seconds: 5 });
    });
  });
});

const address = (name: string) => docker('inspect', '-f', '{{.NetworkSettings.Networks.bridge.IPAddress}}', name);

async function commandLines(): Promise<string> {
  const pids = (await readdir('/proc')).filter(entry => /^\d+$/.test(entry));
  return (await Promise.all(pids.map(pid => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))).join('\n');
}

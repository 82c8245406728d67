// The daemon is told to end, or the whole host goes down; then it begins again. Containers do as their restart policies say.

import { execa } from 'execa';
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { faultsOf } from './support/audit.ts';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { clientVariables } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { hostAddress, enter } from './support/hosts.ts';
import { call } from './support/http.ts';
import { powerOff } from './support/reboot.ts';
import { serve } from './support/reach.ts';

const policies = ['no', 'always', 'unless-stopped', 'on-failure'] as const;

const client = (daemon: Daemon) => async (...args: string[]) => {
  const { stdout, stderr, exitCode } = await execa('docker', args, { env: { ...clientVariables, DOCKER_HOST: `unix://${daemon.socket}` }, reject: false, timeout: 30_000, stdin: 'ignore' });
  assert.equal(exitCode, 0, `docker ${args.join(' ')}: ${stderr}`);
  return stdout;
};
const stateOf = async ({ socket }: Daemon, name: string) => {
  const { State, RestartCount } = (await call(socket, 'GET', `/containers/${name}/json`)).json();
  return `${State.Status} ${State.ExitCode} ${RestartCount}`;
};
const sound = (daemon: Daemon) => eventually(async () => assert.deepEqual(await faultsOf(daemon, new Set()), []), { seconds: 10, every: 100 });

/** One that runs and one that was stopped, for each policy; and one that will not try again. */
async function everyPolicy(daemon: Daemon): Promise<void> {
  const docker = client(daemon);
  await Promise.all(policies.flatMap(policy => [['runs', true], ['stopped', false]].map(async ([word, stays]) => {
    await docker('run', '-d', '--stop-timeout', '0', '--restart', policy, '--name', `${word}-${policy}`, 'busybox', 'sleep', '1000');
    if (!stays) await docker('stop', `${word}-${policy}`);
  })));
  await docker('run', '-d', '--restart', 'on-failure:1', '--name', 'exhausted', 'busybox', 'sh', '-c', 'exit 3');
  await docker('create', '--restart', 'always', '--name', 'never-started', 'busybox', 'true');
  await eventually(async () => assert.equal(await stateOf(daemon, 'exhausted'), 'exited 3 1'), { seconds: 15 });
}

/** What the reference does, but for one that failed when a client had stopped it: that stays stopped. `code`: how those ended that ran. */
async function begunAgain(daemon: Daemon, code: number): Promise<void> {
  const expected = {
    'runs-no': `exited ${code} 0`, 'runs-always': 'running 0 0', 'runs-unless-stopped': 'running 0 0', 'runs-on-failure': 'running 0 0',
    'stopped-no': 'exited 137 0', 'stopped-always': 'running 0 0', 'stopped-unless-stopped': 'exited 137 0', 'stopped-on-failure': 'exited 137 0',
    exhausted: 'exited 3 1', 'never-started': 'created 0 0',
  };
  for (const [name, state] of Object.entries(expected)) await eventually(async () => assert.equal(await stateOf(daemon, name), state, name));
}

describe('SIGTERM with --live-restore=false', () => {
  let daemon: Daemon;
  before(async () => { daemon = await startDaemon('-stop', {}, '--live-restore=false'); });
  after(() => daemon?.remove());

  test('containers are stopped by their own signals, in their own time, and those who wait hear of it', async () => {
    const docker = client(daemon);
    assert.equal((await call(daemon.socket, 'GET', '/info')).json().LiveRestoreEnabled, false);
    await everyPolicy(daemon);
    await docker('run', '-d', '--name', 'orderly', '--stop-signal', 'USR1', 'busybox', 'sh', '-c', 'trap "echo last words; exit 9" USR1; echo ready; while :; do sleep 0.05; done');
    await docker('run', '-d', '--name', 'paused', '--stop-timeout', '0', 'busybox', 'sleep', '1000');
    await docker('run', '-d', '--rm', '--name', 'vanishing', '--stop-timeout', '0', 'busybox', 'sleep', '1000');
    await docker('pause', 'paused');
    await eventually(async () => assert.match(await docker('logs', 'orderly'), /ready/));
    const waiting = call(daemon.socket, 'POST', '/containers/orderly/wait');
    await call(daemon.socket, 'GET', '/info');
    await daemon.stop();
    assert.equal((await waiting).json().StatusCode, 9);
    assert.equal(existsSync(daemon.socket), false);
    assert.equal(existsSync(join(daemon.root, 'pid')), false);
    assert.equal((await execa('pgrep', ['-f', `${daemon.root}/exec/`], { reject: false })).stdout.split('\n').filter(pid => pid !== '').length, 0);
  });

  test('the next one starts what its policy says, and knows how the others ended', async () => {
    await daemon.start();
    await begunAgain(daemon, 137);
    assert.equal(await stateOf(daemon, 'orderly'), 'exited 9 0');
    assert.equal(await stateOf(daemon, 'paused'), 'exited 137 0');
    assert.match(await client(daemon)('logs', 'orderly'), /last words/);
    assert.equal((await call(daemon.socket, 'GET', '/containers/vanishing/json')).status, 404);
    await sound(daemon);
  });
});

describe('a host that goes down', () => {
  let daemon: Daemon;
  before(async () => { daemon = await startDaemon('-reboot'); });
  after(() => daemon?.remove());

  test('comes back with what its policies say, and nothing else', async () => {
    const docker = client(daemon);
    await everyPolicy(daemon);
    await docker('network', 'create', '--ipv6', 'net');
    await docker('run', '-d', '--restart', 'always', '--name', 'web', '--network', 'net', '-p', '21500:8080', '-v', 'kept:/kept', 'busybox', ...serve('here again'));
    await docker('run', '-d', '--rm', '--name', 'vanishing', 'busybox', 'sleep', '1000');
    await docker('run', '-d', '--name', 'mem', '--restart', 'unless-stopped', '--mount', 'type=volume,src=tmp,dst=/m,volume-opt=type=tmpfs,volume-opt=device=tmpfs', 'busybox', 'sleep', '1000');
    await docker('exec', 'web', 'sh', '-c', 'echo precious >/kept/file');
    await powerOff(daemon);
    await daemon.start();
    await begunAgain(daemon, 255);
    assert.equal((await call(daemon.socket, 'GET', '/containers/vanishing/json')).status, 404);
    const [file, ...args] = enter(daemon.clientNetns, ['curl', '-sS', '--fail', '--noproxy', '*', '-m', '2', `http://${hostAddress}:21500/`]);
    await eventually(async () => assert.equal((await execa(file!, args)).stdout, 'here again'));
    assert.equal(await docker('exec', 'web', 'cat', '/kept/file'), 'precious');
    await docker('exec', 'mem', 'test', '-d', '/m');
    await docker('rm', '-f', 'mem');
    await sound(daemon);
  });
});

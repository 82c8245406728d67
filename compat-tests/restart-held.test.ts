// The daemon is killed and comes back while many containers run and clients hold on to them: nobody is cut off but those whose
// connection was to the daemon itself, and these find everything when they ask again. HELD_CONTAINERS: with more of them.

import { execa } from 'execa';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { faultsOf } from './support/audit.ts';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { enter, hostAddress } from './support/hosts.ts';
import { call, only } from './support/http.ts';

const CONTAINERS = Number(process.env['HELD_CONTAINERS'] ?? 50);

let daemon: Daemon;
before(async () => { daemon = await startDaemon('-held'); });
after(() => daemon?.remove());

const ask = (method: string, path: string, body?: object) => call(daemon.socket, method, path, body);
const run = async (name: string, cmd: readonly string[], more: object = {}, hostConfig: object = {}) => {
  const { status, text } = await ask('POST', `/containers/create?name=${name}`, { Image: 'busybox', Cmd: cmd, StopSignal: 'KILL', ...more, HostConfig: hostConfig });
  assert.equal(status, 201, text);
  const started = await ask('POST', `/containers/${name}/start`);
  assert.equal(started.status, 204, started.text);
};
const inspect = async (name: string) => (await ask('GET', `/containers/${name}/json`)).json();
const lines = async (name: string) => only('stdout', (await ask('GET', `/containers/${name}/logs?stdout=1`)).bytes).split('\n').filter(line => line !== '').map(Number);
const stop = ['sh', '-c', 'until [ -e /tmp/go ]; do sleep 0.02; done; sleep 0.3; exit 42'];

/** Of the daemon and the programs it ran, in milliseconds: a busy machine changes it little. */
async function processorTime(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ').map(Number);
  return fields.slice(11, 15).reduce((sum, ticks) => sum + ticks * 10, 0);
}

/** One at a time for each of some hands. */
async function inParallel(count: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: 4 }, async () => { while (next < count) await work(next++); }));
}

describe(`kill -9 under ${CONTAINERS} containers`, { timeout: 100_000 + CONTAINERS * 1000 }, () => {
  let pids = new Map<string, number>();

  before(async () => {
    await run('web', ['sh', '-c', 'mkdir /www; dd if=/dev/urandom of=/www/big bs=64k count=128 2>/dev/null; sha256sum </www/big >/www/sum; exec httpd -f -p 8080 -h /www'], { ExposedPorts: { '8080/tcp': {} } }, { PortBindings: { '8080/tcp': [{ HostPort: '21490' }] } });
    await run('counter', ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.005; done']);
    await run('ends', stop);
    await run('fails', ['sh', '-c', 'exit 3'], {}, { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 100 } });
    await inParallel(CONTAINERS - 4, n => run(`small${n}`, ['sleep', '1000'], {}, n % 2 === 0 ? {} : { NetworkMode: 'none' }));
    pids = new Map(((await ask('GET', '/containers/json')).json() as readonly any[]).map(({ Names }) => [Names[0].slice(1), 0]));
    for (const name of pids.keys()) pids.set(name, (await inspect(name)).State.Pid);
  });

  test('a download goes on, logs have every line once, waits and execs can be asked again', async t => {
    const [file, ...args] = enter(daemon.clientNetns, ['curl', '-sS', '--fail', '--noproxy', '*', '--limit-rate', '2M', `http://${hostAddress}:21490/big`]);
    const sum = () => execa(file!, [...args.slice(0, -3), `http://${hostAddress}:21490/sum`]).then(({ stdout }) => stdout.split(' ')[0]);
    const wanted = await eventually(sum);
    const download = execa(file!, args, { encoding: 'buffer', maxBuffer: 1e9 }).then(({ stdout }) => createHash('sha256').update(stdout).digest('hex'));
    const following = ask('GET', '/containers/counter/logs?stdout=1&follow=1').then(({ bytes }) => bytes, () => undefined);
    const waiting = ask('POST', '/containers/ends/wait').catch(() => undefined);
    await eventually(async () => assert.ok((await lines('counter')).length > 20));
    await eventually(async () => assert.ok((await inspect('fails')).RestartCount >= 3), { seconds: 10 });
    const exec = (await ask('POST', '/containers/ends/exec', { Cmd: ['touch', '/tmp/go'] })).json().Id;
    await ask('POST', `/exec/${exec}/start`, {});
    const countBefore = (await inspect('fails')).RestartCount;
    const killed = Date.now();
    await daemon.crash();
    await following;
    await waiting;
    // What ends does so now, with nobody there.
    await eventually(() => assert.equal(existsSync(`/proc/${pids.get('ends')}`), false));
    const began = Date.now();
    await daemon.start();
    const back = Date.now();
    t.diagnostic(`back after ${back - began} ms (${await processorTime(daemon.pid())} ms of processor) with ${CONTAINERS} containers`);

    for (const [name, pid] of pids) if (!['ends', 'fails'].includes(name)) assert.equal((await inspect(name)).State.Pid, pid, name);
    assert.equal((await ask('POST', '/containers/ends/wait')).json().StatusCode, 42);
    const { ExitCode, FinishedAt, Status } = (await inspect('ends')).State;
    assert.deepEqual([Status, ExitCode], ['exited', 42]);
    assert.ok(Date.parse(FinishedAt) >= killed - 100 && Date.parse(FinishedAt) <= began + 100, `${FinishedAt}: between ${new Date(killed).toISOString()} and ${new Date(began).toISOString()}`);
    const again = (await ask('POST', '/containers/counter/exec', { Cmd: ['echo', 'here'], AttachStdout: true })).json().Id;
    assert.equal(only('stdout', (await ask('POST', `/exec/${again}/start`, {})).bytes), 'here\n');
    const seen = (await lines('counter')).length;
    await eventually(async () => assert.ok((await lines('counter')).length > seen + 20));
    const all = await lines('counter');
    assert.deepEqual(all, all.map((_, index) => index + 1));
    assert.equal(await download, wanted);
    // It waits twice as long each time: no round begins anew because the daemon did.
    const restarted = (await inspect('fails')).RestartCount;
    assert.ok(restarted >= countBefore && restarted <= countBefore + 4, `${countBefore} restarts became ${restarted}`);
    await eventually(async () => assert.ok((await inspect('fails')).RestartCount > countBefore), { seconds: 30 });
    await eventually(async () => assert.deepEqual(await faultsOf(daemon, new Set()), []), { seconds: 10, every: 200 });
  });
});

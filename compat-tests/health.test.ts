// Health checks: asked for by flags, by the API and by the image; states, log, events, filters.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { docker, dockerOut, inspect } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { http } from './support/http.ts';
import { scope } from './support/scope.ts';

const { name } = scope('health');

const health = async (box: string) => (await inspect(box)).State.Health;
const status = async (box: string) => dockerOut('ps', '-a', '--filter', `name=${box}`, '--format', '{{.Status}}');
const becomes = (box: string, wanted: string) => eventually(async () => assert.equal((await health(box)).Status, wanted), { seconds: 15 });
const checked = async (word: string, command: string, ...options: string[]) => {
  const box = name(word);
  await dockerOut('run', '-d', '--name', box, '--health-cmd', command, '--health-interval', '200ms', ...options, 'busybox', 'sleep', '1000');
  return box;
};

describe('a health check', () => {
  test('starting, unhealthy, healthy', async () => {
    const box = await checked('states', 'echo looked; test -e /ok', '--health-retries', '2');
    assert.equal((await health(box)).Status, 'starting');
    assert.match(await status(box), /^Up .* \(health: starting\)$/);
    await becomes(box, 'unhealthy');
    assert.match(await status(box), /^Up .* \(unhealthy\)$/);
    const { FailingStreak, Log } = await health(box);
    assert.ok(FailingStreak >= 2 && Log.length >= 2);
    assert.deepEqual([Log[0].ExitCode, Log[0].Output], [1, 'looked\n']);
    assert.ok(Date.parse(Log[0].Start) <= Date.parse(Log[0].End));
    await dockerOut('exec', box, 'touch', '/ok');
    await becomes(box, 'healthy');
    assert.equal((await health(box)).FailingStreak, 0);
    assert.match(await status(box), /^Up .* \(healthy\)$/);
    await eventually(async () => assert.equal((await health(box)).Log.length, 5));
    await dockerOut('stop', '-t', '0', box);
    assert.equal((await health(box)).Status, 'unhealthy');
    assert.match(await status(box), /^Exited/);
  });

  test('what it does and what it finds are events', async () => {
    const since = Math.floor(Date.now() / 1000);
    const box = await checked('events', 'true');
    await becomes(box, 'healthy');
    await dockerOut('rm', '-f', box);
    const out = await dockerOut('events', '--since', `${since}`, '--until', `${Math.ceil(Date.now() / 1000) + 1}`, '--filter', `container=${box}`, '--format', '{{.Action}}');
    const actions = out.split('\n').map(line => line.trimEnd());
    const at = (action: string) => actions.indexOf(action);
    assert.ok(at('exec_create: /bin/sh -c true') < at('exec_start: /bin/sh -c true'), out);
    assert.ok(at('exec_start: /bin/sh -c true') < at('health_status: healthy'), out);
    assert.equal(actions.filter(action => action.startsWith('health_status')).length, 1);
  });

  test('too slow is a failure, and says what was said', async () => {
    const box = await checked('slow', 'echo began; exec sleep 100', '--health-timeout', '300ms', '--health-retries', '1');
    await becomes(box, 'unhealthy');
    const [first] = (await health(box)).Log;
    assert.deepEqual([first.ExitCode, first.Output], [-1, 'Health check exceeded timeout (300ms): began\n']);
  });

  test('long output is cut', async () => {
    const box = await checked('long', 'head -c 10000 /dev/zero | tr "\\0" x');
    await becomes(box, 'healthy');
    assert.equal((await health(box)).Log[0].Output, `${'x'.repeat(4096)}...`);
  });

  test('failures do not count in the start period', async () => {
    const box = await checked('period', 'test -e /ok', '--health-retries', '1', '--health-start-period', '60s', '--health-start-interval', '100ms');
    await eventually(async () => assert.ok((await health(box)).Log.length >= 3), { seconds: 20 });
    assert.deepEqual([(await health(box)).Status, (await health(box)).FailingStreak], ['starting', 0]);
    await dockerOut('exec', box, 'touch', '/ok');
    await becomes(box, 'healthy');
  });

  test('CMD runs without a shell; a program that is not there is a failure', async () => {
    const box = name('cmd');
    const created = await http('POST', `/containers/create?name=${box}`, { Image: 'busybox', Cmd: ['sleep', '1000'], Healthcheck: { Test: ['CMD', 'nosuch'], Interval: 200_000_000, Retries: 1 } });
    assert.equal(created.status, 201);
    await dockerOut('start', box);
    await becomes(box, 'unhealthy');
    assert.match((await health(box)).Log[0].Output, /exec: "nosuch": executable file not found in \$PATH/);
  });

  test('--no-healthcheck, and none asked for', async () => {
    const [none, plain] = [name('none'), name('plain')];
    await dockerOut('run', '-d', '--name', none, '--no-healthcheck', 'busybox', 'sleep', '1000');
    await dockerOut('run', '-d', '--name', plain, 'busybox', 'sleep', '1000');
    for (const box of [none, plain]) assert.equal(await health(box), undefined);
    assert.deepEqual((await inspect(none)).Config.Healthcheck, { Test: ['NONE'] });
  });

  test('docker ps --filter health=', async () => {
    const [well, ill, plain] = [await checked('well', 'true'), await checked('ill', 'false', '--health-retries', '1'), name('neither')];
    await dockerOut('create', '--name', plain, 'busybox');
    await becomes(well, 'healthy');
    await becomes(ill, 'unhealthy');
    for (const [value, found] of [['healthy', well], ['unhealthy', ill], ['none', plain]] as const) {
      const names = (await dockerOut('ps', '-a', '--filter', `health=${value}`, '--filter', `name=${name('')}`, '--format', '{{.Names}}')).split('\n');
      assert.ok(names.includes(found), `${value}: ${names}`);
      for (const other of [well, ill, plain]) assert.equal(names.includes(other), other === found, `${value}: ${names}`);
    }
  });

  test('paused, nobody asks', async () => {
    const box = await checked('paused', 'true');
    await becomes(box, 'healthy');
    await dockerOut('pause', box);
    assert.equal((await health(box)).Status, 'unhealthy');
    await dockerOut('unpause', box);
    await becomes(box, 'healthy');
  });

  test('of the image, and what a request says beside it', async () => {
    const [base, image, box] = [name('base'), name('image'), name('ofimage')];
    await dockerOut('create', '--name', base, 'busybox');
    await dockerOut('commit', '--change', 'HEALTHCHECK --interval=200ms --retries=7 CMD test -e /etc', base, image);
    await dockerOut('run', '-d', '--name', box, '--health-interval', '300ms', image, 'sleep', '1000');
    assert.deepEqual((await inspect(box)).Config.Healthcheck, { Test: ['CMD-SHELL', 'test -e /etc'], Interval: 300_000_000, Retries: 7 });
    await becomes(box, 'healthy');
    await docker('rm', '-f', box, base);
  });
});

// Whoever reads slowly what a program prints gets all of it, even long after the program has ended.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, test } from 'node:test';
import { dockerOut } from './support/docker.ts';
import { engine } from './support/engine.ts';
import { eventually } from './support/eventually.ts';
import { scope } from './support/scope.ts';

const { name } = scope('slow');
const lines = 200_000;

/** Lines that come out of the docker CLI when nobody reads the first of them for some seconds. */
async function readLate(...args: readonly string[]): Promise<number> {
  const cli = spawn('docker', args, { env: { ...process.env, DOCKER_HOST: `unix://${engine.socket}` }, stdio: ['ignore', 'pipe', 'inherit'] });
  await pause(6000);
  let count = 0;
  for await (const chunk of cli.stdout) for (const byte of chunk as Buffer) if (byte === 10) count += 1;
  return count;
}

describe('a slow reader', { concurrency: true }, () => {
  test('of docker run', async () => {
    assert.equal(await readLate('run', '--name', name('run'), 'busybox', 'seq', '1', `${lines}`), lines);
    const [first] = (await dockerOut('logs', '--tail', '1', name('run'))).split('\n');
    assert.equal(first, `${lines}`);
  });

  test('of docker exec', async () => {
    await dockerOut('run', '-d', '--name', name('box'), 'busybox', 'sleep', '1000');
    assert.equal(await readLate('exec', name('box'), 'seq', '1', `${lines}`), lines);
  });

  test('the container has ended all the same', async () => {
    const reading = readLate('run', '--name', name('ends'), 'busybox', 'seq', '1', `${lines}`);
    await eventually(async () => assert.equal(await dockerOut('inspect', '-f', '{{.State.Status}}', name('ends')), 'exited'), { seconds: 5.5, every: 100 });
    assert.equal(await reading, lines);
  });
});

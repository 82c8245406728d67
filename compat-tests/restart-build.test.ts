// The daemon dies of SIGKILL in the middle of builds, and comes back: nothing of them is left.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { request, type ClientRequest } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { faultsOf } from './support/audit.ts';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { call } from './support/http.ts';
import { tar, type Entry } from './support/tars.ts';

let daemon: Daemon;
before(async () => { daemon = await startDaemon('-restart-build'); });
after(() => daemon?.remove());

const begin = (query = ''): ClientRequest =>
  request({ socketPath: daemon.socket, method: 'POST', path: `/build?${query}`, agent: false, headers: { 'content-type': 'application/x-tar' } }).on('error', () => undefined);

/** Resolves when a build has come so far. */
const builds = async (said: string, dockerfile: string, ...files: readonly Entry[]): Promise<void> => {
  const context = await tar([{ name: 'Dockerfile', body: dockerfile }, ...files]);
  await new Promise<void>(resolve => {
    begin('nocache=1').on('response', response => response.on('error', () => undefined).on('data', (chunk: Buffer) => chunk.includes(said) && resolve())).end(context);
  });
};

const images = async () => ((await call(daemon.socket, 'GET', '/images/json?all=1')).json() as readonly any[]).map(({ Id }) => Id as string).sort();

const comesBackClean = async (before: readonly string[]) => {
  const known = new Set<string>(((await call(daemon.socket, 'GET', '/containers/json?all=1')).json() as readonly any[]).map(({ Id }) => Id));
  await daemon.crash();
  await daemon.start();
  assert.deepEqual((await call(daemon.socket, 'GET', '/containers/json?all=1')).json(), []);
  await eventually(async () => assert.deepEqual(await faultsOf(daemon, known), []), { seconds: 20, every: 250 });
  for (const id of (await images()).filter(id => !before.includes(id)).reverse()) await call(daemon.socket, 'DELETE', `/images/${id}?force=1`);
  assert.deepEqual(await images(), before);
};

describe('kill -9 of the daemon', () => {
  test('while a context comes', async () => {
    const before = await images();
    const context = await tar([{ name: 'Dockerfile', body: 'FROM busybox\n' }, { name: 'big', body: Buffer.alloc(8 << 20) }]);
    begin().write(context.subarray(0, 4 << 20));
    await eventually(async () => assert.equal((await readdir(join(daemon.root, 'data/tmp'))).filter(name => name.startsWith('build-')).length, 1));
    await comesBackClean(before);
  });

  test('while a step runs', async () => {
    const before = await images();
    await builds('begun', 'FROM busybox\nVOLUME /v\nRUN echo begun; exec sleep 1000\n');
    await comesBackClean(before);
  });

  test('while files are copied', async () => {
    const before = await images();
    await builds('Step 3/3', 'FROM busybox\nENV a=b\nCOPY big /\n', { name: 'big', body: Buffer.alloc(64 << 20) });
    await comesBackClean(before);
  });
});

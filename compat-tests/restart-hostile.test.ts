// Clients that mean harm, or are broken: whatever they send, the daemon goes on, and others notice nothing.
// On a daemon of its own. HOSTILE_REQUESTS and HOSTILE_SEED: more of them, or others (`make soak`).

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { faultsOf } from './support/audit.ts';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { hostileRequest, randomFrom, send } from './support/hostile.ts';
import { call } from './support/http.ts';

const REQUESTS = Number(process.env['HOSTILE_REQUESTS'] ?? 1500);
const SEED = Number(process.env['HOSTILE_SEED'] ?? 1);
/** So many at a time. */
const CLIENTS = 8;

let daemon: Daemon;
const known = new Set<string>();
before(async () => { daemon = await startDaemon('-hostile'); });
after(() => daemon?.remove());

const ask = (method: string, path: string, body?: object) => call(daemon.socket, method, path, body);
const descriptors = async () => (await readdir(`/proc/${daemon.pid()}/fd`)).length;
/** Of the process alone, in MiB. */
const memory = async () => Number(/^RssAnon:\s+(\d+)/m.exec(await readFile(`/proc/${daemon.pid()}/status`, 'utf8'))?.[1]) / 1024;
const log = () => readFile(process.env['COMPAT_LOG'] ?? join(daemon.root, 'daemon.log'), 'utf8');

/** What the requests are about; some of them take it away. */
async function victims(): Promise<{ C: string; E: string }> {
  await ask('POST', '/images/busybox/tag?repo=hostile&tag=1');
  await ask('POST', '/networks/create', { Name: 'hostile-net' });
  await ask('POST', '/volumes/create', { Name: 'hostile-volume' });
  await ask('POST', '/containers/create?name=hostile-c', { Image: 'busybox', Cmd: ['sleep', '1000'], StopSignal: 'KILL', HostConfig: { NetworkMode: 'hostile-net', Binds: ['hostile-volume:/data'] } });
  await ask('POST', '/containers/hostile-c/unpause');
  await ask('POST', '/containers/hostile-c/start');
  const exec = await ask('POST', '/containers/hostile-c/exec', { Cmd: ['cat'], AttachStdin: true, AttachStdout: true });
  return { C: 'hostile-c', E: exec.status === 201 ? exec.json().Id : 'none' };
}

async function nothingLeft(): Promise<void> {
  for (const { Id } of (await ask('GET', '/containers/json?all=1')).json()) {
    const { status, text } = await ask('DELETE', `/containers/${Id}?force=1&v=1`);
    assert.ok(status < 300 || status === 404 || status === 409, text);
  }
  for (const { Name, Id } of (await ask('GET', '/networks')).json()) if (!['bridge', 'host', 'none'].includes(Name)) await ask('DELETE', `/networks/${Id}`);
  for (const { Name } of (await ask('GET', '/volumes')).json().Volumes) await ask('DELETE', `/volumes/${encodeURIComponent(Name)}`);
}

test(`${REQUESTS} requests as no client sends them`, { timeout: 120_000 + REQUESTS * 100 }, async t => {
  const chance = randomFrom(SEED);
  const statuses = new Map<number, number>();
  const memories: number[] = [];
  let names = await victims();
  let sent = 0;
  const one = async () => {
    sent += 1;
    const request = hostileRequest(chance, names);
    const { status = 0, text, refused } = await send(daemon.socket, request);
    assert.ok(!refused, `the daemon is gone after\n${request.what}\n${(await log()).slice(-3000)}`);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (status === 500 && process.env['HOSTILE_SHOW'] !== undefined) console.log(text.split('\r\n\r\n')[1], request.what.slice(0, 600));
  };
  const before = await descriptors();
  const ROUNDS = 5;
  for (let round = 1; round <= ROUNDS; round++) {
    const enough = Math.ceil((round * REQUESTS) / ROUNDS);
    await Promise.all(Array.from({ length: CLIENTS }, async () => { while (sent < enough) await one(); }));
    await nothingLeft();
    memories.push(await memory());
    if (round < ROUNDS) names = await victims();
  }
  t.diagnostic(`statuses ${JSON.stringify(Object.fromEntries(statuses))}, MiB ${memories.map(Math.round).join(' ')}`);
  // What is not one of the engine's own refusals is a fault of ours, and in the log with its stack.
  assert.deepEqual((await log()).split('\n').filter(line => / level=(error|fatal) /.test(line)).map(line => line.slice(0, 2000)), []);
  await eventually(async () => assert.deepEqual(await faultsOf(daemon, known), []), { seconds: 10, every: 200 });
  // A client that goes in the middle of its body is waited for some seconds.
  await eventually(async () => assert.ok((await descriptors()) <= before, `${before} descriptors became ${await descriptors()}`), { seconds: 20, every: 200 });
  assert.ok(memories.at(-1)! < 300, `${memories.map(Math.round).join(' ')} MiB`);
});

describe('clients that stay', () => {
  const sockets: Socket[] = [];
  const opened = (text = '') => new Promise<Socket>((resolve, reject) => {
    const socket = connect(daemon.socket, () => { socket.write(text); resolve(socket); });
    sockets.push(socket.on('error', reject));
  });
  const close = () => { for (const socket of sockets.splice(0)) socket.destroy(); };
  after(close);

  test('1,000 silent connections, 100 that trickle, 100 half a body: others are served, and all of it is given back', async () => {
    const [before, memoryBefore] = [await descriptors(), await memory()];
    await Promise.all(Array.from({ length: 1000 }, () => opened()));
    const slow = await Promise.all(Array.from({ length: 100 }, () => opened('POST /volumes/create HTT')));
    await Promise.all(Array.from({ length: 100 }, () => opened('POST /volumes/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"Na')));
    for (const rest of 'P/1.1\r\nHo') {
      for (const socket of slow) socket.write(rest);
      assert.equal((await ask('GET', '/_ping')).text, 'OK');
    }
    const began = Date.now();
    assert.equal((await ask('GET', '/containers/json')).status, 200);
    assert.ok(Date.now() - began < 5000);
    assert.ok((await memory()) < memoryBefore + 100, `${memoryBefore} MiB became ${await memory()}`);
    close();
    await eventually(async () => assert.ok((await descriptors()) <= before), { seconds: 20, every: 200 });
  });

  test('streams that nobody reads, or that are closed by half, are kept and let go', async () => {
    const { C } = await victims();
    const before = await descriptors();
    const exec = async () => (await ask('POST', `/containers/${C}/exec`, { Cmd: ['cat'], AttachStdin: true, AttachStdout: true })).json().Id;
    const upgrade = (path: string, body = '{}') => `POST ${path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    for (let i = 0; i < 5; i++) {
      const half = await opened(upgrade(`/exec/${await exec()}/start`) + 'said');
      let heard = '';
      half.on('data', (chunk: Buffer) => (heard += chunk));
      half.end();
      await new Promise(resolve => half.once('close', resolve));
      assert.match(heard, /said/);
      (await opened(upgrade(`/exec/${await exec()}/start`))).destroy();
      await opened(upgrade(`/containers/${C}/attach?stream=1&stdout=1&stdin=1`));
      await opened('GET /events HTTP/1.1\r\nHost: d\r\n\r\n').then(socket => socket.pause());
      await opened(`GET /containers/${C}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n`).then(socket => socket.end());
    }
    close();
    await nothingLeft();
    await eventually(async () => assert.ok((await descriptors()) <= before), { seconds: 20, every: 200 });
    await eventually(async () => assert.deepEqual(await faultsOf(daemon, known), []), { seconds: 10, every: 200 });
  });
});

// Clients that mean harm, or are broken: whatever they send, the daemon goes on, and others notice nothing.
// On a daemon of its own. HOSTILE_REQUESTS and HOSTILE_SEED: more of them, or others (`make soak`).

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { faultsOf } from './support/audit.ts';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { hostileRequest, randomFrom, send } from './support/hostile.ts';
import { call } from './support/http.ts';

const REQUESTS = Number(process.env['HOSTILE_REQUESTS'] ?? 2000);
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

test(`${REQUESTS} requests as no client sends them`, { timeout: 600_000 + REQUESTS * 100 }, async t => {
  const chance = randomFrom(SEED);
  const statuses = new Map<number, number>();
  const failures = new Map<string, string>();
  let names = await victims();
  let sent = 0;
  const rounds = 10;
  const [memories, files]: [number[], number[]] = [[], []];
  for (let round = 1; round <= rounds; round++) {
    const all = sent + Math.ceil(REQUESTS / rounds);
    await Promise.all(Array.from({ length: CLIENTS }, async () => { while (sent < all && sent < REQUESTS) await one(); }));
    await nothingLeft();
    memories.push(await memory());
    files.push(await eventually(descriptors));
    names = await victims();
    if (process.env['HOSTILE_SHOW'] !== undefined) console.log(sent, process.uptime(), JSON.stringify(Object.fromEntries(statuses)), memories.at(-1), files.at(-1));
  }
  async function one(): Promise<void> {
    sent += 1;
    const request = hostileRequest(chance, names);
    const { status = 0, text, refused } = await send(daemon.socket, request);
    assert.ok(!refused, `the daemon is gone after\n${request.what}\n${(await log()).slice(-3000)}`);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const message = text.split('\r\n\r\n')[1]?.slice(0, 400) ?? '';
    if (status === 500) failures.set(message.replace(/[0-9a-f]{12,64}/g, 'ID').slice(0, 120), `${message}\n${request.what.slice(0, 600)}`);
  }
  if (process.env['HOSTILE_SHOW'] !== undefined) for (const [, each] of failures) console.log(each, '\n----');
  t.diagnostic(JSON.stringify({ statuses: Object.fromEntries(statuses), memories: memories.map(Math.round), files }));
  // What is not one of the engine's own refusals is a fault of ours, and in the log with its stack.
  assert.deepEqual((await log()).split('\n').filter(line => / level=(error|fatal) /.test(line)).map(line => line.slice(0, 2000)), []);
});

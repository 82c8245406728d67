// Eight clients at work, and a daemon that is killed whenever it pleases chance: what was answered holds.
// SOAK_SECONDS and SOAK_SEED: for longer, or otherwise (`make soak`).

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createHost, gone, must, removeHost, sound, there, type Host } from './support/crash.ts';
import { randomFrom } from './support/hostile.ts';
import { call } from './support/http.ts';
import { tar } from './support/tars.ts';

const SECONDS = Number(process.env['SOAK_SECONDS'] ?? 8);
const CLIENTS = 8;

void describe('killed at random', () => {
  const chance = randomFrom(Number(process.env['SOAK_SEED'] ?? 7));
  let host: Host;
  before(async () => { host = await createHost('-soak'); });
  after(() => removeHost(host));

  test('nothing that was acknowledged is lost, and nothing is left', { timeout: (SECONDS + 100) * 1000 }, async t => {
    const { daemon } = host;
    await must(daemon, 'POST', '/networks/create', { Name: 'soak' });
    const end = Date.now() + SECONDS * 1000;
    let [kills, calls, cut] = [0, 0, 0];
    const file = await tar([{ name: 'copied', body: 'kept' }]);
    /** What a client knows of its container; several: it has had no answer, and it may be either. */
    const expected = new Map<string, readonly string[]>();
    const client = async (name: string, port: number) => {
      expected.set(name, ['gone']);
      const ask = async (method: string, path: string, body?: object) => {
        try {
          const answer = await call(daemon.socket, method, path, body);
          calls += 1;
          return answer;
        } catch {
          cut += 1;
          await pause(50);
          return undefined;
        }
      };
      const become = async (method: string, path: string, becomes: string, body?: object) => {
        expected.set(name, [...new Set([...expected.get(name)!, becomes])]);
        const answer = await ask(method, path, body);
        if (answer === undefined) return;
        // It may be so already, by a call whose answer was lost.
        assert.ok(answer.status < 400 || answer.status === 404 || answer.status === 409, `${method} ${path}: ${answer.status} ${answer.text}`);
        if (answer.status < 400) expected.set(name, [becomes]);
      };
      const works: readonly (() => Promise<unknown>)[] = [
        () => ask('PUT', `/containers/${name}/archive?path=/data`, file),
        () => ask('POST', '/networks/soak/connect', { Container: name }),
        () => ask('POST', '/networks/soak/disconnect', { Container: name, Force: true }),
        async () => {
          const made = await ask('POST', `/containers/${name}/exec`, { Cmd: ['true'], AttachStdout: true });
          if (made?.status === 201) await ask('POST', `/exec/${made.json().Id}/start`, {});
        },
        () => ask('GET', `/containers/${name}/archive?path=/data`),
        () => ask('POST', `/containers/${name}/update`, { CpuShares: 100 + chance(1000) }),
      ];
      while (Date.now() < end) {
        await become('POST', `/containers/create?name=${name}`, 'created', { Image: 'busybox', Cmd: ['sleep', '1000'], StopSignal: 'KILL', ExposedPorts: { '80/tcp': {} }, HostConfig: { Binds: [`${name}:/data`], PortBindings: { '80/tcp': [{ HostPort: `${port}` }] } } });
        for (let round = chance(3); round >= 0 && Date.now() < end; round--) {
          await become('POST', `/containers/${name}/start`, 'running');
          for (let work = chance(3); work > 0; work--) await works[chance(works.length)]!();
          if (chance(2) === 0) await become('POST', `/containers/${name}/stop`, 'exited');
        }
        if (Date.now() < end) await become('DELETE', `/containers/${name}?force=1&v=1`, 'gone');
      }
    };
    const killer = async () => {
      while (Date.now() < end) {
        await pause(300 + chance(1500));
        await daemon.crash();
        kills += 1;
        await daemon.start();
      }
    };
    await Promise.all([killer(), ...Array.from({ length: CLIENTS }, (_, index) => client(`soak${index + 1}`, 21411 + index))]);
    await daemon.crash();
    await daemon.start();
    await sound(host, 'after the soak');
    let lost = 0;
    for (const [name, states] of expected) {
      const is = (await there(daemon, `/containers/${name}/json`))?.State.Status ?? 'gone';
      if (!states.includes(is)) lost += 1;
      assert.ok(states.includes(is), `${name} is ${is}, and should be ${states.join(' or ')}`);
    }
    for (const name of expected.keys()) await gone(daemon, `/containers/${name}?force=1&v=1`);
    await gone(daemon, '/networks/soak');
    await sound(host, 'after all are removed');
    const faults = (await readFile(process.env['COMPAT_LOG'] ?? join(daemon.root, 'daemon.log'), 'utf8')).split('\n').filter(line => line.includes(' level=error '));
    assert.deepEqual(faults.map(line => line.slice(0, 1000)), []);
    t.diagnostic(`soak: ${kills} kills, ${calls} calls answered, ${cut} cut off, ${lost} lost`);
  });
});

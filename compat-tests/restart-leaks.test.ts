// What is on the host that nobody owns, and what should be and is not: asked of the daemon, and set right.

import { execa } from 'execa';
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { faultsOf } from './support/audit.ts';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { enter } from './support/hosts.ts';
import { call } from './support/http.ts';

let daemon: Daemon;
before(async () => { daemon = await startDaemon('-leaks'); });
after(() => daemon?.remove());

const doctor = async (...flags: string[]) => {
  const { stdout, stderr, exitCode } = await execa('node', [fileURLToPath(new URL('../dist/berth.js', import.meta.url)), '-H', `unix://${daemon.socket}`, 'doctor', ...flags], { reject: false });
  return { stdout, stderr, exitCode };
};
const onHost = (...argv: string[]) => {
  const [file, ...args] = enter(daemon.netns, argv);
  return execa(file!, args);
};

describe('berth doctor', () => {
  const id = 'ab'.repeat(32);

  test('all is well where nothing was done, and calls on their way are no leaks', async () => {
    await call(daemon.socket, 'POST', '/containers/create?name=one', { Image: 'busybox', Cmd: ['sleep', '1000'], StopSignal: 'KILL', HostConfig: { Binds: ['data:/d'] } });
    await call(daemon.socket, 'POST', '/containers/one/start');
    assert.equal((await call(daemon.socket, 'GET', '/_ping')).status, 200);
    const busy = (async () => { for (let i = 0; i < 5; i++) await call(daemon.socket, 'POST', '/containers/one/restart?t=0'); })();
    assert.deepEqual((await call(daemon.socket, 'GET', '/berth/leaks')).json(), { Leaked: [], Missing: [] });
    await busy;
    const { stdout, exitCode } = await doctor();
    assert.deepEqual([stdout, exitCode], ['all is as it should be', 0]);
  });

  test('what is left over and what is missing is told, and mended; a volume that nobody knows is told only', async () => {
    const data = join(daemon.root, 'data');
    await onHost('ip', 'link', 'add', 'br-abababababab', 'address', '02:ab:ab:ab:ab:ab', 'type', 'bridge');
    await mkdir(join(data, 'containers', id));
    await mkdir(join(data, 'overlay2', id));
    await mkdir(join(daemon.root, 'exec/processes', id));
    await mkdir(join(data, 'volumes/unknown/_data'), { recursive: true });
    await writeFile(join(data, 'volumes/unknown/_data/file'), 'precious');
    await call(daemon.socket, 'POST', '/volumes/create', { Name: 'emptied' });
    await rm(join(data, 'volumes/emptied/_data'), { recursive: true });

    const { Leaked, Missing } = (await call(daemon.socket, 'GET', '/berth/leaks')).json();
    for (const part of ['bridge br-abababababab', `containers/${id}`, `overlay2/${id}`, `process ${id}`, 'volumes/unknown']) assert.ok(Leaked.some((line: string) => line.includes(part)), `${part} in ${Leaked}`);
    assert.deepEqual(Missing.map((line: string) => line.includes('volumes/emptied/_data')), [true]);
    const seen = await doctor();
    assert.equal(seen.exitCode, 1);
    assert.match(seen.stderr, /6 things are not as they should be: berth doctor --fix/);

    const fixed = await doctor('--fix');
    assert.equal(fixed.exitCode, 1);
    assert.match(fixed.stdout, /^fixed +bridge br-abababababab/m);
    assert.match(fixed.stdout, /^leaked +directory .*volumes\/unknown/m);
    assert.equal(await readFile(join(data, 'volumes/unknown/_data/file'), 'utf8'), 'precious');
    assert.ok((await readdir(join(data, 'volumes/emptied'))).includes('_data'));
    await rm(join(data, 'volumes/unknown'), { recursive: true });
    assert.equal((await doctor()).exitCode, 0);
    await eventually(async () => assert.deepEqual(await faultsOf(daemon, new Set()), []));
    assert.equal((await call(daemon.socket, 'GET', '/containers/one/json')).json().State.Status, 'running');
  });
});

describe('a state that is lost', () => {
  test('its volumes are found again, and stay', async () => {
    await call(daemon.socket, 'DELETE', '/containers/one?force=1');
    await writeFile(join(daemon.root, 'data/volumes/data/_data/file'), 'precious');
    await daemon.crash();
    await rm(join(daemon.root, 'data/state'), { recursive: true });
    for (let start = 0; start < 2; start++) {
      await daemon.start();
      assert.equal((await call(daemon.socket, 'GET', '/volumes/data')).status, 200);
      assert.equal(await readFile(join(daemon.root, 'data/volumes/data/_data/file'), 'utf8'), 'precious');
      await daemon.stop();
    }
    await daemon.start();
  });
});

// The machine fails the daemon: a full disk, no descriptors, a damaged state, a runtime or a firewall tool that does not do
// its work. The call says so, what it had begun is undone, and the daemon goes on.

import { execa } from 'execa';
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { open } from 'lmdb';
import { faultsOf } from './support/audit.ts';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { call, type Answer, type Body } from './support/http.ts';
import { tar } from './support/tars.ts';

const sound = (daemon: Daemon, when: string) => eventually(async () => assert.deepEqual(await faultsOf(daemon, new Set()), [], when), { seconds: 10, every: 100 });
const fails = ({ status, text, json }: Answer, message: RegExp): void => {
  assert.equal(status, 500, text);
  assert.match(json().message, message);
};
const web = { Image: 'busybox', Cmd: ['sleep', '1000'], StopSignal: 'KILL', ExposedPorts: { '80/tcp': {} }, HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '21480' }] } } };

/** A daemon whose programs of these names are ours: what each does next is in its file. */
async function withPrograms(name: string, programs: Readonly<Record<string, string>>, ...flags: string[]) {
  const directory = await mkdtemp(join(tmpdir(), 'berth-ct-programs-'));
  for (const [program, script] of Object.entries(programs)) await writeFile(join(directory, program), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const daemon = await startDaemon(name, { PATH: `${directory}:${process.env['PATH']}` }, ...flags);
  return {
    daemon,
    does: (program: string, what: string) => writeFile(join(directory, `${program}.does`), what),
    missing: (program: string) => rm(join(directory, program)),
    async remove() {
      await daemon.remove();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
const byFile = (real: string) => `case "$(cat "$0.does" 2>/dev/null)" in fail) echo 'fake: it failed' >&2; exit 1;; killed) kill -9 $$;; esac; exec ${real} "$@"`;

describe('programs that fail', () => {
  let made: Awaited<ReturnType<typeof withPrograms>>;
  before(async () => {
    made = await withPrograms('-programs', {
      runtime: byFile('crun'), 'iptables-restore': byFile('/usr/sbin/iptables-restore'), 'ip6tables-restore': byFile('/usr/sbin/ip6tables-restore'),
    }, '--default-runtime', 'runtime');
  });
  after(() => made?.remove());
  const ask = (method: string, path: string, body?: Body) => call(made.daemon.socket, method, path, body);

  for (const how of ['fail', 'killed'] as const) {
    test(`the runtime ${how === 'fail' ? 'says no' : 'is killed'}`, async () => {
      await ask('POST', '/containers/create?name=one', web);
      await made.does('runtime', how);
      fails(await ask('POST', '/containers/one/start'), how === 'fail' ? /it failed|runtime/ : /runtime/);
      assert.equal((await ask('GET', '/containers/one/json')).json().State.Status, 'created');
      await sound(made.daemon, how);
      await made.does('runtime', 'ok');
      assert.equal((await ask('POST', '/containers/one/start')).status, 204);
      await made.does('runtime', how);
      fails(await ask('POST', '/containers/one/pause'), /runtime pause failed/);
      assert.equal((await ask('GET', '/containers/one/json')).json().State.Status, 'running');
      const exec = (await ask('POST', '/containers/one/exec', { Cmd: ['true'], AttachStdout: true })).json().Id;
      assert.ok((await ask('POST', `/exec/${exec}/start`, {})).status < 501);
      assert.equal((await ask('DELETE', '/containers/one?force=1')).status, 204);
      await made.does('runtime', 'ok');
      await sound(made.daemon, `${how}, and removed`);
    });
  }

  for (const how of ['fail', 'killed'] as const) {
    test(`iptables-restore ${how === 'fail' ? 'says no' : 'is killed'}`, async () => {
      await ask('POST', '/containers/create?name=one', web);
      await made.does('iptables-restore', how);
      fails(await ask('POST', '/containers/one/start'), /iptables-restore/);
      fails(await ask('POST', '/networks/create', { Name: 'net' }), /iptables-restore/);
      assert.equal((await ask('GET', '/networks/net')).status, 404);
      await made.does('iptables-restore', 'ok');
      await sound(made.daemon, how);
      await made.does('ip6tables-restore', how);
      fails(await ask('POST', '/networks/create', { Name: 'net', EnableIPv6: true }), /ip6tables-restore/);
      await made.does('ip6tables-restore', 'ok');
      await sound(made.daemon, `${how}, for IPv6`);
      assert.equal((await ask('POST', '/containers/one/start')).status, 204);
      assert.equal((await ask('DELETE', '/containers/one?force=1')).status, 204);
      await sound(made.daemon, `${how}, and removed`);
    });
  }

  test('the runtime is not there any more', async () => {
    await ask('POST', '/containers/create?name=one', web);
    await made.missing('runtime');
    fails(await ask('POST', '/containers/one/start'), /runtime.* is not installed/);
    await sound(made.daemon, 'missing');
    assert.equal((await ask('DELETE', '/containers/one')).status, 204);
  });

  test('no descriptors are left', async () => {
    const limit = (files: string) => execa('prlimit', [`--nofile=${files}`, '--pid', `${made.daemon.pid()}`]);
    const { daemon } = made;
    await limit('30:20000');
    const answers = await Promise.allSettled(Array.from({ length: 10 }, (_, n) => ask('POST', '/volumes/create', { Name: `v${n}` })));
    const container = await Promise.allSettled([ask('POST', '/containers/create?name=few', web), ask('GET', '/containers/busybox/export')]);
    for (const answer of [...answers, ...container]) if (answer.status === 'fulfilled') assert.ok([201, 404, 500].includes(answer.value.status), answer.value.text);
    await limit('20000:20000');
    await eventually(async () => assert.equal((await ask('GET', '/_ping')).text, 'OK'), { seconds: 10 });
    for (let n = 0; n < 10; n++) assert.ok([204, 404].includes((await ask('DELETE', `/volumes/v${n}`)).status));
    await ask('DELETE', '/containers/few');
    await sound(daemon, 'no descriptors');
  });
});

describe('a disk that is full', () => {
  let daemon: Daemon;
  let disk = '';
  before(async () => {
    disk = await mkdtemp(join(tmpdir(), 'berth-ct-disk-'));
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'disk', disk]);
    daemon = await startDaemon('-disk', {}, '--data-root', join(disk, 'data'));
  });
  after(async () => {
    await daemon?.remove();
    await execa('umount', ['-l', disk], { reject: false });
    await rm(disk, { recursive: true, force: true });
  });
  const ask = (method: string, path: string, body?: Body, headers?: Record<string, string>) => call(daemon.socket, method, path, body, headers);

  test('nothing half-made is left, what is there can be removed, and with room all works again', async () => {
    await ask('POST', '/containers/create?name=there', web);
    assert.equal((await ask('POST', '/containers/there/start')).status, 204);
    await ask('POST', '/volumes/create', { Name: 'there' });
    await execa('dd', ['if=/dev/zero', `of=${join(disk, 'filler')}`, 'bs=64k'], { reject: false });
    await execa('dd', ['if=/dev/zero', `of=${join(disk, 'filler')}`, 'bs=1', 'conv=notrunc', 'oflag=append'], { reject: false });
    const layer = await tar([{ name: 'big', body: Buffer.alloc(1 << 20, 7) }]);
    fails(await ask('POST', '/images/create?fromSrc=-&repo=big', layer, { 'content-type': 'application/x-tar' }), /[Nn]o space left/);
    const loaded = await ask('POST', '/images/load', layer, { 'content-type': 'application/x-tar' });
    assert.match(loaded.text, /[Nn]o space left|ENOSPC/);
    const put = await ask('PUT', '/containers/there/archive?path=/', layer);
    assert.match(put.text, /[Nn]o space left|ENOSPC/);
    for (const [path, body] of [['/volumes/create', { Name: 'new' }], ['/containers/create?name=new', web], ['/networks/create', { Name: 'new' }]] as const) {
      const { status, text } = await ask('POST', path, body);
      assert.ok(status === 201 || (status === 500 && /[Nn]o space left|ENOSPC|disk full/.test(text)), `${path}: ${status} ${text}`);
    }
    assert.equal((await ask('DELETE', '/containers/there?force=1')).status, 204);
    assert.equal((await ask('DELETE', '/volumes/there')).status, 204);
    await rm(join(disk, 'filler'));
    for (const path of ['/containers/new', '/volumes/new', '/networks/new']) assert.ok([204, 404].includes((await ask('DELETE', path)).status), path);
    assert.deepEqual((await execa('ls', [join(disk, 'data/containers'), join(disk, 'data/volumes'), join(disk, 'data/tmp')])).stdout.match(/[0-9a-f]{12,}|new|there/g), null);
    assert.equal((await ask('POST', '/images/create?fromSrc=-&repo=big', layer, { 'content-type': 'application/x-tar' })).status, 200);
    await ask('POST', '/containers/create?name=after', web);
    assert.equal((await ask('POST', '/containers/after/start')).status, 204);
  });
});

describe('a state that can not be read', () => {
  let daemon: Daemon;
  before(async () => { daemon = await startDaemon('-state'); });
  after(() => daemon?.remove());
  const state = () => join(daemon.root, 'data/state');
  const log = () => readFile(process.env['COMPAT_LOG'] ?? join(daemon.root, 'daemon.log'), 'utf8');

  /** The daemon is stopped, its state changed, and it refuses to begin; then all is as before. */
  async function refused(change: () => Promise<unknown>, message: RegExp): Promise<void> {
    await daemon.stop();
    await execa('cp', ['-a', state(), `${state()}.kept`]);
    await change();
    const changed = await readFile(join(state(), 'data.mdb'));
    const before = (await log()).length;
    await assert.rejects(daemon.start(), /ended at once/);
    assert.match((await log()).slice(before), message);
    assert.ok((await readFile(join(state(), 'data.mdb'))).subarray(0, 1000).equals(changed.subarray(0, 1000)), 'what can not be read is left as it was');
    await execa('rm', ['-rf', state()]);
    await execa('mv', [`${state()}.kept`, state()]);
    await daemon.start();
    assert.equal((await call(daemon.socket, 'GET', '/volumes/precious')).status, 200);
  }
  const put = (key: string, bytes: string) => async () => {
    const database = open({ path: state(), encoding: 'binary' });
    await database.put(key, Buffer.from(bytes));
    await database.close();
  };

  test('of a newer version, with a record that is none, cut short, or something else', async () => {
    await call(daemon.socket, 'POST', '/volumes/create', { Name: 'precious' });
    await refused(put('version', '99'), /written by another version of berth \(format 99/);
    await refused(put('containers/broken', '{"half":'), /containers\/broken/);
    await refused(put('volumes/broken', '5'), /volumes\/broken/);
    await refused(() => writeFile(join(state(), 'data.mdb'), 'something else altogether '.repeat(1000)), /is not the state of a berth, or is damaged/);
    await refused(() => execa('truncate', ['-s', '4096', join(state(), 'data.mdb')]), /is not the state of a berth, or is damaged/);
  });
});

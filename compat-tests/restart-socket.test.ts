// Who may talk to the daemon, and that there is only one of it. On daemons of its own, without images or containers.

import { execa } from 'execa';
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, watch, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createHosts, enter, removeHosts, type Hosts } from './support/hosts.ts';
import { eventually } from './support/eventually.ts';
import { call } from './support/http.ts';

const program = fileURLToPath(new URL('../dist/main.js', import.meta.url));

let hosts: Hosts;
let root = '';
const children: ChildProcess[] = [];
before(async () => {
  hosts = await createHosts(`berth-ct-${process.pid}-socket`);
  root = await mkdtemp(join(tmpdir(), 'berth-ct-'));
});
after(async () => {
  for (const child of children) if (child.exitCode === null && child.signalCode === null) {
    child.kill();
    await once(child, 'exit');
  }
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map(line => line.split(' ')[4] ?? '').filter(path => path.startsWith(`${root}/`));
  for (const mount of mounts.reverse()) await execa('umount', ['-l', mount], { reject: false });
  await rm(root, { recursive: true, force: true });
  await removeHosts(hosts);
});

const roots = (word: string) => ['--data-root', join(root, word, 'data'), '--exec-root', join(root, word, 'exec')];
const start = (socket: string, ...flags: string[]) => {
  const [file, ...args] = enter(hosts.netns, ['node', program, '-H', `unix://${socket}`, ...flags]);
  const child = spawn(file!, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  children.push(child);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  return { child, said: () => said };
};
const answers = (socket: string) => eventually(async () => assert.equal((await call(socket, 'GET', '/_ping')).text, 'OK'), { seconds: 20 });
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);

describe('the socket', () => {
  const at = (word: string) => join(root, word, 'a.sock');

  test('is for root and the group alone, from its first moment', async () => {
    const socket = at('modes');
    await execa('mkdir', ['-p', join(root, 'modes')]);
    const seen = new Set<string>();
    const looking = new AbortController();
    const look = (async () => {
      for await (const _ of watch(join(root, 'modes'), { signal: looking.signal })) seen.add(await modeOf(socket).catch(() => 'none'));
    })().catch(() => undefined);
    const { child } = start(socket, ...roots('modes'), '--group', '4242');
    while (child.exitCode === null) {
      const mode = await modeOf(socket).catch(() => 'none');
      seen.add(mode);
      if (mode === '660') break;
    }
    await answers(socket);
    looking.abort();
    await look;
    for (const mode of seen) assert.ok(['none', '600', '660'].includes(mode), mode);
    assert.equal((await stat(socket)).gid, 4242);
    assert.equal((await stat(socket)).uid, 0);
  });

  test('without --group it is the group docker\'s, where there is one', async () => {
    const socket = at('group');
    const docker = /^docker:[^:]*:(\d+):/m.exec(await readFile('/etc/group', 'utf8'))?.[1];
    start(socket, ...roots('group'));
    await answers(socket);
    assert.equal((await stat(socket)).gid, Number(docker ?? 0));
    assert.equal(await modeOf(socket), '660');
  });

  test('a second daemon on the same roots is refused, and the first one notices nothing', async () => {
    const { child, said } = start(at('second'), ...roots('group'));
    await once(child, 'exit');
    assert.equal(child.exitCode, 1);
    assert.match(said(), /another berthd is running with /);
    await answers(at('group'));
  });

  test('so is one on a socket where another answers', async () => {
    const { child, said } = start(at('group'), ...roots('third'));
    await once(child, 'exit');
    assert.equal(child.exitCode, 1);
    assert.match(said(), /another daemon answers there/);
    await answers(at('group'));
  });

  test('one that a daemon left behind is taken over; a file that is no socket is not', async () => {
    const socket = at('stale');
    await execa('mkdir', ['-p', join(root, 'stale')]);
    const first = start(socket, ...roots('stale'));
    await answers(socket);
    first.child.kill('SIGKILL');
    await once(first.child, 'exit');
    const second = start(socket, ...roots('stale'));
    await answers(socket);
    second.child.kill();
    await once(second.child, 'exit');
    await writeFile(socket, 'precious');
    const third = start(socket, ...roots('stale'));
    await once(third.child, 'exit');
    assert.equal(third.child.exitCode, 1);
    assert.equal(await readFile(socket, 'utf8'), 'precious');
  });

  test('one whose owner is busy is not', async () => {
    const socket = at('busy');
    await execa('mkdir', ['-p', join(root, 'busy')]);
    const owner = createServer().listen(socket);
    await once(owner, 'listening');
    const { child } = start(socket, ...roots('busy'));
    await once(child, 'exit');
    assert.equal(child.exitCode, 1);
    owner.close();
  });

  test('a group that does not exist is refused when it was asked for', async () => {
    const { child, said } = start(at('nogroup'), ...roots('nogroup'), '--group', 'no-such-group');
    await once(child, 'exit');
    assert.equal(child.exitCode, 1);
    assert.match(said(), /no-such-group/);
  });
});

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { now, timeOfMilliseconds } from './clock.ts';
import { claimControllers } from './prepare.ts';
import { findProgram } from './program.ts';
import { createProcesses } from './process.ts';
import { createSeccompCache } from './seccomp-cache.ts';
import { unmount } from './syscalls.ts';

// Real processes, by the runtime that is installed, on a root file system of Debian's busybox-static.
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-process-'));
const runtime = claimControllers(root) && findProgram('crun') !== undefined ? 'crun' : 'runc';
const rootfs = path.join(root, 'rootfs');
for (const name of ['bin', 'etc', 'dev', 'proc']) fs.mkdirSync(path.join(rootfs, name), { recursive: true });
fs.writeFileSync(path.join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
fs.copyFileSync(findProgram('busybox') ?? '/bin/busybox', path.join(rootfs, 'bin/busybox'));
for (const name of ['sh', 'cat', 'head', 'sleep', 'stty', 'tty']) fs.symlinkSync('busybox', path.join(rootfs, 'bin', name));

const processes = createProcesses({
  execRoot: root,
  now: (milliseconds) => (milliseconds === undefined ? now() : timeOfMilliseconds(milliseconds)),
  runtimePath: (name) => findProgram(name) ?? name,
  seccomp: createSeccompCache(root),
});
// The watcher of a daemon's files does not keep a process alive.
const alive = setInterval(() => {}, 1000);

after(() => {
  clearInterval(alive);
  processes.close();
  // Controllers that had to be mounted for crun; the rest is files.
  for (const name of fs.existsSync(path.join(root, 'cgroup')) ? fs.readdirSync(path.join(root, 'cgroup')) : []) unmount(path.join(root, 'cgroup', name));
  fs.rmSync(root, { recursive: true, force: true });
});

let count = 0;
const spec = (args: readonly string[], tty: boolean) => ({
  ociVersion: '1.0.2',
  process: { terminal: tty, user: { uid: 0, gid: 0 }, args, env: ['PATH=/bin'], cwd: '/' },
  root: { path: rootfs, readonly: true },
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=65536k'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
  ],
  linux: { cgroupsPath: `/docker/berth-test-${process.pid}-${count}`, namespaces: [{ type: 'mount' }, { type: 'pid' }, { type: 'ipc' }, { type: 'uts' }] },
});

const start = async (args: readonly string[], { tty = false, stdin = false, held = false } = {}) => {
  const id = `test${process.pid}${count++}`;
  const seen: Record<string, string> = { stdout: '', stderr: '' };
  let ended: (exit: { code: number; at: string }) => void = () => {};
  const exit = new Promise<{ code: number; at: string }>((resolve) => (ended = resolve));
  const listener = {
    output: (stream: 'stdout' | 'stderr', chunk: Buffer) => {
      seen[stream] += chunk.toString();
      return !held;
    },
    exited: (end: { code: number; at: string }) => ended(end),
  };
  const running = await processes.start({ id, run: { kind: 'container', spec: spec(args, tty), runtime }, tty, stdin, ...listener });
  return { id, seen, exit, running, forget: () => processes.forget(id) };
};

test('output, streams apart, and the exit code', async () => {
  const { seen, exit, running, forget } = await start(['sh', '-c', 'echo out; echo err >&2; exit 3']);
  assert.ok(running.pid > 0);
  assert.equal((await exit).code, 3);
  assert.deepEqual(seen, { stdout: 'out\n', stderr: 'err\n' });
  forget();
});

test('input arrives, and so does its end', async () => {
  const { seen, exit, running, forget } = await start(['cat'], { stdin: true });
  running.write(Buffer.from('through\n'), () => {});
  running.endInput();
  assert.equal((await exit).code, 0);
  assert.equal(seen['stdout'], 'through\n');
  forget();
});

test('a terminal has a size, and what is printed last is not lost', async () => {
  const { seen, exit, running, forget } = await start(['sh', '-c', 'read go; stty size; tty; exit 5'], { tty: true });
  running.resize(40, 120);
  running.write(Buffer.from('go\n'), () => {});
  assert.equal((await exit).code, 5);
  assert.match(seen['stdout'] ?? '', /40 120\r\n\/dev\/pts\/0\r\n$/);
  forget();
});

test('one that is held back prints no more until it may', async () => {
  const { seen, exit, running, forget } = await start(['sh', '-c', 'head -c 4000000 /dev/zero; echo done'], { held: true });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = seen['stdout']?.length ?? 0;
  assert.ok(before > 0 && before < 4_000_000, `${before} bytes while held`);
  const go = setInterval(() => running.resume(), 1);
  assert.equal((await exit).code, 0);
  clearInterval(go);
  assert.equal(seen['stdout']?.length, 4_000_005);
  forget();
});

test('what can not be started says why, in the words docker’s clients look for, and leaves nothing', async () => {
  for (const [args, message, exitCode] of [
    [['nosuch'], /exec: "nosuch": executable file not found in \$PATH: unknown$/, 127],
    [['/nosuch/x'], /exec: "\/nosuch\/x": stat \/nosuch\/x: no such file or directory: unknown$/, 127],
    [['/etc'], /exec: "\/etc": permission denied: unknown$/, 126],
    [['/etc/passwd'], /exec: "\/etc\/passwd": permission denied: unknown$/, 126],
  ] as const)
    await assert.rejects(start(args), { message, exitCode });
  assert.deepEqual(fs.readdirSync(path.join(root, 'processes')), []);
  assert.deepEqual(fs.readdirSync(path.join(root, 'ends')), []);
});

test('a signal goes to that process, and never to another that has its number since', async () => {
  const { exit, running, forget } = await start(['sleep', '100']);
  processes.signal(running.pid, running.pidStart + 1, 9);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(fs.existsSync(`/proc/${running.pid}`));
  processes.signal(running.pid, running.pidStart, 9);
  assert.equal((await exit).code, 137);
  forget();
});

test('a runtime that hangs is given up, and nothing of it is left', async () => {
  const hanging = path.join(root, 'hanging');
  fs.writeFileSync(hanging, '#!/bin/sh\nexec sleep 1000\n', { mode: 0o755 });
  const impatient = createProcesses({ execRoot: path.join(root, 'impatient'), now: () => now(), runtimePath: () => hanging, seccomp: createSeccompCache(root), patience: 200 });
  const id = `hangs${process.pid}`;
  await assert.rejects(
    impatient.start({ id, run: { kind: 'container', spec: spec(['true'], false), runtime: 'hanging' }, tty: false, stdin: false, output: () => true, exited: () => {} }),
    /hanging did not begin container hangs\d+ within 0.2 seconds/,
  );
  assert.deepEqual(fs.readdirSync(path.join(root, 'impatient/processes')), []);
  assert.deepEqual(fs.readdirSync(path.join(root, 'impatient/ends')), []);
  const commandOf = (pid: string): string => {
    try {
      return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    } catch {
      return '';
    }
  };
  const left = (): string[] => fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(commandOf).filter((line) => line.includes('/impatient/'));
  // What was killed takes a moment to go.
  for (let attempt = 0; attempt < 100 && left().length > 0; attempt++) await pause(20);
  assert.deepEqual(left(), []);
  impatient.close();
});

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, test } from 'node:test';
import os from 'node:os';
import path from 'node:path';
import { spawnProgram } from './spawn.ts';

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-spawn-'));
after(() => fs.rmSync(directory, { recursive: true }));
const nothing = fs.openSync('/dev/null', 'r+');

const sh = async (script: string, options: { cwd?: string; env?: Record<string, string>; session?: boolean } = {}) => {
  const file = path.join(directory, 'out');
  const out = fs.openSync(file, 'w');
  const { ended, pid } = spawnProgram(['/bin/sh', '-c', script], { env: {}, ...options, stdio: [nothing, out, out] });
  fs.closeSync(out);
  // One of a session of its own keeps nobody from ending.
  const awake = setInterval(() => {}, 1000);
  const code = await ended.finally(() => clearInterval(awake));
  return { code, pid, text: fs.readFileSync(file, 'utf8') };
};

test('its words, its directory, its environment', async () => {
  const { code, text } = await sh('echo $A; pwd; exit 7', { cwd: '/proc', env: { A: 'b c' } });
  assert.deepEqual([code, text], [7, 'b c\n/proc\n']);
});

test('a signal that ends it is told as shells tell it', async () => {
  assert.equal((await sh('kill -TERM $$')).code, 143);
});

test('a session of its own, or that of this process', async () => {
  const session = "sed 's/.*) //' /proc/$$/stat | cut -d ' ' -f 4; echo $$";
  const [own, pid] = (await sh(session, { session: true })).text.split('\n');
  assert.equal(own, pid);
  const [shared] = (await sh(session)).text.split('\n');
  assert.equal(shared, fs.readFileSync('/proc/self/stat', 'utf8').replace(/.*\) /, '').split(' ')[3]);
});

test('no signal is ignored or held back, and of the low descriptors it has but those it was given', async () => {
  const { text } = await sh("grep -E '^Sig(Blk|Ign)' /proc/self/status; for fd in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$fd ] || printf '%s ' $fd; done");
  assert.equal(text, 'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0 1 2 9 ');
});

test('many at once', async () => {
  const codes = await Promise.all(Array.from({ length: 50 }, (_each, index) => spawnProgram(['/bin/sh', '-c', `exit ${index}`], { env: {}, stdio: [nothing, nothing, nothing] }).ended));
  assert.deepEqual(codes, Array.from({ length: 50 }, (_each, index) => index));
});

test('one that lets go of all its descriptors is waited for still', async () => {
  const { code } = await sh('exec 9>&-; sleep 0.1; exit 3');
  assert.equal(code, 3);
});

test('a program that is not there', () => {
  assert.throws(() => spawnProgram(['/nosuch', 'x'], { env: {}, stdio: [nothing, nothing, nothing] }), { code: 'ENOENT', path: '/nosuch' });
  assert.throws(() => spawnProgram(['/bin/true'], { cwd: '/nosuch', env: {}, stdio: [nothing, nothing, nothing] }), { code: 'ENOENT' });
});

test('nothing of those that ended is left', async () => {
  const before = fs.readdirSync('/proc/self/fd').length;
  const { pid } = await sh('true');
  assert.equal(fs.existsSync(`/proc/${pid}`), false);
  assert.equal(fs.readdirSync('/proc/self/fd').length, before);
});

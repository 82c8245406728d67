import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { controllersOf, createFacts, engineId, filesystemOf, parseOsRelease, parseVersion, parseInitVersion } from './facts.ts';

test('this machine', async (t) => {
  const dataRoot = fs.mkdtempSync(path.join(os.tmpdir(), 'facts-'));
  t.after(() => fs.rmSync(dataRoot, { recursive: true }));
  const facts = createFacts({ dataRoot, defaultRuntime: 'nosuchruntime', addressPools: [], liveRestore: true });
  const [first, second] = [await facts(), await facts()];
  assert.match(first.id, /^[0-9a-f-]{36}$/);
  assert.equal(fs.readFileSync(path.join(dataRoot, 'engine-id'), 'utf8'), `${first.id}\n`);
  assert.deepEqual(second.runtimes, first.runtimes);
  assert.ok(!('nosuchruntime' in first.runtimes));
  assert.ok(first.openFiles > 2 && first.memory > 0 && first.processors > 0);
  assert.equal(first.kernelVersion, os.release());
});

test('the engine id: kept, and made anew when it is none', (t) => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'facts-')), 'engine-id');
  t.after(() => fs.rmSync(path.dirname(file), { recursive: true }));
  const id = engineId(file);
  assert.equal(engineId(file), id);
  fs.writeFileSync(file, 'torn');
  assert.notEqual(engineId(file), 'torn');
  assert.deepEqual(fs.readdirSync(path.dirname(file)), ['engine-id']);
});

test('os-release', () => {
  const text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\n# ID=comment\nNAME=\'a "b"\'\nID=debian\nODD="say \\"hi\\" for \\$5"\n';
  assert.deepEqual(parseOsRelease(text), {
    PRETTY_NAME: 'Debian GNU/Linux 12 (bookworm)',
    VERSION_ID: '12',
    NAME: 'a "b"',
    ID: 'debian',
    ODD: 'say "hi" for $5',
  });
});

test('runtime versions', () => {
  assert.deepEqual(parseVersion('crun version 1.8.1\ncommit: f8a096be060b22ccd3d5f3ebe44108517fbf6c30\nrundir: /run/crun\n'), {
    version: '1.8.1',
    commit: 'f8a096be060b22ccd3d5f3ebe44108517fbf6c30',
  });
  assert.deepEqual(parseVersion('runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\n'), { version: '1.1.5+ds1', commit: '1.1.5+ds1-1+deb12u1' });
  assert.deepEqual(parseVersion(''), { version: '', commit: '' });
});

test('controllers of cgroup v1', () => {
  assert.deepEqual(controllersOf('#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t10\t1\nmemory\t4\t1\t0\nhugetlb\t0\t1\t1\npids\t8\t9\t1\n'), ['cpuset', 'pids']);
});

test('file systems', () => {
  assert.match(filesystemOf('/'), /^[a-z0-9]+$/);
  assert.equal(filesystemOf('/proc'), '<unknown>');
});

test('the version of an init', () => {
  assert.deepEqual(parseInitVersion('tini version 0.19.0\n'), { version: '0.19.0', commit: '' });
  assert.deepEqual(parseInitVersion('tini version 0.19.0 - git.de40ad0\n'), { version: '0.19.0', commit: 'de40ad0' });
});

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { copyUp } from './copy-up.ts';

test('a new volume gets what the image has there', async (t) => {
  const dir = fs.mkdtempSync(join(os.tmpdir(), 'berth-copy-up-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  const at = (path: string) => join(dir, path);
  for (const name of ['root', 'root/data', 'root/data/sub', 'root/empty', 'secret']) fs.mkdirSync(at(name));
  for (const name of ['one', 'two', 'three', 'four']) fs.mkdirSync(at(name));
  fs.writeFileSync(at('root/data/.hidden'), 'h', { mode: 0o640 });
  fs.linkSync(at('root/data/.hidden'), at('root/data/hard'));
  fs.symlinkSync('/nowhere', at('root/data/link'));
  fs.chownSync(at('root/data/sub'), 7, 8);
  fs.chownSync(at('root/empty'), 12, 34);
  fs.chmodSync(at('root/empty'), 0o1777);
  execFileSync('mkfifo', [at('root/data/pipe')]);
  fs.symlinkSync('/data', at('root/to'));
  fs.symlinkSync(`${dir}/secret`, at('root/out'));
  fs.writeFileSync(at('secret/s'), 's');

  await copyUp(at('root'), '/to', at('one'));
  assert.deepEqual(fs.readdirSync(at('one')).sort(), ['.hidden', 'hard', 'link', 'pipe', 'sub']);
  assert.equal(fs.statSync(at('one/.hidden')).ino, fs.statSync(at('one/hard')).ino);
  assert.equal(fs.readlinkSync(at('one/link')), '/nowhere');
  assert.equal(fs.statSync(at('one/sub')).uid, 7);

  await copyUp(at('root'), '/empty', at('two'));
  const { uid, gid, mode } = fs.statSync(at('two'));
  assert.deepEqual([uid, gid, mode & 0o7777], [12, 34, 0o1777]);

  fs.writeFileSync(at('three/mine'), '');
  await copyUp(at('root'), '/data', at('three'));
  assert.deepEqual(fs.readdirSync(at('three')), ['mine']);

  for (const destination of ['/nosuch', '/out']) await copyUp(at('root'), destination, at('four'));
  await assert.rejects(copyUp(at('root'), '/data/hard', at('four')), { message: `source ${at('root')}/data/hard is not directory` });
  assert.deepEqual(fs.readdirSync(at('four')), []);
});

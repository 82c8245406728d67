import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { changesOf } from './changes.ts';

test('what an overlay changes, by the kernel\'s own doing', async (t) => {
  const dir = fs.mkdtempSync(join(os.tmpdir(), 'berth-changes-'));
  const at = (path: string) => join(dir, path);
  for (const name of ['low', 'high', 'upper', 'work', 'merged', 'low/etc', 'low/gone', 'low/again', 'low/kept']) fs.mkdirSync(at(name));
  for (const name of ['low/etc/one', 'low/etc/two', 'low/gone/x', 'low/again/old', 'low/kept/k', 'high/own']) fs.writeFileSync(at(name), name);
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', `lowerdir=${at('high')}:${at('low')},upperdir=${at('upper')},workdir=${at('work')}`, at('merged')]);
  t.after(() => {
    execFileSync('umount', [at('merged')]);
    fs.rmSync(dir, { recursive: true });
  });
  const merged = (path: string) => at(`merged/${path}`);
  fs.mkdirSync(merged('d'));
  fs.writeFileSync(merged('d/f'), 'new');
  fs.writeFileSync(merged('etc/one'), 'changed');
  fs.rmSync(merged('etc/two'));
  fs.rmSync(merged('gone'), { recursive: true });
  fs.rmSync(merged('again'), { recursive: true });
  fs.mkdirSync(merged('again'));
  fs.writeFileSync(merged('again/fresh'), '');
  fs.writeFileSync(merged('kept/brief'), '');
  fs.rmSync(merged('kept/brief'));
  fs.chmodSync(merged('own'), 0o600);
  const letters = { added: 'A', modified: 'C', deleted: 'D' };
  assert.deepEqual(
    (await changesOf(at('upper'), [at('high'), at('low')])).map(({ path, kind }) => `${letters[kind]} ${path}`),
    ['C /again', 'A /again/fresh', 'D /again/old', 'A /d', 'A /d/f', 'C /etc', 'C /etc/one', 'D /etc/two', 'D /gone', 'C /own'],
  );
  assert.deepEqual(await changesOf(at('nosuch'), []), []);
});

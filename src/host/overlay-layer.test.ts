import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import test from 'node:test';
import { O_DIRECTORY, O_PATH } from './open-beneath.ts';
import { openInLayer } from './overlay-layer.ts';
import { mountOverlay, unmount } from './syscalls.ts';
import { openTree } from './tree.ts';

test('a directory is read from its layer only when that has all of it', async (t) => {
  const dir = fs.mkdtempSync(join(os.tmpdir(), 'berth-layer-'));
  const at = (path: string): string => join(dir, path);
  for (const path of ['base/only-base/sub', 'base/both', 'base/gone', 'base/renewed', 'base/file-later', 'middle/both', 'middle/only-middle', 'upper', 'work', 'merged', 'volume']) fs.mkdirSync(at(path), { recursive: true });
  for (const path of ['base/only-base/sub/f', 'base/both/from-base', 'base/both/removed', 'base/gone/f', 'base/renewed/old', 'base/file-later/f', 'middle/both/from-middle', 'middle/only-middle/f', 'volume/v']) fs.writeFileSync(at(path), path);
  fs.symlinkSync('only-base', at('base/link'));
  const layers = [at('upper'), at('middle'), at('base')];
  mountOverlay(at('merged'), `lowerdir=${layers[1]}:${layers[2]},upperdir=${layers[0]},workdir=${at('work')}`);
  t.after(() => {
    unmount(at('merged'));
    fs.rmSync(dir, { recursive: true });
  });
  const merged = (path: string): string => at(`merged/${path}`);
  fs.mkdirSync(merged('only-upper/deep'), { recursive: true });
  fs.writeFileSync(merged('only-upper/deep/f'), 'f');
  fs.mkdirSync(merged('with-mount/here'), { recursive: true });
  fs.rmSync(merged('both/removed'));
  fs.rmSync(merged('gone'), { recursive: true });
  fs.rmSync(merged('renewed'), { recursive: true });
  fs.mkdirSync(merged('renewed'));
  fs.writeFileSync(merged('renewed/new'), 'new');
  fs.writeFileSync(merged('only-middle/added'), 'added');

  const inLayer = (path: string): boolean => {
    const directory = fs.openSync(merged(path), O_PATH | O_DIRECTORY);
    const fd = openInLayer(directory, `/${path}`, layers);
    fs.closeSync(directory);
    if (fd !== undefined) fs.closeSync(fd);
    return fd !== undefined;
  };
  assert.deepEqual(['only-upper', 'only-upper/deep', 'only-base', 'only-base/sub'].filter((path) => !inLayer(path)), []);
  assert.deepEqual(['', 'both', 'renewed', 'only-middle'].filter(inLayer), []);

  const tree = openTree(at('merged'), [{ source: at('volume'), subpath: '', destination: '/with-mount/here', readonly: false, recursive: true }], layers);
  t.after(() => tree.close());
  const packed = async (path: string): Promise<string[]> => {
    const { tar, done } = tree.pack(path, path.slice(path.lastIndexOf('/') + 1));
    const bytes = await buffer(tar);
    await done;
    return execFileSync('tar', ['-tPf', '-'], { input: bytes, encoding: 'utf8' }).trim().split('\n').map((name) => name.replace(/\/$/, '')).sort();
  };
  for (const path of ['only-upper', 'only-base', 'both', 'renewed', 'only-middle', 'file-later']) {
    const there = execFileSync('find', [path], { cwd: at('merged'), encoding: 'utf8' }).trim().split('\n').sort();
    assert.deepEqual(await packed(`/${path}`), there, path);
  }
  assert.deepEqual(await packed('/with-mount'), ['with-mount', 'with-mount/here', 'with-mount/here/v']);
  assert.deepEqual(await packed('/with-mount/here'), ['here', 'here/v']);
});

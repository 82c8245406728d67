import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { moveAside, removeTree } from './remove-tree.ts';
import { mountBind, unmount } from './syscalls.ts';

describe('removing a directory', () => {
  let root = '';
  beforeEach(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'remove-tree-'));
  });
  afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

  test('with all that is in it, following nothing', async () => {
    const outside = path.join(root, 'outside');
    fs.mkdirSync(outside);
    fs.writeFileSync(path.join(outside, 'kept'), '');
    const tree = path.join(root, 'tree');
    fs.mkdirSync(path.join(tree, 'a/b'), { recursive: true });
    for (let i = 0; i < 50; i++) fs.writeFileSync(path.join(tree, `a/b/${i}`), '');
    fs.writeFileSync(Buffer.concat([Buffer.from(`${tree}/a/`), Buffer.from([0xff, 0xfe])]), '');
    fs.symlinkSync(outside, path.join(tree, 'a/link'));
    await removeTree(tree);
    assert.equal(fs.existsSync(tree), false);
    assert.deepEqual(fs.readdirSync(outside), ['kept']);
  });

  test('however deep it is', async () => {
    const tree = path.join(root, 'tree');
    const home = process.cwd();
    fs.mkdirSync(tree);
    process.chdir(tree);
    try {
      for (let i = 0; i < 1500; i++) {
        fs.mkdirSync('deep');
        process.chdir('deep');
      }
    } finally {
      process.chdir(home);
    }
    await removeTree(tree);
    assert.equal(fs.existsSync(tree), false);
  });

  test('what is not there is gone already', async () => {
    await removeTree(path.join(root, 'nosuch'));
    assert.equal(moveAside(path.join(root, 'nosuch'), root), undefined);
  });

  test('stops before what is mounted in it', async () => {
    const [tree, other] = [path.join(root, 'tree'), path.join(root, 'other')];
    fs.mkdirSync(path.join(tree, 'm'), { recursive: true });
    fs.mkdirSync(other);
    fs.writeFileSync(path.join(other, 'kept'), '');
    mountBind(other, path.join(tree, 'm'));
    try {
      await assert.rejects(removeTree(tree), { code: 'EXDEV' });
      assert.deepEqual(fs.readdirSync(other), ['kept']);
    } finally {
      unmount(path.join(tree, 'm'));
    }
  });
});

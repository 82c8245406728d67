import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createPlaces, type PlaceMount } from './places.ts';
import { isMountPoint, mountTmpfs, unmount } from './syscalls.ts';

describe('directories that several use', () => {
  let root = '';
  let places: ReturnType<typeof createPlaces>;
  let mounts = 0;
  const at = (...parts: string[]): string => path.join(root, ...parts);
  const directory = (): string => at('place');
  const target = (): string => at('place', 'm');
  const mount: PlaceMount = {
    leaf: 'm',
    perform: () => {
      mounts += 1;
      mountTmpfs(target(), 'size=64k');
    },
  };

  beforeEach(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'places-'));
    fs.mkdirSync(target(), { recursive: true });
    places = createPlaces({ trash: at('trash') });
    mounts = 0;
  });
  afterEach(() => {
    for (const line of fs.readFileSync('/proc/mounts', 'utf8').split('\n').reverse()) {
      const where = line.split(' ')[1] ?? '';
      if (where.startsWith(`${root}/`)) unmount(where);
    }
    fs.rmSync(root, { recursive: true, force: true });
  });

  test('mounted for the first, unmounted after the last', async () => {
    await Promise.all([places.take(directory(), 'a', mount), places.take(directory(), 'b', mount)]);
    assert.equal(mounts, 1);
    await places.leave(directory(), 'a');
    assert.ok(isMountPoint(target()));
    await places.leave(directory(), 'b');
    assert.equal(isMountPoint(target()), false);
    assert.equal(places.leave(directory(), 'b'), false);
  });

  test('who comes while it is being unmounted gets it mounted', async () => {
    for (let round = 0; round < 20; round++) {
      await places.take(directory(), 'a', mount);
      const left = places.leave(directory(), 'a');
      await places.take(directory(), 'b', mount);
      assert.ok(isMountPoint(target()));
      await left;
      assert.ok(isMountPoint(target()));
      await places.leave(directory(), 'b');
      assert.equal(isMountPoint(target()), false);
    }
  });

  test('what can not be mounted has no user', async () => {
    let attempts = 0;
    const failing: PlaceMount = {
      leaf: 'm',
      perform: async () => {
        attempts += 1;
        throw new Error('no such device');
      },
    };
    const results = await Promise.allSettled([places.take(directory(), 'a', failing), places.take(directory(), 'b', failing)]);
    assert.deepEqual(results.map(({ status }) => status), ['rejected', 'rejected']);
    assert.equal(attempts, 2);
    await places.take(directory(), 'c', mount);
    assert.ok(isMountPoint(target()));
    await places.leave(directory(), 'c');
    assert.equal(isMountPoint(target()), false);
  });

  test('what an earlier daemon has mounted is taken over', async () => {
    mount.perform();
    await places.take(directory(), 'a', mount);
    assert.equal(mounts, 1);
    await places.leave(directory(), 'a');
    assert.equal(isMountPoint(target()), false);
  });

  test('removed while someone looks: its name is free, its content stays until they are done', async () => {
    await places.take(directory(), 'a', mount);
    const leave = await places.visit([{ directory: directory(), mount }]);
    fs.writeFileSync(at('place', 'm', 'f'), 'mounted');
    const seen = fs.openSync(directory(), 'r');
    await places.leave(directory(), 'a');
    await places.remove(directory());
    assert.equal(fs.existsSync(directory()), false);
    assert.equal(fs.readFileSync(`/proc/self/fd/${seen}/m/f`, 'utf8'), 'mounted');
    fs.closeSync(seen);

    fs.mkdirSync(target(), { recursive: true });
    await places.take(directory(), 'new', mount);
    assert.equal(mounts, 2);
    await leave();
    assert.deepEqual(fs.readdirSync(at('trash')), []);
    assert.ok(isMountPoint(target()));
    await places.leave(directory(), 'new');
  });

  test('a new name goes with those who use it', async () => {
    const leave = await places.visit([{ directory: directory(), mount }]);
    fs.renameSync(directory(), at('other'));
    places.renamed(directory(), at('other'));
    await leave();
    assert.equal(isMountPoint(at('other', 'm')), false);
  });
});

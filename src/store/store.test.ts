import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { open } from 'lmdb';
import type { RecordChange } from '../model/state.ts';
import type { Volume } from '../model/volume.ts';
import { openStore } from './store.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-store-'));
after(() => fs.rmSync(root, { recursive: true, force: true }));

const volume = (name: string): Volume => ({
  name, created: '2026-01-01T00:00:00Z', driver: 'local', mountpoint: `/v/${name}`, labels: undefined, options: undefined, anonymous: false,
});
const put = (name: string): RecordChange => ({ collection: 'volumes', key: name, record: volume(name) });

test('what is committed is there after opening again; what is taken away is not', async () => {
  const data = path.join(root, 'again');
  const store = openStore(data);
  await store.commit([put('a'), put('b')]);
  await store.commit([{ collection: 'volumes', key: 'a', record: undefined }]);
  await store.close();
  const again = openStore(data);
  assert.deepEqual([...again.load().volumes.keys()], ['b']);
  assert.equal(again.load().volumes.get('b')?.mountpoint, '/v/b');
  await again.close();
});

test('a copy of the directory made at any moment opens, with all that was committed before', async () => {
  const data = path.join(root, 'copied');
  const store = openStore(data);
  for (let count = 1; count <= 20; count++) {
    await store.commit([put(`v${count}`)]);
    const copy = path.join(root, `copy-${count}`);
    fs.cpSync(data, copy, { recursive: true });
    const opened = openStore(copy);
    assert.equal(opened.load().volumes.size, count);
    await opened.close();
  }
  await store.close();
});

test('a store of another version is refused, and left as it is', async () => {
  const data = path.join(root, 'later');
  await openStore(data).close();
  const database = open<number, string>({ path: path.join(data, 'state'), encoding: 'json' });
  database.putSync('version', 99);
  await database.close();
  assert.throws(() => openStore(data), /was written by another version of berth \(format 99, this one reads 1\)/);
});

test('something that is no store is not taken for an empty one', () => {
  const data = path.join(root, 'garbage');
  fs.mkdirSync(path.join(data, 'state'), { recursive: true });
  fs.writeFileSync(path.join(data, 'state', 'data.mdb'), 'garbage'.repeat(5000));
  assert.throws(() => openStore(data), /is not the state of a berth, or is damaged/);
  assert.equal(fs.readFileSync(path.join(data, 'state', 'data.mdb'), 'utf8'), 'garbage'.repeat(5000));
});

test('there is always room for a few changes in the file itself', async () => {
  const data = path.join(root, 'room');
  const store = openStore(data);
  const size = (): number => fs.statSync(path.join(data, 'state', 'data.mdb')).size;
  const before = size();
  for (let count = 0; count < 50; count++) await store.commit([put(`v${count}`)]);
  assert.ok(size() - before <= 64 * 1024, `${before} -> ${size()}`);
  await store.close();
});

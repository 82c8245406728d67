import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { pack } from 'tar-stream';
import { noteLayers, readSoFar } from './push-progress.ts';

const layer = (digit: string): string => digit.repeat(64);

test('how far a reader of a saved image is in each layer', async (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'push-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const archive = pack();
  archive.entry({ name: 'manifest.json' }, 'x'.repeat(700));
  archive.entry({ name: `blobs/sha256/${layer('a')}` }, Buffer.alloc(3000, 1));
  archive.entry({ name: `blobs/sha256/${layer('b')}` }, Buffer.alloc(5000, 2));
  archive.finalize();
  const ranges = new Map<string, { from: number; to: number }>();
  const whole = Buffer.concat(await collected(noteLayers(archive as AsyncIterable<Buffer>, ranges)));
  const [a, b] = [ranges.get(`sha256:${layer('a')}`), ranges.get(`sha256:${layer('b')}`)];
  assert.ok(a && b);
  assert.deepEqual(whole.subarray(a.from, a.to), Buffer.alloc(3000, 1));
  assert.deepEqual(whole.subarray(b.from, b.to), Buffer.alloc(5000, 2));

  const file = path.join(directory, 'image.tar');
  fs.writeFileSync(file, whole);
  const descriptor = fs.openSync(file, 'r');
  fs.readSync(descriptor, Buffer.alloc(b.from + 1234));
  const found = await readSoFar(process.pid, file, ranges);
  fs.closeSync(descriptor);
  assert.deepEqual([...found], [[`sha256:${layer('b')}`, 1234]]);
  assert.deepEqual([...(await readSoFar(process.pid, file, ranges))], []);
});

const collected = async (chunks: AsyncIterable<Buffer>): Promise<Buffer[]> => {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
};

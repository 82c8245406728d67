import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import test from 'node:test';
import { untilEnd } from './tar-end.ts';
import { encodeHeader, endOfTar, plainHeader } from './tar-format.ts';
import { openTree } from './tree.ts';

const makeRoot = (t: { after(body: () => void): void }) => {
  const dir = fs.mkdtempSync(join(os.tmpdir(), 'berth-sparse-'));
  fs.mkdirSync(join(dir, 'root'));
  const tree = openTree(join(dir, 'root'), []);
  t.after(() => {
    tree.close();
    fs.rmSync(dir, { recursive: true });
  });
  const unpack = (bytes: Buffer, chunk = bytes.length) =>
    tree.unpack('/', Readable.from(Array.from({ length: Math.ceil(bytes.length / chunk) }, (_, at) => bytes.subarray(at * chunk, (at + 1) * chunk))), { keepDirectories: false, owner: undefined });
  return { dir, unpack };
};

for (const [form, ...options] of [['1.0', '--format=posix'], ['0.1', '--format=posix', '--sparse-version=0.1'], ['0.0', '--format=posix', '--sparse-version=0.0'], ['old GNU', '--format=gnu']] as const)
  test(`a sparse file in tar's form ${form}: its bytes and its holes come back`, async (t) => {
    const { dir, unpack } = makeRoot(t);
    const file = join(dir, 'holes');
    fs.writeFileSync(file, '');
    fs.truncateSync(file, 200 * 1024 * 1024);
    const fd = fs.openSync(file, 'r+');
    // More pieces than fit into one header block.
    for (let piece = 0; piece < 60; piece++) fs.writeSync(fd, `piece ${piece}`, (piece * 3 + 1) * 1024 * 1024);
    fs.closeSync(fd);
    const bytes = execFileSync('tar', ['-C', dir, '-S', ...options, '-cf', '-', 'holes', 'root'], { maxBuffer: 1e9 });
    assert.ok(bytes.length < 1024 * 1024);
    for (const chunk of [bytes.length, 700]) {
      await unpack(bytes, chunk);
      const back = join(dir, 'root/holes');
      assert.ok(fs.readFileSync(back).equals(fs.readFileSync(file)));
      assert.ok(fs.statSync(back).blocks < 4096, 'the holes are none on disk');
    }
  });

test('a map that goes backwards, or to nowhere, is refused', async (t) => {
  const { unpack } = makeRoot(t);
  for (const map of ['10,5,0,5', '0,-5', '0,1e300', '1,x'])
    await assert.rejects(unpack(Buffer.concat([encodeHeader(plainHeader('bad', '0', { size: 0, mode: 0o644, pax: new Map([['GNU.sparse.size', '20'], ['GNU.sparse.map', map]]) })), endOfTar])), /invalid sparse map/);
});

test('a time before 1970 is 1970', async (t) => {
  const { dir, unpack } = makeRoot(t);
  await unpack(Buffer.concat([encodeHeader(plainHeader('old', '0', { mode: 0o644, pax: new Map([['mtime', '-100']]) })), endOfTar]));
  assert.equal(fs.statSync(join(dir, 'root/old')).mtimeMs, 0);
});

test('a tar is cut off after its two empty blocks, whatever pieces it comes in', () => {
  const zeros = Buffer.alloc(5120);
  const large = plainHeader('sized', '0', { size: 0, pax: new Map([['size', '1500']]) });
  const whole = Buffer.concat([
    encodeHeader(plainHeader('d/', '5', { size: 512 })),
    encodeHeader(plainHeader('zeros', '0', { size: zeros.length })), zeros,
    encodeHeader(large), Buffer.alloc(1536),
    endOfTar,
  ]);
  const padded = Buffer.concat([whole, Buffer.alloc(60_000)]);
  for (const length of [1, 100, 512, 700, 4096, padded.length]) {
    const cut = untilEnd();
    const parts: Buffer[] = [];
    for (let at = 0; at < padded.length; at += length) parts.push(cut(padded.subarray(at, at + length)));
    assert.ok(Buffer.concat(parts).equals(whole), `${length}`);
  }
});

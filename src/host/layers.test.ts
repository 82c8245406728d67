import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { createLayers } from './layers.ts';
import { encodeHeader, endOfTar, padding, plainHeader, type TarHeader } from './tar-format.ts';

const root = mkdtempSync(path.join(tmpdir(), 'berth-layers-'));
after(() => rmSync(root, { recursive: true, force: true }));
const layers = createLayers({ dataRoot: root });
const CHAIN = `sha256:${'1'.repeat(64)}`;
const diff = path.join(root, 'overlay2', '1'.repeat(64), 'diff');

const file = (name: string, content: string, rest: Partial<TarHeader> = {}): Buffer[] => [
  encodeHeader(plainHeader(name, '0', { mode: 0o644, size: content.length, ...rest })),
  Buffer.from(content),
  Buffer.alloc(padding(content.length)),
];
const directory = (name: string, rest: Partial<TarHeader> = {}): Buffer[] => [encodeHeader(plainHeader(name, '5', { mode: 0o755, ...rest }))];
const link = (type: '1' | '2', name: string, linkName: string): Buffer[] => [encodeHeader(plainHeader(name, type, { mode: 0o777, linkName }))];
const tar = (...entries: Buffer[][]): Buffer => Buffer.concat([...entries.flat(), endOfTar]);
const digest = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const chunks = (bytes: Buffer, size: number): Readable =>
  Readable.from(Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size)));

const stored = async (bytes: Buffer, size = 65536) => {
  const layer = await layers.unpack(chunks(bytes, size));
  await layers.remove([CHAIN]);
  await layer.store(CHAIN);
  return layer;
};
const again = (bytes: Buffer) => buffer(layers.archive(Promise.resolve([{ name: 'layer', mtime: 0, content: { layer: CHAIN, diffId: digest(bytes) } }])));
const nothingAside = () => assert.deepEqual(existsSync(path.join(root, 'tmp')) ? readdirSync(path.join(root, 'tmp')).filter((name) => !name.startsWith('removed-')) : [], []);

test('a layer: its files, its digest, its size, and its tar again to the byte', async () => {
  const source = path.join(root, 'source');
  mkdirSync(path.join(source, 'd/e'), { recursive: true });
  writeFileSync(path.join(source, 'd/f'), 'hello\n');
  writeFileSync(path.join(source, 'd/empty'), '');
  writeFileSync(path.join(source, `d/${'long'.repeat(40)}`), 'x'.repeat(100_000));
  writeFileSync(path.join(source, 'd/sé\n'), 'odd');
  linkSync(path.join(source, 'd/f'), path.join(source, 'd/g'));
  symlinkSync('f', path.join(source, 'd/l'));
  symlinkSync('/etc/passwd', path.join(source, 'd/away'));
  chmodSync(path.join(source, 'd/f'), 0o4755);
  execFileSync('mknod', [path.join(source, 'dev'), 'c', '1', '3']);
  for (const format of ['gnu', 'posix', 'ustar', 'v7'])
    for (const size of [65536, 700, 1_000_000]) {
      const names = format === 'v7' || format === 'ustar' ? ['--exclude=long*', '--exclude=dev'] : [];
      const bytes = execFileSync('tar', ['--create', '--file=-', `--format=${format}`, ...names, '-C', source, '.'], { maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'ignore'] });
      const layer = await stored(bytes, size);
      assert.equal(layer.diffId, digest(bytes));
      assert.equal(layer.size, 6 + 3 + 1 + 11 + (names.length > 0 ? 0 : 100_000), format);
      assert.equal(readFileSync(path.join(diff, 'd/g'), 'utf8'), 'hello\n');
      assert.equal(lstatSync(path.join(diff, 'd/f')).mode & 0o7777, 0o4755);
      assert.equal(readlinkSync(path.join(diff, 'd/away')), '/etc/passwd');
      assert.equal(await layers.tarSize(CHAIN), bytes.length);
      const archive = await again(bytes);
      assert.equal(archive.subarray(512, 512 + bytes.length).compare(bytes), 0, `${format} ${size}`);
    }
  assert.deepEqual(await layers.list(), [CHAIN]);
  nothingAside();
});

test('compressed or not, the digest is the same', async () => {
  const bytes = tar(file('a', 'content'));
  for (const [command, ...args] of [['gzip', '-c'], ['bzip2', '-c'], ['xz', '-c'], ['zstd', '-cq'], ['cat']] as const) {
    const packed = execFileSync(command, args, { input: bytes });
    const layer = await layers.unpack(chunks(packed, 3));
    assert.equal(layer.diffId, digest(bytes), command);
    await layer.discard();
  }
  nothingAside();
});

test('an empty tar is a layer', async () => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(1024), Buffer.alloc(10240)]) {
    const layer = await layers.unpack(chunks(bytes, 4096));
    assert.deepEqual([layer.diffId, layer.size], [digest(bytes), 0]);
    await layer.discard();
  }
});

test('no tar, or half of one', async () => {
  const bytes = tar(file('a', 'x'.repeat(5000)));
  const gzipped = execFileSync('gzip', ['-c'], { input: tar(file('a', 'x'.repeat(5000)), file('b', createHash('sha512').update('b').digest('hex'))) });
  for (const [input, message] of [
    [Buffer.from('garbage\n'), 'unexpected EOF'],
    [Buffer.from('g'), 'unexpected EOF'],
    [Buffer.alloc(100), 'unexpected EOF'],
    [Buffer.alloc(600, 'x'), 'archive/tar: invalid tar header'],
    [bytes.subarray(0, 1000), 'unexpected EOF'],
    [bytes.subarray(0, 512 + 5000 + 3), 'unexpected EOF'],
    [gzipped.subarray(0, gzipped.length - 20), 'unexpected EOF'],
  ] as const)
    await assert.rejects(layers.unpack(chunks(input, 333)), { message });
  nothingAside();
});

test('whiteouts become what overlayfs understands', async () => {
  const bytes = tar(
    directory('d/', { mode: 0o700, uid: 5, mtime: 1000 }),
    file('d/.wh.gone', ''),
    file('d/o/.wh..wh..opq', ''),
    file('d/o/new', 'n'),
    file('.wh.top', ''),
    file('made/.wh.x', ''),
    file('.wh.replaced', ''),
    file('replaced', 'r'),
    file('.wh..wh.plnk/1.2', 'aufs'),
  );
  const layer = await stored(bytes);
  for (const name of ['d/gone', 'top', 'made/x']) {
    const stat = lstatSync(path.join(diff, name));
    assert.ok(stat.isCharacterDevice() && stat.rdev === 0, name);
  }
  const { mode, uid, mtimeMs } = lstatSync(path.join(diff, 'd'));
  assert.deepEqual([mode & 0o7777, uid, mtimeMs], [0o700, 5, 1_000_000]);
  assert.equal(readFileSync(path.join(diff, 'replaced'), 'utf8'), 'r');
  assert.deepEqual(readdirSync(diff).sort(), ['d', 'made', 'replaced', 'top']);
  assert.deepEqual(readdirSync(path.join(diff, 'd/o')), ['new']);
  const attributes = execFileSync('tar', ['--create', '--file=-', '--xattrs', '--xattrs-include=*', '-C', diff, 'd/o']).toString('latin1');
  assert.ok(attributes.includes('trusted.overlay.opaque=y'));
  assert.equal((await again(bytes)).subarray(512, 512 + bytes.length).compare(bytes), 0);
  assert.equal(layer.diffId, digest(bytes));

  // And back: what such an upper directory is as a layer.
  const changes = await buffer(layers.changes(diff));
  const names = execFileSync('tar', ['--list', '--file=-'], { input: changes }).toString().trim().split('\n');
  assert.deepEqual(names, ['d/', 'd/.wh.gone', 'd/o/', 'd/o/.wh..wh..opq', 'd/o/new', 'made/', 'made/.wh.x', 'replaced', '.wh.top']);
  assert.ok(!changes.toString('latin1').includes('trusted.overlay'));
});

test('the changes of an empty directory are an empty tar', async () => {
  const empty = path.join(root, 'empty');
  mkdirSync(empty);
  assert.deepEqual(await buffer(layers.changes(empty)), Buffer.alloc(1024));
});

test('a hostile layer writes nothing outside its directory, and reads nothing', async () => {
  const outside = path.join(root, 'outside');
  mkdirSync(outside);
  writeFileSync(path.join(outside, 'victim'), 'mine');
  const deep = '../'.repeat(12);
  const hostile: Record<string, Buffer> = {
    'up and out': tar(file('../evil', 'x')),
    'deep up and out': tar(file(`a/${deep}${outside}/evil`, 'x')),
    'absolute': tar(file(`${outside}/evil`, 'x')),
    'through an absolute link': tar(link('2', 'l', outside), file('l/evil', 'x')),
    'through a relative link': tar(link('2', 'l', `${deep}${outside}`), file('l/evil', 'x')),
    'through a link made of two': tar(directory('a/'), link('2', 'a/b', '..'), link('2', 'c', `a/b/a/b/${deep}${outside}`), file('c/evil', 'x')),
    'over a link': tar(link('2', 'l', `${outside}/victim`), file('l', 'x')),
    'hard link out': tar(link('1', 'h', `${outside}/victim`), file('h', 'x')),
    'relative hard link out': tar(link('1', 'h', `${deep}${outside}/victim`), file('h', 'x')),
    'hard link through a link': tar(link('2', 'l', outside), link('1', 'h', 'l/victim'), file('h', 'x')),
    'a whiteout through a link': tar(link('2', 'l', outside), file('l/.wh.victim', '')),
    'a whiteout in a directory that becomes a link': tar(directory('b/'), link('2', 'a', 'b'), file('a/.wh.victim', ''), link('2', 'a', outside)),
    'a whiteout of two dots': tar(file('.wh...', '')),
    'an opaque directory that becomes a link': tar(directory('b/'), link('2', 'a', 'b'), file('a/.wh..wh..opq', ''), link('2', 'a', outside)),
  };
  for (const [name, bytes] of Object.entries(hostile)) {
    await stored(bytes).catch((error: Error) => assert.match(error.message, /cannot unpack|leads out of it|is not a directory|Command failed/, name));
    assert.deepEqual(readdirSync(outside), ['victim'], name);
    assert.equal(readFileSync(path.join(outside, 'victim'), 'utf8'), 'mine', name);
    assert.equal(lstatSync(path.join(outside, 'victim')).nlink, 1, name);
  }
  assert.ok(!existsSync(path.join(root, 'evil')) && !existsSync(path.join(root, 'tmp', 'evil')));

  const leak = tar(directory('b/'), link('2', 'a', 'b'), file('a/victim', 'four'), link('2', 'a', outside));
  await stored(leak).then(
    () => assert.rejects(again(leak), /leads out of its layer/),
    (error: Error) => assert.match(error.message, /cannot unpack/),
  );
  nothingAside();
});

test('a path twice is refused, as the reference engine does', async () => {
  await assert.rejects(layers.unpack(chunks(tar(file('a', '1'), file('./a', '2')), 512)), { message: 'duplicates of file paths not supported' });
  nothingAside();
});

test('a layer whose files changed is not given out as that layer', async () => {
  const bytes = tar(file('a', 'before'));
  await stored(bytes);
  writeFileSync(path.join(diff, 'a'), 'after!');
  await assert.rejects(again(bytes), /is not what it was/);
});

test('two of the same layer: the second finds the first in its place', async () => {
  const bytes = tar(file('a', 'same'));
  await stored(bytes);
  const second = await layers.unpack(chunks(bytes, 512));
  await second.store(CHAIN);
  assert.equal(readFileSync(path.join(diff, 'a'), 'utf8'), 'same');
  nothingAside();
});

test('an archive: files by name, and never out of it', async () => {
  const inner = tar(file('a', 'in a layer'));
  const archive = await layers.openArchive(chunks(tar(directory('x/'), file('x/f', 'text'), link('2', 'l', 'x/f'), link('2', 'out', '/etc/passwd'), [
    encodeHeader(plainHeader('layer.tar', '0', { mode: 0, size: inner.length })), inner, Buffer.alloc(padding(inner.length)),
  ]), 1000));
  assert.match(archive.directory, /\/tmp\/docker-import-\d+$/);
  assert.deepEqual(await archive.names(), ['l', 'layer.tar', 'out', 'x']);
  assert.deepEqual([await archive.read('x/f'), await archive.read('l'), await archive.exists('x/f'), await archive.exists('x'), await archive.exists('y')], ['text', 'text', true, false, false]);
  await assert.rejects(archive.read('manifest.json'), { message: `open ${archive.directory}/manifest.json: no such file or directory` });
  await assert.rejects(archive.read('out'), /is not in/);
  await assert.rejects(archive.read('../../../../../../../etc/passwd'), /is not in/);
  const seen: number[] = [];
  const layer = await archive.unpack('layer.tar', (current, total) => seen.push(current, total));
  assert.deepEqual([layer.diffId, seen.slice(-2)], [digest(inner), [inner.length, inner.length]]);
  await layer.discard();
  await archive.close();
  nothingAside();
});

test('what an earlier daemon left under tmp goes; what is not ours stays', async () => {
  for (const name of ['layer-1', 'removed-2', 'docker-import-3', 'someone-else']) mkdirSync(path.join(root, 'tmp', name), { recursive: true });
  await layers.clean();
  assert.deepEqual(readdirSync(path.join(root, 'tmp')), ['someone-else']);
});

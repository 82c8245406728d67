import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import test from 'node:test';
import type { ViewMount } from './container-view.ts';
import { encodeHeader, endOfTar, padding, plainHeader, type TarHeader } from './tar-format.ts';
import { openTree } from './tree.ts';

const mount = (source: string, destination: string, rest: Partial<ViewMount> = {}): ViewMount => ({ source, destination, subpath: '', readonly: false, recursive: true, ...rest });

/** A container's root file system `root`, a volume `vol`, and beside them what no archive may touch: `secret`. */
const makeTree = (t: { after(body: () => void): void }, mounts = (dir: string): ViewMount[] => [mount(join(dir, 'vol'), '/vol')]) => {
  const dir = fs.mkdtempSync(join(os.tmpdir(), 'berth-tree-'));
  for (const name of ['root', 'root/d', 'root/d/sub', 'root/etc', 'vol', 'secret']) fs.mkdirSync(join(dir, name));
  fs.writeFileSync(join(dir, 'root/d/f'), 'one\n');
  fs.linkSync(join(dir, 'root/d/f'), join(dir, 'root/d/hard'));
  fs.chmodSync(join(dir, 'root/d/f'), 0o4711);
  fs.writeFileSync(join(dir, 'root/d/sub/g'), 'two\n');
  fs.chownSync(join(dir, 'root/d/sub'), 12, 34);
  fs.writeFileSync(join(dir, 'root/etc/passwd'), 'root:x:0:0::/:\nann:x:12:34::/:\n');
  fs.writeFileSync(join(dir, 'vol/v'), 'v');
  fs.writeFileSync(join(dir, 'secret/passwd'), 'host');
  for (const [name, target] of [['d/rel', 'f'], ['d/abs', '/d/f'], ['dirlink', '/d'], ['vlink', '/vol'], ['broken', '/nosuch/a'], ['loop', 'loop'], ['out', `../../../../../../..${dir}/secret`], ['outabs', `${dir}/secret`]] as const)
    fs.symlinkSync(target, join(dir, 'root', name));
  const tree = openTree(join(dir, 'root'), mounts(dir));
  t.after(() => {
    tree.close();
    fs.rmSync(dir, { recursive: true });
  });
  return { dir, tree, root: (path: string) => join(dir, 'root', path) };
};

const listed = async (packed: { tar: Readable; done: Promise<void> }): Promise<string[]> => {
  const bytes = await buffer(packed.tar);
  await packed.done;
  return execFileSync('tar', ['-tPf', '-'], { input: bytes, encoding: 'utf8' }).trim().split('\n');
};
const code = (expected: string) => (error: NodeJS.ErrnoException) => error.code === expected;

test('stat, as the container has it', (t) => {
  const { tree } = makeTree(t);
  const target = (path: string) => tree.stat(path).linkTarget;
  assert.equal(target('/d/rel'), '/d/f');
  assert.equal(target('/d/abs'), '/d/f');
  assert.equal(target('/vlink'), '/vol');
  assert.equal(target('/broken'), '/nosuch/a');
  assert.equal(tree.stat('/d/rel').size, 1);
  assert.equal(tree.stat('/dirlink/').mode, 0o040755);
  assert.equal(tree.stat('/vlink/v').size, 1, 'links from one file system lead into another');
  assert.match(tree.stat('/d/f').mtime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z$/);
  assert.throws(() => tree.stat('/nosuch'), code('ENOENT'));
  assert.throws(() => tree.stat('/broken/'), code('ENOENT'));
  assert.throws(() => tree.stat('/d/f/'), code('ENOTDIR'));
  assert.throws(() => tree.stat('/loop'), code('ELOOP'));
  assert.equal(tree.resolve('/vlink/').path, '/vol');
  assert.equal(tree.resolve('/d/..').path, '/');
  assert.equal(tree.text('/etc/passwd').split('\n').length, 3);
  assert.equal(tree.text('/etc/nosuch'), '');
});

test('pack: names as the client asked for them', async (t) => {
  const { tree } = makeTree(t);
  const inside = ['', 'abs', 'f', 'hard', 'rel', 'sub/', 'sub/g'];
  assert.deepEqual(await listed(tree.pack('/d', 'd')), inside.map((name) => `d/${name}`));
  assert.deepEqual(await listed(tree.pack('/d/.', '.')), inside.map((name) => `./${name}`));
  assert.deepEqual(await listed(tree.pack('/dirlink/', 'dirlink')), inside.map((name) => `dirlink/${name}`));
  assert.deepEqual(await listed(tree.pack('/dirlink', 'dirlink')), ['dirlink']);
  assert.deepEqual(await listed(tree.pack('/d/f', 'f')), ['f']);
  assert.deepEqual(await listed(tree.pack('/vol', 'vol')), ['vol/', 'vol/v']);
  const all = await listed(tree.pack('/', '/'));
  assert.deepEqual(all.slice(0, 3), ['/', '/broken', '/d/']);
  assert.ok(all.includes('/vol/v'), 'with what is mounted in it');
  assert.deepEqual((await listed(tree.packAll())).slice(0, 3), ['broken', 'd/', 'd/abs']);
});

test('pack keeps owners, modes, links and odd names; a link target is left alone', async (t) => {
  const { tree, root } = makeTree(t);
  const odd = Buffer.from([0x2d, 0xff, 0x0a, 0x26, 0x5c]);
  fs.writeFileSync(Buffer.concat([Buffer.from(root('d/sub/')), odd]), 'x');
  execFileSync('mkfifo', [root('d/pipe')]);
  execFileSync('mknod', [root('d/null'), 'c', '1', '3']);
  fs.symlinkSync('./x', root('d/dot'));
  const packed = tree.pack('/d', 'd');
  const bytes = await buffer(packed.tar);
  const shown = execFileSync('tar', ['-tvf', '-', '--numeric-owner'], { input: bytes, encoding: 'utf8' }).replace(/ +/g, ' ').replace(/ \d{4}-\d\d-\d\d \d\d:\d\d/g, '');
  for (const line of ['-rws--x--x 0/0 4 d/f', 'hrws--x--x 0/0 0 d/hard link to d/f', 'drwxr-xr-x 12/34 0 d/sub/', 'prw-r--r-- 0/0 0 d/pipe', 'crw-r--r-- 0/0 1,3 d/null', 'lrwxrwxrwx 0/0 0 d/dot -> ./x']) assert.ok(shown.includes(line), `${line} in\n${shown}`);
  await tree.unpack('/etc', Readable.from([bytes]), { keepDirectories: true, owner: undefined });
  assert.equal(fs.readFileSync(Buffer.concat([Buffer.from(root('etc/d/sub/')), odd]), 'utf8'), 'x');
  assert.equal(fs.statSync(root('etc/d/f')).mode & 0o7777, 0o4711);
  assert.equal(fs.statSync(root('etc/d/f')).ino, fs.statSync(root('etc/d/hard')).ino);
  assert.equal(fs.statSync(root('etc/d/sub')).uid, 12);
  assert.equal(fs.lstatSync(root('etc/d/null')).rdev, 0x103);
  assert.ok(fs.lstatSync(root('etc/d/pipe')).isFIFO());
  assert.equal(fs.readlinkSync(root('etc/d/abs')), '/d/f');
  assert.equal(Math.floor(fs.statSync(root('etc/d')).mtimeMs / 1000), Math.floor(fs.statSync(root('d')).mtimeMs / 1000));
});

type Entry = readonly [name: string, type: string, content?: string, rest?: Partial<TarHeader>];
const tarball = (...entries: Entry[]): Buffer =>
  Buffer.concat([
    ...entries.flatMap(([name, type, text = '', rest]) => {
      const content = type === '0' ? Buffer.from(text) : Buffer.alloc(0);
      const header = plainHeader(name, type, { mode: type === '5' ? 0o755 : 0o644, size: content.length, linkName: type === '0' ? '' : text, mtime: 1000, ...rest });
      return [encodeHeader(header), content, Buffer.alloc(padding(content.length))];
    }),
    endOfTar,
  ]);

test('unpack', async (t) => {
  const { tree, root, dir } = makeTree(t);
  const put = (path: string, bytes: Buffer, keepDirectories = false, owner?: { uid: number; gid: number }) => tree.unpack(path, Readable.from(bytes.length > 0 ? [bytes] : []), { keepDirectories, owner });
  await put('/d', tarball(['./', '5'], ['./new', '0', 'new'], ['deep/er/x', '0', 'x']));
  assert.equal(fs.readFileSync(root('d/new'), 'utf8'), 'new');
  assert.equal(fs.statSync(root('d/new')).mtimeMs, 1_000_000);
  assert.equal(fs.readFileSync(root('d/deep/er/x'), 'utf8'), 'x');
  await put('/vol', tarball(['w', '0', 'w']));
  assert.equal(fs.readFileSync(join(dir, 'vol/w'), 'utf8'), 'w', 'into the volume');
  await put('/d', tarball(['rel', '0', 'mine']));
  assert.ok(fs.lstatSync(root('d/rel')).isFile(), 'in the place of a link, not through it');
  await put('/d', tarball(['owned', '0', 'x', { uid: 5, gid: 6 }]));
  assert.equal(fs.statSync(root('d/owned')).uid, 5);
  await put('/d', tarball(['owned', '0', 'x', { uid: 5, gid: 6 }]), true, { uid: 12, gid: 34 });
  assert.equal(fs.statSync(root('d/owned')).gid, 34);

  await assert.rejects(put('/d', tarball(['f', '5']), true), /^Error: cannot overwrite non-directory "\/d\/f" with directory "\/d"$/);
  await assert.rejects(put('/d', tarball(['sub', '0']), true), /^Error: cannot overwrite directory "\/d\/sub" with non-directory "\/d"$/);
  await put('/d', tarball(['f', '5'], ['sub', '0']));
  assert.ok(fs.statSync(root('d/f')).isDirectory() && fs.statSync(root('d/sub')).isFile());

  await put('/d', Buffer.alloc(0));
  await put('/d', Buffer.alloc(1024));
  await put('/d', tarball(['cut', '0', 'x']).subarray(0, 1024));
  await assert.rejects(put('/d', Buffer.from('garbage')), /^Error: unexpected EOF$/);
  await assert.rejects(put('/d', Buffer.alloc(512, 'g')), /^Error: archive\/tar: invalid tar header$/);
  await assert.rejects(put('/d', tarball(['cut', '0', 'x']).subarray(0, 600)), /^Error: unexpected EOF$/);
  for (const command of ['gzip', 'xz', 'bzip2', 'zstd']) {
    await put('/d', execFileSync(command, ['-c'], { input: tarball([command, '0', 'packed']) }));
    assert.equal(fs.readFileSync(root(`d/${command}`), 'utf8'), 'packed');
  }
});

test('nothing in a tar or in the container leads out of it', async (t) => {
  const { tree, root, dir } = makeTree(t);
  const put = (path: string, ...entries: Entry[]) => tree.unpack(path, Readable.from([tarball(...entries)]), { keepDirectories: false, owner: undefined });
  const untouched = () => {
    assert.deepEqual(fs.readdirSync(join(dir, 'secret')), ['passwd']);
    assert.equal(fs.readFileSync(join(dir, 'secret/passwd'), 'utf8'), 'host');
    assert.equal(fs.statSync(join(dir, 'secret')).mode & 0o777, 0o755);
  };
  await assert.rejects(put('/d', ['../../evil', '0', 'x']), /^Error: "..\/..\/evil" is outside of "\/d"$/);
  await assert.rejects(put('/d', ['ln', '2', '../../../..'], ['ln/evil', '0', 'x']), /^Error: invalid symlink "\/d\/ln" -> "..\/..\/..\/.."$/);
  await assert.rejects(put('/d', ['hl', '1', '../../etc/passwd']), /^Error: invalid hardlink "\/etc\/passwd" -> "..\/..\/etc\/passwd"$/);
  await put('/d', ['/absolute', '0', 'x']);
  assert.ok(fs.existsSync(root('d/absolute')));
  await put('/d', ['la', '2', '/etc'], ['la/evil', '0', 'x']);
  assert.ok(fs.existsSync(root('etc/evil')), 'a link to /etc is to the container\'s');
  // Links that were there before: `out` climbs, `outabs` names the host's own path.
  for (const link of ['out', 'outabs']) {
    await put('/', [`${link}/passwd`, '0', 'mine'], [`${link}/`, '5']);
    assert.throws(() => tree.pack(`/${link}/passwd/`, 'passwd'));
    untouched();
  }
  await put('/', ['h', '2', `${dir}/secret/passwd`], ['h', '0', 'over']);
  fs.symlinkSync(`${dir}/secret/passwd`, root('target'));
  await put('/', ['target', '0', 'over', { mode: 0o777 }]);
  untouched();
  assert.throws(() => tree.stat('/proc/self/root/etc'), code('ENOENT'));
});

test('a hostile container swaps directories for links while its files are archived', async (t) => {
  const { tree, root, dir } = makeTree(t);
  const [flip, flop] = [root('d/sub'), root('d/aside')];
  let swapping = true;
  const swap = (async () => {
    while (swapping) {
      fs.renameSync(flip, flop);
      fs.symlinkSync(`${dir}/secret`, flip);
      await new Promise((resolve) => setImmediate(resolve));
      fs.rmSync(flip, { recursive: true });
      fs.renameSync(flop, flip);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })().catch(() => {});
  const entries: Entry[] = Array.from({ length: 40 }, (_, at): Entry => [at % 2 === 0 ? 'sub/passwd' : `sub/other${at}`, '0', 'x']);
  for (let round = 0; round < 20; round++) {
    await tree.unpack('/d', Readable.from(chunks(tarball(...entries), 700)), { keepDirectories: false, owner: undefined }).catch(() => {});
    if (round % 10 === 0) assert.ok(!(await buffer(tree.pack('/d', 'd').tar).catch(() => Buffer.alloc(0))).includes('host'));
  }
  swapping = false;
  await swap;
  assert.deepEqual(fs.readdirSync(join(dir, 'secret')), ['passwd']);
  assert.equal(fs.readFileSync(join(dir, 'secret/passwd'), 'utf8'), 'host');
});

const chunks = (bytes: Buffer, size: number): Buffer[] => Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size));

test('mounts: read-only ones, files, subpaths, what is not there; the host sees none of them', async (t) => {
  const { tree, dir } = makeTree(t, (at) => {
    fs.mkdirSync(join(at, 'vol/inner'));
    fs.writeFileSync(join(at, 'vol/inner/i'), 'i');
    fs.symlinkSync('/etc', join(at, 'root/conf'));
    fs.symlinkSync('missing/there', join(at, 'root/ahead'));
    return [
      mount(join(at, 'vol'), '/ro', { readonly: true }),
      mount(join(at, 'vol'), '/part', { subpath: 'inner' }),
      mount(join(at, 'secret/passwd'), '/conf/hosts'),
      mount(join(at, 'nosuch'), '/nosuch'),
      mount(join(at, 'vol'), '/ahead/vol'),
    ];
  });
  await assert.rejects(tree.unpack('/ro', Readable.from([tarball(['x', '0', 'x'])]), { keepDirectories: false, owner: undefined }), code('EROFS'));
  assert.deepEqual(await listed(tree.pack('/part', 'part')), ['part/', 'part/i']);
  assert.equal(tree.text('/etc/hosts'), 'host', 'mounted where the link leads');
  assert.equal(tree.text('/missing/there/vol/v'), 'v', 'made where the link leads');
  assert.throws(() => tree.stat('/nosuch'), code('ENOENT'));
  assert.ok(!fs.readFileSync('/proc/self/mountinfo', 'utf8').includes(dir));
  assert.deepEqual(fs.readdirSync(join(dir, 'root/ro')), []);
});

test('a reader who goes away takes tar with it', async (t) => {
  const { tree, root } = makeTree(t);
  execFileSync('truncate', ['-s', '1G', root('d/big')]);
  for (const [path, name] of [['/d/big', 'big'], ['/d', 'd']] as const) {
    const { tar, done } = tree.pack(path, name);
    await new Promise((resolve) => tar.once('data', resolve));
    tar.destroy();
    await done;
  }
});

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import { EngineError, notFound } from '../model/errors.ts';
import type { Volume } from '../model/volume.ts';
import { createArchives, type Tree } from './archives.ts';

const failing = (code: string): never => {
  throw Object.assign(new Error(code), { code });
};

/** A tree of a few paths: a mode, or what looking it up fails with. */
const files: Readonly<Record<string, number | string>> = { '/d': 0o040755, '/d/f': 0o100644, '/d/f/': 'ENOTDIR', '/loop': 'ELOOP', '/loop/': 'ELOOP', '/vol': 0o040755, '/log': 0o120777 };

const service = (fields: { readonlyRootfs?: boolean; user?: string; unpack?: Tree['unpack'] } = {}) => {
  const spec = { readonlyRootfs: fields.readonlyRootfs ?? false, user: fields.user ?? '' };
  const container = { id: 'abc', spec, mounts: [{ type: 'volume', destination: '/vol', readonly: true }] } as unknown as Container;
  const log: string[] = [];
  const look = (path: string) => {
    const found = files[path] ?? 'ENOENT';
    return typeof found === 'string' ? failing(found) : { path, mode: found };
  };
  const tree: Tree = {
    stat: (path) => ({ ...look(path), size: 4, mtime: '2026-11-23T17:44:56Z', linkTarget: '/d/f' }),
    resolve: look,
    pack: (path, name) => ({ tar: Readable.from([`${path} as ${name}`]), done: Promise.resolve() }),
    packAll: () => ({ tar: Readable.from(['all']), done: Promise.resolve() }),
    unpack: fields.unpack ?? (async (directory, _tar, { keepDirectories, owner }) => void log.push(`unpack ${directory} ${keepDirectories} ${owner?.uid}`)),
    text: () => 'ann:x:12:34::/:\n',
    close: () => log.push('close'),
  };
  const archives = createArchives({
    find(ref) {
      if (ref !== 'cc') throw notFound(`No such container: ${ref}`);
      return container;
    },
    withRootfs: async (_container, _which, body) => {
      const result = await body('/rootfs');
      log.push('unmount');
      return result;
    },
    openTree: (_container, _rootfs, which) => (log.push(`open ${which}`), tree),
    changes: async () => [],
    emit: (_container, action) => log.push(action),
    findVolume: (name) => (name === 'data' ? ({ name, mountpoint: '/volumes/data/_data' } as Volume) : undefined),
    withVolume: async (_volume, body) => {
      const result = await body('/volumes/data/_data');
      log.push('leave');
      return result;
    },
    openVolume: (root) => (log.push(`open ${root}`), tree),
    emitMounts: () => {},
    emitVolume: (volume, action) => log.push(`${action} ${volume.name}`),
  });
  return { archives, log };
};

const refused = (message: string) => (error: unknown) => {
  assert.ok(error instanceof EngineError);
  assert.equal(`${error.kind}: ${error.message}`, message);
  return true;
};
const put = (archives: ReturnType<typeof service>['archives'], path: string, copyUidGid = false) => archives.write('cc', path, Readable.from([]), { noOverwriteDirNonDir: true, copyUidGid });

test('a volume, by a name that no container has', async () => {
  const { archives, log } = service();
  assert.equal((await archives.stat('volume.data', '/d/f')).name, 'f');
  await archives.write('volume.data', '/d', Readable.from([]), { noOverwriteDirNonDir: false, copyUidGid: true });
  assert.deepEqual(log, ['open /volumes/data/_data', 'close', 'leave', 'open /volumes/data/_data', 'unpack /d false undefined', 'extract-to-dir data', 'close', 'leave']);
  await assert.rejects(archives.stat('volume.nosuch', '/d'), refused('not-found: No such container: volume.nosuch'));
  await assert.rejects(archives.export('volume.data'), refused('not-found: No such container: volume.data'));
});

test('read and stat', async () => {
  const { archives, log } = service();
  assert.deepEqual(await archives.stat('cc', 'd/f'), { name: 'f', size: 4, mode: 0o644, mtime: '2026-11-23T17:44:56Z', linkTarget: '' });
  assert.equal((await archives.stat('cc', '/log')).linkTarget, '/d/f');
  const { stat, tar } = await archives.read('cc', '/d');
  assert.equal(stat.mode, 2147484141);
  assert.equal((await tar.toArray()).join(''), '/d as d');
  assert.deepEqual(log.slice(6), ['open whole', 'archive-path', 'close', 'unmount']);
  assert.equal((await (await archives.export('cc')).toArray()).join(''), 'all');
  assert.deepEqual(log.slice(10), ['open rootfs', 'export', 'close', 'unmount']);
});

test('what is not there, or not so', async () => {
  const { archives } = service();
  const rows: [path: string, message: string][] = [
    ['/nosuch', 'not-found: Could not find the file /nosuch in container cc'],
    ['nosuch/', 'not-found: Could not find the file nosuch/ in container cc'],
    ['/d/f/', 'system: lstat /d/f/: not a directory'],
    ['/loop', 'system: evalSymlinksInScope: too many links in /loop'],
    ['/loop/', 'system: lstat /loop/: too many levels of symbolic links'],
  ];
  for (const [path, message] of rows) {
    await assert.rejects(archives.read('cc', path), refused(message));
    await assert.rejects(archives.stat('cc', path), refused(message));
  }
  await assert.rejects(archives.read('nosuch', '/x'), refused('not-found: No such container: nosuch'));
});

test('write', async () => {
  const { archives, log } = service({ user: 'ann' });
  await put(archives, '/d');
  await put(archives, '/d', true);
  assert.deepEqual(log.filter((line) => line.startsWith('unpack')), ['unpack /d true undefined', 'unpack /d true 12']);
  assert.ok(log.indexOf('extract-to-dir') < log.lastIndexOf('unmount'));
  const rows: [path: string, message: string][] = [
    ['/d/f', 'system: extraction point is not a directory'],
    ['/nosuchdir', 'not-found: Could not find the file /nosuchdir in container cc'],
    ['/loop', 'system: EvalSymlinks: too many links'],
    ['/vol', 'invalid-parameter: mounted volume is marked read-only'],
  ];
  for (const [path, message] of rows) await assert.rejects(put(archives, path), refused(message));
  await assert.rejects(put(service({ readonlyRootfs: true }).archives, '/d'), refused('invalid-parameter: container rootfs is marked read-only'));
  await assert.rejects(put(service({ unpack: async () => failing('EROFS') }).archives, '/d'), refused('invalid-parameter: mounted volume is marked read-only'));
  const truncated = service({ unpack: async () => Promise.reject(new Error('unexpected EOF')) });
  await assert.rejects(put(truncated.archives, '/d'), refused('system: unexpected EOF'));
  assert.deepEqual(truncated.log, ['open whole', 'close'], 'and nothing happened');
});

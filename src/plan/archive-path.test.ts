import assert from 'node:assert/strict';
import test from 'node:test';
import type { MountPoint } from '../model/volume.ts';
import { archivePath, goFileMode, mountOver, ownerIn } from './archive-path.ts';

test('the path of an archive call and its name', () => {
  const rows: [asked: string, path: string, name: string][] = [
    ['/d', '/d', 'd'],
    ['d', '/d', 'd'],
    ['/d/', '/d/', 'd'],
    ['/d//', '/d/', 'd'],
    ['/d/.', '/d/.', '.'],
    ['.', '/.', '.'],
    ['/', '/', '/'],
    ['', '/', '/'],
    ['/.', '/.', '.'],
    ['/d/..', '/', '/'],
    ['../d/./f', '/d/f', 'f'],
  ];
  for (const [asked, path, name] of rows) assert.deepEqual(archivePath(asked), { path, name }, asked);
});

test('modes as Go has them', () => {
  const rows: [mode: number, go: number][] = [
    [0o100644, 0o644],
    [0o104711, 8389065],
    [0o040755, 2147484141],
    [0o041777, 2 ** 31 + 2 ** 20 + 0o777],
    [0o120777, 134218239],
    [0o010644, 2 ** 25 + 0o644],
    [0o020666, 2 ** 26 + 2 ** 21 + 0o666],
    [0o060660, 2 ** 26 + 0o660],
    [0o140777, 2 ** 24 + 0o777],
    [0o102755, 2 ** 22 + 0o755],
  ];
  for (const [mode, go] of rows) assert.equal(goFileMode(mode), go, mode.toString(8));
});

test('the mount a path lies in', () => {
  const mounts = ['/data', '/data/log', '/data'].map((destination, at) => ({ destination, name: String(at) }) as MountPoint);
  const over = (path: string) => mountOver(mounts, path)?.name;
  assert.deepEqual(['/data', '/data/x', '/data/log/x', '/database', '/'].map(over), ['2', '2', '1', undefined, undefined]);
});

test('whose the files are', () => {
  const passwd = 'root:x:0:0::/:/bin/sh\nann:x:12:34::/:\n';
  const rows: [user: string, uid: number, gid: number][] = [['ann', 12, 34], ['12', 12, 34], ['ann:staff', 12, 50], ['ann:7', 12, 7], ['99', 99, 0], ['99:98', 99, 98]];
  for (const [user, uid, gid] of rows) assert.deepEqual(ownerIn(user, passwd, 'staff:x:50:\n'), { uid, gid }, user);
  assert.equal(ownerIn('nobody', passwd, ''), undefined);
  assert.equal(ownerIn('ann:nosuch', passwd, ''), undefined);
});

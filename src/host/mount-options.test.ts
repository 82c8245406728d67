import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MS, parseMountOptions } from './mount-options.ts';

test('words of mount -o as flags and data', () => {
  const cases: readonly (readonly [words: string, flags: number, data: string])[] = [
    ['', 0, ''],
    ['ro', MS.RDONLY, ''],
    ['ro,rw', 0, ''],
    ['rbind,ro', MS.BIND | MS.REC | MS.RDONLY, ''],
    ['nosuid,nodev,noexec,size=1m,uid=5', MS.NOSUID | MS.NODEV | MS.NOEXEC, 'size=1m,uid=5'],
    ['addr=192.0.2.1,nolock,soft', 0, 'addr=192.0.2.1,nolock,soft'],
    ['defaults,size=1m', 0, 'size=1m'],
    ['constructor', 0, 'constructor'],
  ];
  for (const [words, flags, data] of cases) assert.deepEqual(parseMountOptions(words), { flags, data }, words);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import { volumesTakenAlong } from './volumes.ts';

const container = (id: string, mounts: readonly { name: string; anonymous: boolean }[]): Container =>
  ({ id, mounts: mounts.map((mount) => ({ type: 'volume', ...mount })) }) as unknown as Container;

test('rm -v takes the anonymous volumes nobody else uses', () => {
  const one = container('one', [
    { name: 'named', anonymous: false },
    { name: 'aaaa', anonymous: true },
    { name: 'bbbb', anonymous: true },
    { name: 'cccc', anonymous: true },
  ]);
  const from = container('from', [{ name: 'aaaa', anonymous: true }]);
  const byName = container('byName', [{ name: 'bbbb', anonymous: false }]);
  assert.deepEqual(volumesTakenAlong(one, [one, from, byName]), ['cccc']);
  assert.deepEqual(volumesTakenAlong(from, [from, byName]), ['aaaa'], 'the last of them takes it');
  assert.deepEqual(volumesTakenAlong(byName, [byName]), [], 'who named it keeps it');
});

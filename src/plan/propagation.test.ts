import assert from 'node:assert/strict';
import test from 'node:test';
import type { MountPoint, Propagation } from '../model/volume.ts';
import { checkPropagation } from './propagation.ts';

test('what a bind is to pass on, its source has to hear', () => {
  const check = (propagation: Propagation, [shared, slave]: readonly [boolean, boolean], source = '/srv/data') =>
    () => checkPropagation([{ type: 'bind', source, propagation } as MountPoint], () => ({ at: '/srv', shared, slave }), '/var/lib/berth');
  for (const word of ['', 'private', 'rprivate'] as const) assert.doesNotThrow(check(word, [false, false]));
  for (const word of ['shared', 'rshared'] as const) {
    assert.doesNotThrow(check(word, [true, false]));
    assert.throws(check(word, [false, true]), { message: 'path /srv/data is mounted on /srv but it is not a shared mount' });
  }
  for (const word of ['slave', 'rslave'] as const) {
    assert.doesNotThrow(check(word, [true, false]));
    assert.doesNotThrow(check(word, [false, true]));
    assert.throws(check(word, [false, false]), { message: 'path /srv/data is mounted on /srv but it is not a shared or slave mount' });
    for (const own of ['/', '/var/lib/berth/volumes']) assert.doesNotThrow(check(word, [false, false], own));
  }
});

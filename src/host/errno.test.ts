import assert from 'node:assert/strict';
import os from 'node:os';
import { test } from 'node:test';
import { errnoName } from './errno.ts';

test('an error is called as Node calls it, where it has two names too', () => {
  const { EAGAIN, ENOENT, ENOTSUP } = os.constants.errno;
  assert.deepEqual([EAGAIN, ENOENT, ENOTSUP, 9999].map(errnoName), ['EAGAIN', 'ENOENT', 'ENOTSUP', 'E9999']);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { checkContainerName } from './container-name.ts';

test('names', () => {
  for (const name of ['aa', 'x_', 'Web-1.2', '00', '/web']) checkContainerName(name);
});

test('no names', () => {
  for (const name of ['a', '', '/', '.a', '_aa', 'a b', 'bad name', 'aé', 'a/b', '//aa', 'aa\n', '..'])
    assert.throws(() => checkContainerName(name), {
      kind: 'invalid-parameter',
      message: `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    });
});

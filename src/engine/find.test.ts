import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import { EngineError } from '../model/errors.ts';
import type { Network } from '../model/network.ts';
import { emptyState, type State } from '../model/state.ts';
import { findContainer, findNetwork } from './find.ts';

const byId = <T>(records: readonly { id: string; name: string }[]): ReadonlyMap<string, T> => new Map(records.map((record) => [record.id, record as T]));
const records = [
  { id: 'abc1'.padEnd(64, '0'), name: 'web' },
  { id: 'abd2'.padEnd(64, '0'), name: 'abc1' },
  { id: 'f00d'.padEnd(64, '0'), name: 'db' },
];
const state: State = { ...emptyState, containers: byId<Container>(records), networks: byId<Network>(records) };

const refused = (kind: string, message: string) => (error: unknown) => {
  assert.ok(error instanceof EngineError);
  assert.equal(`${error.kind}: ${error.message}`, `${kind}: ${message}`);
  return true;
};

test('a container: id, name, start of an id, in this order', () => {
  const found = (ref: string) => findContainer(state, ref).name;
  assert.equal(found('abc1'.padEnd(64, '0')), 'web');
  assert.equal(found('web'), 'web');
  assert.equal(found('/web'), 'web');
  assert.equal(found('abc1'), 'abc1', 'a name goes before the start of an id');
  assert.equal(found('abc10'), 'web');
  assert.equal(found('f'), 'db');
});

test('a container: refusals', () => {
  assert.throws(() => findContainer(state, 'nosuch'), refused('not-found', 'No such container: nosuch'));
  assert.throws(() => findContainer(state, ''), refused('not-found', 'No such container: '));
  assert.throws(() => findContainer(state, '/'), refused('not-found', 'No such container: /'));
  assert.throws(() => findContainer(state, '//web'), refused('not-found', 'No such container: //web'));
  assert.throws(() => findContainer(state, 'ab'), refused('invalid-parameter', 'multiple IDs found with provided prefix: ab'));
});

test('a network: likewise, in other words', () => {
  assert.equal(findNetwork(state, 'web').name, 'web');
  assert.equal(findNetwork(state, 'abc1').name, 'abc1');
  assert.equal(findNetwork(state, 'f00').name, 'db');
  assert.throws(() => findNetwork(state, 'nosuch'), refused('not-found', 'network nosuch not found'));
  assert.throws(() => findNetwork(state, ''), refused('not-found', 'network  not found'));
  assert.throws(() => findNetwork(state, 'ab'), refused('invalid-parameter', 'network ab is ambiguous (2 matches found based on ID prefix)'));
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { checkContainerName } from '../model/container-name.ts';
import { randomName } from './random-name.ts';

/** Thrown dice, and which faces were asked for. */
const dice = (...throws: number[]) => {
  const faces: number[] = [];
  return { faces, roll: (choices: number) => { faces.push(choices); return (throws.shift() ?? 0) % choices; } };
};

test('an adjective and a surname', () => {
  const { roll, faces } = dice(0, 0);
  const name = randomName(roll, () => false);
  assert.match(name, /^[a-z]+_[a-z]+$/);
  checkContainerName(name);
  assert.ok(faces.every((choices) => choices >= 100), `${faces}`);
});

test('every name is a name', () => {
  for (let i = 0; i < 200; i++) assert.match(randomName(dice(i, i).roll, () => false), /^[a-z]+_[a-z]+$/);
});

test('never one that is taken, however many are', () => {
  const taken = new Set<string>();
  for (let i = 0; i < 50; i++) taken.add(randomName(dice().roll, (name) => taken.has(name)));
  assert.equal(taken.size, 50);
  assert.deepEqual([...taken].slice(0, 3).map((name) => name.replace(/[a-z_]/g, '')), ['', '0', '1']);
});

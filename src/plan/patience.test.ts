import assert from 'node:assert/strict';
import test from 'node:test';
import { afterMending, GIVEN_UP, hasGivenUp, waitBefore, type Patience } from './patience.ts';

/** Mended as soon as it may be, and undone `interval` milliseconds after each time: how long the pauses come to be. */
const pauses = (times: number, interval: number): number[] => {
  let patience: Patience | undefined;
  let now = 0;
  return Array.from({ length: times }, () => {
    const pause = waitBefore(patience, now);
    now += pause;
    patience = afterMending(patience, now);
    now += interval;
    return pause;
  });
};

test('who undoes it at once each time is met ever more rarely', () => {
  assert.deepEqual(pauses(11, 200), [0, 0, 0, 0, 1800, 3800, 7800, 15_800, 31_800, 59_800, 59_800]);
});

test('a reload every ten seconds is mended at once every time', () => {
  assert.deepEqual(pauses(20, 10_000), Array(20).fill(0));
});

test('one moment of peace and all is forgotten', () => {
  const angry = { last: 0, times: 9 };
  assert.ok(hasGivenUp(angry));
  assert.equal(afterMending(angry, 30_000).times, 10);
  assert.equal(afterMending(angry, 70_000).times, 1);
  assert.equal(GIVEN_UP, 4);
});

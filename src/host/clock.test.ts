import assert from 'node:assert/strict';
import { test } from 'node:test';
import { now, nowNanoseconds, timeOfMilliseconds } from './clock.ts';

test('close to the wall clock, and later every time', () => {
  const before = Date.now();
  const nanoseconds = nowNanoseconds();
  assert.ok(Math.abs(Number(nanoseconds / 1_000_000n) - before) < 50);
  assert.match(now(), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z$/);
  let last = 0n;
  for (let index = 0; index < 10_000; index += 1) {
    const next = nowNanoseconds();
    assert.ok(next > last);
    last = next;
  }
});

test('a moment in milliseconds', () => {
  assert.equal(timeOfMilliseconds(1_795_455_945_500), '2026-11-23T17:45:45.5Z');
  assert.equal(timeOfMilliseconds(1_795_455_945_000), '2026-11-23T17:45:45Z');
});

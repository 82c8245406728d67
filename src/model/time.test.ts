import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTime, parseDuration, parseTime, parseTimestamp } from './time.ts';

test('RFC 3339 with as many digits as there are', () => {
  assert.equal(formatTime(1_795_455_945_519_754_351n), '2026-11-23T17:45:45.519754351Z');
  assert.equal(formatTime(1_795_455_945_519_754_000n), '2026-11-23T17:45:45.519754Z');
  assert.equal(formatTime(1_795_455_945_000_000_010n), '2026-11-23T17:45:45.00000001Z');
  assert.equal(formatTime(1_795_455_945_000_000_000n), '2026-11-23T17:45:45Z');
  assert.equal(formatTime(-1n), '1969-12-31T23:59:59.999999999Z');
});

test('and back', () => {
  for (const time of ['2026-11-23T17:45:45.519754351Z', '2026-11-23T17:45:45Z', '0001-01-01T00:00:00Z']) assert.equal(formatTime(parseTime(time) ?? 0n), time);
  assert.equal(parseTime('2026-11-23T18:45:45.5+01:00'), 1_795_455_945_500_000_000n);
  assert.equal(parseTime('2026-11-23'), 1_795_392_000_000_000_000n);
  assert.equal(parseTime('2026-11-23T17:45'), 1_795_455_900_000_000_000n);
  assert.equal(parseTime('yesterday'), undefined);
});

test('durations as Go writes them', () => {
  assert.equal(parseDuration('1h30m'), 5_400_000_000_000n);
  assert.equal(parseDuration('1.5s'), 1_500_000_000n);
  assert.equal(parseDuration('-10ms'), -10_000_000n);
  assert.equal(parseDuration('.5us'), 500n);
  for (const wrong of ['', '10', 'h', '1h30', '1 h']) assert.equal(parseDuration(wrong), undefined, wrong);
});

test('since and until', () => {
  const now = 1_795_455_945_000_000_000n;
  assert.equal(parseTimestamp('1795455945', 0n), now);
  assert.equal(parseTimestamp('1795455945.519754351', 0n), now + 519_754_351n);
  assert.equal(parseTimestamp('1795455945.5', 0n), now + 500_000_000n);
  assert.equal(parseTimestamp('10m', now), now - 600_000_000_000n);
  assert.equal(parseTimestamp('2026-11-23T17:45:45Z', 0n), now);
  assert.throws(() => parseTimestamp('soon', now), { kind: 'invalid-parameter' });
});

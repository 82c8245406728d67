import { performance } from 'node:perf_hooks';
import { formatFraction, formatSeconds } from '../model/time.ts';

/**
 * The time of day to the nanosecond: the wall clock, told once, and counted on by the monotonic one.
 * It does not go back, and is cheap, because every line of output is given its time.
 */

const NANOS_PER_SECOND = 1_000_000_000;
/** How far the two clocks may part before the wall's is taken again: more than it is coarse by. */
const DRIFT_MS = 5;
/** More than this far back, somebody has set the clock: what it says now is right, and what was said before was not. */
const SET_BACK_SECONDS = 60;

let offsetMs = performance.timeOrigin;
let checkedSecond = -1;
let lastSecond = 0;
let lastNanos = 0;
let prefix = '';
let prefixSecond = -1;

/** Advances `lastSecond` and `lastNanos` to now. */
const tick = (): void => {
  const elapsed = performance.now();
  let milliseconds = offsetMs + elapsed;
  let second = Math.floor(milliseconds / 1000);
  if (second !== checkedSecond) {
    const wall = Date.now();
    if (Math.abs(wall - milliseconds) > DRIFT_MS) {
      offsetMs = wall - elapsed;
      milliseconds = wall;
      second = Math.floor(milliseconds / 1000);
    }
    checkedSecond = second;
  }
  // Whole milliseconds and the rest apart: together they would be more digits than a number has.
  const offsetWhole = Math.floor(offsetMs);
  const elapsedWhole = Math.floor(elapsed);
  const restNanos = Math.floor((elapsed - elapsedWhole + (offsetMs - offsetWhole)) * 1e6);
  const nanos = ((offsetWhole + elapsedWhole) % 1000) * 1e6 + restNanos;
  second = Math.floor((offsetWhole + elapsedWhole) / 1000) + Math.floor(nanos / NANOS_PER_SECOND);
  const fraction = nanos % NANOS_PER_SECOND;
  const back = second < lastSecond || (second === lastSecond && fraction <= lastNanos);
  if (!back || lastSecond - second > SET_BACK_SECONDS) {
    lastSecond = second;
    lastNanos = fraction;
  } else if (++lastNanos >= NANOS_PER_SECOND) {
    lastSecond += 1;
    lastNanos = 0;
  }
};

export const nowNanoseconds = (): bigint => {
  tick();
  return BigInt(lastSecond) * 1_000_000_000n + BigInt(lastNanos);
};

/** RFC 3339 with nanoseconds; later than any before. */
export const now = (): string => {
  tick();
  if (lastSecond !== prefixSecond) {
    prefix = formatSeconds(lastSecond);
    prefixSecond = lastSecond;
  }
  return `${prefix}${formatFraction(lastNanos)}Z`;
};

/** RFC 3339 of a moment in milliseconds since the epoch, such as a file's mtime. */
export const timeOfMilliseconds = (milliseconds: number): string => {
  const whole = Math.floor(milliseconds / 1000);
  return `${formatSeconds(whole)}${formatFraction(Math.round((milliseconds - whole * 1000) * 1e6) % NANOS_PER_SECOND)}Z`;
};

import { invalid } from './errors.ts';

/** Times are nanoseconds since the epoch (bigint) inside, RFC 3339 in records and on the wire. */

const SECOND = 1_000_000_000n;

/** RFC 3339, UTC, with as many digits of the fraction as there are (Go's RFC3339Nano). */
export const formatTime = (nanoseconds: bigint): string => {
  const fraction = ((nanoseconds % SECOND) + SECOND) % SECOND;
  return formatSeconds(Number((nanoseconds - fraction) / SECOND)) + formatFraction(Number(fraction)) + 'Z';
};

/** `2026-11-23T19:12:33` of whole seconds since the epoch. */
export const formatSeconds = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, -'.000Z'.length);

/** `.761372056`, without zeros at the end; '' for none. */
export const formatFraction = (nanoseconds: number): string => {
  if (nanoseconds === 0) return '';
  let digits = String(1_000_000_000 + nanoseconds);
  if (digits.endsWith('0')) digits = digits.replace(/0+$/, '');
  return `.${digits.slice(1)}`;
};

/** RFC 3339 with or without a fraction and an offset, to nanoseconds. undefined when it is not one. */
export const parseTime = (text: string): bigint | undefined => {
  const match = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?$/.exec(text);
  if (!match) return undefined;
  const [, day = '', clock = '00:00:00', fraction = '', zone = 'Z'] = match;
  const milliseconds = Date.parse(`${day}T${clock.length === 5 ? `${clock}:00` : clock}${zone}`);
  return Number.isNaN(milliseconds) ? undefined : BigInt(milliseconds) * 1_000_000n + nanosOf(fraction);
};

/**
 * The times a client may write for `since` and `until`: seconds since the epoch with a fraction, RFC 3339,
 * or a Go duration, that long before `now`.
 */
export const parseTimestamp = (text: string, now: bigint): bigint => {
  const seconds = /^(-?\d+)(?:\.(\d+))?$/.exec(text);
  if (seconds) return BigInt(seconds[1] ?? '0') * SECOND + nanosOf((seconds[2] ?? '').slice(0, 9));
  const duration = parseDuration(text);
  if (duration !== undefined) return now - duration;
  const time = parseTime(text);
  if (time === undefined) throw invalid(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  return time;
};

const UNITS: Readonly<Record<string, bigint>> = { ns: 1n, us: 1_000n, 'µs': 1_000n, 'μs': 1_000n, ms: 1_000_000n, s: SECOND, m: 60n * SECOND, h: 3600n * SECOND };

/** `1h30m`, `1.5s`, `-10ms`: nanoseconds; undefined when it is not a duration. */
export const parseDuration = (text: string): bigint | undefined => {
  const [, sign, rest = ''] = /^([+-]?)(.+)$/s.exec(text) ?? [];
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(rest)) return undefined;
  let total = 0n;
  for (const [, whole = '', fraction = '', unit = ''] of rest.matchAll(/(\d*)\.?(\d*)(ns|us|µs|μs|ms|s|m|h)/g)) {
    const size = UNITS[unit] ?? 0n;
    total += BigInt(whole || '0') * size + (fraction === '' ? 0n : (BigInt(fraction) * size) / 10n ** BigInt(fraction.length));
  }
  return sign === '-' ? -total : total;
};

const nanosOf = (fraction: string): bigint => BigInt(fraction.padEnd(9, '0') || '0');

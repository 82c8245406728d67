import { invalid } from '../model/errors.ts';
import { parseDuration } from './duration.ts';

/** Nanoseconds since the epoch of an RFC 3339 time, of any zone and any number of digits. */
export const nanoseconds = (text: string): bigint => {
  const [, seconds = '', fraction = '', zone = 'Z'] = /^(.*?T\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
  const milliseconds = Date.parse(seconds + zone);
  if (Number.isNaN(milliseconds)) throw invalid(`parsing time ${JSON.stringify(text)}`);
  return BigInt(milliseconds) * 1_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9));
};

/**
 * A point in time as clients write it in filters, in nanoseconds since the epoch: how long ago (`1h30m`), an
 * RFC 3339 time or the beginning of one, or seconds since the epoch.
 */
export const parseTimestamp = (text: string, now: bigint): bigint => {
  try {
    return now - BigInt(parseDuration(text));
  } catch {
    const [, seconds, fraction = ''] = /^(-?\d+)(?:\.(\d{1,9}))?$/.exec(text) ?? [];
    if (seconds !== undefined) return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
    const [, date, time, zone = 'Z'] = /^(\d{4}-\d\d-\d\d)(?:T(\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?))?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
    if (date === undefined) throw invalid(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
    const [whole = '', digits] = (time ?? '00').split('.');
    const full = whole + ':00'.repeat(3 - whole.split(':').length);
    return nanoseconds(`${date}T${full}${digits === undefined ? '' : `.${digits}`}${zone}`);
  }
};

import { invalid } from '../model/errors.ts';

const units: Readonly<Record<string, number>> = { ns: 1, us: 1e3, 'µs': 1e3, 'μs': 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** Nanoseconds of a duration as Go writes it: `1h2m3.5s`. */
export const parseDuration = (text: string): number => {
  const fail = (problem: string) => invalid(`time: ${problem} ${JSON.stringify(text)}`);
  const [, sign = '', rest = ''] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (rest === '0') return 0;
  if (rest === '') throw fail('invalid duration');
  let total = 0;
  for (let left = rest; left !== ''; ) {
    const [whole = '', number = '', unit = ''] = /^([0-9]*\.?[0-9]*)([^0-9.]*)/.exec(left) ?? [];
    if (!/[0-9]/.test(number)) throw fail('invalid duration');
    if (unit === '') throw fail('missing unit in duration');
    const scale = Object.hasOwn(units, unit) ? units[unit] : undefined;
    if (scale === undefined) throw fail(`unknown unit ${JSON.stringify(unit)} in duration`);
    total += Number(number) * scale;
    left = left.slice(whole.length);
  }
  if (total > 2 ** 63) throw fail('invalid duration');
  return Math.round(sign === '-' ? -total : total);
};

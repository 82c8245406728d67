import type { IncomingMessage } from 'node:http';
import { systemError, invalid, type EngineError } from '../model/errors.ts';

export const queryOf = (req: IncomingMessage): URLSearchParams => {
  const url = req.url ?? '';
  const at = url.indexOf('?');
  return new URLSearchParams(at < 0 ? '' : url.slice(at + 1));
};

/** Docker's idea of true: anything but nothing, 0, no, false and none. */
export const flag = (query: URLSearchParams, key: string, absent = false): boolean => {
  const value = query.get(key);
  if (value === null) return absent;
  return !['', '0', 'no', 'false', 'none'].includes(value.trim().toLowerCase());
};

export const text = (query: URLSearchParams, key: string): string => query.get(key) ?? '';

/** A whole number, refused in Go's words. The reference engine calls most of these its own failure. */
export const wholeNumber = (value: string, refuse: (message: string) => EngineError = systemError): number => {
  if (!/^[+-]?\d+$/.test(value)) throw refuse(`strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`);
  return Number(value);
};

export const optionalNumber = (query: URLSearchParams, key: string): number | undefined => {
  const value = query.get(key);
  return value === null || value === '' ? undefined : wholeNumber(value);
};

export const dimension = (query: URLSearchParams, key: string): number => wholeNumber(text(query, key), invalid);

/** `seconds[.nanoseconds]` since the epoch, in nanoseconds; undefined when absent. */
export const timestamp = (query: URLSearchParams, key: string): bigint | undefined => {
  const value = text(query, key);
  if (value === '') return undefined;
  const [seconds = '', fraction] = value.split('.', 2);
  for (const part of fraction === undefined ? [seconds] : [seconds, fraction]) {
    if (!/^[+-]?\d+$/.test(part)) throw systemError(`strconv.ParseInt: parsing ${JSON.stringify(part)}: invalid syntax`);
  }
  return BigInt(seconds) * 1_000_000_000n + BigInt((fraction ?? '').padEnd(9, '0').slice(0, 9));
};

/** What Go's strconv.ParseBool takes, or nothing, which is no. */
export const booleanOf = (query: URLSearchParams, key: string): boolean => {
  const value = text(query, key);
  if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true;
  if (/^(|0|f|F|FALSE|false|False)$/.test(value)) return false;
  throw invalid(`invalid value for ${key}: ${value}: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
};

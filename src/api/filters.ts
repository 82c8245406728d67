import type { Filters } from '../engine/filters.ts';
import { invalid } from '../model/errors.ts';

/** `filters={"label":["a","b"]}`, or as the older clients and the CLI send it, `{"label":{"a":true,"b":true}}`. */
export const parseFilters = (query: URLSearchParams): Filters => {
  const text = query.get('filters');
  if (text === null || text === '') return NONE;
  const parsed = parse(text);
  if (parsed === null) return NONE;
  if (typeof parsed !== 'object' || Array.isArray(parsed)) throw invalid('invalid filter');
  return new Map(Object.entries(parsed).map(([key, values]) => [key, valuesOf(values)]));
};

const NONE: Filters = new Map();

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid('invalid filter');
  }
};

const valuesOf = (values: unknown): string[] => {
  if (values === null) return [];
  if (Array.isArray(values) && values.every((value) => typeof value === 'string')) return values;
  if (typeof values === 'object' && !Array.isArray(values)) {
    const entries = Object.entries(values as Record<string, unknown>);
    if (entries.every(([, on]) => typeof on === 'boolean')) return entries.filter(([, on]) => on === true).map(([value]) => value);
  }
  throw invalid('invalid filter');
};

import { invalid } from '../model/errors.ts';

/** Filters as a client gives them: each key with the values any of which will do. No values: as if it were not there. */
export type Filters = ReadonlyMap<string, readonly string[]>;

/** Refuses keys that a resource does not know, in the reference engine's words. */
export const checkFilters = (filters: Filters, known: readonly string[]): void => {
  for (const key of filters.keys()) if (!known.includes(key)) throw invalid(`invalid filter '${key}'`);
};

/** A boolean filter such as `dangling=true`, spelled `true`, `1`, `false` or `0`; undefined when absent. */
export const booleanFilter = (filters: Filters, key: string): boolean | undefined => {
  const values = filters.get(key) ?? [];
  if (values.length === 0) return undefined;
  const [yes, no] = [['1', 'true'], ['0', 'false']].map((spellings) => values.some((value) => spellings.includes(value)));
  if (yes === no) throw invalid(`invalid filter '${key}=[${values.join(' ')}]'`);
  return yes;
};

/** `label=key` or `label=key=value`: every one must match. */
export const labelsMatch = (filters: Filters, labels: Readonly<Record<string, string>>, key = 'label'): boolean =>
  (filters.get(key) ?? []).every((wanted) => {
    const at = wanted.indexOf('=');
    if (at < 0) return Object.hasOwn(labels, wanted);
    return Object.hasOwn(labels, wanted.slice(0, at)) && labels[wanted.slice(0, at)] === wanted.slice(at + 1);
  });

/** Whether any of a filter's values fits; true when it has none. */
export const anyFits = (filters: Filters, key: string, fits: (value: string) => boolean): boolean => {
  const values = filters.get(key) ?? [];
  return values.length === 0 || values.some(fits);
};

/** The text itself, or a regular expression somewhere in it (flags in front, as Go has them); what is none matches nothing. */
export const matchesPattern = (pattern: string, text: string): boolean => {
  if (pattern === text) return true;
  const [, flags = '', source = ''] = /^(?:\(\?([ims]+)\))?(.*)$/s.exec(pattern) ?? [];
  try {
    return new RegExp(source, flags).test(text);
  } catch {
    return false;
  }
};

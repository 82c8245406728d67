import { invalid } from '../model/errors.ts';

/** Filters as a client gives them: each key with the values any of which will do. */
export type Filters = ReadonlyMap<string, readonly string[]>;

/** Refuses keys that a resource does not know, in the reference engine's words. */
export const checkFilters = (filters: Filters, known: readonly string[]): void => {
  for (const key of filters.keys()) if (!known.includes(key)) throw invalid(`invalid filter '${key}'`);
};

/** A boolean filter such as `dangling=true`; undefined when absent. Go's spellings of true and false. */
export const booleanFilter = (filters: Filters, key: string): boolean | undefined => {
  const values = filters.get(key);
  if (values === undefined) return undefined;
  const [value] = values;
  if (values.length !== 1 || value === undefined) throw invalid(`invalid filter '${key}=${JSON.stringify(values)}'`);
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw invalid(`invalid filter '${key}=${value}'`);
};

/** `label=key` or `label=key=value`: every one must match. */
export const labelsMatch = (filters: Filters, labels: Readonly<Record<string, string>>, key = 'label'): boolean =>
  (filters.get(key) ?? []).every((wanted) => {
    const at = wanted.indexOf('=');
    if (at < 0) return Object.hasOwn(labels, wanted);
    return Object.hasOwn(labels, wanted.slice(0, at)) && labels[wanted.slice(0, at)] === wanted.slice(at + 1);
  });

import assert from 'node:assert/strict';
import test from 'node:test';
import { anyFits, booleanFilter, checkFilters, labelsMatch, matchesPattern, type Filters } from './filters.ts';

const filters = (...entries: [string, string[]][]): Filters => new Map(entries);

test('a key nobody knows', () => {
  checkFilters(filters(['label', ['x']]), ['label']);
  assert.throws(() => checkFilters(filters(['nosuch', ['x']]), ['label']), { kind: 'invalid-parameter', message: "invalid filter 'nosuch'" });
});

test('booleans', () => {
  const dangling = (...values: string[]) => booleanFilter(filters(['dangling', values]), 'dangling');
  assert.deepEqual([dangling('1'), dangling('true'), dangling('0'), dangling('false'), dangling()], [true, true, false, false, undefined]);
  assert.equal(booleanFilter(filters(), 'dangling'), undefined);
  assert.throws(() => dangling('x'), { message: "invalid filter 'dangling=[x]'" });
  assert.throws(() => dangling('TRUE'), { message: "invalid filter 'dangling=[TRUE]'" });
  assert.throws(() => dangling('true', '0'), { message: "invalid filter 'dangling=[true 0]'" });
});

test('labels: all of them', () => {
  const labels = { a: '1', b: 'x=y', c: '' };
  const match = (...wanted: string[]) => labelsMatch(filters(['label', wanted]), labels);
  assert.ok(match('a') && match('a=1', 'b=x=y') && match('c=') && match());
  assert.ok(!match('a=2') && !match('a', 'd') && !match('') && !match('toString'));
});

test('any value; no values are no filter', () => {
  assert.ok(anyFits(filters(['name', ['a', 'b']]), 'name', (value) => value === 'b'));
  assert.ok(!anyFits(filters(['name', ['a']]), 'name', (value) => value === 'b'));
  assert.ok(anyFits(filters(['name', []]), 'name', () => false) && anyFits(filters(), 'name', () => false));
});

test('patterns', () => {
  assert.ok(matchesPattern('^we', 'web') && matchesPattern('eb', 'web') && matchesPattern('(?i)WEB', 'web') && matchesPattern('', 'web'));
  assert.ok(matchesPattern('a[', 'a['), 'no pattern, but the very text');
  assert.ok(!matchesPattern('[', 'web') && !matchesPattern('WEB', 'web'));
});

// The matrix of what the engine supports, and README's table of it. See matrix/main.ts.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { endpoints } from './matrix/endpoints.ts';
import { asHtml } from './matrix/html.ts';
import { asTable, tableIn } from './matrix/readme.ts';
import { resources } from './matrix/resources.ts';
import { runMatrix, type Report } from './matrix/run.ts';
import { asText } from './matrix/text.ts';
import { isBerth } from './support/berth.ts';
import { engine } from './support/engine.ts';
import { startRegistry, type Registry } from './support/registry.ts';

const README = fileURLToPath(new URL('../README.md', import.meta.url));

// What berth does not have, and says so.
const GAPS: readonly string[] = [];

let registry: Registry;
let report: Report;
before(async () => {
  registry = await startRegistry(5973);
  report = await runMatrix({ socket: engine.socket, registry: registry.host }, resources);
});
after(() => registry?.close());

const words = (outcome: string) => report.results.filter(result => result.outcome === outcome && (isBerth || !result.own)).map(({ endpoint, behaviour, how }) => `${endpoint}: ${behaviour}: ${how}`);

test('every endpoint of the API has a check', () => {
  const checked = new Set(report.results.map(({ endpoint }) => endpoint));
  assert.deepEqual(endpoints.filter(endpoint => !checked.has(endpoint)), []);
});

test('nothing differs', () => assert.deepEqual(words('differs'), []));

test('nothing is missing, and nothing was left out', () => {
  assert.deepEqual(words('missing').filter(line => !isBerth || !GAPS.some(gap => line.startsWith(`${gap}: `))), []);
  assert.deepEqual(words('not checked'), []);
  if (isBerth) assert.deepEqual(words('not in its API version'), []);
});

test('README says what is so', { skip: isBerth ? false : 'README is about another engine' }, () => {
  assert.equal(tableIn(README), asTable(report, resources), 'npm run compat -- --host unix://... --registry HOST:PORT --readme README.md');
});

test('as text, and as a page of its own', () => {
  const text = asText(report);
  const page = asHtml(report);
  for (const { behaviour } of report.results) assert.ok(text.includes(behaviour), behaviour);
  assert.match(text, /\d+ endpoints, \d+ behaviours: \d+ supported/);
  assert.equal(page.match(/<tr>/g)?.length, report.results.length);
  assert.doesNotMatch(page, /(src|href)="(?!#)|@import|url\(/);
});

// What an engine supports of Docker's API, endpoint by endpoint and behaviour by behaviour:
//
//   npm run compat -- --host unix:///run/berth/berth.sock [options] [RESOURCE...]
//
//   --registry HOST:PORT  a registry that the engine reaches, for what needs one
//   --json FILE           the matrix as JSON
//   --html FILE           the matrix as one page
//   --readme FILE         README's table, between its markers
//
// It makes containers, networks, volumes and images whose names begin with `mx-`, and removes them. Ends with 1 if
// anything differs or is missing.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { asHtml } from './html.ts';
import { asTable, writeTable } from './readme.ts';
import { resources } from './resources.ts';
import { runMatrix } from './run.ts';
import { asText, totals } from './text.ts';

const text = { type: 'string' } as const;
const { values, positionals } = parseArgs({ options: { host: text, registry: text, json: text, html: text, readme: text }, allowPositionals: true });

const host = values.host ?? process.env['DOCKER_HOST'] ?? '';
if (!host.startsWith('unix://')) {
  console.error('usage: npm run compat -- --host unix:///path/engine.sock [--registry HOST:PORT] [--json FILE] [--html FILE] [--readme FILE] [RESOURCE...]');
  process.exit(2);
}
const wanted = positionals.length === 0 ? resources : resources.filter(({ title }) => positionals.includes(title));
if (positionals.length > wanted.length) {
  console.error(`resources are: ${resources.map(({ title }) => title).join(', ')}`);
  process.exit(2);
}

// What is under way ends in order, and takes what it made with it.
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

const report = await runMatrix({ socket: host.slice('unix://'.length), registry: values.registry ?? '' }, wanted, ({ outcome }) => void (process.stderr.isTTY && process.stderr.write(outcome === 'supported' ? '.' : outcome[0]!)), stop.signal);
if (process.stderr.isTTY) process.stderr.write('\n');
process.stdout.write(asText(report));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ ...report, totals: totals(report.results.filter(({ own }) => !own)) }, undefined, 2)}\n`);
if (values.html !== undefined) writeFileSync(values.html, asHtml(report));
if (values.readme !== undefined) writeTable(values.readme, asTable(report, wanted));
process.exitCode = report.results.some(({ outcome, own }) => !own && (outcome === 'differs' || outcome === 'missing')) ? 1 : 0;

// README's table of what is supported.

import { readFileSync, writeFileSync } from 'node:fs';
import type { Resource } from './check.ts';
import type { Report } from './run.ts';
import { endpointCount, totals } from './text.ts';

const [BEGIN, END] = ['<!-- npm run compat -- --readme README.md -->', '<!-- end -->'];

export function asTable({ results }: Report, resources: readonly Resource[]): string {
  const rows = resources.map(({ title, about, later, own }) => {
    const of = results.filter(({ resource }) => resource === title);
    const gaps = of.filter(({ outcome }) => outcome === 'missing' || outcome === 'differs').map(({ endpoint, behaviour, outcome }) => `\`${endpoint}\`: ${behaviour}${outcome === 'differs' ? ' (differs)' : ''}`);
    return `| ${own ? `${title} of berth's own` : title} | ${about} | ${endpointCount(of)} | ${totals(of).supported} of ${of.length} | ${[...gaps, ...(later === undefined ? [] : [later])].join('; ')} |`;
  });
  const docker = results.filter(({ own }) => !own);
  const total = `| | all of Docker's API 1.51 | ${endpointCount(docker)} | ${totals(docker).supported} of ${docker.length} | |`;
  return ['| | works | endpoints | behaviours | later |', '|---|---|---|---|---|', ...rows, total].join('\n');
}

/** What stands between the markers now. */
export const tableIn = (file: string): string => {
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${file} has no ${BEGIN} ... ${END}`);
  return text.slice(from + BEGIN.length, to).trim();
};

export function writeTable(file: string, table: string): void {
  const text = readFileSync(file, 'utf8');
  const now = tableIn(file);
  writeFileSync(file, text.replace(`${BEGIN}\n${now === '' ? '' : `${now}\n`}${END}`, () => `${BEGIN}\n${table}\n${END}`));
}

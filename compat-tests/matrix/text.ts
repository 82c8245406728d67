// The matrix as text.

import type { Outcome, Report, Result } from './run.ts';

const MARKS: Record<Outcome, string> = { supported: '+', differs: '!', missing: '-', 'not in its API version': '.', 'not checked': '?' };

export const totals = (results: readonly Result[]): Readonly<Record<Outcome, number>> => {
  const count = (outcome: Outcome) => results.filter(result => result.outcome === outcome).length;
  return { supported: count('supported'), differs: count('differs'), missing: count('missing'), 'not in its API version': count('not in its API version'), 'not checked': count('not checked') };
};

export const grouped = (results: readonly Result[], key: (result: Result) => string): readonly (readonly [string, readonly Result[]])[] => {
  const groups = new Map<string, Result[]>();
  for (const result of results) groups.set(key(result), [...(groups.get(key(result)) ?? []), result]);
  return [...groups];
};

const summary = (results: readonly Result[]): string =>
  Object.entries(totals(results)).filter(([outcome, count]) => count > 0 || outcome === 'supported').map(([outcome, count]) => `${count} ${outcome}`).join(', ');

export const endpointCount = (results: readonly Result[]): number => new Set(results.map(({ endpoint }) => endpoint)).size;

export function asText({ engine, seconds, results }: Report): string {
  const lines: string[] = [];
  for (const [resource, ofResource] of grouped(results, ({ resource }) => resource)) {
    lines.push('', ofResource[0]?.own ? `${resource} (no part of Docker's API)` : resource);
    for (const [endpoint, ofEndpoint] of grouped(ofResource, ({ endpoint }) => endpoint)) {
      lines.push(`  ${endpoint}`);
      for (const { outcome, behaviour, how } of ofEndpoint) lines.push(`    ${MARKS[outcome]} ${behaviour}${outcome === 'supported' ? '' : `: ${outcome}${how === '' ? '' : ` (${how})`}`}`);
    }
  }
  const [docker, own] = [results.filter(result => !result.own), results.filter(result => result.own)];
  lines.push('', `${engine.name} ${engine.version}, API ${engine.apiVersion}: ${endpointCount(docker)} endpoints, ${docker.length} behaviours: ${summary(docker)}`);
  lines.push(`beyond Docker's API: ${summary(own)}`, `${seconds.toFixed(1)} s`);
  return `${lines.join('\n').trimStart()}\n`;
}

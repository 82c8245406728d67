import type { Engine } from './engines.ts';
import { median } from './median.ts';
import { isSpeed, type Row } from './rows.ts';

export type Outcome = { readonly samples: number[]; failure?: string };

export type Result = { readonly name: string; readonly row: Row; readonly outcomes: ReadonlyMap<Engine, Outcome> };

/** Medians side by side, each with its ratio to the baseline's, and whether that is what was aimed at. */
export function table(results: readonly Result[], engines: readonly Engine[], baseline: Engine): string {
  const others = engines.filter((engine) => engine !== baseline);
  const header = ['', baseline.name, ...others.flatMap(({ name }) => [name, `${name} / ${baseline.name}`]), ...(others.length ? ['aim'] : [])];
  const body = results.map(({ name, row, outcomes }) => {
    const ratios = others.map((engine) => ratio(outcomes.get(engine), outcomes.get(baseline)));
    return [
      name,
      figure(outcomes.get(baseline), row),
      ...others.flatMap((engine, index) => [figure(outcomes.get(engine), row), verdict(ratios[index], row)]),
      ...(others.length ? [row.aim === undefined ? '' : `${isSpeed(row.unit) ? '>=' : '<='} ${row.aim}`] : []),
    ];
  });
  const failures = results.flatMap(({ name, outcomes }) => [...outcomes].flatMap(([engine, { failure }]) =>
    failure ? [`${name}: ${engine.name}: ${failure}`] : []));
  return [align([header, ...body]), ...failures.length ? ['', 'failed:', ...failures] : []].join('\n');
}

export function json(results: readonly Result[], engines: readonly Engine[], baseline: Engine): string {
  return JSON.stringify({
    baseline: baseline.name,
    engines: Object.fromEntries(engines.map(({ name, version }) => [name, version])),
    rows: results.map(({ name, row, outcomes }) => ({
      name,
      ...row,
      engines: Object.fromEntries([...outcomes].map(([engine, outcome]) => [engine.name, {
        ...outcome,
        median: outcome.samples.length ? median(outcome.samples) : null,
        ratio: ratio(outcome, outcomes.get(baseline)) ?? null,
      }])),
    })),
  }, undefined, 2);
}

function ratio(outcome: Outcome | undefined, baseline: Outcome | undefined): number | undefined {
  if (!outcome?.samples.length || !baseline?.samples.length) return undefined;
  const by = median(baseline.samples);
  return by > 0 ? median(outcome.samples) / by : undefined;
}

function figure(outcome: Outcome | undefined, row: Row): string {
  if (!outcome?.samples.length) return outcome?.failure ? 'failed' : '-';
  const value = median(outcome.samples);
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${row.unit}`;
}

function verdict(value: number | undefined, { aim, unit }: Row): string {
  if (value === undefined) return '-';
  const met = aim === undefined ? '' : (isSpeed(unit) ? value >= aim : value <= aim) ? ' ok' : ' no';
  return `${value.toFixed(value < 0.1 ? 3 : 2)}${met}`;
}

function align(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) => row.map((cell, column) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)).join('   ').trimEnd()).join('\n');
}

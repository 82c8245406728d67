import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';

import { connect, importImage, parseAddress, type Engine } from './engines.ts';
import { startEngines, type Started } from './hosts.ts';
import { json, table, type Outcome, type Result } from './report.ts';
import { works, type Work } from './rows.ts';

const usage = `npm run bench -- [options] [NAME=SOCKET[@NETNS[@CLIENT_NETNS]] ...]

Holds engines against each other, a measurement of one, a measurement of the next, and prints the medians.
NETNS is the network namespace of an engine's host, CLIENT_NETNS that of a host beside it (names as in /run/netns).
Without an engine, berth (and the reference engine, where it is) is started on hosts of its own.

  --rounds N     measurements a row (default 7; rows that take seconds have fewer)
  --only REGEX   only the rows whose name matches
  --slow         also 1,000 and 10,000 ports and 100 containers; minutes on some engines
  --json         all samples, as JSON
`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '7' },
    only: { type: 'string', default: '' },
    slow: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const rounds = Number(options.rounds);
const only = new RegExp(options.only, 'i');
const interruption = new AbortController();
const { signal } = interruption;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => { interruption.abort(); });

if (options.help || !(rounds >= 1)) {
  process.stdout.write(usage);
  process.exitCode = options.help ? 0 : 2;
} else {
  await main();
}

async function main() {
  const started: Started[] = [];
  const engines: Engine[] = [];
  try {
    const addresses = positionals.map(parseAddress);
    if (addresses.length === 0) {
      await startEngines(started);
      addresses.push(...started.map(({ address }) => address));
    }
    for (const address of addresses) engines.push(await connect(address, signal));
    const baseline = engines.find(({ name }) => name === 'ref') ?? engines[0];
    if (!baseline) throw new Error('no engine');
    note(`${engines.map(({ name, version }) => `${name} ${version}`).join(', ')}; ${cpus().length} x ${cpus()[0]?.model}, Linux ${release()}`);
    await importImage(engines);
    const results = await measure(engines, works.filter((work) => (options.slow || !work.slow) && Object.keys(work.rows).some((row) => only.test(row))));
    console.log((options.json ? json : table)(results, engines, baseline));
  } catch (error) {
    if (!signal.aborted) fail(error);
  } finally {
    if (signal.aborted) { note('interrupted: cleaning up'); process.exitCode = 130; }
    for (const engine of engines) await engine.leave();
    for (const engine of started.reverse()) await engine.stop().catch((error: unknown) => { note(`${engine.address.name} does not stop: ${reason(error)}`); });
  }
}

async function measure(engines: readonly Engine[], selected: readonly Work[]): Promise<Result[]> {
  const results: Result[] = [];
  for (const work of selected) {
    const outcomes = new Map(Object.keys(work.rows).map((row) => [row, new Map(engines.map((engine) => [engine, { samples: [] } as Outcome]))]));
    note(`- ${Object.keys(work.rows).join(', ')}`);
    const able: Engine[] = [];
    for (const engine of engines) if (await survives(engine, 1, () => work.prepare?.(engine))) able.push(engine);
    for (let round = 0; round < Math.min(rounds, work.rounds ?? rounds); round++) {
      // Every other round backwards, so that nobody always comes second.
      for (const engine of round % 2 ? able.toReversed() : [...able]) {
        const fine = await survives(engine, round + 1, () => work.measure(engine, (row, value) => { outcomes.get(row)?.get(engine)?.samples.push(value); }));
        if (!fine) able.splice(able.indexOf(engine), 1);
      }
    }
    for (const engine of engines) await engine.sweep();
    for (const [name, row] of Object.entries(work.rows)) {
      const of = outcomes.get(name);
      if (of && only.test(name)) results.push({ name, row, outcomes: of });
    }

    /** A failure ends the work for this engine, and is noted with the rows that lack the samples they should have by now. */
    async function survives(engine: Engine, due: number, step: () => unknown): Promise<boolean> {
      try {
        await step();
        return true;
      } catch (error) {
        if (signal.aborted) throw error;
        for (const of of outcomes.values()) {
          const outcome = of.get(engine);
          if (outcome && outcome.samples.length < due) outcome.failure = reason(error);
        }
        await engine.sweep();
        return false;
      }
    }
  }
  return results;
}

function fail(error: unknown) {
  note(reason(error));
  process.exitCode = 1;
}

/** The tool's own words, or ours. */
function reason(error: unknown): string {
  const { stderr, shortMessage, message } = error as { stderr?: string; shortMessage?: string; message?: string };
  const said = stderr?.trim().split('\n') ?? [];
  return (said.find((line) => /error|cannot|denied/i.test(line)) || said.at(-1) || shortMessage || message || String(error)).slice(0, 300);
}

function note(text: string) {
  console.error(text);
}

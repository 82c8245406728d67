// The long way through what the daemon must survive: node --import tsx compat-tests/soak.ts (or `make soak`)
//
//   SOAK_SECONDS   of random kills (300)       SOAK_SEED, HOSTILE_SEED, POWER_SEED   other chances
//
// The tests are those of every run (restart-*.test.ts), with every step walked and more of everything; then a table.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const environment = {
  SOAK_SECONDS: '300', CRASH_STEPS: 'all', HOSTILE_REQUESTS: '10000', POWER_CUTS: '20', HELD_CONTAINERS: '100', COMPAT_TIMEOUT: '7200', ...process.env,
};
const files = ['restart-crash', 'restart-crash-more', 'restart-soak', 'restart-power', 'restart-held', 'restart-hostile', 'restart-failures', 'restart-stop'];

const child = spawn(process.execPath, ['--import', 'tsx', `${import.meta.dirname}/run.ts`, ...files], { stdio: ['inherit', 'pipe', 'inherit'], env: environment });
const said: string[] = [];
const lines = createInterface(child.stdout);
lines.on('line', line => {
  said.push(line);
  console.log(line);
});
const [code] = (await once(child, 'exit')) as [number | null];

const found = (pattern: RegExp): readonly RegExpExecArray[] => said.flatMap(line => { const match = pattern.exec(line); return match ? [match] : []; });
const sum = (pattern: RegExp): number => found(pattern).reduce((total, [, number]) => total + Number(number), 0);
const rows: readonly (readonly [string, string | number])[] = [
  ['steps at which the daemon was killed', sum(/ℹ killed (\d+) times/)],
  ['random kills', sum(/soak: (\d+) kills/)],
  ['calls answered meanwhile', sum(/soak: .* (\d+) calls answered/)],
  ['calls cut off meanwhile', sum(/soak: .* (\d+) cut off/)],
  ['power cuts', sum(/power: (\d+) cuts/)],
  ['changes looked for after them', sum(/power: .* (\d+) looked for/)],
  ['hostile requests', sum(/✔ (\d+) requests as no client/)],
  ['connections held open', found(/✔ 1,000 silent/).length * 1200],
  ['back after', found(/back after (.*)/).map(([, words]) => words).join('; ')],
  ['acknowledged and lost', sum(/soak: .* (\d+) lost/) + sum(/power: .* (\d+) lost/)],
  ['tests that failed', sum(/^ℹ fail (\d+)/)],
];
console.log(`\n${rows.map(([what, much]) => `${what.padEnd(40)}${much}`).join('\n')}`);
process.exitCode = code ?? 1;

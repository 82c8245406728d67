import type { Terminal } from './terminal.ts';

export type Progress = { add(bytes: number): void; end(): void };

/** A line on a terminal's stderr, drawn over and over; nothing where there is no terminal. */
export const startProgress = (terminal: Terminal, title: string, { quiet, total }: { readonly quiet: boolean; readonly total: Promise<number | undefined> }): Progress => {
  if (quiet || terminal.stderr.isTTY !== true) return { add() {}, end() {} };
  const start = performance.now();
  let bytes = 0;
  let expected: number | undefined;
  total.then((size) => (expected = size), () => {});
  const draw = (): void => void terminal.stderr.write(`\r${progressLine({ title, bytes, expected, seconds: (performance.now() - start) / 1000 }, terminal.stderr.columns || 80)}\x1b[K`);
  const timer = setInterval(draw, INTERVAL);
  return {
    add: (count) => void (bytes += count),
    end() {
      clearInterval(timer);
      draw();
      terminal.stderr.write('\n');
    },
  };
};

/** Often enough to look alive, seldom enough to cost nothing. Milliseconds. */
const INTERVAL = 200;

export const progressLine = (
  { title, bytes, expected, seconds }: { readonly title: string; readonly bytes: number; readonly expected: number | undefined; readonly seconds: number },
  width: number,
): string => {
  const rate = `${size(seconds > 0 ? bytes / seconds : 0)}/s`;
  if (expected === undefined || expected <= 0) return `${title}  ${size(bytes)}  ${rate}`.slice(0, width - 1);
  // A tar is a little more than what is in it, and what is in it may grow meanwhile.
  const part = Math.min(1, bytes / expected);
  const words = `${String(Math.floor(part * 100)).padStart(3)}%  ${size(bytes)} of ${size(expected)}  ${rate}`;
  const room = Math.min(40, width - title.length - words.length - 7);
  const done = Math.floor(part * room);
  const bar = room < 8 ? '' : `[${'='.repeat(Math.max(0, done - 1))}${done > 0 ? '>' : ''}${' '.repeat(room - done)}]  `;
  return `${title}  ${bar}${words}`.slice(0, width - 1);
};

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export const size = (bytes: number): string => {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? Math.floor(value) : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : Math.round(value)} ${UNITS[power] ?? 'B'}`;
};

const WIDTH = 50;

/** How far a transfer is, as the reference engine draws it for clients that show it as it comes. */
export const progressBar = (current: number, total: number): string => {
  if (total <= 0) return current > 0 ? humanSize(current).padStart(8) : '';
  const done = Math.min(WIDTH, Math.floor(Math.floor((current / total) * 100) / 2));
  const numbers = current > total ? humanSize(current).padStart(8) : `${humanSize(current).padStart(8)}/${humanSize(total)}`;
  return `[${'='.repeat(done)}>${' '.repeat(WIDTH - done)}] ${numbers}`;
};

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Four digits, as Go's %.4g writes them. */
const humanSize = (bytes: number): string => {
  let [size, unit] = [bytes, 0];
  for (; size >= 1000 && unit < UNITS.length - 1; unit++) size /= 1000;
  return `${Number(size.toPrecision(4))}${UNITS[unit]}`;
};

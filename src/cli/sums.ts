import fs from 'node:fs';
import path from 'node:path';

/** Lists of checksums as sha256sum writes and checks them: `HEX  NAME`, a line a file. */
export type Sums = ReadonlyMap<string, string>;

export const LIST = 'SHA256SUMS';

export const parseSums = (text: string): Sums =>
  new Map(text.split('\n').flatMap((line) => {
    const [, hex, name] = /^([0-9a-fA-F]{64}) [ *](.+)$/.exec(line) ?? [];
    return hex === undefined || name === undefined ? [] : [[name, hex.toLowerCase()] as const];
  }));

export const sumLine = (hex: string, name: string): string => `${hex}  ${name}\n`;
export const formatSums = (sums: Sums): string => [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, hex]) => sumLine(hex, name)).join('');

export const readSums = (file: string): Sums => (fs.existsSync(file) ? parseSums(fs.readFileSync(file, 'utf8')) : new Map());

/** What was written down of a file: in FILE.sha256, or in the list beside it. */
export const sumOf = (file: string): string | undefined => {
  const name = path.basename(file);
  const own = readSums(`${file}.sha256`);
  return own.get(name) ?? own.get(file) ?? readSums(path.join(path.dirname(file), LIST)).get(name);
};

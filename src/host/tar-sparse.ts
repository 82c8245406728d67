import { BLOCK, parseNumber, type TarHeader } from './tar-format.ts';

/** A file with holes, as GNU tar packs it (`-S`): how long it is, and where in it the content belongs. */
export type Sparse = {
  readonly size: number;
  /** Without it, it is at the head of the content. */
  readonly map: SparseMap | undefined;
};

export type SparseMap = readonly { readonly at: number; readonly length: number }[];

/** Of an entry and the blocks its header came in; undefined for a file like any other. */
export const sparseOf = (header: TarHeader, blocks: readonly Buffer[]): Sparse | undefined => {
  if (header.type === 'S') return oldSparse(blocks);
  const size = Number(header.pax.get('GNU.sparse.realsize') ?? header.pax.get('GNU.sparse.size') ?? Number.NaN);
  if (Number.isNaN(size)) return undefined;
  const map = header.pax.get('GNU.sparse.map');
  if (map === undefined) return checked({ size, map: header.pax.has('GNU.sparse.major') ? undefined : [] });
  return checked({ size, map: pairs(map.split(',').map(Number)) });
};

/** By which name the file is meant, where the tar's own says how it was packed. */
export const sparseName = (header: TarHeader): string => header.pax.get('GNU.sparse.name') ?? header.name;

/** Four places are in the header, twenty-one in each block that follows it. */
const oldSparse = (blocks: readonly Buffer[]): Sparse => {
  const first = blocks.findLastIndex((block) => block.length === BLOCK && block[156] === 0x53 && block.toString('latin1', 257, 262) === 'ustar');
  const header = blocks[first] ?? Buffer.alloc(BLOCK);
  const numbers = (block: Buffer, from: number, places: number): number[] => Array.from({ length: 2 * places }, (_, index) => (block[from + index * 12] === 0 ? 0 : parseNumber(block, from + index * 12, 12)));
  const all = [...numbers(header, 386, 4), ...blocks.slice(first + 1).flatMap((block) => numbers(block, 0, 21))];
  return checked({ size: parseNumber(header, 483, 12), map: pairs(all) });
};

/** The map at the head of the content: how many pairs, then they, each number on a line of its own, in whole blocks. */
export const leadingMap = (content: Buffer): { readonly map: SparseMap; readonly length: number } | undefined => {
  if (content.length > HEAD_LIMIT) throw new Error('archive/tar: invalid sparse map');
  const lines = content.toString('latin1').split('\n');
  const count = Number(lines[0]);
  if (lines.length < 2) return undefined;
  if (!Number.isSafeInteger(count) || count < 0) throw new Error('archive/tar: invalid sparse map');
  if (lines.length < 2 * count + 2) return undefined;
  const numbers = lines.slice(1, 1 + 2 * count);
  const length = [lines[0] ?? '', ...numbers].reduce((sum, line) => sum + line.length + 1, 0);
  const whole = Math.ceil(length / BLOCK) * BLOCK;
  if (content.length < whole) return undefined;
  return { map: checkedMap(pairs(numbers.map(Number))), length: whole };
};

/** Where in the file the bytes belong that come `position` bytes after the start of the content. */
export const placesOf = (map: SparseMap, position: number, bytes: Buffer): { readonly at: number; readonly bytes: Buffer }[] => {
  const found: { at: number; bytes: Buffer }[] = [];
  let before = 0;
  for (const { at, length } of map) {
    const from = Math.max(before, position);
    const to = Math.min(before + length, position + bytes.length);
    if (from < to) found.push({ at: at + from - before, bytes: bytes.subarray(from - position, to - position) });
    before += length;
  }
  return found;
};

const HEAD_LIMIT = 4 * 1024 * 1024;

const pairs = (numbers: readonly number[]): SparseMap =>
  Array.from({ length: numbers.length >> 1 }, (_, index) => ({ at: numbers[2 * index] ?? 0, length: numbers[2 * index + 1] ?? 0 })).filter(({ length }) => length !== 0);

const checked = (sparse: Sparse): Sparse => {
  if (!Number.isSafeInteger(sparse.size) || sparse.size < 0) throw new Error('archive/tar: invalid sparse map');
  if (sparse.map) checkedMap(sparse.map);
  return sparse;
};

const checkedMap = (map: SparseMap): SparseMap => {
  let end = 0;
  for (const { at, length } of map) {
    if (!Number.isSafeInteger(at) || !Number.isSafeInteger(length) || length < 0 || at < end) throw new Error('archive/tar: invalid sparse map');
    end = at + length;
  }
  return map;
};

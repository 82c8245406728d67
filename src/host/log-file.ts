import { isAscii } from 'node:buffer';
import fs from 'node:fs';

const NEWLINE = 0x0a;
const BLOCK_BYTES = 256 * 1024;

/** Some lines of a file, and where the next one begins. */
export type Block = { readonly lines: readonly string[]; readonly next: number };

/** The whole lines of a file, a block at a time, from a position to `end` (undefined: its end). What follows the last newline is left out. */
export function* linesFrom(file: string | number, start: number, end: number | undefined): Generator<Block> {
  const fd = openIfThere(file);
  if (fd === undefined) return;
  try {
    let carried: Buffer = Buffer.alloc(0);
    for (let position = start; end === undefined || position < end; ) {
      const block = Buffer.allocUnsafe(end === undefined ? BLOCK_BYTES : Math.min(BLOCK_BYTES, end - position));
      const read = fs.readSync(fd, block, 0, block.length, position);
      if (read === 0) return;
      position += read;
      const bytes = carried.length > 0 ? Buffer.concat([carried, block.subarray(0, read)]) : block.subarray(0, read);
      const last = bytes.lastIndexOf(NEWLINE);
      carried = bytes.subarray(last + 1);
      if (last >= 0) yield { lines: textOf(bytes.subarray(0, last)).split('\n'), next: position - carried.length };
    }
  } finally {
    if (typeof file === 'string') fs.closeSync(fd);
  }
}

/** The last lines before `end` (undefined: the file's end), in order: as much is read, backwards, as it takes to have them. */
export const linesBackwards = (file: string, end: number | undefined, count: number): readonly string[] => {
  const fd = count > 0 ? openIfThere(file) : undefined;
  if (fd === undefined) return [];
  try {
    const blocks: Buffer[] = [];
    let newlines = 0;
    let position = end ?? fs.fstatSync(fd).size;
    // One newline more than lines: the one before the first of them.
    while (position > 0 && newlines <= count) {
      const length = Math.min(BLOCK_BYTES, position);
      position -= length;
      const block = Buffer.allocUnsafe(length);
      fs.readSync(fd, block, 0, length, position);
      blocks.unshift(block);
      for (let at = block.indexOf(NEWLINE); at >= 0; at = block.indexOf(NEWLINE, at + 1)) newlines += 1;
    }
    const bytes = Buffer.concat(blocks);
    const last = bytes.lastIndexOf(NEWLINE);
    let first = last;
    for (let found = 0; first >= 0 && found < count; found += 1) first = first === 0 ? -1 : bytes.lastIndexOf(NEWLINE, first - 1);
    return last < 0 ? [] : textOf(bytes.subarray(first + 1, last)).split('\n');
  } finally {
    fs.closeSync(fd);
  }
};

/** Text of one byte a character is several times faster to make, and most logs have no other. */
const textOf = (bytes: Buffer): string => (isAscii(bytes) ? bytes.toString('latin1') : bytes.toString('utf8'));

const openIfThere = (file: string | number): number | undefined => {
  if (typeof file === 'number') return file;
  try {
    return fs.openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
};

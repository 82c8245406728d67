import { BLOCK, isZeroBlock, padding, parsePax, sizeField } from './tar-format.ts';

/**
 * Cuts off what follows a tar's two empty blocks: whoever reads to these does not read on, and a pipe that still has
 * something to say would break. It looks at no more of a header than how long its entry is.
 */
export const untilEnd = (): ((chunk: Buffer) => Buffer) => {
  let [skip, empties, wanted] = [0, 0, BLOCK];
  let held: Buffer = NOTHING;
  let describing = false;
  /** What an extended header says of the entry after it: a size that a plain one can not hold. */
  let told: number | undefined;

  const see = (piece: Buffer): void => {
    if (describing) {
      const size = parsePax(piece).get('size');
      told = size === undefined ? undefined : Number(size);
      [describing, wanted] = [false, BLOCK];
      return;
    }
    if (piece[0] === 0 && isZeroBlock(piece)) {
      empties++;
      return;
    }
    empties = 0;
    const size = told ?? sizeField(piece);
    const length = size + padding(size);
    if (piece[156] === EXTENDED) [describing, wanted] = [true, length];
    else [skip, told] = [length, undefined];
  };

  return (chunk) => {
    if (empties === 2) return NOTHING;
    for (let at = 0; at < chunk.length; ) {
      if (skip > 0) {
        const step = Math.min(skip, chunk.length - at);
        skip -= step;
        at += step;
        continue;
      }
      const end = Math.min(chunk.length, at + wanted - held.length);
      const piece = held.length === 0 ? chunk.subarray(at, end) : Buffer.concat([held, chunk.subarray(at, end)]);
      at = end;
      held = piece.length < wanted ? piece : NOTHING;
      if (held.length > 0) return chunk;
      see(piece);
      if (empties === 2) return chunk.subarray(0, at);
    }
    return chunk;
  };
};

const NOTHING = Buffer.alloc(0);
const EXTENDED = 'x'.charCodeAt(0);

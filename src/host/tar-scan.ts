import { BLOCK, describesNext, isZeroBlock, padding, parseHeader, parsePax, withPax, type TarHeader } from './tar-format.ts';

/** What a scan tells of a tar, in the order of its bytes. Every byte is told once. */
export type TarListener = {
  /** An entry: its header, and the blocks that header came in. */
  entry(header: TarHeader, blocks: readonly Buffer[]): void;
  /** The entry's content, piece by piece. */
  content(bytes: Buffer): void;
  /** What fills its last block. */
  padding(bytes: Buffer): void;
  /** The end of the tar, and whatever follows it. */
  trailer(bytes: Buffer): void;
};

export type TarScan = {
  push(chunk: Buffer): void;
  /** Throws when the tar ends before its time. */
  /** `unfilled`: the last block may be cut off behind the content. */
  end(unfilled?: boolean): void;
};

/** Names and attributes before an entry may not take more than this. */
const DESCRIPTION_LIMIT = 1024 * 1024;

/** Reads a tar as it passes, in chunks of any size. Copies next to nothing. */
export const scanTar = (listener: TarListener): TarScan => {
  type State = 'header' | 'description' | 'sparse' | 'content' | 'padding' | 'trailer';
  let state: State = 'header';
  let partial: Buffer[] = [];
  let have = 0;
  /** Bytes still to come of what the state names. */
  let left = 0;
  let header: TarHeader | undefined;
  let blocks: Buffer[] = [];
  let description = 0;
  let pax = new Map<string, string>();
  let global = new Map<string, string>();

  /** The next `size` bytes in one piece, once they are there. */
  const gather = (chunk: Buffer, at: number, size: number): { piece: Buffer | undefined; at: number } => {
    if (have === 0 && chunk.length - at >= size) return { piece: chunk.subarray(at, at + size), at: at + size };
    const part = chunk.subarray(at, at + size - have);
    partial.push(part);
    have += part.length;
    if (have < size) return { piece: undefined, at: at + part.length };
    const piece = Buffer.concat(partial, size);
    partial = [];
    have = 0;
    return { piece, at: at + part.length };
  };

  const begin = (block: Buffer): void => {
    if (isZeroBlock(block)) {
      for (const held of blocks) listener.trailer(held);
      listener.trailer(block);
      blocks = [];
      state = 'trailer';
      return;
    }
    const parsed = parseHeader(block);
    if (!parsed || !(parsed.size >= 0)) throw new Error('archive/tar: invalid tar header');
    blocks.push(block);
    header = parsed;
    if (describesNext(parsed.type)) {
      description += parsed.size + BLOCK;
      if (description > DESCRIPTION_LIMIT) throw new Error('archive/tar: header field too long');
      left = parsed.size + padding(parsed.size);
      state = left > 0 ? 'description' : 'header';
    } else if (parsed.type === 'S' && block[482] !== 0) state = 'sparse';
    else enter();
  };

  const describe = (content: Buffer): void => {
    blocks.push(content);
    const text = content.subarray(0, header?.size);
    const name = text.toString('latin1').replace(/\0.*$/s, '');
    if (header?.type === 'x') pax = new Map([...pax, ...parsePax(text)]);
    if (header?.type === 'g') global = new Map([...global, ...parsePax(text)]);
    if (header?.type === 'L') pax.set('path', name);
    if (header?.type === 'K') pax.set('linkpath', name);
    state = 'header';
  };

  const enter = (): void => {
    if (!header) return;
    const entry = pax.size + global.size === 0 ? header : withPax(header, new Map([...global, ...pax]));
    header = entry;
    listener.entry(entry, blocks);
    [blocks, pax, description] = [[], new Map(), 0];
    left = entry.size;
    state = left > 0 ? 'content' : 'header';
  };

  return {
    push(chunk) {
      let at = 0;
      while (at < chunk.length) {
        if (state === 'trailer') {
          listener.trailer(chunk.subarray(at));
          return;
        }
        if (state === 'content' || state === 'padding') {
          const bytes = chunk.subarray(at, at + left);
          listener[state](bytes);
          at += bytes.length;
          left -= bytes.length;
          if (left > 0) continue;
          left = state === 'content' ? padding(header?.size ?? 0) : 0;
          state = left > 0 ? 'padding' : 'header';
          continue;
        }
        const gathered = gather(chunk, at, state === 'description' ? left : BLOCK);
        at = gathered.at;
        if (!gathered.piece) return;
        if (state === 'header') begin(gathered.piece);
        else if (state === 'description') describe(gathered.piece);
        else {
          blocks.push(gathered.piece);
          if (gathered.piece[504] === 0) enter();
        }
      }
    },
    end(unfilled = false) {
      // A tar may end without its two empty blocks, but not within an entry.
      if (have > 0 || (state !== 'header' && state !== 'trailer' && !(unfilled && state === 'padding')) || blocks.length > 0) throw new Error('unexpected EOF');
    },
  };
};

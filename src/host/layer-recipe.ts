import { closeSync, createReadStream, createWriteStream, openSync, readSync } from 'node:fs';
import { constants, open, realpath } from 'node:fs/promises';
import { once } from 'node:events';
import { pipeline } from 'node:stream';
import { finished } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';

/**
 * How to make a layer's tar again from its unpacked files, to the byte: everything of the tar but the content of
 * its files, for which the recipe names the file. So a layer is on disk once, not twice, and keeps its digest.
 *
 * On disk, gzipped: records of a kind (one byte) and a length (four bytes) followed by that many bytes, to be
 * copied ('raw'), or by the size (eight bytes) and the name of a file to be read ('file').
 */
const RAW = 0;
const FILE = 1;
const COALESCE = 64 * 1024;
const READ_SIZE = 1024 * 1024;

export type RecipeWriter = {
  raw(bytes: Buffer): void;
  file(path: string, size: number): void;
  /** Resolves when more may be written without piling up. */
  drained(): Promise<void>;
  close(): Promise<void>;
  /** Gives up: what was written is of no use. Resolves when nothing is written there any more. */
  abandon(): Promise<void>;
};

export const writeRecipe = (path: string): RecipeWriter => {
  const gzip = createGzip({ level: 3 });
  const file = gzip.pipe(createWriteStream(path));
  const written = finished(file);
  written.catch(() => {});
  file.on('error', (error) => gzip.destroy(error));
  // Told by `close`.
  gzip.on('error', () => {});
  let pending: Buffer[] = [];
  let size = 0;
  const flush = (): void => {
    if (size === 0) return;
    const head = Buffer.alloc(5);
    head.writeUInt8(RAW, 0);
    head.writeUInt32BE(size, 1);
    gzip.write(Buffer.concat([head, ...pending]));
    [pending, size] = [[], 0];
  };
  return {
    raw(bytes) {
      // Copied: the chunk it is part of may be large.
      pending.push(Buffer.from(bytes));
      size += bytes.length;
      if (size >= COALESCE) flush();
    },
    file(name, length) {
      flush();
      const head = Buffer.alloc(13);
      head.writeUInt8(FILE, 0);
      head.writeUInt32BE(name.length, 1);
      head.writeDoubleBE(length, 5);
      gzip.write(Buffer.concat([head, Buffer.from(name, 'latin1')]));
    },
    async drained() {
      if (gzip.writableNeedDrain) await once(gzip, 'drain');
    },
    async close() {
      flush();
      gzip.end();
      await written;
    },
    async abandon() {
      gzip.destroy();
      // Not by `once`, which would fail with what the file has to say of its end.
      const closed = new Promise<void>((resolve) => (file.closed ? resolve() : file.once('close', resolve)));
      file.destroy();
      await closed;
    },
  };
};

/** The tar, piece by piece. `root` is where its files were unpacked. */
export async function* readRecipe(path: string, root: string): AsyncGenerator<Buffer> {
  const base = await realpath(root);
  const parents = new Map<string, string>();
  let [small, size]: [Buffer[], number] = [[], 0];
  for await (const record of records(path)) {
    if (Buffer.isBuffer(record) || record.size <= COALESCE) {
      const bytes = Buffer.isBuffer(record) ? record : readSmall(await inside(base, record.path, parents), record.size);
      small.push(bytes);
      size += bytes.length;
      if (size < 4 * COALESCE) continue;
    }
    yield Buffer.concat(small);
    [small, size] = [[], 0];
    if (!Buffer.isBuffer(record) && record.size > COALESCE) yield* content(await inside(base, record.path, parents), record.size);
  }
  yield Buffer.concat(small);
}

async function* records(path: string): AsyncGenerator<Buffer | { path: string; size: number }> {
  let have: Buffer = Buffer.alloc(0);
  const file = createReadStream(path);
  const plain = createGunzip({ chunkSize: 4 * COALESCE });
  // Whoever reads may stop anywhere; then the file is closed too. An error comes out of `plain`.
  pipeline(file, plain, () => {});
  for await (const chunk of plain) {
    have = have.length === 0 ? (chunk as Buffer) : Buffer.concat([have, chunk as Buffer]);
    for (;;) {
      if (have.length < 5) break;
      const head = have[0] === RAW ? 5 : 13;
      const length = have.readUInt32BE(1);
      if (have.length < head + length) break;
      const body = have.subarray(head, head + length);
      yield have[0] === RAW ? body : { path: body.toString('latin1'), size: have.readDoubleBE(5) };
      have = have.subarray(head + length);
    }
  }
  if (have.length > 0) throw new Error(`${path}: the layer's recipe is cut short`);
}

/** The file's path with its directory's links resolved, which may not lead out of the layer. */
const inside = async (base: string, path: string, parents: Map<string, string>): Promise<Buffer> => {
  const slash = path.lastIndexOf('/');
  const directory = slash < 0 ? '' : path.slice(0, slash);
  let parent = parents.get(directory);
  if (parent === undefined) {
    parent = (await realpath(Buffer.from(`${base}/${directory}`, 'latin1'), { encoding: 'latin1' })) as string;
    if (parent !== base && !parent.startsWith(`${base}/`)) throw new Error(`${path} leads out of its layer`);
    // Entries come directory by directory.
    parents.clear();
    parents.set(directory, parent);
  }
  return Buffer.from(`${parent}/${path.slice(slash + 1)}`, 'latin1');
};

const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Without waiting: for a layer of many small files, each wait would cost more than the reading. */
const readSmall = (path: Buffer, size: number): Buffer => {
  const file = openSync(path, READ_FLAGS);
  try {
    const bytes = Buffer.allocUnsafe(size);
    if (readSync(file, bytes, 0, size, 0) < size) throw tooShort(path);
    return bytes;
  } finally {
    closeSync(file);
  }
};

const tooShort = (path: Buffer): Error => new Error(`${path.toString()}: the file is shorter than its layer says`);

async function* content(path: Buffer, size: number): AsyncGenerator<Buffer> {
  const file = await open(path, READ_FLAGS);
  try {
    for (let left = size; left > 0; ) {
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafe(Math.min(left, READ_SIZE)) });
      if (bytesRead === 0) throw tooShort(path);
      left -= bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

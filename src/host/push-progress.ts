import { readdir, readFile, readlink } from 'node:fs/promises';
import { scanTar } from './tar-scan.ts';

/** Where the layers of a saved image are in its tar, by the digest of each. */
export type LayerRanges = ReadonlyMap<string, { readonly from: number; readonly to: number }>;

/** Passes a saved image on and notes where its layers are. */
export async function* noteLayers(saved: AsyncIterable<Buffer>, ranges: Map<string, { from: number; to: number }>): AsyncGenerator<Buffer> {
  let at = 0;
  const scan = scanTar({
    entry({ name, size }, blocks) {
      for (const { length } of blocks) at += length;
      const [, hex] = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name) ?? [];
      if (hex !== undefined) ranges.set(`sha256:${hex}`, { from: at, to: at + size });
    },
    content: ({ length }) => void (at += length),
    padding: ({ length }) => void (at += length),
    trailer: () => {},
  });
  for await (const chunk of saved) {
    scan.push(chunk);
    yield chunk;
  }
  scan.end();
}

/**
 * How far a process has read each layer: it has the tar open once for each that it sends, and the kernel tells where it
 * is in it. What is not under way is not told of.
 */
export const readSoFar = async (pid: number, file: string, ranges: LayerRanges): Promise<ReadonlyMap<string, number>> => {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const positions = await Promise.all(descriptors.map((fd) => positionIn(pid, fd, file).catch(() => undefined)));
  const found = new Map<string, number>();
  for (const [digest, { from, to }] of ranges)
    for (const position of positions) if (position !== undefined && position > from && position <= to) found.set(digest, Math.max(position - from, found.get(digest) ?? 0));
  return found;
};

const positionIn = async (pid: number, fd: string, file: string): Promise<number | undefined> => {
  if ((await readlink(`/proc/${pid}/fd/${fd}`)) !== file) return undefined;
  return Number(/^pos:\s*(\d+)/m.exec(await readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1]);
};

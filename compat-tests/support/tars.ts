// Archives made and read in tests.

import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { extract, pack, type Header } from 'tar-stream';

export type Entry = Pick<Header, 'name'> & Partial<Header> & { readonly body?: string | Buffer };

export function tar(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  const bytes = buffer(archive);
  for (const { body = '', ...header } of entries) archive.entry({ mode: header.type === 'directory' ? 0o755 : 0o644, mtime: new Date(0), ...header }, body);
  archive.finalize();
  return bytes;
}

export type Found = Header & { readonly body: Buffer };

export async function untar(bytes: Buffer): Promise<readonly Found[]> {
  const found: Found[] = [];
  const reader = extract();
  Readable.from([bytes]).pipe(reader);
  for await (const entry of reader) found.push({ ...entry.header, body: await buffer(entry) });
  return found;
}

export const names = (found: readonly Found[]) => found.map(({ name }) => name).sort();

import { createHash } from 'node:crypto';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Call } from './command.ts';
import { startProgress, type Progress } from './progress.ts';

/** Writes a volume's archive somewhere; resolves to its sha256, which is the one that the daemon has sent after it. */
export const download = async (call: Call, name: string, to: Writable): Promise<string> => {
  const archive = await call.connection.open('GET', `${volumePath(name)}/archive${call.flag('pause') ? '?pause=1' : ''}`);
  const progress = startProgress(call.terminal, name, { quiet: call.flag('quiet'), total: usage(call, name) });
  const hash = createHash('sha256');
  try {
    await pipeline(metered(archive, progress, (chunk) => hash.update(chunk)), to, { signal: call.terminal.interrupted });
  } catch (error) {
    throw archive.errored ? new Error(`the archive of ${name} broke off`) : error;
  } finally {
    progress.end();
  }
  const digest = hash.digest();
  const told = archive.trailers['content-digest'];
  if (told === undefined) throw new Error(`the archive of ${name} has no end`);
  if (told !== `sha-256=:${digest.toString('base64')}:`) throw new Error(`the archive of ${name} was damaged on its way`);
  return digest.toString('hex');
};

/** The same bytes, seen as they pass. */
export const metered = (source: Readable, progress: Progress, see: (chunk: Buffer) => void = () => {}): Readable =>
  Readable.from(
    (async function* () {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        see(chunk);
        progress.add(chunk.length);
        yield chunk;
      }
    })(),
    { objectMode: false, highWaterMark: 1024 * 1024 },
  );

/** What lies in a volume. Only a terminal wants to know. */
const usage = async ({ connection, terminal, flag }: Call, name: string): Promise<number | undefined> => {
  if (terminal.stderr.isTTY !== true || flag('quiet')) return undefined;
  const { Volumes } = (await connection.json('GET', '/system/df?type=volume')) as { Volumes: readonly { Name: string; UsageData?: { Size: number } }[] | null };
  return Volumes?.find(({ Name }) => Name === name)?.UsageData?.Size;
};

export const volumePath = (name: string): string => `/volumes/${encodeURIComponent(name)}`;

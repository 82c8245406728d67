import { PassThrough, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { messageOf } from '../model/errors.ts';
import { stream } from './command.ts';

const formats: readonly { readonly name: string; readonly magic: readonly number[]; readonly command: readonly string[] | undefined }[] = [
  { name: 'gzip', magic: [0x1f, 0x8b, 0x08], command: undefined },
  { name: 'bzip2', magic: [0x42, 0x5a, 0x68], command: ['bzip2', '--decompress', '--stdout'] },
  { name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], command: ['xz', '--decompress', '--stdout'] },
  { name: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd], command: ['zstd', '--decompress', '--stdout', '--quiet'] },
];
const MAGIC_LENGTH = 6;

/** The stream's content, whether it comes compressed or not: the first bytes tell. Its end is the source's end. */
export const decompressed = async (source: Readable): Promise<Readable> => {
  const start = await peek(source);
  const format = formats.find(({ magic }) => magic.every((byte, at) => start[at] === byte));
  if (!format) return source;
  return format.command ? through(source, format.name, format.command) : gunzipped(source);
};

/** The first bytes, which stay in the stream. */
const peek = async (source: Readable): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for (let have = 0; have < MAGIC_LENGTH; ) {
    const chunk = source.read() as Buffer | null;
    if (chunk !== null) {
      chunks.push(chunk);
      have += chunk.length;
    } else if (source.errored) throw source.errored;
    else if (source.readableEnded || source.destroyed) break;
    else await moved(source);
  }
  const start = Buffer.concat(chunks);
  // An ended stream takes nothing back; there is nothing to take back either when it was empty.
  if (start.length > 0 && !source.readableEnded) source.unshift(start);
  else if (start.length > 0) throw new Error('unexpected EOF');
  return start;
};

/** What breaks the source off breaks off the output, which nobody would end otherwise. */
const breakWith = (source: Readable, output: PassThrough): void => {
  const cut = (): void => void (source.readableEnded || output.destroy(new Error('unexpected EOF')));
  source.on('error', (error) => output.destroy(error));
  source.on('close', cut);
  if (source.destroyed) cut();
};

/** Resolves when there may be more to read, or never will be. */
const moved = (source: Readable): Promise<void> =>
  new Promise((resolve) => {
    const signs = ['readable', 'end', 'close', 'error'] as const;
    const done = () => {
      for (const sign of signs) source.off(sign, done);
      resolve();
    };
    for (const sign of signs) source.on(sign, done);
  });

const gunzipped = (source: Readable): Readable => {
  const gunzip = createGunzip({ chunkSize: 256 * 1024 });
  const output = new PassThrough({ highWaterMark: 256 * 1024 });
  breakWith(source, output);
  gunzip.on('error', (error: NodeJS.ErrnoException) => {
    output.destroy(error.code === 'Z_BUF_ERROR' ? new Error('unexpected EOF') : new Error(`gzip: ${error.message}`));
  });
  output.on('close', () => {
    gunzip.destroy();
    source.unpipe(gunzip);
    source.resume();
  });
  source.pipe(gunzip).pipe(output);
  return output;
};

const through = (source: Readable, name: string, command: readonly string[]): Readable => {
  const child = stream(command, { stdio: ['pipe', 'pipe', 'pipe'] });
  const output = new PassThrough({ highWaterMark: 256 * 1024 });
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-1024)));
  child.on('error', (error) => output.destroy(new Error(`cannot read ${name}: ${messageOf(error)}`)));
  child.on('close', (code) => {
    if (code === 0) output.end();
    else output.destroy(new Error(/unexpected end|ends unexpectedly|premature end/i.test(words) ? 'unexpected EOF' : `${name}: ${words.trim()}`));
  });
  // The decompressor tells on stderr why it reads no more; EPIPE would say less.
  child.stdin?.on('error', () => {});
  breakWith(source, output);
  output.on('close', () => {
    child.kill();
    if (child.stdin) source.unpipe(child.stdin);
    source.resume();
  });
  if (child.stdin) source.pipe(child.stdin);
  child.stdout?.pipe(output, { end: false });
  return output;
};

import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { messageOf } from '../model/errors.ts';
import { stream } from './command.ts';
import { encodeHeader, endOfTar, plainHeader, type TarHeader } from './tar-format.ts';
import { scanTar } from './tar-scan.ts';
import { OPAQUE_XATTR } from './whiteouts.ts';

const OVERLAY_XATTR = 'SCHILY.xattr.trusted.overlay.';
const tarArgs = [
  '--create', '--file=-', '--format=posix', '--pax-option=delete=atime,delete=ctime', '--numeric-owner', '--sort=name',
  '--xattrs', '--xattrs-include=*', '--null', '--verbatim-files-from', '--files-from=-',
];

/** An upper directory of overlayfs as a layer's tar: what it hides becomes `.wh.` files again. */
export const layerOf = (upper: string): Readable => Readable.from(layerBytes(upper), { objectMode: false, highWaterMark: 1024 * 1024 });

async function* layerBytes(upper: string): AsyncGenerator<Buffer> {
  if (!existsSync(upper)) {
    // A container that never ran has changed nothing.
    yield endOfTar;
    return;
  }
  const names = (await readdir(upper, { encoding: 'buffer' })).sort(Buffer.compare);
  const child = stream(['tar', `--directory=${upper}`, ...tarArgs], { stdio: ['pipe', 'pipe', 'pipe'], env: { LC_ALL: 'C', TAR_OPTIONS: '' } });
  const { stdin, stdout, stderr } = child;
  if (!stdin || !stdout || !stderr) throw new Error('tar has no pipes');
  let words = '';
  stderr.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(0, 2048)));
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  ended.catch(() => {});
  stdin.on('error', () => {});
  // With `./` before them no name can be an option; it comes off again below.
  stdin.end(Buffer.concat(names.flatMap((name) => [Buffer.from('./'), name, Buffer.from([0])])));

  let ready: Buffer[] = [];
  const scan = scanTar({
    entry: (header, blocks) => ready.push(...layerEntry(header, blocks)),
    content: (bytes) => ready.push(bytes),
    padding: (bytes) => ready.push(bytes),
    trailer() {},
  });
  try {
    for await (const chunk of stdout) {
      scan.push(chunk as Buffer);
      yield* ready;
      ready = [];
    }
    scan.end();
    // 1: a file changed while it was read, which is for the one who did not pause the container to know.
    const code = await ended;
    if (code !== 0 && code !== 1) throw new Error(`cannot read ${upper}: ${words.trim() || messageOf(code)}`);
  } finally {
    child.kill();
  }
  yield endOfTar;
}

const layerEntry = (header: TarHeader, blocks: readonly Buffer[]): readonly Buffer[] => {
  const name = header.name.replace(/^\.\//, '');
  if (header.type === '3' && header.devMajor === 0 && header.devMinor === 0) {
    const slash = name.lastIndexOf('/') + 1;
    return [encodeHeader(plainHeader(`${name.slice(0, slash)}.wh.${name.slice(slash)}`, '0', { mtime: header.mtime }))];
  }
  if (header.pax.has(`${OVERLAY_XATTR}redirect`)) throw new Error(`cannot read ${name}: overlayfs has moved it (redirect_dir)`);
  const pax = new Map([...header.pax].filter(([key]) => !key.startsWith(OVERLAY_XATTR) && key !== 'path' && key !== 'linkpath'));
  const linkName = header.type === '1' ? header.linkName.replace(/^\.\//, '') : header.linkName;
  const plain = encodeHeader({ ...header, name, linkName, pax });
  if (header.pax.get(OPAQUE_XATTR) !== 'y') return [plain];
  return [plain, encodeHeader(plainHeader(`${name.replace(/\/$/, '')}/.wh..wh..opq`, '0', { mtime: header.mtime }))];
};

import { lstat, mkdir, realpath } from 'node:fs/promises';
import { run } from './command.ts';
import { Readable } from 'node:stream';
import { encodeHeader, endOfTar, plainHeader } from './tar-format.ts';

/** What a layer hides of the layers below it. Names are binary strings; '' is the layer's root. */
export type Whiteouts = {
  readonly names: { readonly directory: string; readonly name: string }[];
  readonly opaque: string[];
};

/** What a directory says to overlayfs that hides all of its lower ones. */
export const OPAQUE_XATTR = 'SCHILY.xattr.trusted.overlay.opaque';

/**
 * Puts them into an unpacked layer in overlayfs's own words: a character device 0/0 for a hidden name, an extended
 * attribute for an opaque directory. Node can make neither, so they come in a tar, too, one for all. Its names
 * have no links in them, so tar cannot be led out of the layer.
 */
export const writeWhiteouts = async (root: string, { names, opaque }: Whiteouts): Promise<void> => {
  if (names.length === 0 && opaque.length === 0) return;
  const base = await realpath(root);
  const real = new Map<string, string>();
  for (const directory of new Set([...names.map((whiteout) => whiteout.directory), ...opaque]))
    real.set(directory, await madeInside(base, directory));

  const blocks: Buffer[] = [];
  const hidesAll = new Set(opaque.map((directory) => real.get(directory)));
  for (const directory of new Set(real.values())) blocks.push(await directoryEntry(directory, base, hidesAll.has(directory)));
  for (const { directory, name } of names) {
    const file = `${real.get(directory)}/${name}`;
    // A name the layer also brings is not hidden: it is replaced.
    if (await exists(file)) continue;
    blocks.push(encodeHeader(plainHeader(file.slice(base.length + 1), '3')));
  }
  await run(
    ['tar', '--extract', '--file=-', `--directory=${base}`, '--numeric-owner', '--same-owner', '--preserve-permissions', '--delay-directory-restore', '--xattrs', '--xattrs-include=*'],
    { input: Readable.from([...blocks, endOfTar]), env: { LC_ALL: 'C', TAR_OPTIONS: '' } },
  );
};

/** A directory as it is, so that unpacking into it changes nothing but what it hides. */
const directoryEntry = async (directory: string, base: string, hidesAll: boolean): Promise<Buffer> => {
  const stat = await lstat(Buffer.from(directory, 'latin1'), { bigint: true });
  const seconds = stat.mtimeNs / 1_000_000_000n;
  const fraction = String(stat.mtimeNs % 1_000_000_000n).padStart(9, '0');
  const pax = new Map([['mtime', `${seconds}.${fraction}`]]);
  if (hidesAll) pax.set(OPAQUE_XATTR, 'y');
  return encodeHeader(
    plainHeader(directory === base ? './' : `${directory.slice(base.length + 1)}/`, '5', {
      mode: Number(stat.mode),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      mtime: Number(seconds),
      pax,
    }),
  );
};

/** The directory without links, made where it is missing. It may not lead out of the layer. */
const madeInside = async (base: string, directory: string): Promise<string> => {
  let at = base;
  for (const part of directory.split('/').filter((part) => part !== '')) {
    const next = Buffer.from(`${at}/${part}`, 'latin1');
    if (!(await exists(`${at}/${part}`))) await mkdir(next, { mode: 0o755 });
    at = (await realpath(next, { encoding: 'latin1' })) as string;
    if (at !== base && !at.startsWith(`${base}/`)) throw new Error(`invalid path in archive: "${directory}" leads out of it`);
    if (!(await lstat(Buffer.from(at, 'latin1'))).isDirectory()) throw new Error(`invalid path in archive: "${directory}" is not a directory`);
  }
  return at;
};

const exists = (file: string): Promise<boolean> => lstat(Buffer.from(file, 'latin1')).then(() => true, () => false);

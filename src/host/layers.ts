import { createHash, randomBytes, randomInt } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, readFile, readdir, realpath, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { EngineError, messageOf, systemError } from '../model/errors.ts';
import { BUILD_PREFIX } from './build-files.ts';
import { stream } from './command.ts';
import { decompressed } from './compression.ts';
import { layerOf } from './layer-changes.ts';
import { readRecipe, writeRecipe } from './layer-recipe.ts';
import { REGISTRY_PREFIX } from './registry.ts';
import { encodeHeader, endOfTar, padding, plainHeader, type TarHeader } from './tar-format.ts';
import { scanTar } from './tar-scan.ts';
import { writeWhiteouts, type Whiteouts } from './whiteouts.ts';

/** Options of GNU tar, which unpacks: it strips leading slashes, refuses `..` and makes links that lead away last. */
const unpackArgs = ['--numeric-owner', '--same-owner', '--preserve-permissions', '--delay-directory-restore', '--xattrs', '--xattrs-include=*'];
const tarEnv = { LC_ALL: 'C', TAR_OPTIONS: '' };

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
const WORDS_LIMIT = 2048;

/**
 * Layers on disk: DATA_ROOT/overlay2/<64 hex of chainId>/ with `diff` (its files as overlayfs wants them), `recipe.gz`
 * and `tar.json` (from which its tar is made again). Unpacking goes on under DATA_ROOT/tmp, and a rename stores:
 * what has a layer's name is whole.
 */
export const createLayers = ({ dataRoot }: { readonly dataRoot: string }) => {
  const stored = path.join(dataRoot, 'overlay2');
  const temporary = path.join(dataRoot, 'tmp');
  const place = (chainId: string): string => path.join(stored, chainId.replace(/^sha256:/, ''));
  const aside = async (prefix: string): Promise<string> => {
    const directory = path.join(temporary, prefix + randomBytes(8).toString('hex'));
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return directory;
  };
  const forget = (directory: string): Promise<void> => rm(directory, { recursive: true, force: true });

  const unpack = async (tar: Readable, moved = () => {}) => {
    const directory = await aside(PREFIXES.layer);
    try {
      const { diffId, size } = await unpackInto(directory, tar, moved);
      return {
        diffId,
        size,
        async store(chainId: string): Promise<void> {
          await mkdir(stored, { recursive: true, mode: 0o710 });
          try {
            await rename(directory, place(chainId));
          } catch (error) {
            await forget(directory);
            if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
          }
        },
        discard: () => forget(directory),
      };
    } catch (error) {
      await forget(directory);
      // The tar is at fault, or the disk: no stack would tell more than the words.
      throw error instanceof EngineError ? error : systemError(messageOf(error), error);
    }
  };

  const tarSize = async (chainId: string): Promise<number> =>
    (JSON.parse(await readFile(path.join(place(chainId), 'tar.json'), 'utf8')) as { size: number }).size;

  /** Throws at its end when the files are not what they were: a layer that changed is no longer that layer. */
  async function* tarOf(chainId: string, diffId: string): AsyncGenerator<Buffer> {
    const hash = createHash('sha256');
    for await (const chunk of readRecipe(path.join(place(chainId), 'recipe.gz'), path.join(place(chainId), 'diff'))) {
      hash.update(chunk);
      yield chunk;
    }
    if (`sha256:${hash.digest('hex')}` !== diffId) throw new Error(`layer ${chainId} is not what it was: its files have changed`);
  }

  type Entry = { readonly name: string; readonly mtime: number; readonly content: string | { readonly layer: string; readonly diffId: string } };
  async function* entriesOf(entries: Promise<readonly Entry[]>): AsyncGenerator<Buffer> {
    for (const { name, mtime, content } of await entries) {
      if (name.endsWith('/')) {
        yield encodeHeader(plainHeader(name, '5', { mode: 0o755, mtime }));
        continue;
      }
      const text = typeof content === 'string' ? Buffer.from(content) : undefined;
      const size = text?.length ?? (typeof content === 'string' ? 0 : await tarSize(content.layer));
      yield encodeHeader(plainHeader(name, '0', { mode: 0o644, mtime, size }));
      if (text) yield text;
      else if (typeof content !== 'string') yield* tarOf(content.layer, content.diffId);
      yield Buffer.alloc(padding(size));
    }
    yield endOfTar;
  }

  /** The files of an archive that is unpacked already. */
  const openDirectory = (directory: string) => ({
    directory,
    names: async (): Promise<readonly string[]> => (await readdir(directory)).sort(),
    read: async (name: string): Promise<string> => {
      const file = await openInside(directory, name);
      try {
        return await file.readFile('utf8');
      } finally {
        await file.close();
      }
    },
    exists: async (name: string): Promise<boolean> => {
      try {
        await (await openInside(directory, name)).close();
        return true;
      } catch {
        return false;
      }
    },
    unpack: async (name: string, progress: (current: number, total: number) => void) => {
      const file = await openInside(directory, name);
      const { size } = await file.stat();
      const source = file.createReadStream({ highWaterMark: 512 * 1024 });
      return unpack(source, () => progress(source.bytesRead, size));
    },
    close: () => forget(directory),
  });

  return {
    unpack: (tar: Readable) => unpack(tar),
    tarSize,
    archive: (entries: Promise<readonly Entry[]>): Readable => Readable.from(entriesOf(entries), { objectMode: false, highWaterMark: 1024 * 1024 }),
    changes: (upper: string): Readable => layerOf(upper),

    async openArchive(tar: Readable) {
      const directory = path.join(temporary, PREFIXES.archive + randomInt(1e9, 4e9));
      await mkdir(directory, { recursive: true, mode: 0o700 });
      try {
        await unpackArchive(directory, tar);
      } catch (error) {
        await forget(directory);
        throw error;
      }
      return openDirectory(directory);
    },
    openDirectory,

    async remove(chainIds: readonly string[]): Promise<void> {
      for (const chainId of chainIds) {
        const gone = path.join(temporary, PREFIXES.removed + randomBytes(8).toString('hex'));
        await mkdir(temporary, { recursive: true, mode: 0o700 });
        try {
          await rename(place(chainId), gone);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
          throw error;
        }
        // What fails here is under tmp, and goes at the next start.
        forget(gone).catch(() => {});
      }
    },

    async list(): Promise<readonly string[]> {
      const names = await readdir(stored).catch(() => []);
      const found = await Promise.all(names.map(async (name) => (await exists(path.join(stored, name, 'tar.json'))) ? [`sha256:${name}`] : []));
      return found.flat();
    },

    async clean(): Promise<void> {
      const names = await readdir(temporary).catch(() => []);
      const ours = names.filter((name) => Object.values(PREFIXES).some((prefix) => name.startsWith(prefix)));
      await Promise.all(ours.map((name) => forget(path.join(temporary, name))));
    },
  };
};

/** What we make under DATA_ROOT/tmp. The archive's name is seen in error messages. */
const PREFIXES = { layer: 'layer-', archive: 'docker-import-', removed: 'removed-', registry: REGISTRY_PREFIX, build: BUILD_PREFIX };

/** Fills `directory` with `diff`, `recipe.gz` and `tar.json`. The digest is of the tar as it is without compression. */
const unpackInto = async (directory: string, tar: Readable, moved: () => void): Promise<{ diffId: string; size: number }> => {
  const diff = path.join(directory, 'diff');
  await mkdir(diff, { mode: 0o755 });
  const recipe = writeRecipe(path.join(directory, 'recipe.gz'));
  const hash = createHash('sha256');
  const files = new Set<string>();
  const whiteouts: Whiteouts = { names: [], opaque: [] };
  let [size, total, entries, keep] = [0, 0, 0, false];

  const scan = scanTar({
    entry(header, blocks) {
      entries += 1;
      for (const block of blocks) recipe.raw(block);
      const name = within(header.name);
      if (files.has(name)) throw new Error('duplicates of file paths not supported');
      size += bytesOf(header);
      noteWhiteout(name, whiteouts);
      keep = !isPlainFile(header) || name.startsWith(WHITEOUT) || name.includes(`/${WHITEOUT}`);
      if (keep || header.size === 0) return;
      files.add(name);
      recipe.file(name, header.size);
    },
    content(bytes) {
      if (keep) recipe.raw(bytes);
    },
    padding: (bytes) => recipe.raw(bytes),
    trailer: (bytes) => recipe.raw(bytes),
  });

  try {
    await intoTar(['--extract', '--file=-', `--directory=${diff}`, ...unpackArgs, `--exclude=${WHITEOUT}*`], tar, {
      chunk(bytes) {
        hash.update(bytes);
        total += bytes.length;
        moved();
        scan.push(bytes);
        return recipe.drained();
      },
      end: () => scan.end(),
      isEmpty: () => entries === 0,
    });
    await recipe.close();
  } catch (error) {
    await recipe.abandon();
    throw error;
  }
  await writeWhiteouts(diff, whiteouts);
  await writeFile(path.join(directory, 'tar.json'), JSON.stringify({ size: total }));
  return { diffId: `sha256:${hash.digest('hex')}`, size };
};

/** The files of an archive: who owned them and what they may does not matter. */
const unpackArchive = async (directory: string, tar: Readable): Promise<void> => {
  let entries = 0;
  const scan = scanTar({ entry: (header) => void (within(header.name), entries++), content() {}, padding() {}, trailer() {} });
  const args = ['--extract', '--file=-', `--directory=${directory}`, '--no-same-owner', '--no-same-permissions', '--touch'];
  await intoTar(args, tar, { chunk: async (bytes) => scan.push(bytes), end: () => scan.end(), isEmpty: () => entries === 0 });
};

/** Every chunk is looked at before tar gets it. */
const intoTar = async (
  args: readonly string[],
  tar: Readable,
  look: { chunk(bytes: Buffer): Promise<void>; end(): void; isEmpty(): boolean },
): Promise<void> => {
  const child = stream(['tar', ...args], { stdio: ['pipe', 'ignore', 'pipe'], env: tarEnv });
  const { stdin, stderr } = child;
  if (!stdin || !stderr) throw new Error('tar has no pipes');
  let [words, closed] = ['', false];
  stderr.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(0, WORDS_LIMIT)));
  const ended = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  ended.catch(() => {});
  // tar reads no further than the tar's end; why it stopped before is told by its exit code and its words.
  let goOn = (): void => {};
  stdin.on('error', () => {}).on('drain', () => goOn()).on('close', () => {
    closed = true;
    goOn();
  });
  let plain = tar;
  try {
    plain = await decompressed(tar);
    // Not destroyed when one stops listening: its sender should hear why.
    for await (const chunk of plain.iterator({ destroyOnReturn: false })) {
      await look.chunk(chunk as Buffer);
      if (!closed && !stdin.write(chunk)) await new Promise<void>((resolve) => ((goOn = resolve), closed && resolve()));
    }
    look.end();
  } catch (error) {
    child.kill();
    if (plain !== tar) plain.destroy();
    tar.resume();
    await ended.catch(() => {});
    throw error;
  }
  stdin.end();
  const code = await ended;
  if (code !== 0 && !look.isEmpty()) throw new Error(`cannot unpack: ${tarWords(words) || `tar ended with ${code}`}`);
};

/** tar's own words, without the line that only says that there were others. */
const tarWords = (words: string): string =>
  words.split('\n').map((line) => line.replace(/^tar: /, '')).filter((line) => line !== '' && !line.startsWith('Exiting with failure status')).join('; ');

/** The name as a path below the layer's root, '' for the root. Nothing may come to lie above it. */
const within = (name: string): string => {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new Error(`invalid path in archive: "${name}" leads out of it`);
  return parts.join('/');
};

/** As the reference engine counts an image: what its files hold, and what its symbolic links say. */
const bytesOf = (header: TarHeader): number => (header.type === '2' ? header.linkName.length : header.size);

/** A file whose content in the tar is its content on disk. */
const isPlainFile = (header: TarHeader): boolean => header.type === '0' && ![...header.pax.keys()].some((key) => key.startsWith('GNU.sparse.'));

/** `.wh.NAME` hides NAME of the layers below, `.wh..wh..opq` everything in its directory; other `.wh..wh.*` mean nothing here. */
const noteWhiteout = (name: string, whiteouts: Whiteouts): void => {
  const slash = name.lastIndexOf('/');
  const [directory, base] = [name.slice(0, Math.max(slash, 0)), name.slice(slash + 1)];
  if (base === OPAQUE) whiteouts.opaque.push(directory);
  else if (base.startsWith(WHITEOUT) && !base.startsWith(WHITEOUT + WHITEOUT) && base !== WHITEOUT)
    whiteouts.names.push({ directory, name: base.slice(WHITEOUT.length) });
};

/** A regular file of an archive, whose links may not lead out of it. */
const openInside = async (directory: string, name: string) => {
  const wanted = path.join(directory, name);
  const file = await realpath(wanted).catch((error: unknown) => {
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? new Error(`open ${wanted}: no such file or directory`) : error;
  });
  const base = await realpath(directory);
  if (!file.startsWith(`${base}/`)) throw new Error(`evalSymlinksInScope: ${file} is not in ${directory}`);
  if (!(await lstat(file)).isFile()) throw new Error(`read ${wanted}: is not a regular file`);
  return open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
};

const exists = (file: string): Promise<boolean> => lstat(file).then(() => true, () => false);

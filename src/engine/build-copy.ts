import { invalid, messageOf, systemError } from '../model/errors.ts';
import { copyOwner, destinationPath, isUrl, nameOf, planCopy, sourcePath, type Copy } from '../plan/build-copy.ts';
import type { Instruction } from '../plan/dockerfile.ts';
import type { ChangeContext } from '../plan/image-changes.ts';
import { isPattern, pathPattern } from '../plan/path-pattern.ts';
import type { BuildFiles, SourceTree } from './build-files.ts';
import { sha256 } from './image-archive.ts';

/** One thing to copy: where it is, what is in it, and whether it may be unpacked. */
type Item = { readonly tree: SourceTree; readonly path: string; readonly digest: string; readonly unpack: boolean };

export type PreparedCopy = {
  /** How history tells it: what is copied is in it. */
  readonly comment: string;
  /** Puts all of it into a mounted root file system. */
  perform(rootfs: string): Promise<void>;
};

export type CopyPlaces = {
  readonly context: SourceTree;
  readonly files: BuildFiles;
  /** Calls back with the files of a stage or an image. */
  from<T>(name: string, body: (tree: SourceTree) => Promise<T>): Promise<T>;
  /** A file's text in a root file system; undefined when there is none. */
  readBeneath(root: string, path: string): string | undefined;
  /** So many bytes came from a URL. */
  fetched(size: number): void;
  readonly gone: AbortSignal;
};

/** Looks up what a COPY or an ADD brings, and calls back with it; sources stay as long as that takes. */
export const withCopy = async <T>(instruction: Instruction, context: ChangeContext, workingDir: string, places: CopyPlaces, body: (prepared: PreparedCopy) => Promise<T>): Promise<T> => {
  const copy = planCopy(instruction, context);
  const closing: SourceTree[] = [];
  const prepared = async (tree: SourceTree): Promise<T> => {
    const items: Item[] = [];
    for (const source of copy.sources) items.push(...(await itemsOf(source, copy, tree, places, closing).catch(inWords(copy))));
    if (items.length === 0) throw invalid(`${copy.name} failed: no source files were specified`);
    if (items.length > 1 && !copy.destination.endsWith('/'))
      throw invalid(`When using ${copy.name} with more than one source file, the destination must be a directory and end with a /`);
    const digest = items.length === 1 ? (items[0]?.digest ?? '') : `multi:${sha256(items.map((item) => item.digest).join(',')).replace('sha256:', '')}`;
    return body({
      comment: `${copy.name} ${copy.chown === '' ? '' : `--chown=${copy.chown} `}${digest} in ${copy.destination} `,
      perform: (rootfs) => perform(copy, items, workingDir, rootfs, places),
    });
  };
  try {
    return copy.from === '' ? await prepared(places.context) : await places.from(copy.from, prepared);
  } finally {
    for (const tree of closing) await tree.close();
  }
};

const itemsOf = async (source: string, copy: Copy, tree: SourceTree, places: CopyPlaces, closing: SourceTree[]): Promise<Item[]> => {
  if (isUrl(source)) {
    if (copy.name === 'COPY') throw invalid("source can't be a URL for COPY");
    const name = nameOf(source, copy.destination);
    const fetched = await places.files.fetch(source, name, places.gone);
    closing.push(fetched);
    places.fetched(fetched.size);
    return [{ tree: fetched, path: name, digest: (await fetched.digest(name)).replace('file:', ''), unpack: false }];
  }
  const paths = isPattern(source) ? matching(tree, sourcePath(source)) : [sourcePath(source)];
  return Promise.all(paths.map(async (path) => {
    if (tree.kind(path) === undefined) throw systemError(`${copy.from === '' ? 'file not found in build context or excluded by .dockerignore: ' : ''}stat ${path}: file does not exist`);
    return { tree, path, digest: await tree.digest(path), unpack: copy.name === 'ADD' };
  }));
};

const matching = (tree: SourceTree, pattern: string): string[] => {
  const expression = pathPattern(pattern);
  return expression ? tree.match(expression).filter((path) => tree.kind(path) !== undefined) : [];
};

const perform = async (copy: Copy, items: readonly Item[], workingDir: string, rootfs: string, { readBeneath, gone }: CopyPlaces): Promise<void> => {
  const owner = copyOwner(copy.chown, readBeneath(rootfs, '/etc/passwd') ?? '', readBeneath(rootfs, '/etc/group') ?? '');
  const destination = destinationPath(copy.destination, workingDir);
  for (const { tree, path, unpack } of items) {
    if (gone.aborted) throw systemError('context canceled');
    await tree.copy(path, { rootfs, destination, owner, unpack }).catch((error: unknown) => {
      throw systemError(`failed to copy files: ${messageOf(error)}`, error);
    });
  }
};

const inWords = ({ name }: Copy) => (error: unknown): never => {
  throw systemError(`${name} failed: ${messageOf(error)}`, error);
};

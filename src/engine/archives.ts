import type { Readable } from 'node:stream';
import type { Container } from '../model/container.ts';
import type { Volume } from '../model/volume.ts';
import { EngineError, invalid, messageOf, notFound, systemError } from '../model/errors.ts';
import { archivePath, goFileMode, isDirectory, isLink, mountOver, ownerIn } from '../plan/archive-path.ts';
import type { Archives, PathStat } from './services.ts';

/** What is at a path: `mode` as in st_mode, `linkTarget` where a link leads in the end ('' for all else). */
export type TreeStat = { readonly size: number; readonly mode: number; readonly mtime: string; readonly linkTarget: string };

/** Bytes on their way; `done` resolves when nothing holds on to the files any more. */
export type Packed = { readonly tar: Readable; readonly done: Promise<void> };

/** A container's files as it sees them, volumes in place, until closed. Failures have the `code` of their system call. */
export type Tree = {
  /** As lstat: a slash at the end follows a link. */
  stat(path: string): TreeStat;
  /** Where a path leads, links followed. */
  resolve(path: string): { readonly path: string; readonly mode: number };
  /** A path with all below it, under `name`. */
  pack(path: string, name: string): Packed;
  /** All of it, without a name above. */
  packAll(): Packed;
  unpack(directory: string, tar: Readable, options: { readonly keepDirectories: boolean; readonly owner: { readonly uid: number; readonly gid: number } | undefined; readonly ofRoot?: boolean }): Promise<void>;
  /** A small file's text; '' when there is none. */
  text(path: string): string;
  close(): void;
};

export type Change = { readonly path: string; readonly kind: 'modified' | 'added' | 'deleted' };

export type ArchivesParts = {
  readonly find: (ref: string) => Container;
  /** Calls back with the container's mounted root file system, which stays mounted until the promise it gets is settled. */
  readonly withRootfs: <T>(container: Container, which: 'rootfs' | 'whole', body: (rootfs: string) => Promise<T>) => Promise<T>;
  /** The rootfs alone, or with the container's mounts (and its /etc/hosts and the like) in place. */
  readonly openTree: (container: Container, rootfs: string, which: 'rootfs' | 'whole') => Tree;
  /** What the container's own layer changes in its image, by path. */
  readonly changes: (container: Container) => Promise<readonly Change[]>;
  /** `archive-path`, `extract-to-dir`, `export`. */
  readonly emit: (container: Container, action: string) => void;
  /** Its volumes are in place for the call, or no longer. */
  readonly emitMounts: (container: Container, action: 'mount' | 'unmount') => void;
  readonly findVolume: (name: string) => Volume | undefined;
  readonly withVolume: <T>(volume: Volume, body: (root: string) => Promise<T>) => Promise<T>;
  readonly openVolume: (root: string) => Tree;
  readonly emitVolume: (volume: Volume, action: string) => void;
};

/** Whose files an archive call is about: a container's; or, by the name `volume.NAME`, those of a volume alone. */
type Subject = {
  within<T>(body: (tree: Tree) => Promise<T>): Promise<T>;
  checkWritable(path: string): void;
  /** Whose the files are that are written for it. */
  readonly user: string;
  emit(action: string): void;
};

export const createArchives = ({ find, withRootfs, openTree, changes, emit, findVolume, withVolume, openVolume, emitVolume, emitMounts }: ArchivesParts): Archives => {
  const closing = async <T>(tree: Tree, body: (tree: Tree) => Promise<T>): Promise<T> => {
    try {
      return await body(tree);
    } finally {
      tree.close();
    }
  };

  const ofContainer = (container: Container): Subject => ({
    async within(body) {
      emitMounts(container, 'mount');
      try {
        return await withRootfs(container, 'whole', (rootfs) => closing(openTree(container, rootfs, 'whole'), body));
      } finally {
        emitMounts(container, 'unmount');
      }
    },
    checkWritable: (path) => checkWritable(container, path),
    user: container.spec.user,
    emit: (action) => emit(container, action),
  });

  const ofVolume = (volume: Volume): Subject => ({
    within: (body) => withVolume(volume, (root) => closing(openVolume(root), body)),
    checkWritable() {},
    user: '',
    emit: (action) => emitVolume(volume, action),
  });

  const subjectOf = (ref: string): Subject => {
    try {
      return ofContainer(find(ref));
    } catch (error) {
      const volume = ref.startsWith(VOLUME) ? findVolume(ref.slice(VOLUME.length)) : undefined;
      if (volume) return ofVolume(volume);
      throw error;
    }
  };

  /** Resolves as soon as bytes can flow; the tree stays open until they have. */
  const flowing = <T extends Packed>(within: Subject['within'], begin: (tree: Tree) => T): Promise<T> =>
    new Promise((resolve, reject) => {
      within(async (tree) => {
        const packed = begin(tree);
        resolve(packed);
        await packed.done;
      }).catch(reject);
    });

  return {
    async stat(ref, path) {
      return subjectOf(ref).within(async (tree) => statOf(tree, ref, path));
    },
    async read(ref, path) {
      const subject = subjectOf(ref);
      const { stat, tar } = await flowing(subject.within, (tree) => {
        const stat = statOf(tree, ref, path);
        const asked = archivePath(path);
        return { stat, ...inWords(ref, path, asked.path, () => tree.pack(asked.path, asked.name)) };
      });
      subject.emit('archive-path');
      return { stat, tar };
    },
    async write(ref, path, tar, { noOverwriteDirNonDir, copyUidGid }) {
      const subject = subjectOf(ref);
      await subject.within(async (tree) => {
        const asked = archivePath(path);
        const place = inWords(ref, path, asked.path, () => tree.resolve(asked.path), 'EvalSymlinks: too many links');
        if (!isDirectory(place.mode)) throw systemError('extraction point is not a directory');
        subject.checkWritable(place.path);
        const owner = copyUidGid && subject.user !== '' ? ownerOf(subject.user, tree) : undefined;
        try {
          await tree.unpack(place.path, tar, { keepDirectories: noOverwriteDirNonDir, owner });
        } catch (error) {
          throw codeOf(error) === 'EROFS' ? invalid('mounted volume is marked read-only') : inWordsOf(error, ref, path);
        }
        subject.emit('extract-to-dir');
      });
    },
    async export(ref) {
      const container = find(ref);
      const { tar } = await flowing(
        (body) => withRootfs(container, 'rootfs', (rootfs) => closing(openTree(container, rootfs, 'rootfs'), body)),
        (tree) => tree.packAll(),
      );
      emit(container, 'export');
      return tar;
    },
    async changes(ref) {
      return changes(find(ref));
    },
  };
};

/** No container's id begins like this; a container that has such a name goes first. */
const VOLUME = 'volume.';

const statOf = (tree: Tree, ref: string, asked: string): PathStat => {
  const { path, name } = archivePath(asked);
  const { size, mode, mtime, linkTarget } = inWords(ref, asked, path, () => tree.stat(path));
  return { name, size, mode: goFileMode(mode), mtime, linkTarget: isLink(mode) ? linkTarget : '' };
};

/** What a volume allows decides for what is in it; the root file system's own word is for the rest. */
const checkWritable = (container: Container, path: string): void => {
  const mount = mountOver(container.mounts, path);
  if (mount?.readonly) throw invalid('mounted volume is marked read-only');
  if (!mount && container.spec.readonlyRootfs) throw invalid('container rootfs is marked read-only');
};

const ownerOf = (user: string, tree: Tree): { readonly uid: number; readonly gid: number } => {
  const owner = ownerIn(user, tree.text('/etc/passwd'), tree.text('/etc/group'));
  if (!owner) throw invalid(`unable to find user ${user.split(':')[0]}: no matching entries in passwd file`);
  return owner;
};

/** Looks a path up; what the kernel has against it is told in the reference engine's words. */
const inWords = <T>(ref: string, asked: string, path: string, look: () => T, loop?: string): T => {
  try {
    return look();
  } catch (error) {
    switch (codeOf(error)) {
      case 'ENOTDIR':
        throw systemError(`lstat ${path}: not a directory`, error);
      case 'EINVAL':
        throw systemError(`lstat ${path}: invalid argument`, error);
      case 'ELOOP':
        throw systemError(loop ?? (path.endsWith('/') ? `lstat ${path}: too many levels of symbolic links` : `evalSymlinksInScope: too many links in ${path}`), error);
      default:
        throw inWordsOf(error, ref, asked);
    }
  }
};

const inWordsOf = (error: unknown, ref: string, asked: string): EngineError => {
  if (error instanceof EngineError) return error;
  return codeOf(error) === 'ENOENT' ? notFound(`Could not find the file ${asked} in container ${ref}`) : systemError(messageOf(error), error);
};

const codeOf = (error: unknown): string | undefined => (error as { code?: string }).code;

import type { Readable } from 'node:stream';

/** What the engine needs of the place where layers are kept. `host/` provides it; tests provide a fake that holds state. */
export type Layers = {
  /** Unpacks a layer's tar, compressed or not, beside the stored layers. */
  unpack(tar: Readable): Promise<UnpackedLayer>;
  /** Unpacks what `docker load` was given, compressed or not: the files of an archive, by name. */
  openArchive(tar: Readable): Promise<Archive>;
  /** A tar of these entries, in their order. */
  archive(entries: Promise<readonly ArchiveEntry[]>): Readable;
  /** Bytes of a stored layer's tar. */
  tarSize(chainId: string): Promise<number>;
  /** The layer that a container's upper directory is, as a tar. */
  changes(upper: string): Readable;
  /** Takes stored layers away. They are gone from their place at once; the disk is freed later. */
  remove(chainIds: readonly string[]): Promise<void>;
  /** The layers stored on disk, whether a record names them or not. */
  list(): Promise<readonly string[]>;
  /** Frees what an earlier daemon left half done. Nothing may be under way. */
  clean(): Promise<void>;
};

/** A layer that is on disk but not yet stored: `store` it or `discard` it. */
export type UnpackedLayer = {
  readonly diffId: string;
  /** Bytes of its files. */
  readonly size: number;
  /** Puts it in the place of this layer. If that is there already, it is as good, and stays. */
  store(chainId: string): Promise<void>;
  discard(): Promise<void>;
};

export type Archive = {
  /** Where the files are; errors name it. */
  readonly directory: string;
  /** Its first entries, sorted. */
  names(): Promise<readonly string[]>;
  /** A file's text. Fails as open(2) does; never leaves the archive. */
  read(path: string): Promise<string>;
  exists(path: string): Promise<boolean>;
  /** A file in it, as a layer. Tells now and then how many bytes of how many are done. */
  unpack(path: string, progress: (current: number, total: number) => void): Promise<UnpackedLayer>;
  close(): Promise<void>;
};

export type ArchiveEntry = {
  /** Directories end with a slash. */
  readonly name: string;
  /** Seconds since the epoch. */
  readonly mtime: number;
  readonly content: string | { readonly layer: string; readonly diffId: string };
};

import fs from 'node:fs';
import type { Readable } from 'node:stream';
import { cleanPath, isWithin } from '../model/path.ts';
import { decompressed } from './compression.ts';
import { openMade } from './container-view.ts';
import { deviceNumber, fdPath, leafPath, makeNode, O_DIRECTORY, O_NOFOLLOW, O_PATH, openBeneath, removeLeaf, setAttribute } from './open-beneath.ts';
import type { TarHeader } from './tar-format.ts';
import { scanTar } from './tar-scan.ts';
import { createWorkAhead, type WorkAhead } from './work-ahead.ts';
import { leadingMap, placesOf, sparseName, sparseOf, type Sparse, type SparseMap } from './tar-sparse.ts';

export type UntarOptions = {
  /** An entry may not take the place of a directory, nor a directory that of something else. */
  readonly keepDirectories: boolean;
  /** Whose the files are, whatever the tar says. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** The directory itself takes its owner, mode and time from the tar, if that has it. */
  readonly ofRoot?: boolean;
  /** No file runs as its owner: the set-uid and set-gid bits stay behind. */
  readonly plain?: boolean;
  /** The last entry may come without what fills up its last block, as the docker CLI sends a context it has added to. */
  readonly unfilled?: boolean;
};

/**
 * Unpacks a tar, compressed or not, into `directory` of the tree whose root is open as `root`. Every name is looked up
 * by the kernel below that root, link by link as a process of the container would; the last part of a name is never
 * followed. Neither the tar nor the tree can reach anything else, even while the container changes it.
 */
export const untar = async (root: number, directory: string, tar: Readable, options: UntarOptions): Promise<void> => {
  const steps: Step[] = [];
  const scan = scanTar({
    entry: (header, blocks) => steps.push({ header, sparse: sparseOf(header, blocks) }),
    content: (bytes) => steps.push({ bytes }),
    padding() {},
    trailer() {},
  });
  const ahead = createWorkAhead();
  const unpack = createUnpack(root, directory, options, ahead);
  const perform = async (): Promise<void> => {
    for (const step of steps.splice(0)) {
      if ('header' in step) unpack.enter(step.header, step.sparse);
      else {
        const written = unpack.write(step.bytes);
        if (written) await written;
      }
      const room = ahead.room();
      if (room) await room;
    }
  };
  let plain = tar;
  try {
    plain = await decompressed(tar);
    for await (const chunk of keptOpen(plain)) {
      scan.push(chunk);
      await perform();
    }
    scan.end(options.unfilled);
    await ahead.settled();
    unpack.finish();
  } finally {
    await ahead.over();
    unpack.close();
    if (plain !== tar) plain.destroy();
    // Whatever the tar has still to say is let go by, so that its sender can hear why nobody listens.
    tar.resume();
  }
};

type Step = { readonly header: TarHeader; readonly sparse: Sparse | undefined } | { readonly bytes: Buffer };

/** The chunks of a stream, which is not destroyed when one stops listening. */
const keptOpen = (stream: Readable): AsyncIterable<Buffer> => stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;

/** Below this many bytes a write is not worth leaving the thread for. */
const SMALL_WRITE = 16 * 1024;
/** What comes in pieces goes to the disk in larger ones: writes of one file wait for each other in the kernel. */
const [LARGE_WRITE, MOST_PIECES] = [512 * 1024, 64];

const createUnpack = (root: number, directory: string, { keepDirectories, owner, ofRoot = false, plain = false }: UntarOptions, ahead: WorkAhead) => {
  /** The directory last written to: most entries come one after the other. */
  let parent: { readonly path: string; readonly fd: number } | undefined;
  let file: OpenFile | undefined;
  let whole: TarHeader | undefined;
  /** Set last, because every entry made in a directory changes its time. */
  const directories = new Map<string, number>();

  const open = (path: string, entry = path): number => {
    if (parent?.path === path) return parent.fd;
    const fd = openDirectory(path, entry);
    forget();
    parent = { path, fd };
    return fd;
  };
  const forget = (): void => {
    if (parent) fs.closeSync(parent.fd);
    parent = undefined;
  };
  const openDirectory = (path: string, entry: string): number => {
    try {
      return openBeneath(root, path, O_PATH | O_DIRECTORY);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOTDIR') throw Object.assign(new Error(`open ${Buffer.from(entry, 'latin1').toString()}: not a directory`), { code });
      if (code !== 'ENOENT') throw error;
      return openMade(root, path, 'directory');
    }
  };

  const own = (path: Buffer, header: TarHeader): void => fs.lchownSync(path, owner?.uid ?? header.uid, owner?.gid ?? header.gid);

  const closeFile = (): void => {
    if (!file) return;
    const { fd, header, path, holes } = file;
    file = undefined;
    try {
      if (holes) fs.ftruncateSync(fd, holes.size);
      fs.fchownSync(fd, owner?.uid ?? header.uid, owner?.gid ?? header.gid);
      // After the owner, whose change takes the set-uid bit away.
      fs.fchmodSync(fd, header.mode & (plain ? 0o1777 : 0o7777));
      setAttributes(path, header);
      fs.futimesSync(fd, time(header), time(header));
    } finally {
      fs.closeSync(fd);
    }
  };

  const makeRoom = (at: number, leaf: string, path: string, isDirectory: boolean): boolean => {
    const there = fs.lstatSync(leafPath(at, leaf), { throwIfNoEntry: false });
    if (!there) return false;
    if (there.isDirectory() && isDirectory) return true;
    if (keepDirectories && there.isDirectory()) throw new Error(`cannot overwrite directory ${quoted(path)} with non-directory ${quoted(directory)}`);
    if (keepDirectories && isDirectory) throw new Error(`cannot overwrite non-directory ${quoted(path)} with directory ${quoted(directory)}`);
    if (there.isDirectory()) removeLeaf(at, leaf);
    else unlinkAside(leafPath(at, leaf), ahead);
    if (parent && isWithin(path, parent.path)) forget();
    return false;
  };

  const make = (header: TarHeader, sparse: Sparse | undefined, at: number, leaf: string, path: string): void => {
    const place = leafPath(at, leaf);
    switch (header.type) {
      case '5':
        if (!makeRoom(at, leaf, path, true)) fs.mkdirSync(place, { mode: 0o700 });
        own(place, header);
        setMode(at, leaf, header);
        setAttributes(place, header);
        directories.set(path, time(header));
        return;
      case '1': {
        const target = cleanPath(`${directory}/${header.linkName}`);
        if (!isWithin(directory, target)) throw new Error(`invalid hardlink ${quoted(target)} -> ${quoted(header.linkName)}`);
        makeRoom(at, leaf, path, false);
        const [from, name] = split(target);
        const fd = openBeneath(root, from, O_PATH | O_DIRECTORY);
        try {
          fs.linkSync(leafPath(fd, name), place);
        } finally {
          fs.closeSync(fd);
        }
        return;
      }
      case '2': {
        const target = cleanPath(`${split(path)[0]}/${header.linkName}`);
        if (!isWithin(directory, target)) throw new Error(`invalid symlink ${quoted(path)} -> ${quoted(header.linkName)}`);
        makeRoom(at, leaf, path, false);
        fs.symlinkSync(Buffer.from(header.linkName, 'latin1'), place);
        own(place, header);
        fs.lutimesSync(place, time(header), time(header));
        return;
      }
      case '3':
      case '4':
      case '6':
        makeRoom(at, leaf, path, false);
        makeNode(place, nodeType(header.type) | 0o600, header.type === '6' ? 0n : deviceNumber(header.devMajor, header.devMinor));
        own(place, header);
        setMode(at, leaf, header);
        fs.lutimesSync(place, time(header), time(header));
        return;
      case '0':
      case 'S':
        makeRoom(at, leaf, path, false);
        file = {
          fd: fs.openSync(place, fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_EXCL | O_NOFOLLOW, 0o600),
          header,
          path: place,
          title: path,
          position: 0,
          gathered: [],
          ...(sparse ? { holes: { size: sparse.size, map: sparse.map, head: Buffer.alloc(0) } } : {}),
        };
        if (header.size === 0) closeFile();
        return;
      default:
        throw new Error(`unhandled tar header type ${header.type.charCodeAt(0)}`);
    }
  };

  return {
    enter(header: TarHeader, sparse: Sparse | undefined): void {
      closeFile();
      const name = cleanPath(sparse ? sparseName(header) : header.name);
      const path = cleanPath(`${directory}/${name}`);
      if (!isWithin(directory, path)) throw new Error(`${quoted(name)} is outside of ${quoted(directory)}`);
      if (path === directory) {
        // It is there, and stays what it is unless it is to be as the tar has it.
        if (ofRoot && header.type === '5') whole = header;
        return;
      }
      const [above, leaf] = split(path);
      try {
        make(header, sparse, open(above, path), leaf, path);
      } catch (error) {
        throw about(path, error);
      }
    },
    write(bytes: Buffer): Promise<void> | undefined {
      if (!file) return undefined;
      const { fd, position, header, holes, title } = file;
      file.position += bytes.length;
      const last = file.position >= header.size;
      if (!holes && bytes.length < SMALL_WRITE && file.gathered.length === 0) {
        try {
          fs.writeSync(fd, bytes, 0, bytes.length, position);
        } catch (error) {
          throw about(title, error);
        }
        // The pieces before it may still be on their way.
        if (last && bytes.length < header.size) return ahead.settled().then(closeFile);
        if (last) closeFile();
        return undefined;
      }
      const failed = (error: unknown): never => {
        throw about(title, error);
      };
      if (holes) {
        const written = fill(fd, holes, position, bytes).catch(failed);
        return last ? written.then(closeFile) : written;
      }
      const { gathered } = file;
      gathered.push(bytes);
      const size = gathered.reduce((sum, { length }) => sum + length, 0);
      if (!last && size < LARGE_WRITE && gathered.length < MOST_PIECES) return undefined;
      file.gathered = [];
      ahead.add(writePieces(fd, gathered, file.position - size).catch(failed), size);
      return last ? ahead.settled().then(closeFile) : undefined;
    },
    finish(): void {
      for (const [path, time] of directories) {
        const [above, leaf] = split(path);
        const at = leafPath(open(above), leaf);
        if (fs.lstatSync(at, { throwIfNoEntry: false })?.isDirectory()) fs.lutimesSync(at, time, time);
      }
      if (!whole) return;
      const at = fdPath(open(directory));
      fs.chownSync(at, owner?.uid ?? whole.uid, owner?.gid ?? whole.gid);
      fs.chmodSync(at, whole.mode & 0o7777);
      fs.utimesSync(at, time(whole), time(whole));
    },
    close(): void {
      if (file) fs.closeSync(file.fd);
      file = undefined;
      forget();
    },
  };
};

/** What is dear about a file's end is what it had on the disk: that goes with the last descriptor, on a thread of its own. */
const unlinkAside = (path: Buffer, ahead: WorkAhead): void => {
  const held = fs.openSync(path, O_PATH | O_NOFOLLOW);
  try {
    fs.unlinkSync(path);
  } finally {
    ahead.add(new Promise((resolve) => fs.close(held, () => resolve())), REMOVED);
  }
};

/** What a removed file counts for: some tens at once. */
const REMOVED = 64 * 1024;

type OpenFile = { readonly fd: number; readonly header: TarHeader; readonly path: Buffer; readonly title: string; position: number; gathered: Buffer[]; readonly holes?: Holes };
/** `head`: what of the content's head has come, until the map is known; `start`: where in the content the file's own bytes begin. */
type Holes = { readonly size: number; map: SparseMap | undefined; head: Buffer; start?: number };

/** A system call's failure, in Go's words: the kernel's number for a name says nothing to whoever sent the tar. */
const about = (path: string, error: unknown): unknown => {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  const words = /^E[A-Z0-9]+: ([^,]+), /.exec(message)?.[1];
  return words === undefined ? error : Object.assign(new Error(`${syscall} ${Buffer.from(path, 'latin1').toString()}: ${words}`), { code });
};

const fill = async (fd: number, holes: Holes, position: number, bytes: Buffer): Promise<void> => {
  if (holes.map === undefined) {
    holes.head = Buffer.concat([holes.head, bytes]);
    const found = leadingMap(holes.head);
    if (!found) return;
    [holes.map, holes.start] = [found.map, found.length];
    [bytes, position, holes.head] = [holes.head.subarray(found.length), found.length, Buffer.alloc(0)];
  }
  for (const place of placesOf(holes.map, position - (holes.start ?? 0), bytes)) await writeAll(fd, place.bytes, place.at);
};

const writePieces = (fd: number, pieces: readonly Buffer[], position: number): Promise<void> =>
  new Promise((resolve, reject) => {
    fs.writev(fd, pieces, position, (error, written) => {
      if (error) return reject(error);
      if (written === pieces.reduce((sum, { length }) => sum + length, 0)) resolve();
      // A disk that is nearly full takes a part, and says why at the next.
      else writeAll(fd, Buffer.concat(pieces).subarray(written), position + written).then(resolve, reject);
    });
  });

const writeAll = (fd: number, bytes: Buffer, position: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const go = (from: number): void =>
      fs.write(fd, bytes, from, bytes.length - from, position + from, (error, written) => {
        if (error) reject(error);
        else if (from + written < bytes.length) go(from + written);
        else resolve();
      });
    go(0);
  });

/** By descriptor: by its name, a link put in its place would be followed. */
const setMode = (at: number, leaf: string, { mode }: TarHeader): void => {
  const fd = fs.openSync(leafPath(at, leaf), O_PATH | O_NOFOLLOW);
  try {
    fs.chmodSync(fdPath(fd), mode & 0o7777);
  } finally {
    fs.closeSync(fd);
  }
};

/** Node takes a time before 1970 for now. */
const time = ({ mtime }: TarHeader): number => Math.max(0, mtime);

const XATTR = 'SCHILY.xattr.';
/** Those that mean the same elsewhere, where the file system has them at all. */
const setAttributes = (path: Buffer, { pax }: TarHeader): void => {
  for (const [key, value] of pax) {
    if (!key.startsWith(`${XATTR}user.`) && key !== `${XATTR}security.capability`) continue;
    try {
      setAttribute(path, key.slice(XATTR.length), Buffer.from(value, 'latin1'));
    } catch (error) {
      if (!['EOPNOTSUPP', 'ENOTSUP', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
};

const nodeType = (type: string): number => ({ '3': fs.constants.S_IFCHR, '4': fs.constants.S_IFBLK })[type] ?? fs.constants.S_IFIFO;

/** A clean absolute path as its directory and its last name. */
const split = (path: string): [directory: string, leaf: string] => {
  const at = path.lastIndexOf('/');
  return [path.slice(0, at) || '/', path.slice(at + 1)];
};

const quoted = (path: string): string => JSON.stringify(Buffer.from(path, 'latin1').toString('utf8'));

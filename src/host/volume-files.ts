import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { run } from './command.ts';
import { decompressed } from './compression.ts';
import type { Places } from './places.ts';
import { moveAside, removeTree, STAGE } from './remove-tree.ts';
import { exchange } from './syscalls.ts';
import { scanTar } from './tar-scan.ts';

/** A large volume may take its time. Milliseconds. */
const PATIENCE = 24 * 60 * 60_000;

export type VolumeFiles = ReturnType<typeof createVolumeFiles>;

/**
 * A volume's content on its way: made under DATA_ROOT/tmp, on the volumes' own file system, and put in place whole by a
 * rename. A `stage` is such a directory, with `_data` in it; what a crash leaves of it is removed at the next start.
 */
export const createVolumeFiles = ({ dataRoot, places }: { readonly dataRoot: string; readonly places: Places }) => {
  const temporary = path.join(dataRoot, 'tmp');
  let reflinks: boolean | undefined;

  const stage = (): string => {
    const directory = path.join(temporary, `${STAGE}${randomBytes(8).toString('hex')}`);
    fs.mkdirSync(path.join(directory, '_data'), { recursive: true, mode: 0o755 });
    fs.chmodSync(directory, 0o701);
    return directory;
  };

  return {
    stage,
    discard: removeTree,

    /** Names of the volumes that have a directory, whoever knows them. */
    names(): string[] {
      const root = path.join(dataRoot, 'volumes');
      return fs.existsSync(root) ? fs.readdirSync(root).filter((name) => fs.existsSync(path.join(root, name, '_data'))) : [];
    },

    /** Keeps a stream in a file, and sees whether it is a whole tar. */
    async spool(directory: string, tar: Readable): Promise<void> {
      const file = path.join(directory, 'spool');
      await pipeline(tar, fs.createWriteStream(file, { mode: 0o600 }));
      const scan = scanTar({ entry() {}, content() {}, padding() {}, trailer() {} });
      for await (const chunk of await decompressed(fs.createReadStream(file))) scan.push(chunk as Buffer);
      scan.end();
    },
    spooled: (directory: string): Readable => fs.createReadStream(path.join(directory, 'spool')),

    /** Whether files can share their blocks: a copy then takes no time and no space. */
    canReflink(): boolean {
      if (reflinks !== undefined) return reflinks;
      const directory = stage();
      const [from, to] = [path.join(directory, 'a'), path.join(directory, 'b')];
      try {
        fs.writeFileSync(from, 'x');
        fs.copyFileSync(from, to, fs.constants.COPYFILE_FICLONE_FORCE);
        reflinks = true;
      } catch {
        reflinks = false;
      } finally {
        fs.rmSync(directory, { recursive: true, force: true });
      }
      return reflinks;
    },

    /** Copies what nobody changes meanwhile: by its names, which a running container could make lead elsewhere. */
    async copy(mountpoint: string, directory: string): Promise<void> {
      const target = path.join(directory, '_data');
      await run(['cp', '--archive', '--reflink=auto', '--', '.', target], { cwd: mountpoint, timeout: PATIENCE });
      const { uid, gid, mode } = fs.statSync(mountpoint);
      fs.chownSync(target, uid, gid);
      fs.chmodSync(target, mode & 0o7777);
    },

    /** The new content takes the old one's place, which goes when nobody reads it any more. */
    async replace(directory: string, mountpoint: string): Promise<void> {
      exchange(path.join(directory, '_data'), mountpoint);
      const old = moveAside(directory, temporary);
      if (old !== undefined) await places.removeFrom(path.dirname(mountpoint), old);
    },

    /** The stage becomes a volume's directory, which must not be there. */
    place(directory: string, volume: string): void {
      fs.mkdirSync(path.dirname(volume), { recursive: true, mode: 0o701 });
      if (fs.existsSync(volume)) throw new Error(`${volume} is there already`);
      fs.renameSync(directory, volume);
    },
    unplace: (volume: string): Promise<void> => places.remove(volume),

    /** Nothing is being mounted or unmounted in a volume's directory any more. */
    settled: (volume: string): Promise<void> => places.settled(volume),

    /**
     * Gives a volume's directory another name, at once. Until `done` (or `back`) a note on the disk says so, by which
     * `mendMoves` tells after a crash whether the records followed.
     */
    move(from: string, to: string): { done(): void; back(): void } {
      if (fs.existsSync(to)) throw new Error(`${to} is there already`);
      fs.mkdirSync(temporary, { recursive: true, mode: 0o700 });
      const note = path.join(temporary, `${MOVE}${randomBytes(8).toString('hex')}`);
      writeSynced(note, JSON.stringify({ from, to }));
      const rename = (a: string, b: string): void => {
        fs.renameSync(a, b);
        places.renamed(a, b);
      };
      try {
        rename(from, to);
      } catch (error) {
        fs.unlinkSync(note);
        throw error;
      }
      const done = (): void => fs.unlinkSync(note);
      return {
        done,
        back() {
          rename(to, from);
          done();
        },
      };
    },

    /** `isVolume`: whether the state knows a volume by the name of that directory. */
    mendMoves(isVolume: (directory: string) => boolean): void {
      const names = fs.existsSync(temporary) ? fs.readdirSync(temporary).filter((name) => name.startsWith(MOVE)) : [];
      for (const name of names) {
        const note = path.join(temporary, name);
        const { from, to } = noteOf(note);
        const [there, here] = isVolume(to) ? [from, to] : [to, from];
        if (isVolume(here) && fs.existsSync(there) && !fs.existsSync(here)) fs.renameSync(there, here);
        fs.unlinkSync(note);
      }
    },
  };
};

const MOVE = 'move-';

/** A note that was not written to its end is of a move that had not begun. */
const noteOf = (note: string): { readonly from: string; readonly to: string } => {
  try {
    return JSON.parse(fs.readFileSync(note, 'utf8')) as { from: string; to: string };
  } catch {
    return { from: '', to: '' };
  }
};

const writeSynced = (file: string, text: string): void => {
  const fd = fs.openSync(file, 'wx', 0o600);
  try {
    fs.writeSync(fd, text);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
};

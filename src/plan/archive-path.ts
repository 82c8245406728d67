import { cleanPath, isWithin } from '../model/path.ts';
import type { MountPoint } from '../model/volume.ts';

/** A path of a container as an archive call means it. */
export type ArchivePath = {
  /** Absolute and clean, with the `/` or `/.` at its end that the client wrote: it asks for what a link leads to. */
  readonly path: string;
  /** The last name of it, which the stat and the tar's entries have: '.' for `/.`, '/' for the root. */
  readonly name: string;
};

export const archivePath = (asked: string): ArchivePath => {
  const clean = cleanPath(`/${asked}`);
  const last = asked.split('/').at(-1);
  if (last === '.') return { path: clean === '/' ? '/.' : `${clean}/.`, name: '.' };
  const name = clean.slice(clean.lastIndexOf('/') + 1) || '/';
  return { path: last === '' && clean !== '/' ? `${clean}/` : clean, name };
};

/** The mount a path lies in: the deepest, and of two at one place the later. */
export const mountOver = (mounts: readonly MountPoint[], path: string): MountPoint | undefined =>
  mounts
    .filter(({ destination }) => isWithin(destination, path))
    .reduce<MountPoint | undefined>((deepest, mount) => (deepest && deepest.destination.length > mount.destination.length ? deepest : mount), undefined);

/** Unix `st_mode` as Go's os.FileMode, which the path stat shows. */
export const goFileMode = (mode: number): number => {
  const type = GO_TYPES[(mode & 0o170000) >> 12] ?? 0;
  const special = (mode & 0o4000 ? 2 ** 23 : 0) + (mode & 0o2000 ? 2 ** 22 : 0) + (mode & 0o1000 ? 2 ** 20 : 0);
  return type + special + (mode & 0o777);
};

/** By the four bits of the type: FIFO, character device (a device, too), directory, block device, link, socket. */
const GO_TYPES: Readonly<Record<number, number>> = { 1: 2 ** 25, 2: 2 ** 26 + 2 ** 21, 4: 2 ** 31, 6: 2 ** 26, 10: 2 ** 27, 12: 2 ** 24 };

export const isDirectory = (mode: number): boolean => (mode & 0o170000) === 0o040000;
export const isLink = (mode: number): boolean => (mode & 0o170000) === 0o120000;

/** `user[:group]` as a container's own /etc/passwd and /etc/group have it; undefined when they do not. */
export const ownerIn = (user: string, passwd: string, group: string): { readonly uid: number; readonly gid: number } | undefined => {
  const [name = '', groupName] = user.split(':');
  const entry = lines(passwd).find(([login, , uid]) => login === name || uid === name);
  const uid = entry?.[2] ?? name;
  const own = groupName === undefined ? (entry?.[3] ?? '0') : (lines(group).find(([title]) => title === groupName)?.[2] ?? groupName);
  return /^\d+$/.test(uid) && /^\d+$/.test(own) ? { uid: Number(uid), gid: Number(own) } : undefined;
};

const lines = (text: string): string[][] => text.split('\n').map((line) => line.split(':'));

import fs from 'node:fs';
import path from 'node:path';
import type { DeviceNode } from '../model/device.ts';
import { openMade } from './container-view.ts';
import { fdPath, O_DIRECTORY, O_PATH, openBeneath } from './open-beneath.ts';

/** Small looks into a container's files before it runs. Paths are resolved beneath its root by the kernel. */

/** Larger than any passwd file; a container may put anything in its place. */
const LIMIT = 4 * 1024 * 1024;

const withRoot = <T>(root: string, body: (fd: number) => T): T => {
  const fd = fs.openSync(root, O_PATH | O_DIRECTORY);
  try {
    return body(fd);
  } finally {
    fs.closeSync(fd);
  }
};

/** A file's text; undefined when there is no regular file of that name, or one too large to be what it should be. */
export const readBeneath = (root: string, name: string): string | undefined =>
  withRoot(root, (fd) => {
    let file: number;
    try {
      // Not to wait for whoever might write to a FIFO of that name.
      file = openBeneath(fd, name, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    } catch {
      return undefined;
    }
    try {
      const stat = fs.fstatSync(file);
      return stat.isFile() && stat.size <= LIMIT ? fs.readFileSync(file, 'utf8') : undefined;
    } finally {
      fs.closeSync(file);
    }
  });

/** Makes a directory, with its parents, and gives it to the user if it was not there. */
export const makeBeneath = (root: string, name: string, { uid, gid }: { readonly uid: number; readonly gid: number }): void =>
  withRoot(root, (fd) => {
    const exists = (): boolean => {
      try {
        const found = openBeneath(fd, name, O_PATH);
        const directory = fs.fstatSync(found).isDirectory();
        fs.closeSync(found);
        if (!directory) throw new Error(`Cannot mkdir: ${name} is not a directory`);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
        throw error;
      }
    };
    if (exists()) return;
    const made = openMade(fd, name, 'directory');
    try {
      if (uid !== 0 || gid !== 0) fs.chownSync(fdPath(made), uid, gid);
    } finally {
      fs.closeSync(made);
    }
  });

/** What the engine makes in every container's /dev itself, or what is another file system there. */
const NOT_DEVICES = new Set(['pts', 'shm', 'fd', 'mqueue', 'console', 'ptmx', '.lxc', '.lxd-mounts']);

/** The node at a host path, or all below it when it is a directory. */
export const deviceNodes = (hostPath: string, containerPath: string, permissions: string): DeviceNode[] => {
  const stat = fs.statSync(hostPath, { throwIfNoEntry: false });
  if (!stat) throw new Error(`error gathering device information while adding custom device "${hostPath}": no such file or directory`);
  if (stat.isDirectory())
    return fs.readdirSync(hostPath).flatMap((name) => {
      if (NOT_DEVICES.has(name)) return [];
      const child = path.join(hostPath, name);
      const kind = fs.lstatSync(child, { throwIfNoEntry: false });
      return kind && (kind.isDirectory() || kind.isCharacterDevice() || kind.isBlockDevice()) ? deviceNodes(child, path.join(containerPath, name), permissions) : [];
    });
  if (!stat.isCharacterDevice() && !stat.isBlockDevice()) throw new Error(`error gathering device information while adding custom device "${hostPath}": not a device node`);
  const device = stat.rdev;
  return [
    {
      path: containerPath,
      type: stat.isBlockDevice() ? 'b' : 'c',
      // gnu_dev_major(3) for the numbers that are in use.
      major: (device >>> 8) & 0xfff,
      minor: (device & 0xff) | ((device >>> 12) & 0xfff00),
      mode: stat.mode,
      uid: stat.uid,
      gid: stat.gid,
      permissions,
    },
  ];
};

import fs from 'node:fs';
import { systemError } from '../model/errors.ts';
import { run } from './command.ts';
import { fdPath, O_DIRECTORY, O_PATH, O_RDONLY, openBeneath } from './open-beneath.ts';

/** A large image may take its time. Milliseconds. */
const PATIENCE = 30 * 60_000;

/**
 * Fills an empty volume with what a container's root file system has at its destination: the files with all that
 * belongs to them, and the directory's own owner and mode even when there is nothing in it. A volume that has
 * something already stays as it is, and so does one whose destination is not there.
 */
export const copyUp = async (rootfs: string, destination: string, mountpoint: string): Promise<void> => {
  if (fs.readdirSync(mountpoint).length > 0) return;
  const source = openDirectory(rootfs, destination);
  if (source === undefined) return;
  try {
    if (fs.readdirSync(fdPath(source)).length > 0)
      await run(['cp', '--archive', '--reflink=auto', '--', '.', mountpoint], { cwd: fdPath(source), timeout: PATIENCE });
    const { uid, gid, mode } = fs.fstatSync(source);
    fs.chownSync(mountpoint, uid, gid);
    fs.chmodSync(mountpoint, mode & 0o7777);
  } finally {
    fs.closeSync(source);
  }
};

/** Whether any of these layers has something of that path: one that none has is not worth mounting them for. */
export const mayBeIn = (layers: readonly string[], destination: string): boolean => {
  const first = destination.split('/').find((part) => part !== '') ?? '';
  return layers.some((layer) => fs.lstatSync(`${layer}/${first}`, { throwIfNoEntry: false }) !== undefined);
};

/** Whether there is anything where a volume is to be mounted. */
export const isBeneath = (rootfs: string, destination: string): boolean => {
  const fd = openIn(rootfs, destination, O_PATH);
  if (fd !== undefined) fs.closeSync(fd);
  return fd !== undefined;
};

const openDirectory = (rootfs: string, destination: string): number | undefined => {
  const fd = openIn(rootfs, destination, O_RDONLY | O_DIRECTORY);
  if (fd === undefined && isBeneath(rootfs, destination)) throw systemError(`source ${rootfs}${destination} is not directory`);
  return fd;
};

const openIn = (rootfs: string, destination: string, flags: number): number | undefined => {
  const root = fs.openSync(rootfs, O_PATH | O_DIRECTORY);
  try {
    return openBeneath(root, Buffer.from(destination).toString('latin1'), flags);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  } finally {
    fs.closeSync(root);
  }
};

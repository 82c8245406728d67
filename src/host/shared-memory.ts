import fs from 'node:fs';
import type { KindOf } from '../operations/operation.ts';
import { MS } from './mount-options.ts';
import { isMountPoint, mountNow, unmount } from './syscalls.ts';

/** A container's /dev/shm, kept on the host so that others can have it too. */
export const mountSharedMemory = ({ path, size }: KindOf<'shared-memory'>): void => {
  fs.mkdirSync(path, { recursive: true, mode: 0o700 });
  if (isMountPoint(path)) return;
  const refusal = mountNow({ source: 'shm', target: path, type: 'tmpfs', flags: MS.NOSUID | MS.NOEXEC | MS.NODEV, data: `mode=1777,size=${size}` });
  if (refusal !== undefined) throw new Error(`mounting shm tmpfs: ${refusal}`);
};

/** Containers that still use it keep it; it has no place any more. */
export const unmountSharedMemory = ({ path }: KindOf<'shared-memory'>): void => {
  if (!fs.existsSync(path)) return;
  unmount(path);
  fs.rmdirSync(path);
};

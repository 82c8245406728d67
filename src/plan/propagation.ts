import { systemError } from '../model/errors.ts';
import type { MountPoint } from '../model/volume.ts';
import { isWithin } from '../model/path.ts';

/** The mount that a path of the host lies on: where it is, and who hears of what is mounted below it. */
export type HostMount = { readonly at: string; readonly shared: boolean; readonly slave: boolean };

/** A bind can pass on only what its source hears of. */
export const checkPropagation = (mounts: readonly MountPoint[], mountOf: (source: string) => HostMount, dataRoot: string): void => {
  for (const { type, source, propagation } of mounts) {
    // Of the engine's own directories every bind is a slave, asked for or not.
    if (type !== 'bind' || isWithin(source, dataRoot) || isWithin(dataRoot, source)) continue;
    const toShare = propagation === 'shared' || propagation === 'rshared';
    if (!toShare && propagation !== 'slave' && propagation !== 'rslave') continue;
    const { at, shared, slave } = mountOf(source);
    if (shared || (slave && !toShare)) continue;
    throw systemError(`path ${source} is mounted on ${at} but it is not a shared ${toShare ? '' : 'or slave '}mount`);
  }
};

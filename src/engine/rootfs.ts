import type { Container } from '../model/container.ts';
import { notFound } from '../model/errors.ts';
import type { State } from '../model/state.ts';
import type { Volume } from '../model/volume.ts';
import type { KindOf } from '../operations/operation.ts';
import { overlayOf, type Layout } from '../plan/desired.ts';
import { volumeDirectory, volumeMount, volumesOf } from '../plan/volumes.ts';

export type Visited = KindOf<'overlay' | 'mount' | 'directory'>;

export type RootfsHost = {
  /** Mounts what is not mounted, and keeps all of it (also when it is removed meanwhile) until the function it resolves to is called. */
  visit(wishes: readonly Visited[]): Promise<() => Promise<void>>;
};

/**
 * Root file systems and volumes for those who want to look in. Whoever looks is one more user: the container may start,
 * stop and go meanwhile, and waits for nobody.
 */
export const createVisits = ({ host, layout, state }: { host: RootfsHost; layout: Layout; state: () => State }) => {
  const during = async <T>(wishes: readonly Visited[], body: () => Promise<T>): Promise<T> => {
    const leave = await host.visit(wishes);
    try {
      return await body();
    } finally {
      await leave();
    }
  };

  return {
    /** A container's mounted root file system: alone, or with its volumes ready to be put in place. */
    container: <T>(container: Container, which: 'rootfs' | 'whole', body: (rootfs: string) => Promise<T>): Promise<T> => {
      if (!state().containers.has(container.id)) return Promise.reject(notFound(`No such container: ${container.id}`));
      const overlay = overlayOf(layout, container);
      const volumes = which === 'whole' ? volumesOf(container, state().volumes) : [];
      return during([overlay, ...volumes.map(volumeVisit)], () => body(overlay.merged));
    },
    volume: <T>(volume: Volume, body: () => Promise<T>): Promise<T> => during([volumeVisit(volume)], body),
  };
};

const volumeVisit = (volume: Volume): Visited => volumeMount(volume, 'visit') ?? { kind: 'directory', path: volumeDirectory(volume), mode: 0 };

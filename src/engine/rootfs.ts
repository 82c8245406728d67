import type { Container } from '../model/container.ts';
import type { KindOf } from '../operations/operation.ts';
import { overlayOf, type Layout } from '../plan/desired.ts';

export type RootfsHost = {
  /** Mounts it, unless it is mounted. */
  mountOverlay(object: KindOf<'overlay'>): void;
  unmountOverlay(object: KindOf<'overlay'>): Promise<void>;
};

/** Containers' root file systems for those who want to look in: a running one's is there, a stopped one's is mounted for the time. */
export const createRootfs = ({ host, layout, isRunning }: { host: RootfsHost; layout: Layout; isRunning: (id: string) => boolean }) => {
  const visitors = new Map<string, number>();
  return {
    with: async <T>(container: Container, body: (root: string) => Promise<T>): Promise<T> => {
      const overlay = overlayOf(layout, container);
      const { id } = container;
      if (!isRunning(id)) host.mountOverlay(overlay);
      visitors.set(id, (visitors.get(id) ?? 0) + 1);
      try {
        return await body(overlay.merged);
      } finally {
        const left = (visitors.get(id) ?? 1) - 1;
        if (left > 0) visitors.set(id, left);
        else {
          visitors.delete(id);
          // Started meanwhile: then it is the container's, and goes with its sandbox.
          if (!isRunning(id)) await host.unmountOverlay(overlay);
        }
      }
    },
  };
};

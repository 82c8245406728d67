import type { Archive, UnpackedLayer } from './layers.ts';
import type { Progress } from './services.ts';

/** A layer's unpacking, and meanwhile how far it is: at most ten times a second. */
export async function* withProgress(archive: Archive, path: string, status: string, id: string): AsyncGenerator<Progress, UnpackedLayer> {
  let at = { current: 0, total: 0 };
  const line = (): Progress => ({ status, id, progress: at });
  const unpacking = archive.unpack(path, (current, total) => (at = { current, total }));
  let [told, handedOver] = [-1, false];
  try {
    for (;;) {
      const done = await Promise.race([unpacking, after(PROGRESS_INTERVAL)]);
      if (at.total > 0 && (done || at.current > told)) yield line();
      told = at.current;
      if (!done) continue;
      handedOver = true;
      return done;
    }
  } finally {
    // The client went away meanwhile: nobody wants it.
    if (!handedOver) unpacking.then((layer) => layer.discard()).catch(() => {});
  }
}

const after = (milliseconds: number): Promise<undefined> => new Promise((resolve) => setTimeout(resolve, milliseconds, undefined).unref());
const PROGRESS_INTERVAL = 100;

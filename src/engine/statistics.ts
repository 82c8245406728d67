import type { Container } from '../model/container.ts';
import { EngineError } from '../model/errors.ts';
import type { Statistics } from '../model/statistics.ts';
import type { Host } from './host.ts';
import type { Lifecycle } from './lifecycle.ts';

/** Two moments of a container: what it uses is the difference. undefined: it did not run then. */
export type Sample = { readonly container: Container; readonly now: Statistics | undefined; readonly before: Statistics | undefined };

export type ContainerStatistics = {
  /** One sample with nothing before it. */
  once(id: string): Sample;
  /** One sample, a second after the one before it; at once when the container does not run. */
  overASecond(id: string, gone: AbortSignal): Promise<Sample>;
  /** One sample a second from now on, until the container is removed or the client gone. */
  follow(id: string, sample: (sample: Sample) => void, gone: AbortSignal): Promise<void>;
};

const SECOND = 1000;

/** One clock for all who watch: a container that many watch is measured once. */
export const createContainerStatistics = ({ find, host, lifecycle }: {
  find: (ref: string) => Container;
  host: Pick<Host, 'statistics'>;
  lifecycle: Pick<Lifecycle, 'watch'>;
}): ContainerStatistics => {
  type Watched = { before: Statistics | undefined; readonly listeners: Set<(sample: Sample) => void> };
  const watched = new Map<string, Watched>();
  let timer: NodeJS.Timeout | undefined;

  const measure = ({ id, state, spec }: Container): Statistics | undefined => {
    if (state.status === 'running' || state.status === 'paused') {
      return host.statistics.read({ id, pid: state.pid, pidStart: state.pidStart, network: spec.networkMode !== 'host' });
    }
    host.statistics.forget(id);
    return undefined;
  };

  const tick = (): void => {
    for (const [id, entry] of watched) {
      const container = ifThere(() => find(id));
      if (!container) continue;
      const now = measure(container);
      const sample = { container, now, before: entry.before };
      entry.before = now;
      for (const listener of entry.listeners) listener(sample);
    }
  };

  const listen = (id: string, listener: (sample: Sample) => void): (() => void) => {
    const entry = watched.get(id) ?? { before: undefined, listeners: new Set() };
    watched.set(id, entry);
    entry.listeners.add(listener);
    timer ??= setInterval(tick, SECOND);
    return () => {
      entry.listeners.delete(listener);
      if (entry.listeners.size > 0) return;
      if (watched.get(id) === entry) watched.delete(id);
      host.statistics.forget(id);
      if (watched.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    };
  };

  const once = (id: string): Sample => {
    const container = find(id);
    const now = measure(container);
    if (!watched.has(container.id)) host.statistics.forget(container.id);
    return { container, now, before: undefined };
  };

  return {
    once,
    async overASecond(id, gone) {
      const first = once(id);
      if (!first.now) return first;
      await pause(SECOND, gone);
      return { ...(ifThere(() => once(id)) ?? { ...first, now: undefined }), before: first.now };
    },
    follow: (id, sample, gone) =>
      new Promise((resolve) => {
        const first = once(id);
        sample(first);
        const unlisten = listen(id, sample);
        const entry = watched.get(id);
        if (entry) entry.before ??= first.now;
        const stop = (): void => {
          unlisten();
          unwatch();
          resolve();
        };
        const unwatch = lifecycle.watch(id, (what) => void (what === 'removed' && stop()));
        if (gone.aborted) stop();
        else gone.addEventListener('abort', stop, { once: true });
      }),
  };
};

const pause = (milliseconds: number, gone: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    gone.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });

const ifThere = <T>(find: () => T): T | undefined => {
  try {
    return find();
  } catch (error) {
    if (error instanceof EngineError) return undefined;
    throw error;
  }
};

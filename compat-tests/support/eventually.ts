import { setTimeout as pause } from 'node:timers/promises';

/** Tries until it does not throw; the last failure is the one that is reported. */
export async function eventually<T>(attempt: () => T | Promise<T>, { seconds = 5, every = 25 }: { seconds?: number; every?: number } = {}): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw error;
      await pause(every);
    }
  }
}

import type { Container, ContainerState } from '../model/container.ts';
import type { Exit } from './host.ts';

/** Milliseconds: 100, doubled each time, at most a minute; a run of ten seconds begins anew. */
const [FIRST_DELAY, LONGEST_DELAY, LONG_RUN] = [100, 60_000, 10_000];

/** When containers begin again by themselves. */
export type Restarts = {
  /** How long to wait after this end; undefined: it stays ended. `ran` in milliseconds. */
  delay(container: Container, exit: Exit, ran: number): number | undefined;
  /** Begins it again after the delay, of which `wait` is left. */
  schedule(id: string, delay: number, wait?: number): void;
  /** What an earlier daemon was waiting for. `now` in milliseconds. */
  resume(id: string, state: ContainerState, now: number): void;
  cancel(id: string): void;
};

/** `due` is called when the time has come, and asks `claim` whether nobody has thought otherwise since. */
export const createRestarts = (due: (id: string, claim: () => boolean) => void): Restarts => {
  const timers = new Map<string, NodeJS.Timeout>();
  /** How long the latest restart waited. */
  const delays = new Map<string, number>();

  const schedule = (id: string, delay: number, wait = delay): void => {
    delays.set(id, delay);
    const timer = setTimeout(() => due(id, () => timers.get(id) === timer && timers.delete(id)), wait);
    timers.set(id, timer);
  };

  return {
    delay({ id, spec: { restart }, state }, exit, ran) {
      if (state.stoppedByClient || restart.name === 'no') return undefined;
      if (restart.name === 'on-failure' && (exit.code === 0 || (restart.maximum > 0 && state.restartCount >= restart.maximum))) return undefined;
      const last = delays.get(id);
      return last === undefined || ran >= LONG_RUN ? FIRST_DELAY : Math.min(last * 2, LONGEST_DELAY);
    },
    schedule,
    resume(id, { restartCount, finishedAt }, now) {
      const delay = Math.min(FIRST_DELAY * 2 ** Math.max(0, restartCount - 1), LONGEST_DELAY);
      const waited = finishedAt === undefined ? 0 : now - Date.parse(finishedAt);
      schedule(id, delay, Math.max(0, delay - waited));
    },
    cancel(id) {
      clearTimeout(timers.get(id));
      timers.delete(id);
      delays.delete(id);
    },
  };
};

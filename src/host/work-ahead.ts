/** Work on the disk that goes on while more is read, up to a limit. */
export type WorkAhead = {
  /** `weight` in bytes, or as many as it counts for. */
  add(work: Promise<void>, weight: number): void;
  /** undefined: there is room for more; else it resolves when there is. Rejects with the first failure of any. */
  room(): Promise<void> | undefined;
  /** All of it is done. */
  settled(): Promise<void>;
  /** The same, whether it worked or not. */
  over(): Promise<void>;
};

/** Enough to keep a disk busy, and little enough for many at once. */
const LIMIT = 2 * 1024 * 1024;

export const createWorkAhead = (): WorkAhead => {
  const running = new Set<Promise<void>>();
  let weightOfAll = 0;
  const failures: unknown[] = [];
  const check = (): void => {
    if (failures.length > 0) throw failures[0];
  };
  const over = async (): Promise<void> => {
    while (running.size > 0) await Promise.all(running);
  };
  return {
    add(work, weight) {
      weightOfAll += weight;
      const one = work
        .catch((error: unknown) => void failures.push(error))
        .then(() => {
          weightOfAll -= weight;
          running.delete(one);
        });
      running.add(one);
    },
    room() {
      if (failures.length > 0) return Promise.reject(failures[0]);
      return weightOfAll < LIMIT ? undefined : Promise.race(running).then(check);
    },
    async settled() {
      await over();
      check();
    },
    over,
  };
};

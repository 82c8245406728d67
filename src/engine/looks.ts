/** When to look at things of which there is news: not while they still change, not for ever later, and not all the time. */
export type Looks<T> = {
  /** Something has happened to it. */
  news(what: T): void;
  /** It is to be looked at, in so many milliseconds at the latest. */
  again(what: T, milliseconds: number): void;
};

/** Milliseconds of silence after which whoever changes things is taken to be done, and how long he is waited for at most. */
const [SILENCE, AT_MOST] = [100, 400];
/** After a look, none for so many times as long as it took; but not for longer than REST. */
const [SHARE, REST] = [10, 400];

export const createLooks = <T>(now: () => number, look: (what: ReadonlySet<T>) => Promise<void>): Looks<T> => {
  const wanted = new Map<T, { readonly at: number; readonly since: number | undefined }>();
  let [busy, notBefore] = [false, 0];
  let timer: NodeJS.Timeout | undefined;

  const arm = (): void => {
    clearTimeout(timer);
    if (busy || wanted.size === 0) return;
    const at = Math.max(notBefore, Math.min(...[...wanted.values()].map((wish) => wish.at)));
    timer = setTimeout(() => void run(), Math.max(0, at - now())).unref();
  };
  const run = async (): Promise<void> => {
    const began = now();
    // Timers have whole milliseconds.
    const due = new Set([...wanted].filter(([, { at }]) => at <= began + 1).map(([what]) => what));
    for (const what of due) wanted.delete(what);
    busy = true;
    try {
      if (due.size > 0) await look(due);
    } finally {
      busy = false;
      notBefore = now() + Math.min(REST, SHARE * (now() - began));
      arm();
    }
  };
  return {
    news(what) {
      const since = wanted.get(what)?.since ?? now();
      wanted.set(what, { since, at: Math.min(since + AT_MOST, now() + SILENCE) });
      arm();
    },
    again(what, milliseconds) {
      const at = now() + milliseconds;
      const wish = wanted.get(what);
      if (wish === undefined || wish.at > at) wanted.set(what, { at, since: wish?.since });
      arm();
    },
  };
};

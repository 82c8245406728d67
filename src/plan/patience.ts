/**
 * How long to wait before something is mended that somebody else undoes each time. Whoever does so once or twice has a reason
 * that passes (a firewall that is reloaded); whoever goes on does not stop for us.
 */
export type Patience = {
  /** When it was mended last, in milliseconds. */
  readonly last: number;
  /** How often in a row, each soon after the one before. */
  readonly times: number;
};

/** Undone within so many milliseconds, it was undone because it was mended. */
const SOON = 5000;
const [SHORTEST, LONGEST] = [2000, 60_000];

/** From so many times on there are pauses, each twice as long as the one before. */
export const GIVEN_UP = 4;
export const hasGivenUp = ({ times }: Patience): boolean => times >= GIVEN_UP;

const pauseAfter = ({ times }: Patience): number => (times < GIVEN_UP ? 0 : Math.min(LONGEST, SHORTEST * 2 ** (times - GIVEN_UP)));

/** Milliseconds until it may be mended again; 0: now. */
export const waitBefore = (patience: Patience | undefined, now: number): number =>
  patience === undefined ? 0 : Math.max(0, patience.last + pauseAfter(patience) - now);

export const afterMending = (before: Patience | undefined, now: number): Patience => ({
  last: now,
  times: before !== undefined && now - before.last < pauseAfter(before) + SOON ? before.times + 1 : 1,
});

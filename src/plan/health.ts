import type { Container, Health, ProbeResult } from '../model/container.ts';
import type { Healthcheck } from '../model/image.ts';

/** How a container is asked whether it is well. */
export type Probe = {
  readonly cmd: readonly string[];
  /** Nanoseconds. */
  readonly timeout: number;
};

const SECOND = 1_000_000_000;
const DEFAULTS = { interval: 30 * SECOND, timeout: 30 * SECOND, startInterval: 5 * SECOND, retries: 3 };
const DEFAULT_SHELL = ['/bin/sh', '-c'];
/** So many results are remembered. */
const REMEMBERED = 5;

/** undefined: nobody asks. */
export const probeOf = ({ spec, asked }: Pick<Container, 'spec' | 'asked'>): Probe | undefined => {
  const { test = [], timeout = 0 } = spec.healthcheck ?? {};
  const shell = asked.config['Shell'] as readonly string[] | null | undefined;
  const [kind, ...words] = test;
  const cmd = kind === 'CMD' ? words : kind === 'CMD-SHELL' ? [...(shell && shell.length > 0 ? shell : DEFAULT_SHELL), ...words] : undefined;
  return cmd && { cmd, timeout: timeout || DEFAULTS.timeout };
};

/** What a request leaves open, the image says. */
export const mergeHealthcheck = (own: Healthcheck | undefined, image: Healthcheck | undefined): Healthcheck | undefined => {
  if (!own || !image) return own ?? image;
  return {
    test: own.test.length > 0 ? own.test : image.test,
    interval: own.interval || image.interval,
    timeout: own.timeout || image.timeout,
    startPeriod: own.startPeriod || image.startPeriod,
    startInterval: own.startInterval || image.startInterval,
    retries: own.retries || image.retries,
  };
};

/** A container that begins has still to show that it is well; what was found earlier stays on record. */
export const begunHealth = (before: Health | undefined): Health => ({ status: 'starting', failingStreak: 0, log: before?.log ?? [] });

/** Nobody asks any more: as good as unhealthy. */
export const ceasedHealth = (health: Health): Health => ({ ...health, status: 'unhealthy' });

/** Health after a probe. Failures in the start period do not count while the container has not been well once. */
export const healthAfter = (health: Health, result: ProbeResult, { healthcheck, sinceStart }: { healthcheck: Healthcheck; sinceStart: number }): Health => {
  const log = [...health.log, result].slice(-REMEMBERED);
  if (result.exitCode === 0) return { status: 'healthy', failingStreak: 0, log };
  if (health.status === 'starting' && sinceStart < healthcheck.startPeriod) return { ...health, log };
  const failingStreak = health.failingStreak + 1;
  return { status: failingStreak >= (healthcheck.retries || DEFAULTS.retries) ? 'unhealthy' : health.status, failingStreak, log };
};

/** Nanoseconds from one probe's end to the next: often while it starts, at its interval afterwards. */
export const probeDelay = (health: Health, { interval, startInterval, startPeriod }: Healthcheck, sinceStart: number): number =>
  health.status === 'starting' && sinceStart < startPeriod ? startInterval || DEFAULTS.startInterval : interval || DEFAULTS.interval;

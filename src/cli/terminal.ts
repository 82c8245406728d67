import type { Readable, Writable } from 'node:stream';

/** What the program is connected to. */
export type Terminal = {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C and the like: what is half made goes, and the exit code is 130. */
  readonly interrupted: AbortSignal;
};

export const terminal = (): Terminal => {
  const { stdin, stdout, stderr, env } = process;
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => interruption.abort(new Error('interrupted')));
  return { get stdin() { return stdin; }, stdout, stderr, environment: env, interrupted: interruption.signal };
};

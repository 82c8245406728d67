import type { OutputStream } from './process.ts';

export type LogLine = {
  readonly stream: OutputStream;
  /** RFC 3339 with nanoseconds. */
  readonly time: string;
  /** With its newline, if it had one. */
  readonly text: string;
};

export type LogQuery = {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Only lines at or after / before this time, in nanoseconds since the epoch. */
  readonly since: bigint | undefined;
  readonly until: bigint | undefined;
  /** The last N lines; undefined: all. */
  readonly tail: number | undefined;
  /** Go on with new lines until the container ends or the signal fires. */
  readonly follow: AbortSignal | undefined;
};

export type LogWriter = {
  /** Written before it returns, split in lines; a line without its end waits for the rest (or for `close`). */
  write(stream: OutputStream, chunk: Buffer): void;
  close(): void;
};

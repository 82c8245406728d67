/** What went wrong, in the words of a caller; only `api/errors.ts` knows which HTTP status each kind becomes. */
export type ErrorKind =
  | 'not-modified'
  | 'invalid-parameter'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'too-large'
  | 'too-slow'
  | 'not-implemented'
  | 'unavailable'
  | 'system';

export class EngineError extends Error {
  readonly kind: ErrorKind;
  constructor(kind: ErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EngineError';
    this.kind = kind;
  }
}

export const notModified = (message = ''): EngineError => new EngineError('not-modified', message);
export const invalid = (message: string): EngineError => new EngineError('invalid-parameter', message);
export const forbidden = (message: string): EngineError => new EngineError('forbidden', message);
export const notFound = (message: string): EngineError => new EngineError('not-found', message);
export const conflict = (message: string): EngineError => new EngineError('conflict', message);
export const notImplemented = (message: string): EngineError => new EngineError('not-implemented', message);
export const unavailable = (message: string): EngineError => new EngineError('unavailable', message);
export const systemError = (message: string, cause?: unknown): EngineError =>
  new EngineError('system', message, cause === undefined ? undefined : { cause });

/** A thrown value's message, for people. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

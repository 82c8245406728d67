import type { Readable } from 'node:stream';
import type { OutputStream } from './host.ts';

/** The client's end of a hijacked connection, or of any stream: the api frames the bytes, the engine only has them. */
export type Peer = {
  /** False: more than the client reads; `drained` tells when to go on. */
  write(stream: OutputStream, chunk: Buffer): boolean;
  drained(listener: () => void): void;
  /** What the client sends. Ends when it closes its half. */
  readonly input: Readable;
  /** Nothing more comes: closes the connection once all is sent. */
  end(): void;
  /** Fires when the connection is gone, whoever closed it. */
  closed(listener: () => void): void;
};

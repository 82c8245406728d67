import type { Readable } from 'node:stream';
import type { Blob, Credentials, Remote } from '../model/registry.ts';
import type { Archive } from './layers.ts';

/**
 * What the engine needs of whoever talks to registries. A failure is the registry's own words, or what stood in the
 * way of reaching it. `signal` ends a call at once.
 */
export type Registry = {
  /** The manifest, or the index, that a tag or a digest stands for: to the letter, for its digest is what it is known by. */
  manifest(remote: Remote, version: string, signal: AbortSignal): Promise<string>;
  /** The image's configuration, to the letter. */
  config(remote: Remote, digest: string, signal: AbortSignal): Promise<string>;
  tags(remote: Remote, signal: AbortSignal): Promise<readonly string[]>;
  /**
   * Fetches the layers of an image, but not those that are here. Tells now and then how far each is. The archive has them as
   * `blobs/sha256/HEX`.
   */
  fetch(remote: Remote, digest: string, blobs: readonly (Blob & { readonly here: boolean })[], moved: (digest: string, bytes: number) => void, signal: AbortSignal): Promise<Archive>;
  /** `saved`: what `docker save` of the one image gives. Tells of each layer, by the digest of its tar, how many bytes are on their way, or that it is there already. */
  push(remote: Remote, tag: string, saved: Readable, told: (diffId: string, what: 'exists' | number) => void, signal: AbortSignal): Promise<{ readonly digest: string; readonly size: number }>;
  /** Resolves when the registry takes these credentials. */
  login(host: string, credentials: Credentials, signal: AbortSignal): Promise<void>;
};

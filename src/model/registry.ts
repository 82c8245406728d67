import type { NamedReference } from './image-reference.ts';

/** What a client says of itself to a registry: a name and a password, or a token that stands for both. */
export type Credentials = { readonly username: string; readonly password: string; readonly identityToken: string };

/** A repository of a registry, and who asks. */
export type Remote = { readonly name: Pick<NamedReference, 'domain' | 'path'>; readonly credentials: Credentials | undefined };

/** What an image's manifest says: its configuration and its layers, bottom first. */
export type Manifest = { readonly config: string; readonly layers: readonly Blob[] };

export type Blob = { readonly digest: string; readonly size: number };

/** A registry of this machine may do without TLS. */
export const mayBePlain = (domain: string): boolean => /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(domain);

/** The host that is asked. Docker's own registry has another name than its images. */
export const registryHost = (domain: string): string => (domain === 'docker.io' ? 'registry-1.docker.io' : domain);

import { EngineError, messageOf, notFound, systemError } from '../model/errors.ts';
import { familiar, familiarName, type NamedReference } from '../model/image-reference.ts';
import { mayBePlain, registryHost } from '../model/registry.ts';

/** What a registry says when a pull fails, in the reference engine's words. */
export const pullError = (error: unknown, named: NamedReference, hasCredentials: boolean): EngineError => {
  if (error instanceof EngineError && error.kind !== 'system') return error;
  const words = messageOf(error);
  if (/^denied: |^unauthorized: .*access/.test(words))
    return notFound(`pull access denied for ${familiarName(named)}, repository does not exist or may require 'docker login': ${words}`);
  if (words.startsWith('unauthorized: ') && !hasCredentials) {
    const scheme = mayBePlain(named.domain) ? 'http' : 'https';
    return systemError(`Head "${scheme}://${registryHost(named.domain)}/v2/${named.path}/manifests/${named.digest ?? named.tag ?? ''}": no basic auth credentials`, error);
  }
  if (words.startsWith('manifest unknown')) return notFound(`manifest for ${familiar(named)} not found: ${MANIFEST_UNKNOWN}`);
  if (words.startsWith('name unknown') || /fetching tags list: .* 404\b/.test(words))
    return notFound(`repository ${familiarName(named)} not found: name unknown: repository name not known to registry`);
  return error instanceof EngineError ? error : systemError(words, error);
};

/** The same of a push. */
export const pushError = (error: unknown, hasCredentials: boolean): EngineError => {
  const words = messageOf(error);
  if (words.startsWith('unauthorized: ') && !hasCredentials) return systemError('no basic auth credentials', error);
  return error instanceof EngineError ? error : systemError(words, error);
};

/** The same of a question. */
export const askError = (error: unknown, named: NamedReference, hasCredentials: boolean): EngineError => {
  const words = messageOf(error);
  return /^(manifest|name) unknown/.test(words) ? notFound(MANIFEST_UNKNOWN) : pullError(error, named, hasCredentials);
};

const MANIFEST_UNKNOWN = 'manifest unknown: manifest unknown';

import { EngineError, notFound } from '../model/errors.ts';
import type { Image } from '../model/image.ts';
import { familiar, familiarName, parseReference } from '../model/image-reference.ts';
import { withChanges, type State } from '../model/state.ts';
import { andThen, nothingRemoved, removeImage, type ImageRemoval } from '../plan/image-removal.ts';
import { findImage, imageStarting } from './image-find.ts';

/** Every image that may go, one after the other; one that something stands in the way of stays. */
export const prunable = (state: State, wanted: (image: Image) => boolean, danglingOnly: boolean): ImageRemoval => {
  let removal = nothingRemoved;
  let next = state;
  const parents = new Set([...state.images.values()].map(({ parent }) => parent));
  const candidates = [...state.images.values()].filter((image) => {
    const named = image.tags.length + image.digests.length > 0;
    if (parents.has(image.id) && (danglingOnly || !named)) return false;
    return wanted(image) && !(danglingOnly && image.tags.length > 0);
  });
  for (const { id, tags, digests } of candidates) {
    const names = [...tags, ...digests];
    for (const ref of names.length === 0 ? [id] : names) {
      const image = next.images.get(id);
      if (!image) break;
      try {
        const one = removeImage(next, image, ref, { force: false, prune: true });
        removal = andThen(removal, one);
        next = withChanges(next, one.changes);
      } catch (error) {
        if (!(error instanceof EngineError && error.kind === 'conflict')) throw error;
      }
    }
  }
  return removal;
};

/** What `docker save` is asked for: a repository means all its tags. */
export const namedImages = (state: State, refs: readonly string[]): { image: Image; tags: string[] }[] => {
  const saved = new Map<string, { image: Image; tags: string[] }>();
  const add = (image: Image, tags: readonly string[]): void => {
    const entry = saved.get(image.id) ?? { image, tags: [] };
    entry.tags.push(...tags.filter((tag) => !entry.tags.includes(tag)));
    saved.set(image.id, entry);
  };
  for (const ref of refs) {
    const reference = parseReference(ref);
    if ('id' in reference || familiarName(reference) === 'sha256') {
      add(findImage(state, ref), []);
      continue;
    }
    const name = familiar(reference);
    if (reference.tag !== undefined || reference.digest !== undefined) {
      const image = [...state.images.values()].find(({ tags, digests }) => tags.includes(name) || digests.includes(name));
      if (!image) throw notFound('reference does not exist');
      add(image, image.tags.filter((tag) => tag === name));
      continue;
    }
    const tagsOf = (image: Image) => image.tags.filter((tag) => tag.slice(0, tag.lastIndexOf(':')) === name);
    const images = [...state.images.values()].filter((image) => tagsOf(image).length > 0);
    for (const image of images) add(image, tagsOf(image));
    if (images.length === 0) add(imageStarting(state, ref), []);
  }
  return [...saved.values()];
};

/** Bytes of an image's layers that other images have too. */
export const sharedSizes = ({ images, layers }: State): Map<string, number> => {
  const uses = new Map<string, number>();
  for (const { chainIds } of images.values()) for (const chainId of chainIds) uses.set(chainId, (uses.get(chainId) ?? 0) + 1);
  const shared = ({ chainIds }: Image): number =>
    chainIds.reduce((sum, chainId) => sum + ((uses.get(chainId) ?? 0) > 1 ? (layers.get(chainId)?.size ?? 0) : 0), 0);
  return new Map([...images.values()].map((image) => [image.id, shared(image)]));
};

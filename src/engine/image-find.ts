import { notFound } from '../model/errors.ts';
import type { Image } from '../model/image.ts';
import { familiar, parseReference, withDefaultTag } from '../model/image-reference.ts';
import type { State } from '../model/state.ts';

/** By name (its tag `latest` unless it says another, or its digest), by id, or by the start of an id that only one has. */
export const findImage = ({ images }: Pick<State, 'images'>, ref: string): Image => {
  const reference = parseReference(ref);
  if ('id' in reference) {
    const image = images.get(reference.id);
    if (image) return image;
    throw notFound(`No such image: ${reference.id}`);
  }
  const named = withDefaultTag(reference);
  const name = familiar(named.digest === undefined ? named : { ...named, tag: undefined });
  const image = namesIn(images).get(name) ?? byStart(images, ref);
  if (image) return image;
  throw notFound(`No such image: ${familiar(named)}`);
};

/** By the start of its id only. */
export const imageStarting = ({ images }: Pick<State, 'images'>, ref: string): Image => {
  const image = byStart(images, ref);
  if (image) return image;
  throw notFound(`No such image: ${ref}`);
};

const byStart = (images: State['images'], ref: string): Image | undefined => {
  const start = ref.startsWith('sha256:') ? ref : `sha256:${ref}`;
  if (!/^sha256:[0-9a-f]+$/.test(start)) return undefined;
  const found = [...images.values()].filter(({ id }) => id.startsWith(start));
  return found.length === 1 ? found[0] : undefined;
};

/** The names of one state of the images are read once: every container start looks for one. */
const namesIn = (images: State['images']): ReadonlyMap<string, Image> => {
  let names = indexes.get(images);
  if (!names) {
    names = new Map([...images.values()].flatMap((image) => [...image.tags, ...image.digests].map((name) => [name, image] as const)));
    indexes.set(images, names);
  }
  return names;
};

const indexes = new WeakMap<State['images'], ReadonlyMap<string, Image>>();

import type { Image } from '../model/image.ts';
import { sortedNames } from '../model/image-reference.ts';
import type { RecordChange, State } from '../model/state.ts';

/** An image put in the state under these names and digests too, which no other image has any longer. */
export const putImage = (state: State, image: Image, names: readonly string[], lastTagged: string | undefined, newDigests: readonly string[] = []): RecordChange[] => {
  const known = state.images.get(image.id) ?? image;
  const tags = sortedNames([...known.tags, ...names]);
  const digests = newDigests.length === 0 ? known.digests : sortedNames([...known.digests, ...newDigests]);
  const taken = (name: string): boolean => names.includes(name) || newDigests.includes(name);
  const others = [...state.images.values()].filter((other) => other.id !== image.id && (other.tags.some(taken) || other.digests.some(taken)));
  return [
    ...others.map((other) => put({ ...other, tags: other.tags.filter((tag) => !taken(tag)), digests: other.digests.filter((digest) => !taken(digest)) })),
    put({ ...known, parent: image.parent || known.parent, tags, digests, lastTagged: lastTagged ?? known.lastTagged }),
  ];
};

export const put = (image: Image): RecordChange => ({ collection: 'images', key: image.id, record: image });

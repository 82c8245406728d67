import type { Image } from '../model/image.ts';
import { sortedNames } from '../model/image-reference.ts';
import type { RecordChange, State } from '../model/state.ts';

/** An image put in the state under these names too, which no other image has any longer. */
export const putImage = (state: State, image: Image, names: readonly string[], lastTagged: string | undefined): RecordChange[] => {
  const known = state.images.get(image.id) ?? image;
  const tags = sortedNames([...known.tags, ...names]);
  const others = [...state.images.values()].filter((other) => other.id !== image.id && other.tags.some((tag) => names.includes(tag)));
  return [
    ...others.map((other) => put({ ...other, tags: other.tags.filter((tag) => !names.includes(tag)) })),
    put({ ...known, parent: image.parent || known.parent, tags, lastTagged: lastTagged ?? known.lastTagged }),
  ];
};

export const put = (image: Image): RecordChange => ({ collection: 'images', key: image.id, record: image });

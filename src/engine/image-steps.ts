import { systemError } from '../model/errors.ts';
import type { Image, ImageConfig } from '../model/image.ts';
import { imageJson, type ImageDescription } from '../plan/image-config.ts';
import type { Layers, UnpackedLayer } from './layers.ts';
import type { Ledger } from './ledger.ts';

/** Images made step by step, each of the one before. */
export type ImageSteps = {
  /** What one step makes of an image (undefined: of nothing): what it says, and the files of an upper directory, if it wrote any. */
  derive(parent: Image | undefined, step: { readonly config: ImageConfig; readonly createdBy: string; readonly author: string }, upper?: string): Promise<Image>;
  /** The first steps of an image as an image of their own, a child of `parent`. */
  restore(image: Image, parent: Image | undefined, steps: { readonly entries: number; readonly layers: number }, config: ImageConfig): Promise<Image>;
  /** Keeps an image from being pruned until the function is called. */
  hold(id: string): () => void;
  isHeld(id: string): boolean;
};

export type ImageStepsParts = {
  readonly ledger: Ledger;
  readonly layers: Layers;
  readonly architecture: string;
  readonly dockerVersion: string;
  now(): string;
  record(raw: string, parent: string): Promise<Image | undefined>;
  recordTop(description: ImageDescription, unpacked: UnpackedLayer, parent: string): Promise<Image>;
  /** The digest of a tar with nothing in it. */
  readonly emptyTar: string;
};

export const createImageSteps = (parts: ImageStepsParts): ImageSteps => {
  const held = new Map<string, number>();

  const whole = async (description: ImageDescription, parent: Image | undefined): Promise<Image> => {
    const image = await parts.record(imageJson(description), parent?.id ?? '');
    if (!image) throw systemError('the layers of the image were removed meanwhile');
    return image;
  };

  return {
    async derive(parent, { config, createdBy, author }, upper) {
      const unpacked = upper === undefined ? undefined : await parts.layers.unpack(parts.layers.changes(upper));
      const created = parts.now();
      const emptyLayer = unpacked === undefined || unpacked.diffId === parts.emptyTar;
      const description: ImageDescription = {
        created,
        author,
        comment: '',
        architecture: parent?.architecture ?? parts.architecture,
        os: 'linux',
        dockerVersion: parts.dockerVersion,
        config,
        history: [...(parent?.history ?? []), { created, createdBy, author, comment: '', emptyLayer }],
        diffIds: [...(parent?.diffIds ?? []), ...(emptyLayer ? [] : [unpacked.diffId])],
      };
      if (unpacked && !emptyLayer) return parts.recordTop(description, unpacked, parent?.id ?? '');
      await unpacked?.discard();
      return whole(description, parent);
    },

    restore: (image, parent, { entries, layers }, config) => {
      const history = image.history.slice(0, entries);
      const { created = image.created, author = '', comment = '' } = history.at(-1) ?? {};
      const { architecture, os, dockerVersion } = image;
      return whole({ created, author, comment, architecture, os, dockerVersion, config, history, diffIds: image.diffIds.slice(0, layers) }, parent);
    },

    hold(id) {
      held.set(id, (held.get(id) ?? 0) + 1);
      return () => {
        const left = (held.get(id) ?? 0) - 1;
        if (left > 0) held.set(id, left);
        else held.delete(id);
      };
    },
    isHeld: (id) => held.has(id),
  };
};

import type { Container } from '../model/container.ts';
import { conflict } from '../model/errors.ts';
import type { Image } from '../model/image.ts';
import { familiar, familiarName, parseName, withDefaultTag } from '../model/image-reference.ts';
import { withChanges, type RecordChange, type State } from '../model/state.ts';
import { put } from './image-names.ts';

/** What removing images comes to: the records, and what is told of it, in the order in which it happens. */
export type ImageRemoval = {
  readonly changes: readonly RecordChange[];
  readonly removed: readonly RemovedName[];
  readonly events: readonly { readonly action: 'untag' | 'delete'; readonly image: Image }[];
  /** Layers that nothing uses any more. */
  readonly layers: readonly string[];
};

export type RemovedName = { readonly untagged: string } | { readonly deleted: string };

export const nothingRemoved: ImageRemoval = { changes: [], removed: [], events: [], layers: [] };

/**
 * Removes the name that `ref` is, and then the image if that was its last; or the image that `ref` is the id of.
 *
 * What stands in the way is hard (child images, a running container: cannot be forced) or soft (names in several
 * repositories, a stopped container). A name is removed whatever stands in the way of its image, which then stays.
 */
export const removeImage = (state: State, image: Image, ref: string, options: { readonly force: boolean; readonly prune: boolean }): ImageRemoval => {
  const byId = image.id.startsWith(ref) || image.id.slice('sha256:'.length).startsWith(ref);
  return byId ? removeById(state, image, options) : removeName(state, image, ref, options);
};

/** Layers that no image and no container uses, topmost first. */
export const unusedLayers = (state: State, chainIds: Iterable<string>): string[] => {
  const used = new Set<string>();
  for (const image of state.images.values()) for (const chainId of image.chainIds) used.add(chainId);
  for (const container of state.containers.values()) for (const chainId of container.chainIds) used.add(chainId);
  return [...chainIds].filter((chainId) => state.layers.has(chainId) && !used.has(chainId));
};

export const withoutLayers = (chainIds: readonly string[]): RecordChange[] =>
  chainIds.map((key) => ({ collection: 'layers', key, record: undefined }));

/** One removal after the other, as one. */
export const andThen = (first: ImageRemoval, second: ImageRemoval): ImageRemoval => ({
  changes: [...first.changes, ...second.changes],
  removed: [...first.removed, ...second.removed],
  events: [...first.events, ...second.events],
  layers: [...first.layers, ...second.layers],
});

type Options = { readonly force: boolean; readonly prune: boolean };

const removeName = (state: State, image: Image, ref: string, options: Options): ImageRemoval => {
  const user = options.force || !hasSingleName(image) ? undefined : usersOf(state, image)[0];
  if (user)
    throw conflict(
      `conflict: unable to remove repository reference ${JSON.stringify(ref)} (must force) - container ${short(user.id)} is using its referenced image ${short(image.id)}`,
    );
  const named = withDefaultTag(parseName(ref));
  const repository = familiarName(named);
  const name = familiar(named.digest === undefined ? named : { ...named, tag: undefined });
  const tags = image.tags.filter((tag) => tag !== name);
  // Without a tag, a repository's digests name nothing people know.
  const orphaned = named.digest === undefined && !tags.some((tag) => repositoryOf(tag) === repository);
  const lost = orphaned ? image.digests.filter((digest) => repositoryOf(digest) === repository) : [];
  const digests = image.digests.filter((digest) => digest !== name && !lost.includes(digest));
  const rest: Image = { ...image, tags, digests };
  const untagged: ImageRemoval = {
    ...nothingRemoved,
    changes: [put(rest)],
    removed: [name, ...lost].map((untagged) => ({ untagged })),
    events: [{ action: 'untag', image }],
  };
  if (namesOf(rest).length > 0) return untagged;
  return andThen(untagged, deleteImage(withChanges(state, untagged.changes), rest, options, 'quietly'));
};

const removeById = (state: State, image: Image, options: Options): ImageRemoval => {
  if (!hasSingleName(image)) return deleteImage(state, image, options, 'loudly');
  const problem = obstacle(state, image, { force: options.force, names: false });
  if (problem) throw conflict(problem.message);
  const rest: Image = { ...image, tags: [], digests: [] };
  const untagged = { ...untag(image), changes: [put(rest)] };
  return andThen(untagged, deleteImage(withChanges(state, untagged.changes), rest, options, 'loudly'));
};

const deleteImage = (state: State, image: Image, options: Options, manner: 'quietly' | 'loudly'): ImageRemoval => {
  const problem = obstacle(state, image, { force: options.force, names: true });
  if (problem) {
    // Nobody would see why an image without a name, a child or a user stays.
    const isDangling = namesOf(image).length === 0 && !hasChildren(state, image);
    if (manner === 'quietly' && (!isDangling || problem.inUse)) return nothingRemoved;
    throw conflict(problem.message);
  }
  const gone: RecordChange[] = [{ collection: 'images', key: image.id, record: undefined }];
  const layers = unusedLayers(withChanges(state, gone), [...image.chainIds].reverse());
  const names = untag(image);
  const deletion: ImageRemoval = {
    changes: [...gone, ...withoutLayers(layers)],
    removed: [...names.removed, ...[image.id, ...layers].map((deleted) => ({ deleted }))],
    events: [...names.events, { action: 'delete', image }],
    layers,
  };
  const parent = options.prune ? state.images.get(image.parent) : undefined;
  if (!parent) return deletion;
  return andThen(deletion, deleteImage(withChanges(state, deletion.changes), parent, { force: false, prune: true }, 'quietly'));
};

const untag = (image: Image): ImageRemoval => ({
  ...nothingRemoved,
  removed: namesOf(image).map((untagged) => ({ untagged })),
  events: namesOf(image).map(() => ({ action: 'untag', image })),
});

const obstacle = (
  state: State,
  image: Image,
  { force, names }: { readonly force: boolean; readonly names: boolean },
): { readonly message: string; readonly inUse: boolean } | undefined => {
  const problem = (manner: string, reason: string, inUse = false) => ({ message: `conflict: unable to delete ${short(image.id)} (${manner}) - ${reason}`, inUse });
  if (hasChildren(state, image)) return problem('cannot be forced', 'image has dependent child images');
  const users = usersOf(state, image);
  const running = users.find(isRunning);
  if (running) return problem('cannot be forced', `image is being used by running container ${short(running.id)}`, true);
  if (force) return undefined;
  if (names && namesOf(image).length > 0) return problem('must be forced', 'image is referenced in multiple repositories');
  const [stopped] = users;
  return stopped && problem('must be forced', `image is being used by stopped container ${short(stopped.id)}`, true);
};

/** One tag at most, and every digest of the tag's repository. */
const hasSingleName = (image: Image): boolean => {
  if (namesOf(image).length <= 1) return namesOf(image).length === 1;
  return image.tags.length <= 1 && new Set(namesOf(image).map(repositoryOf)).size === 1;
};

const namesOf = (image: Image): readonly string[] => [...image.tags, ...image.digests];
const repositoryOf = (name: string): string => familiarName(parseName(name));
const hasChildren = (state: State, image: Image): boolean => [...state.images.values()].some((other) => other.parent === image.id);
const usersOf = (state: State, image: Image): Container[] => [...state.containers.values()].filter((container) => container.imageId === image.id);
const isRunning = ({ state }: Container): boolean => ['running', 'paused', 'restarting'].includes(state.status);
const short = (id: string): string => id.replace(/^sha256:/, '').slice(0, 12);

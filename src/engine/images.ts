import type { Readable } from 'node:stream';
import type { Container } from '../model/container.ts';
import { conflict, invalid, systemError } from '../model/errors.ts';
import type { HistoryEntry, Image, Layer } from '../model/image.ts';
import { familiar, familiarMatch, parseName, parseNewName } from '../model/image-reference.ts';
import type { RecordChange, State } from '../model/state.ts';
import { applyChanges } from '../plan/image-changes.ts';
import { mergedConfig } from '../plan/commit-config.ts';
import { emptyConfig, imageJson, parseImageJson, type ImageDescription } from '../plan/image-config.ts';
import { put, putImage } from '../plan/image-names.ts';
import { removeImage, unusedLayers, withoutLayers, type ImageRemoval } from '../plan/image-removal.ts';
import { parsePlatform } from '../plan/platform.ts';
import { nanoseconds, parseTimestamp } from '../plan/timestamp.ts';
import type { Events } from './events.ts';
import { booleanFilter, checkFilters, labelsMatch } from './filters.ts';
import { findContainer } from './find.ts';
import { archiveOf, imagesIn, sha256, type ArchivedImage } from './image-archive.ts';
import { findImage } from './image-find.ts';
import { namedImages, prunable, sharedSizes } from './image-sets.ts';
import { createImageSteps, type ImageSteps } from './image-steps.ts';
import { createTransfers } from './image-transfers.ts';
import type { Archive, Layers, UnpackedLayer } from './layers.ts';
import type { Ledger } from './ledger.ts';
import { createLocks } from './locks.ts';
import { withProgress } from './unpack-progress.ts';
import type { Registry } from './registry.ts';
import type { Images, Progress } from './services.ts';

export type ImagesParts = {
  readonly ledger: Ledger;
  readonly layers: Layers;
  readonly registry: Registry;
  readonly events: Events;
  /** RFC 3339 with nanoseconds. */
  now(): string;
  /** What new images say of the machine and of the engine. */
  readonly architecture: string;
  readonly dockerVersion: string;
  /** Where a container writes. */
  upper(containerId: string): string;
  /** Holds a running container still; resolves to what lets it go on. */
  /** `told`: when all is done, as clients are used to hear of it. */
  freeze(container: Container): Promise<{ thaw(): Promise<void>; told(): void }>;
};

/** The service, and what keeps the disk in step with the records. */
export type ImagesWithLayers = Images & {
  /** Removes layers that nothing uses any more: after a container is gone whose image was removed before it. */
  collect(): Promise<void>;
  /** At boot, before anything is under way: removes what an earlier daemon left half done. */
  reconcile(): Promise<void>;
  readonly steps: ImageSteps;
};

export const createImages = (parts: ImagesParts): ImagesWithLayers => {
  const { ledger, layers, events, now } = parts;
  const locks = createLocks();
  /**
   * A layer's directory and its record come and go together under this lock, so that one who removes a layer and
   * one who stores the same layer again can not pass each other halfway. Unpacking is outside of it.
   */
  const inStep = <T>(work: () => Promise<T>): Promise<T> => locks('layers', work);

  /** Layers being read; their directories stay until that is done, even if their records are gone. */
  const reading = new Map<string, number>();
  const takeAway = (chainIds: readonly string[]): Promise<void> => layers.remove(chainIds.filter((chainId) => !reading.has(chainId)));
  const hold = (chainIds: ReadonlySet<string>): (() => Promise<void>) => {
    for (const chainId of chainIds) reading.set(chainId, (reading.get(chainId) ?? 0) + 1);
    return () => {
      for (const chainId of chainIds) {
        const readers = (reading.get(chainId) ?? 0) - 1;
        if (readers > 0) reading.set(chainId, readers);
        else reading.delete(chainId);
      }
      return inStep(() => takeAway([...chainIds].filter((chainId) => !ledger.state.layers.has(chainId))));
    };
  };

  const tell = (action: string, image: Pick<Image, 'id' | 'config'>, name = image.id): void =>
    events.emit({ type: 'image', action, id: image.id, attributes: { ...image.config.labels, name } });

  /** Removes what a removal plans; the disk after the records, so that no record ever names a layer that is gone. */
  const carryOut = async (plan: (state: State) => ImageRemoval): Promise<ImageRemoval> => {
    const removal = await inStep(async () => {
      const planned = await ledger.change((state) => {
        const result = plan(state);
        return { changes: result.changes, result };
      });
      await takeAway(planned.layers);
      return planned;
    });
    for (const { action, image } of removal.events)
      tell(action, action === 'delete' ? { ...image, config: emptyConfig } : image);
    return removal;
  };

  /** Records an image whose layers are stored already or come with it. False: a layer was removed meanwhile. */
  const record = (raw: string, found: ReadonlyMap<string, StagedLayer>, names: readonly string[], more: { parent?: string; lastTagged?: string; digests?: readonly string[] } = {}) =>
    inStep(async (): Promise<Image | undefined> => {
      const description = parseImageJson(raw);
      const chainIds = chainOf(description.diffIds);
      const missing = (state: State) => chainIds.filter((chainId) => !state.layers.has(chainId));
      if (missing(ledger.state).some((chainId) => !found.has(chainId))) return undefined;
      const stored = missing(ledger.state);
      for (const chainId of stored) await found.get(chainId)?.unpacked.store(chainId);
      try {
        return await ledger.change((state) => {
          const layerChanges = missing(state).map((key): RecordChange => ({ collection: 'layers', key, record: layerRecord(key, chainIds, found) }));
          const size = chainIds.reduce((sum, chainId) => sum + (state.layers.get(chainId)?.size ?? found.get(chainId)?.unpacked.size ?? 0), 0);
          const image = { ...newImage(raw, description), chainIds, size, parent: more.parent ?? '' };
          const changes = putImage(state, image, names, more.lastTagged, more.digests);
          return { changes: [...layerChanges, ...changes], result: changes.at(-1)?.record as Image };
        });
      } catch (error) {
        await takeAway(stored.filter((chainId) => !ledger.state.layers.has(chainId)));
        throw error;
      }
    });

  /** As `record`, for one new layer on top of others that stay because a container uses them, or of none. */
  const recordTop = async (description: ImageDescription, unpacked: UnpackedLayer, names: readonly string[], more: { parent?: string; variant?: string }) => {
    const chainIds = chainOf(description.diffIds);
    const top = chainIds.at(-1) ?? '';
    const found = new Map([[top, { diffId: unpacked.diffId, unpacked }]]);
    try {
      const raw = imageJson(description, more.variant);
      const image = await record(raw, found, names, { ...(more.parent === undefined ? {} : { parent: more.parent }), ...(names.length === 0 ? {} : { lastTagged: now() }) });
      if (!image) throw systemError('the layers of the image were removed meanwhile');
      for (const name of names) tell('tag', image, name);
      return image;
    } finally {
      await unpacked.discard();
    }
  };

  /** The layers are held until the tar is read, or nobody reads it any longer. */
  const savedTar = (saved: Parameters<typeof archiveOf>[0]): Readable => {
    const release = hold(new Set(saved.flatMap(({ image }) => image.chainIds)));
    const tar = layers.archive(archiveOf(saved, layers));
    // What cannot be removed now goes at the next start.
    tar.once('close', () => void release().catch(() => {}));
    return tar;
  };

  const transfers = createTransfers({
    registry: parts.registry,
    architecture: parts.architecture,
    state: () => ledger.state,
    chainOf,
    put: (raw, names, digests, unpack) => putTogether(raw, names, unpack, digests),
    unpackFrom: withProgress,
    saved: (image, tag) => savedTar([{ image, tags: [`pushed:${tag}`] }]),
    addDigest: (image, digest) =>
      ledger.change((state) => {
        const now = state.images.get(image.id);
        return { changes: now ? putImage(state, now, [], undefined, [digest]) : [], result: undefined };
      }),
    tell: (action, ref, name, image) => events.emit({ type: 'image', action, id: ref, attributes: { ...image?.config.labels, name } }),
  });

  const steps = createImageSteps({
    ledger,
    layers,
    architecture: parts.architecture,
    dockerVersion: parts.dockerVersion,
    now,
    record: (raw, parent) => record(raw, new Map(), [], { parent }),
    recordTop: (description, unpacked, parent) => recordTop(description, unpacked, [], { parent }),
    emptyTar: EMPTY_TAR,
  });

  return {
    ...transfers,
    steps,

    async list({ all, filters, sharedSize }) {
      checkFilters(filters, ['dangling', 'label', 'before', 'since', 'reference', 'until']);
      const { state } = ledger;
      const { images, containers } = state;
      const dangling = booleanFilter(filters, 'dangling');
      const times = (key: string) => (filters.get(key) ?? []).map((ref) => nanoseconds(findImage(state, ref).created));
      const before = [...times('before'), ...(filters.get('until') ?? []).map((text) => parseTimestamp(text, nanoseconds(now())))];
      const since = times('since');
      const patterns = filters.get('reference');
      const matches = (name: string): boolean => patterns === undefined || patterns.some((pattern) => familiarMatch(pattern, name));
      for (const pattern of patterns ?? []) familiarMatch(pattern, 'x:latest');
      const parents = new Set([...images.values()].map(({ parent }) => parent));
      const shared = sharedSize ? sharedSizes(state) : undefined;

      const rows = [...images.values()].flatMap((image) => {
        const created = nanoseconds(image.created);
        if (before.some((time) => created >= time) || since.some((time) => created <= time)) return [];
        if (!labelsMatch(filters, image.config.labels ?? {})) return [];
        if (dangling === true && parents.has(image.id)) return [];
        const tags = image.tags.filter(matches);
        const names = tags.length + image.digests.filter(matches).length;
        if (names === 0 && (dangling === false || patterns !== undefined || (!all && parents.has(image.id)))) return [];
        if (dangling === true && tags.length > 0) return [];
        const users = [...containers.values()].filter(({ imageId }) => imageId === image.id).length;
        return [{ image, tags, containers: users, sharedSize: shared?.get(image.id), created }];
      });
      rows.sort((a, b) => (a.created < b.created ? 1 : a.created > b.created ? -1 : 0));
      return rows.map(({ created, ...row }) => row);
    },

    find: (ref) => findImage(ledger.state, ref),

    history(ref) {
      const { images, layers: records } = ledger.state;
      const image = findImage(ledger.state, ref);
      let layer = 0;
      const entries = image.history.map((entry) => {
        const chainId = entry.emptyLayer ? undefined : image.chainIds[layer++];
        return { ...entry, size: records.get(chainId ?? '')?.size ?? 0 };
      });
      // Each parent is one step further back.
      const owners: Image[] = [];
      for (let owner: Image | undefined = image; owner && owners.length < entries.length; owner = images.get(owner.parent)) owners.push(owner);
      return entries.reverse().map((entry, at) => ({ ...entry, id: owners[at]?.id ?? '<missing>', tags: owners[at]?.tags ?? [] }));
    },

    async tag(ref, repo, tag) {
      const name = familiar(parseNewName(repo, tag));
      const image = await ledger.change((state) => {
        const result = findImage(state, ref);
        return { changes: putImage(state, result, [name], now()), result };
      });
      tell('tag', image, name);
    },

    async remove(ref, options) {
      const { removed } = await carryOut((state) => removeImage(state, findImage(state, ref), ref, options));
      return removed;
    },

    async prune(filters) {
      checkFilters(filters, ['dangling', 'label', 'label!', 'until']);
      const danglingOnly = booleanFilter(filters, 'dangling') ?? true;
      const [limit, ...more] = filters.get('until') ?? [];
      if (more.length > 0) throw invalid('more than one until filter specified');
      const until = limit === undefined ? undefined : parseTimestamp(limit, nanoseconds(now()));
      const wanted = (image: Image): boolean =>
        !steps.isHeld(image.id) &&
        (until === undefined || nanoseconds(image.created) <= until) &&
        labelsMatch(filters, image.config.labels ?? {}) &&
        !(filters.has('label!') && labelsMatch(filters, image.config.labels ?? {}, 'label!'));

      const sizes = new Map([...ledger.state.layers.values()].map(({ chainId, size }) => [chainId, size]));
      const { removed, layers: gone } = await carryOut((state) => prunable(state, wanted, danglingOnly));
      const reclaimed = gone.reduce((sum, chainId) => sum + (sizes.get(chainId) ?? 0), 0);
      events.emit({ type: 'image', action: 'prune', id: '', attributes: { reclaimed: String(reclaimed) } });
      return { deleted: removed.length === 0 ? undefined : removed, reclaimed };
    },

    async import(tar, { repo, tag, message, changes, platform }) {
      const names = repo === '' ? [] : [familiar(parseNewName(repo, tag))];
      const { os, architecture, variant } = parsePlatform(platform, parts.architecture);
      if (os !== 'linux') throw invalid('operating system is not supported');
      const config = applyChanges(emptyConfig, changes);
      const unpacked = await layers.unpack(tar);
      const created = now();
      const comment = message === '' ? 'Imported from -' : message;
      const image = await recordTop(
        {
          created,
          author: '',
          comment,
          architecture,
          os,
          dockerVersion: parts.dockerVersion,
          config,
          history: [{ created, createdBy: '', author: '', comment, emptyLayer: false }],
          diffIds: [unpacked.diffId],
        },
        unpacked,
        names,
        { variant },
      );
      tell('import', image);
      return image.id;
    },

    async *load(tar) {
      const archive = await layers.openArchive(tar);
      try {
        const loaded: { readonly id: string; readonly parent: string; readonly tagged: boolean }[] = [];
        for (const entry of await imagesIn(archive, parts.architecture)) {
          const names = entry.tags.map(loadedName);
          const before = ledger.state.images;
          const image = yield* loadOne(archive, entry, names);
          for (const name of names) {
            const other = [...before.values()].find(({ id, tags }) => id !== image.id && tags.includes(name));
            if (other) yield { stream: `The image ${name} already exists, renaming the old one with ID ${other.id} to empty string\n` };
            yield { stream: `Loaded image: ${name}\n` };
          }
          loaded.push({ id: image.id, parent: entry.parent, tagged: names.length > 0 });
          tell('load', image);
        }
        await linkParents(loaded);
        if (loaded.at(-1)?.tagged === false) for (const { id } of loaded) yield { stream: `Loaded image ID: ${id}\n` };
      } finally {
        await archive.close();
      }
    },

    save(refs) {
      const saved = namedImages(ledger.state, refs);
      const tar = savedTar(saved);
      for (const { image } of saved) tell('save', image);
      return tar;
    },

    async commit(ref, { repo, tag, comment, author, changes, pause }) {
      const names = repo === '' ? [] : [familiar(parseNewName(repo, tag))];
      const container = findContainer(ledger.state, ref);
      if (container.state.status === 'dead') throw conflict(`You cannot commit container ${container.id} which is Dead`);
      if (container.state.status === 'removing') throw conflict(`You cannot commit container ${container.id} which is being removed`);
      const config = mergedConfig(applyChanges(emptyConfig, changes), container);
      const frozen = pause && container.state.status === 'running' ? await parts.freeze(container) : undefined;
      try {
        const unpacked = await layers.unpack(layers.changes(parts.upper(container.id))).finally(() => frozen?.thaw());
        const { state } = ledger;
        const parent = state.images.get(container.imageId);
        const created = now();
        const emptyLayer = unpacked.diffId === EMPTY_TAR;
        const below = container.chainIds.map((chainId) => state.layers.get(chainId)?.diffId ?? '');
        const description: ImageDescription = {
          created,
          author,
          comment,
          architecture: parent?.architecture ?? parts.architecture,
          os: 'linux',
          dockerVersion: parts.dockerVersion,
          config,
          history: [...(parent?.history ?? []), { created, createdBy: (container.spec.cmd ?? []).join(' '), author, comment, emptyLayer }],
          diffIds: emptyLayer ? below : [...below, unpacked.diffId],
        };
        const image = await recordTop(description, unpacked, names, parent ? { parent: parent.id } : {});
        events.emit({
          type: 'container',
          action: 'commit',
          id: container.id,
          attributes: { ...container.spec.labels, comment, image: container.spec.image, imageID: image.id, imageRef: names[0] ?? '', name: container.name },
        });
        return image.id;
      } finally {
        frozen?.told();
      }
    },

    collect: () =>
      inStep(async () => {
        const unused = await ledger.change((state) => {
          const result = unusedLayers(state, state.layers.keys());
          return { changes: withoutLayers(result), result };
        });
        await takeAway(unused);
      }),

    reconcile: () =>
      inStep(async () => {
        await layers.clean();
        const unused = await ledger.change((state) => {
          const result = unusedLayers(state, state.layers.keys());
          return { changes: withoutLayers(result), result };
        });
        const nobodys = (await layers.list()).filter((chainId) => !ledger.state.layers.has(chainId));
        await layers.remove([...new Set([...unused, ...nobodys])]);
      }),
  };

  async function* loadOne(archive: Archive, entry: ArchivedImage, names: readonly string[]): AsyncGenerator<Progress, Image> {
    const raw = await archive.read(entry.config);
    const { os, diffIds } = parseImageJson(raw);
    if (os !== 'linux') throw systemError(`cannot load ${os} image on linux`);
    if (entry.layers.length !== diffIds.length)
      throw systemError(`invalid manifest, layers length mismatch: expected ${entry.layers.length}, got ${diffIds.length}`);
    return yield* putTogether(raw, names, (at) => withProgress(archive, entry.layers[at] ?? '', 'Loading layer', short(diffIds[at] ?? '')));
  }

  /** Unpacks the layers that are not here, then records the image; again, if others of its layers were removed meanwhile. */
  async function* putTogether(raw: string, names: readonly string[], unpack: (at: number) => AsyncGenerator<Progress, UnpackedLayer>, digests: readonly string[] = []): AsyncGenerator<Progress, Image> {
    const { diffIds } = parseImageJson(raw);
    const chainIds = chainOf(diffIds);
    const found = new Map<string, StagedLayer>();
    try {
      for (;;) {
        for (const [at, chainId] of chainIds.entries()) {
          if (ledger.state.layers.has(chainId) || found.has(chainId)) continue;
          const unpacked = yield* unpack(at);
          found.set(chainId, { diffId: unpacked.diffId, unpacked });
          if (unpacked.diffId !== diffIds[at])
            throw systemError(`invalid diffID for layer ${at}: expected ${JSON.stringify(diffIds[at])}, got ${JSON.stringify(unpacked.diffId)}`);
        }
        const image = await record(raw, found, names, { digests });
        if (image) return image;
      }
    } finally {
      for (const { unpacked } of found.values()) await unpacked.discard();
    }
  }

  /** A parent that the same archive brought, and whose history this image goes on with. */
  async function linkParents(loaded: readonly { readonly id: string; readonly parent: string }[]): Promise<void> {
    const ids = new Set(loaded.map(({ id }) => id));
    for (const { id, parent } of loaded) {
      if (parent === '' || parent === id || !ids.has(parent)) continue;
      await ledger.change((state) => {
        const [child, above] = [findImage(state, id), findImage(state, parent)];
        if (!goesOn(child.history, above.history)) throw systemError(`image ${parent} is not a valid parent for ${id}`);
        return { changes: [put({ ...child, parent })], result: undefined };
      });
    }
  }
};

/** In an archive a name has its tag, always. */
const loadedName = (text: string): string => {
  const named = parseName(text);
  if (named.tag === undefined || named.digest !== undefined) throw invalid(`invalid tag ${JSON.stringify(text)}`);
  return familiar(named);
};

type StagedLayer = { readonly diffId: string; readonly unpacked: UnpackedLayer };

/** The digest of a tar with nothing in it: a commit of a container that wrote nothing adds no layer. */
const EMPTY_TAR = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';

/** A layer's id says what it lies on: the digest of the id below it and of its own. */
const chainOf = (diffIds: readonly string[]): string[] => {
  const chain: string[] = [];
  for (const diffId of diffIds) chain.push(chain.length === 0 ? diffId : sha256(`${chain.at(-1)} ${diffId}`));
  return chain;
};

const layerRecord = (chainId: string, chainIds: readonly string[], found: ReadonlyMap<string, StagedLayer>): Layer => {
  const staged = found.get(chainId);
  if (!staged) throw systemError(`layer ${chainId} was removed meanwhile`);
  return { chainId, diffId: staged.diffId, parent: chainIds[chainIds.indexOf(chainId) - 1], size: staged.unpacked.size };
};

const newImage = (raw: string, description: ImageDescription): Omit<Image, 'chainIds' | 'size' | 'parent'> => ({
  ...description,
  id: sha256(raw),
  tags: [],
  digests: [],
  lastTagged: undefined,
  rawConfig: raw,
});

/** One step more than the parent's, and the same before it. */
const goesOn = (history: readonly HistoryEntry[], parent: readonly HistoryEntry[]): boolean => {
  if (history.length === 0 && parent.length === 0) return true;
  return history.length === parent.length + 1 && JSON.stringify(history.slice(0, -1)) === JSON.stringify(parent);
};

const short = (digest: string): string => digest.replace('sha256:', '').slice(0, 12);

import type { Readable } from 'node:stream';
import { notFound, systemError } from '../model/errors.ts';
import type { Image } from '../model/image.ts';
import { familiar, familiarName, type NamedReference } from '../model/image-reference.ts';
import type { Remote } from '../model/registry.ts';
import type { State } from '../model/state.ts';
import { parseImageJson } from '../plan/image-config.ts';
import { checkPlatform, parsePlatform } from '../plan/platform.ts';
import { pullError, pushError } from '../plan/registry-errors.ts';
import { imageFor, parseManifest, type Platform } from '../plan/registry-manifest.ts';
import { sha256 } from './image-archive.ts';
import type { Archive, UnpackedLayer } from './layers.ts';
import type { Registry } from './registry.ts';
import type { Images, Progress } from './services.ts';

/** Images that come from registries and go there. */
export type TransferParts = {
  readonly registry: Registry;
  readonly architecture: string;
  state(): State;
  chainOf(diffIds: readonly string[]): readonly string[];
  /** An image under these names and digests; `unpack` is asked for its layers that are not here. */
  put(raw: string, names: readonly string[], digests: readonly string[], unpack: (at: number) => AsyncGenerator<Progress, UnpackedLayer>): AsyncGenerator<Progress, Image>;
  unpackFrom(archive: Archive, path: string, status: string, id: string): AsyncGenerator<Progress, UnpackedLayer>;
  /** What `docker save` gives of the one image. */
  saved(image: Image, tag: string): Readable;
  addDigest(image: Image, digest: string): Promise<void>;
  tell(action: 'pull' | 'push', ref: string, name: string, image: Image | undefined): void;
};

export const createTransfers = (parts: TransferParts): Pick<Images, 'pull' | 'push'> => {
  const { registry } = parts;

  return {
    async *pull({ named, platform, credentials, gone }) {
      const wanted = parsePlatform(platform, parts.architecture);
      const remote = { name: named, credentials };
      const isWhole = named.tag === undefined && named.digest === undefined;
      const failed = (each: NamedReference) => (error: unknown) => {
        throw pullError(error, each, credentials !== undefined);
      };
      const each = isWhole ? (await registry.tags(remote, gone).catch(failed(named))).map((tag) => ({ ...named, tag })) : [named];
      let [image, isNew]: [Image | undefined, boolean] = [undefined, false];
      for (const one of each) {
        const version = one.digest ?? one.tag ?? '';
        const text = await registry.manifest(remote, version, gone).catch(failed(one));
        yield { status: `Pulling from ${named.path}`, id: one.digest === undefined ? version : familiar({ ...one, tag: undefined }) };
        const before = parts.state().images;
        image = yield* pullOne(remote, one, text, wanted, gone);
        const had = before.get(image.id);
        isNew ||= !(one.digest === undefined ? had?.tags.includes(familiar(one)) : had?.digests.includes(`${familiarName(one)}@${one.digest}`));
        yield { status: `Digest: ${sha256(text)}` };
      }
      const ref = isWhole ? familiarName(named) : familiar(named.digest === undefined ? named : { ...named, tag: undefined });
      yield { status: `Status: ${isNew ? 'Downloaded newer image' : 'Image is up to date'} for ${ref}` };
      parts.tell('pull', ref, familiarName(named), image);
      if (image) checkPlatform(image, ref, platform, parts.architecture);
    },

    async *push({ named, credentials, gone }) {
      yield { status: `The push refers to repository [${named.domain}/${named.path}]` };
      const images = [...parts.state().images.values()];
      const repository = familiarName(named);
      const tagged = images.flatMap((image) => image.tags.filter((tag) => tag.slice(0, tag.lastIndexOf(':')) === repository).map((tag) => ({ image, tag: tag.slice(repository.length + 1) })));
      const chosen = tagged.filter(({ tag }) => named.tag === undefined || tag === named.tag);
      if (chosen.length === 0) throw notFound(`An image does not exist locally with the tag: ${repository}`);
      for (const { image, tag } of chosen.sort((a, b) => (a.tag < b.tag ? -1 : 1))) yield* pushOne({ name: named, credentials }, image, tag, gone);
      parts.tell('push', familiar(named), repository, undefined);
    },
  };

  async function* pullOne(remote: Remote, named: NamedReference, text: string, platform: Platform, gone: AbortSignal): AsyncGenerator<Progress, Image> {
    const digest = sha256(text);
    if (named.digest !== undefined && named.digest !== digest) throw systemError(`manifest verification failed for digest ${named.digest}`);
    const found = parseManifest(text);
    const own = found.kind === 'image' ? digest : imageFor(found.images, platform);
    const inner = found.kind === 'image' ? found : parseManifest(await registry.manifest(remote, own, gone));
    if (inner.kind !== 'image') throw systemError('invalid index: an index within an index');
    const { config, layers } = inner.manifest;
    const names = named.digest === undefined ? [familiar(named)] : [];
    const digests = [`${familiarName(named)}@${digest}`];

    const known = parts.state().images.get(config);
    const raw = known?.rawConfig ?? (await registry.config(remote, own, gone));
    if (sha256(raw) !== config) throw systemError(`image config verification failed for digest ${config}`);
    const { os, diffIds } = parseImageJson(raw);
    if (os !== 'linux') throw systemError(`operating system ${JSON.stringify(os)} cannot be used on this platform: operating system is not supported`);
    if (layers.length !== diffIds.length) throw systemError(`invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${layers.length}`);

    const here = parts.chainOf(diffIds).map((chainId) => parts.state().layers.has(chainId));
    const wanted = new Set(layers.filter((_, at) => !here[at]).map((layer) => layer.digest));
    if (!known) for (const [at, layer] of layers.entries()) yield { status: here[at] ? 'Already exists' : 'Pulling fs layer', id: short(layer.digest), progress: {} };
    const archive = wanted.size === 0 ? undefined : yield* fetched(remote, own, layers.map((layer) => ({ ...layer, here: !wanted.has(layer.digest) })), gone);
    try {
      return yield* parts.put(raw, names, digests, async function* (at) {
        const layer = layers[at];
        if (!layer || !archive || !wanted.has(layer.digest)) throw systemError('a layer of the image was removed meanwhile: pull it again');
        const unpacked = yield* parts.unpackFrom(archive, `blobs/${layer.digest.replace(':', '/')}`, 'Extracting', short(layer.digest));
        yield { status: 'Pull complete', id: short(layer.digest), progress: {} };
        return unpacked;
      });
    } finally {
      await archive?.close();
    }
  }

  /** How far each layer is, whenever that has changed. */
  async function* fetched(remote: Remote, digest: string, blobs: Parameters<Registry['fetch']>[2], gone: AbortSignal): AsyncGenerator<Progress, Archive> {
    const told = new Map<string, number>();
    const sizes = new Map(blobs.map((blob) => [blob.digest, blob.size]));
    const news: Progress[] = [];
    const moved = (blob: string, current: number): void => {
      const total = sizes.get(blob) ?? 0;
      if (current <= (told.get(blob) ?? -1)) return;
      told.set(blob, current);
      news.push({ status: 'Downloading', id: short(blob), progress: { current, total } });
      if (current === total) news.push({ status: 'Verifying Checksum', id: short(blob), progress: {} }, { status: 'Download complete', id: short(blob), progress: {} });
    };
    return yield* during(registry.fetch(remote, digest, blobs, moved, gone), news, (archive) => void archive.close().catch(() => {}));
  }

  async function* pushOne(remote: Remote, image: Image, tag: string, gone: AbortSignal): AsyncGenerator<Progress> {
    const ids = [...image.diffIds].reverse();
    const layers = parts.state().layers;
    const sizes = new Map(image.chainIds.map((chainId) => [layers.get(chainId)?.diffId ?? '', layers.get(chainId)?.size ?? 0]));
    for (const id of ids) yield { status: 'Preparing', id: short(id), progress: {} };
    const there = new Set<string>();
    const news: Progress[] = [];
    const sent = new Map<string, number>();
    const told = (diffId: string, what: 'exists' | number): void => {
      const total = sizes.get(diffId);
      if (total === undefined) return;
      if (what === 'exists') {
        there.add(diffId);
        news.push({ status: 'Layer already exists', id: short(diffId), progress: {} });
      } else if (!there.has(diffId) && what > (sent.get(diffId) ?? -1)) {
        sent.set(diffId, what);
        news.push({ status: 'Pushing', id: short(diffId), progress: { current: what, total } });
      }
    };
    let pushed: { readonly digest: string; readonly size: number };
    try {
      pushed = yield* during(registry.push(remote, tag, parts.saved(image, tag), told, gone), news, () => {});
    } catch (error) {
      throw pushError(error, remote.credentials !== undefined);
    }
    for (const id of ids) if (!there.has(id)) yield { status: 'Pushed', id: short(id), progress: {} };
    await parts.addDigest(image, `${familiarName({ ...remote.name, tag: undefined, digest: undefined })}@${pushed.digest}`);
    yield { status: `${tag}: digest: ${pushed.digest} size: ${pushed.size}` };
    yield { aux: { tag, digest: pushed.digest, size: pushed.size } };
  }
};

/** A piece of work, and meanwhile the news of it. `dropped`: what to do with its result when nobody waits any longer. */
async function* during<T>(work: Promise<T>, news: Progress[], dropped: (result: T) => void): AsyncGenerator<Progress, T> {
  let taken = false;
  const done = work.then((result) => ({ result }));
  try {
    for (;;) {
      const end = await Promise.race([done, after(NEWS_INTERVAL)]);
      yield* news.splice(0);
      if (!end) continue;
      taken = true;
      return end.result;
    }
  } finally {
    if (!taken) work.then(dropped).catch(() => {});
  }
}

const NEWS_INTERVAL = 100;
const after = (milliseconds: number): Promise<undefined> => new Promise((resolve) => setTimeout(resolve, milliseconds, undefined).unref());
const short = (digest: string): string => digest.replace('sha256:', '').slice(0, 12);

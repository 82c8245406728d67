import { createHash } from 'node:crypto';
import { systemError } from '../model/errors.ts';
import type { Image } from '../model/image.ts';
import { canonical, familiarName, parseName } from '../model/image-reference.ts';
import type { Json, JsonObject } from '../model/json.ts';
import { goJson, parseJson } from '../plan/image-config.ts';
import { nanoseconds } from '../plan/timestamp.ts';
import type { Archive, ArchiveEntry, Layers } from './layers.ts';

/** One image of an archive: where its JSON and its layers are in it. */
export type ArchivedImage = {
  readonly config: string;
  /** As written in the archive. */
  readonly tags: readonly string[];
  readonly layers: readonly string[];
  readonly parent: string;
};

/** The images that an archive says it has: as `docker save` says it, or as an OCI layout does, or as Docker once did. */
export const imagesIn = async (archive: Archive, architecture: string): Promise<readonly ArchivedImage[]> => {
  if (await archive.exists('manifest.json')) return dockerImages(parseJson(await archive.read('manifest.json')));
  if (await archive.exists('index.json')) return ociImages(archive, 'index.json', architecture, []);
  // Says, as the reference engine does, what it missed last.
  await archive.read('repositories');
  throw systemError('an archive in the format of Docker before 1.10 is not supported: load it with an older engine and save it again');
};

const dockerImages = (manifest: Json): ArchivedImage[] => {
  if (!Array.isArray(manifest)) throw systemError('invalid manifest, manifest cannot be null (but can be [])');
  return (manifest as readonly JsonObject[]).map((item) => ({
    config: String(item['Config'] ?? ''),
    tags: texts(item['RepoTags']),
    layers: texts(item['Layers']),
    parent: typeof item['Parent'] === 'string' ? item['Parent'] : '',
  }));
};

const DEPTH_LIMIT = 8;

/** Of an index that has the image for several machines, the one for this. */
const ociImages = async (archive: Archive, path: string, architecture: string, names: readonly string[], depth = 0): Promise<ArchivedImage[]> => {
  if (depth > DEPTH_LIMIT) throw systemError('invalid index: too many within each other');
  const document = parseJson(await archive.read(path)) as JsonObject;
  if (document['layers'] !== undefined)
    return [{ config: blob(document['config']), tags: names, layers: list(document['layers']).map(blob), parent: '' }];
  const descriptors = list(document['manifests']);
  const inner = depth > 0 ? forThisMachine(descriptors, architecture) : descriptors;
  const images: ArchivedImage[] = [];
  const seen = new Map<string, number>();
  for (const descriptor of inner) {
    const own = [...names, ...nameOf(descriptor)];
    const found = await ociImages(archive, blob(descriptor), architecture, own, depth + 1);
    for (const image of found) {
      const at = seen.get(image.config);
      const known = at === undefined ? undefined : images[at];
      if (at !== undefined && known) images[at] = { ...known, tags: [...known.tags, ...image.tags] };
      else seen.set(image.config, images.push(image) - 1);
    }
  }
  return images;
};

const forThisMachine = (descriptors: readonly JsonObject[], architecture: string): JsonObject[] => {
  const platform = (descriptor: JsonObject) => (descriptor['platform'] ?? {}) as JsonObject;
  const known = descriptors.filter((descriptor) => platform(descriptor)['architecture'] !== 'unknown');
  const mine = known.find((descriptor) => platform(descriptor)['os'] === 'linux' && platform(descriptor)['architecture'] === architecture);
  const [first] = known;
  return mine ? [mine] : first ? [first] : [];
};

/** The annotations by which tools name images; a bare tag is the name of none. */
const nameOf = (descriptor: JsonObject): string[] => {
  const annotations = (descriptor['annotations'] ?? {}) as JsonObject;
  const name = annotations['io.containerd.image.name'];
  const ref = annotations['org.opencontainers.image.ref.name'];
  if (typeof name === 'string') return [name];
  return typeof ref === 'string' && /[:/]/.test(ref) ? [ref] : [];
};

const blob = (descriptor: Json | undefined): string => {
  const digest = String((descriptor as JsonObject | undefined)?.['digest'] ?? '');
  const [, algorithm, hex] = /^([a-z0-9]+):([0-9a-f]+)$/.exec(digest) ?? [];
  if (algorithm === undefined) throw systemError(`invalid digest ${JSON.stringify(digest)} in archive`);
  return `blobs/${algorithm}/${hex}`;
};

const list = (json: Json | undefined): readonly JsonObject[] => (Array.isArray(json) ? (json as readonly JsonObject[]) : []);
const texts = (json: Json | undefined): string[] => (Array.isArray(json) ? json.map(String) : []);

/**
 * What `docker save` gives: an OCI layout that is a Docker archive as well. Both are indexes to the same blobs:
 *
 *     index.json -> manifest -> config, layers
 *     manifest.json ---------> config, layers        repositories -> top layer
 */
export const archiveOf = async (saved: readonly { readonly image: Image; readonly tags: readonly string[] }[], layers: Pick<Layers, 'tarSize'>): Promise<ArchiveEntry[]> => {
  const blobs = new Map<string, ArchiveEntry>();
  const text = (content: string, mtime = 0): string => {
    const digest = sha256(content);
    blobs.set(digest, { name: blobName(digest), mtime, content });
    return digest;
  };
  const manifest: JsonObject[] = [];
  const index: JsonObject[] = [];
  const repositories: Record<string, Record<string, string>> = {};
  const savedIds = new Set(saved.map(({ image }) => image.id));
  let created = 0;

  for (const { image, tags } of saved) {
    created = seconds(image.created);
    const sources = await Promise.all(image.diffIds.map(async (digest, at) => ({ mediaType: LAYER, size: await layers.tarSize(image.chainIds[at] ?? ''), digest })));
    image.diffIds.forEach((diffId, at) => {
      blobs.set(diffId, { name: blobName(diffId), mtime: created, content: { layer: image.chainIds[at] ?? '', diffId } });
    });
    for (const legacy of legacyConfigs(image)) text(legacy, created);
    text(image.rawConfig, created);
    const oci = goJson({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: CONFIG, digest: image.id, size: Buffer.byteLength(image.rawConfig) },
      layers: sources.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    });
    const descriptor = { mediaType: MANIFEST, digest: text(oci), size: Buffer.byteLength(oci) };
    const top = image.diffIds.at(-1)?.replace('sha256:', '') ?? '';
    for (const tag of tags) {
      const named = parseName(tag);
      (repositories[familiarName(named)] ??= {})[named.tag ?? ''] = top;
      index.push({ ...descriptor, annotations: { 'io.containerd.image.name': canonical(named), 'org.opencontainers.image.ref.name': named.tag ?? '' } });
    }
    if (tags.length === 0) index.push(descriptor);
    manifest.push({
      Config: blobName(image.id),
      RepoTags: tags.length === 0 ? null : tags,
      Layers: image.diffIds.map(blobName),
      ...(savedIds.has(image.parent) ? { Parent: image.parent } : {}),
      LayerSources: Object.fromEntries([...new Map(sources.map((source) => [source.digest, source]))].sort(([a], [b]) => (a < b ? -1 : 1))),
    });
  }
  const file = (name: string, content: string): ArchiveEntry => ({ name, mtime: 0, content });
  return [
    ...(blobs.size === 0 ? [] : ['blobs/', 'blobs/sha256/'].map((name) => ({ name, mtime: created, content: '' }))),
    ...[...blobs.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    file('index.json', goJson({ schemaVersion: 2, mediaType: INDEX, manifests: saved.length === 0 ? null : index })),
    file('manifest.json', `${goJson(saved.length === 0 ? null : manifest)}\n`),
    file('oci-layout', '{"imageLayoutVersion": "1.0.0"}'),
    ...(Object.keys(repositories).length === 0 ? [] : [file('repositories', `${goJson(repositories)}\n`)]),
  ];
};

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';

/** A JSON a layer, each naming the one below: what engines before 1.10 knew of an image. */
const legacyConfigs = (image: Image): string[] => {
  const { config, container_config, created, architecture, comment, author, docker_version } = parseJson(image.rawConfig) as JsonObject;
  const whole = { comment, created, container_config, docker_version, author, config, architecture };
  const given = Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined)) as JsonObject;
  let parent: string | undefined;
  return image.diffIds.map((_, at) => {
    const own: JsonObject = at === image.diffIds.length - 1 ? given : { created: '1970-01-01T00:00:00Z' };
    const link: JsonObject = parent === undefined ? {} : { parent };
    const id = sha256(goJson({ ...own, layer_id: image.chainIds[at] ?? '', ...link })).slice('sha256:'.length);
    const text = goJson({ id, ...link, ...own, os: image.os });
    parent = id;
    return text;
  });
};

export const sha256 = (content: string): string => `sha256:${createHash('sha256').update(content).digest('hex')}`;
const blobName = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
const seconds = (time: string): number => Math.max(0, Number(nanoseconds(time) / 1_000_000_000n));

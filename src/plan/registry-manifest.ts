import { invalid, notFound, systemError } from '../model/errors.ts';
import type { Json, JsonObject } from '../model/json.ts';
import type { Manifest } from '../model/registry.ts';
import { parseJson } from './image-config.ts';

export type Platform = { readonly os: string; readonly architecture: string; readonly variant: string };

/** What a registry gives for a name: one image, or an index of images for several machines. */
export type Found = { readonly kind: 'image'; readonly manifest: Manifest } | { readonly kind: 'index'; readonly images: readonly IndexEntry[] };
export type IndexEntry = { readonly digest: string; readonly platform: Platform };

export const parseManifest = (text: string): Found => {
  const document = objectOf(parseJson(text));
  if (document['schemaVersion'] === 1) throw invalid('image manifests of schema 1 are not supported: build the image again with a newer tool');
  if (Array.isArray(document['manifests']))
    return { kind: 'index', images: document['manifests'].map((each) => ({ digest: digestOf(each), platform: platformIn(objectOf(objectOf(each)['platform'])) })) };
  if (!Array.isArray(document['layers'])) throw systemError('the registry answered with what is no image manifest');
  return {
    kind: 'image',
    manifest: { config: digestOf(document['config']), layers: document['layers'].map((each) => ({ digest: digestOf(each), size: Number(objectOf(each)['size'] ?? 0) })) },
  };
};

/** The image of an index that runs on such a machine: of its own variant, or else of an older one, or of one that says none. */
export const imageFor = (images: readonly IndexEntry[], wanted: Platform): string => {
  const matches = images.filter(({ platform }) => platform.os === wanted.os && platform.architecture === wanted.architecture);
  const [variant, ...older] = variantsOf(wanted);
  const order = wanted.variant === '' ? [variant, ...older, ''] : [wanted.variant, ...older.filter((each) => each < wanted.variant), ''];
  const best = order.map((each) => matches.find(({ platform }) => platform.variant === each)).find((each) => each !== undefined);
  const found = best ?? (wanted.variant === '' ? matches[0] : undefined);
  if (!found) throw notFound(`no matching manifest for ${platformText(wanted)} in the manifest list entries`);
  return found.digest;
};

export const platformText = ({ os, architecture, variant }: Platform): string => [os, architecture, ...(variant === '' ? [] : [variant])].join('/');

/** An image's configuration says what machine it is for. */
export const platformOf = (config: string): Platform => platformIn(objectOf(parseJson(config)));

/** OCI's documents need not say what they are. */
export const mediaTypeOf = (text: string, kind: Found['kind']): string =>
  String(objectOf(parseJson(text))['mediaType'] ?? `application/vnd.oci.image.${kind === 'index' ? 'index' : 'manifest'}.v1+json`);

const variantsOf = ({ architecture }: Platform): readonly string[] => (architecture === 'arm64' ? ['v8'] : architecture === 'arm' ? ['v7', 'v6', 'v5'] : ['']);

const platformIn = (json: JsonObject): Platform => ({ os: String(json['os'] ?? ''), architecture: String(json['architecture'] ?? ''), variant: String(json['variant'] ?? '') });

const digestOf = (json: Json | undefined): string => {
  const digest = String(objectOf(json)['digest'] ?? '');
  // It becomes a file's name.
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw systemError(`invalid digest ${JSON.stringify(digest)} in manifest`);
  return digest;
};

const objectOf = (json: Json | undefined): JsonObject => (typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as JsonObject) : {});

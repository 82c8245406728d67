import { systemError } from '../model/errors.ts';
import type { Healthcheck, HistoryEntry, Image, ImageConfig } from '../model/image.ts';
import type { Json, JsonObject } from '../model/json.ts';

/** What an image's JSON says (Docker's image spec 1.2, OCI's image config): all of `Image` that is not where it is kept. */
export type ImageDescription = Pick<
  Image,
  'created' | 'author' | 'comment' | 'architecture' | 'os' | 'dockerVersion' | 'config' | 'history' | 'diffIds'
>;

/** Go's zero time: an image that does not say when it was made. */
const NEVER = '0001-01-01T00:00:00Z';

export const emptyConfig: ImageConfig = {
  user: '',
  exposedPorts: undefined,
  env: undefined,
  cmd: undefined,
  entrypoint: undefined,
  volumes: undefined,
  workingDir: '',
  labels: undefined,
  onBuild: undefined,
  stopSignal: undefined,
  shell: undefined,
  healthcheck: undefined,
  argsEscaped: false,
};

/** The JSON whose sha256 is the image's id, with its keys sorted as the reference engine sorts them. */
export const imageJson = (image: ImageDescription, variant = ''): string =>
  goJson({
    architecture: image.architecture,
    ...(image.author === '' ? {} : { author: image.author }),
    ...(image.comment === '' ? {} : { comment: image.comment }),
    config: configJson(image.config),
    created: image.created,
    docker_version: image.dockerVersion,
    history: image.history.map(historyJson),
    os: image.os,
    rootfs: { type: 'layers', diff_ids: image.diffIds },
    ...(variant === '' ? {} : { variant }),
  });

/** Reads an image's JSON. What is not known here stays in the text, which is kept. */
export const parseImageJson = (text: string): ImageDescription => {
  const image = object(parseJson(text));
  const rootfs = object(image['rootfs']);
  if (image['rootfs'] === undefined || image['rootfs'] === null) throw systemError('invalid image JSON, no RootFS key');
  return {
    created: string(image['created']) || NEVER,
    author: string(image['author']),
    comment: string(image['comment']),
    architecture: string(image['architecture']),
    os: string(image['os']) || 'linux',
    dockerVersion: string(image['docker_version']),
    config: parseConfig(image['config']),
    history: array(image['history']).map((entry) => parseHistory(object(entry))),
    diffIds: strings(rootfs['diff_ids']) ?? [],
  };
};

/** A JSON text in a file of an archive, or why it is none, in Go's words. */
export const parseJson = (text: string): Json => {
  try {
    return JSON.parse(text) as Json;
  } catch {
    const first = text.trimStart().charAt(0);
    if (first === '') throw systemError('EOF');
    throw systemError('{["-0123456789tfn'.includes(first) ? 'unexpected end of JSON input' : `invalid character '${first}' looking for beginning of value`);
  }
};

/** The `config` of an image's JSON, or of a container's: the names are the same. */
export const parseConfig = (json: Json | undefined): ImageConfig => {
  const config = object(json);
  return {
    user: string(config['User']),
    exposedPorts: keys(config['ExposedPorts']),
    env: strings(config['Env']),
    cmd: strings(config['Cmd']),
    entrypoint: strings(config['Entrypoint']),
    volumes: keys(config['Volumes']),
    workingDir: string(config['WorkingDir']),
    labels: labels(config['Labels']),
    onBuild: strings(config['OnBuild']),
    stopSignal: string(config['StopSignal']) || undefined,
    shell: strings(config['Shell']),
    healthcheck: parseHealthcheck(config['Healthcheck']),
    argsEscaped: config['ArgsEscaped'] === true,
  };
};

/** JSON as Go writes it, which is not how JavaScript does: a client may compare digests. */
export const goJson = (value: Json): string =>
  JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** The names in the reference engine's order, and its nulls. */
const configJson = (config: ImageConfig): JsonObject => ({
  User: config.user,
  ...(config.exposedPorts === undefined ? {} : { ExposedPorts: set(config.exposedPorts) }),
  Env: config.env ?? null,
  Cmd: config.cmd ?? null,
  ...(config.healthcheck === undefined ? {} : { Healthcheck: healthcheckJson(config.healthcheck) }),
  ...(config.argsEscaped ? { ArgsEscaped: true } : {}),
  Volumes: config.volumes === undefined ? null : set(config.volumes),
  WorkingDir: config.workingDir,
  Entrypoint: config.entrypoint ?? null,
  OnBuild: config.onBuild ?? null,
  Labels: config.labels === undefined ? null : Object.fromEntries(Object.entries(config.labels).sort(([a], [b]) => (a < b ? -1 : 1))),
  ...(config.stopSignal === undefined ? {} : { StopSignal: config.stopSignal }),
  ...(config.shell === undefined ? {} : { Shell: config.shell }),
});

const historyJson = (entry: HistoryEntry): JsonObject => ({
  created: entry.created,
  ...(entry.author === '' ? {} : { author: entry.author }),
  ...(entry.createdBy === '' ? {} : { created_by: entry.createdBy }),
  ...(entry.comment === '' ? {} : { comment: entry.comment }),
  ...(entry.emptyLayer ? { empty_layer: true } : {}),
});

const parseHistory = (entry: JsonObject): HistoryEntry => ({
  created: string(entry['created']) || NEVER,
  createdBy: string(entry['created_by']),
  author: string(entry['author']),
  comment: string(entry['comment']),
  emptyLayer: entry['empty_layer'] === true,
});

const healthcheckJson = (healthcheck: Healthcheck): JsonObject => ({
  ...(healthcheck.test.length === 0 ? {} : { Test: healthcheck.test }),
  ...(healthcheck.interval === 0 ? {} : { Interval: healthcheck.interval }),
  ...(healthcheck.timeout === 0 ? {} : { Timeout: healthcheck.timeout }),
  ...(healthcheck.startPeriod === 0 ? {} : { StartPeriod: healthcheck.startPeriod }),
  ...(healthcheck.startInterval === 0 ? {} : { StartInterval: healthcheck.startInterval }),
  ...(healthcheck.retries === 0 ? {} : { Retries: healthcheck.retries }),
});

const parseHealthcheck = (json: Json | undefined): Healthcheck | undefined => {
  if (json === undefined || json === null) return undefined;
  const healthcheck = object(json);
  return {
    test: strings(healthcheck['Test']) ?? [],
    interval: number(healthcheck['Interval']),
    timeout: number(healthcheck['Timeout']),
    startPeriod: number(healthcheck['StartPeriod']),
    startInterval: number(healthcheck['StartInterval']),
    retries: number(healthcheck['Retries']),
  };
};

const set = (names: readonly string[]): JsonObject => Object.fromEntries([...names].sort().map((name) => [name, {}]));

const object = (json: Json | undefined): JsonObject =>
  typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as JsonObject) : {};
const array = (json: Json | undefined): readonly Json[] => (Array.isArray(json) ? (json as readonly Json[]) : []);
const string = (json: Json | undefined): string => (typeof json === 'string' ? json : '');
const number = (json: Json | undefined): number => (typeof json === 'number' ? json : 0);
const strings = (json: Json | undefined): string[] | undefined =>
  Array.isArray(json) ? json.filter((item) => typeof item === 'string') : typeof json === 'string' ? [json] : undefined;
const keys = (json: Json | undefined): string[] | undefined => (json === undefined || json === null ? undefined : Object.keys(object(json)).sort());
const labels = (json: Json | undefined): Record<string, string> | undefined =>
  json === undefined || json === null ? undefined : Object.fromEntries(Object.entries(object(json)).map(([name, value]) => [name, string(value)]));

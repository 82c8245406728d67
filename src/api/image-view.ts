import type { Images } from '../engine/services.ts';
import type { Image, ImageConfig } from '../model/image.ts';
import type { JsonObject } from '../model/json.ts';
import { emptyMap, healthView } from './container-view.ts';
import { goTime, unixSeconds, ZERO_TIME } from './time.ts';

/** One entry of GET /images/json. -1: not counted. */
export const imageSummaryView = (
  { image, tags, containers, sharedSize }: { readonly image: Image; readonly tags: readonly string[]; readonly containers: number; readonly sharedSize: number },
  version: number,
): JsonObject => ({
  Containers: containers,
  Created: unixSeconds(image.created),
  Id: image.id,
  Labels: image.config.labels ?? null,
  ParentId: image.parent,
  RepoDigests: version < 43 && tags.length === 0 && image.digests.length === 0 ? ['<none>@<none>'] : image.digests,
  RepoTags: version < 43 && tags.length === 0 ? ['<none>:<none>'] : tags,
  SharedSize: sharedSize,
  Size: image.size,
  ...(version < 44 ? { VirtualSize: image.size } : {}),
});

/** GET /images/{name}/json. `withContainerConfig`: for a client that reads what newer versions of the API leave out. */
export const imageView = (image: Image, dataRoot: string, version: number, withContainerConfig = version < 45): JsonObject => ({
  Id: image.id,
  RepoTags: image.tags,
  RepoDigests: image.digests,
  Parent: image.parent,
  Comment: image.comment,
  Created: goTime(image.created),
  ...(withContainerConfig ? { ContainerConfig: containerConfigView(image) } : {}),
  DockerVersion: image.dockerVersion,
  Author: image.author,
  Architecture: image.architecture,
  Os: image.os,
  Size: image.size,
  ...(version < 44 ? { VirtualSize: image.size } : {}),
  GraphDriver: graphDriverView(image, dataRoot),
  RootFS: { Type: 'layers', ...(image.diffIds.length === 0 ? {} : { Layers: image.diffIds }) },
  Metadata: { LastTagTime: image.lastTagged === undefined ? ZERO_TIME : goTime(image.lastTagged) },
  Config: version < 50 ? { ...CONTAINER_CONFIG, ...configView(image.config) } : configView(image.config),
});

export const historyView = ({ comment, created, createdBy, id, size, tags }: ReturnType<Images['history']>[number]): JsonObject => ({
  Comment: comment,
  Created: unixSeconds(created),
  CreatedBy: createdBy,
  Id: id === '' ? '<missing>' : id,
  Size: size,
  Tags: tags.length === 0 ? null : tags,
});

const configView = (config: ImageConfig): JsonObject => ({
  Cmd: config.cmd ?? null,
  Entrypoint: config.entrypoint ?? null,
  Env: config.env ?? null,
  Labels: config.labels ?? null,
  OnBuild: config.onBuild ?? null,
  User: config.user,
  Volumes: config.volumes === undefined ? null : emptyMap(config.volumes),
  WorkingDir: config.workingDir,
  ...(config.exposedPorts === undefined || config.exposedPorts.length === 0 ? {} : { ExposedPorts: emptyMap(config.exposedPorts) }),
  ...(config.healthcheck === undefined ? {} : { Healthcheck: healthView(config.healthcheck) }),
  ...(config.argsEscaped ? { ArgsEscaped: true } : {}),
  ...(config.stopSignal === undefined ? {} : { StopSignal: config.stopSignal }),
  ...(config.shell === undefined || config.shell.length === 0 ? {} : { Shell: config.shell }),
});

/** Until 1.50 an image's config was shown as a container's, with fields that an image has not. */
const CONTAINER_CONFIG: JsonObject = {
  Hostname: '',
  Domainname: '',
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Image: '',
};

/** The container an image was made from is not remembered; its volumes are those that the image declares. */
const containerConfigView = ({ config: { volumes } }: Image): JsonObject => ({
  ...CONTAINER_CONFIG,
  User: '',
  Env: null,
  Cmd: null,
  Volumes: volumes === undefined ? null : emptyMap(volumes),
  WorkingDir: '',
  Entrypoint: null,
  OnBuild: null,
  Labels: null,
});

const graphDriverView = ({ chainIds }: Image, dataRoot: string): JsonObject => {
  const directories = chainIds.map((chainId) => `${dataRoot}/overlay2/${chainId.replace('sha256:', '')}`).reverse();
  const [top, ...lower] = directories;
  if (top === undefined) return { Data: null, Name: 'overlay2' };
  return {
    Data: {
      ...(lower.length === 0 ? {} : { LowerDir: lower.map((directory) => `${directory}/diff`).join(':') }),
      MergedDir: `${top}/merged`,
      UpperDir: `${top}/diff`,
      WorkDir: `${top}/work`,
    },
    Name: 'overlay2',
  };
};

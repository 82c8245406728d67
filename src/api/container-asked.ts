import type { Asked } from '../model/container.ts';
import type { Json, JsonObject } from '../model/json.ts';
import { MASKED_PATHS, READONLY_PATHS } from '../model/masks.ts';
import { configFields, type WireCreate, type WireEndpoint, type WireHostConfig, type WireMount } from './container-schema.ts';

/** A request's Config and HostConfig as inspect shows them: what Go leaves out when it is empty is left out. */
export const askedOf = (wire: WireCreate): Asked => ({ config: configShown(wire), hostConfig: hostConfigShown(wire.HostConfig) });

const configShown = (wire: WireCreate): JsonObject => {
  const config = Object.fromEntries(CONFIG_NAMES.map((name) => [name, wire[name]])) as JsonObject;
  return withoutEmpty({ ...config, Healthcheck: wire.Healthcheck === null ? null : withoutEmpty(wire.Healthcheck) }, OPTIONAL_IN_CONFIG);
};

const CONFIG_NAMES = Object.keys(configFields) as readonly (keyof typeof configFields)[];

const OPTIONAL_IN_CONFIG = ['ExposedPorts', 'Healthcheck', 'ArgsEscaped', 'NetworkDisabled', 'MacAddress', 'StopSignal', 'StopTimeout', 'Shell'];

const hostConfigShown = (host: WireHostConfig): JsonObject => {
  const own = (host.SecurityOpt ?? []).some((option) => option.split(/[=:]/, 1)[0] === 'label');
  const unlabelled = !own && (host.Privileged || host.PidMode === 'host' || host.IpcMode === 'host');
  return withoutEmpty(
    {
      ...host,
      // A user-defined network keeps its links with the endpoint.
      Links: host.NetworkMode === 'bridge' ? host.Links : null,
      SecurityOpt: unlabelled ? [...(host.SecurityOpt ?? []), 'label=disable'] : host.SecurityOpt,
      Mounts: host.Mounts === null ? null : host.Mounts.map(mountShown),
      MaskedPaths: host.Privileged ? null : (host.MaskedPaths ?? MASKED_PATHS),
      ReadonlyPaths: host.Privileged ? null : (host.ReadonlyPaths ?? READONLY_PATHS),
    },
    OPTIONAL_IN_HOST_CONFIG,
  );
};

const OPTIONAL_IN_HOST_CONFIG = ['Annotations', 'StorageOpt', 'Tmpfs', 'Sysctls', 'Mounts', 'Init'];

const mountShown = (mount: WireMount): JsonObject =>
  withoutEmpty({
    ...mount,
    BindOptions: mount.BindOptions === null ? null : withoutEmpty(mount.BindOptions),
    VolumeOptions:
      mount.VolumeOptions === null
        ? null
        : withoutEmpty({
            ...mount.VolumeOptions,
            DriverConfig: mount.VolumeOptions.DriverConfig === null ? null : withoutEmpty(mount.VolumeOptions.DriverConfig),
          }),
    ImageOptions: mount.ImageOptions === null ? null : withoutEmpty(mount.ImageOptions),
    TmpfsOptions: mount.TmpfsOptions === null ? null : withoutEmpty(mount.TmpfsOptions),
  });

export const ipamView = (config: NonNullable<WireEndpoint['IPAMConfig']>): Json => withoutEmpty(config);

/**
 * Go's omitempty, for all keys or for these: no zero, no empty text, list or map. A pointer is there unless it is null,
 * so a false that came from one (`Init`) and a struct that lost its fields stay.
 */
const withoutEmpty = (value: JsonObject, names: readonly string[] = Object.keys(value)): JsonObject =>
  Object.fromEntries(Object.entries(value).filter(([name, each]) => !names.includes(name) || !isEmpty(name, each)));

const isEmpty = (name: string, value: Json): boolean => {
  if (value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value === 'object') return !POINTERS.has(name) && Object.keys(value).length === 0;
  return !POINTERS.has(name) && (value === 0 || value === false);
};

const POINTERS = new Set(['Init', 'StopTimeout', 'Healthcheck', 'BindOptions', 'VolumeOptions', 'ImageOptions', 'TmpfsOptions', 'DriverConfig']);

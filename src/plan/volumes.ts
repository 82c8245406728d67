import { invalid, notFound } from '../model/errors.ts';
import type { Container } from '../model/container.ts';
import type { Volume } from '../model/volume.ts';
import type { HostObject, KindOf } from '../operations/operation.ts';

/** The label by which every client tells volumes without a name of their own. */
export const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';

export type VolumeRequest = {
  /** '' : give it `fallbackName`. */
  readonly name: string;
  readonly driver: string;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly options: Readonly<Record<string, string>> | undefined;
};

/** A new volume, or an error in the words of the reference engine. */
export const newVolume = (
  request: VolumeRequest,
  { dataRoot, now, name: fallbackName }: { readonly dataRoot: string; readonly now: string; readonly name: () => string },
): Volume => {
  const anonymous = request.name === '';
  const name = anonymous ? fallbackName() : request.name;
  checkDriver(name, request.driver);
  checkName(name);
  if (request.options !== undefined) checkOptions(name, request.options);
  return {
    name,
    created: `${now.slice(0, 'YYYY-MM-DDTHH:MM:SS'.length)}Z`,
    driver: 'local',
    mountpoint: `${dataRoot}/volumes/${name}/_data`,
    labels: anonymous ? { ...request.labels, [ANONYMOUS_LABEL]: '' } : request.labels,
    options: request.options,
    anonymous,
  };
};

/** Volumes of which only the files are known. */
export const foundVolumes = (names: readonly string[], context: { readonly dataRoot: string; readonly now: string }): Volume[] =>
  names.flatMap((name) => (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}$/.test(name) ? [newVolume({ name, driver: 'local', labels: undefined, options: undefined }, { ...context, name: () => name })] : []));

/** `local` is the only driver; '' means it. */
export const checkDriver = (name: string, driver: string): void => {
  if (driver === '' || driver === 'local') return;
  throw notFound(`create ${name}: error looking up volume plugin ${driver}: plugin ${JSON.stringify(driver)} not found`);
};

/** One component of a path, never `.` or `..`. 255 bytes are what a directory's name may have. */
const checkName = (name: string): void => {
  if (name.length < 2) throw invalid(`create ${name}: volume name is too short, names should be at least two alphanumeric characters`);
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name))
    throw invalid(
      `create ${name}: ${JSON.stringify(name)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  if (name.length > 255) throw invalid(`create ${name}: volume name is too long, names should be at most 255 characters`);
};

/** What is mounted at the volume's mountpoint while a container uses it: `mount -t TYPE -o O DEVICE`. */
const checkOptions = (name: string, options: Readonly<Record<string, string>>): void => {
  for (const key of Object.keys(options)) {
    if (key === 'size') throw invalid(`create ${name}: quota size requested but no quota support`);
    if (!['type', 'o', 'device'].includes(key)) throw invalid(`create ${name}: invalid option: ${JSON.stringify(key)}`);
  }
  const { type = '', o = '', device = '' } = options;
  if (type === '' && o === '' && device === '') return;
  for (const [key, value] of [['device', device], ['type', type]] as const)
    if (value === '') throw invalid(`create ${name}: missing required option: ${JSON.stringify(key)}`);
};

/** Others may pass through to what is theirs in a volume, and not look around. */
export const volumeObjects = (volume: Volume): HostObject[] => [
  { kind: 'directory', path: volumeDirectory(volume), mode: 0o701 },
  { kind: 'directory', path: volume.mountpoint, mode: 0o755 },
];

export const volumeDirectory = ({ mountpoint }: Pick<Volume, 'mountpoint'>): string => mountpoint.slice(0, -'/_data'.length);

/** What has to be mounted at a volume's mountpoint for this user of it; undefined when its directory is all there is. */
export const volumeMount = ({ options = {}, mountpoint }: Volume, user: string): KindOf<'mount'> | undefined => {
  const { type = '', device = '', o = '' } = options;
  return type === '' && device === '' ? undefined : { kind: 'mount', type, source: device, target: mountpoint, options: o, user };
};

export type VolumesByName = Pick<ReadonlyMap<string, Volume>, 'get'>;

/** The volumes in a container's mounts, each once. */
export const volumesOf = ({ mounts }: Pick<Container, 'mounts'>, volumes: VolumesByName): Volume[] =>
  [...new Set(mounts.flatMap(({ type, name }) => (type === 'volume' ? [name] : [])))].flatMap((name) => volumes.get(name) ?? []);

/** Which containers use a volume, running or not. */
export const usersOf = (name: string, containers: Iterable<Container>): Container[] =>
  [...containers].filter(({ mounts }) => mounts.some((mount) => mount.type === 'volume' && mount.name === name));

/** What `rm -v` and `--rm` take along: the container's anonymous volumes that no other container uses. */
export const volumesTakenAlong = (container: Container, containers: Iterable<Container>): string[] => {
  const own = new Set(container.mounts.filter(({ type, anonymous }) => type === 'volume' && anonymous).map(({ name }) => name));
  for (const other of containers) if (other.id !== container.id) for (const { type, name } of other.mounts) if (type === 'volume') own.delete(name);
  return [...own];
};

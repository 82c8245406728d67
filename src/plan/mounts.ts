import type { EngineError } from '../model/errors.ts';
import { invalid, messageOf, systemError } from '../model/errors.ts';
import type { MountRequest, MountRequests } from '../model/container.ts';
import { cleanPath, isLocalPath } from '../model/path.ts';
import type { MountPoint, Propagation, Volume } from '../model/volume.ts';
import { checkDriver, newVolume } from './volumes.ts';

export type MountContext = {
  readonly dataRoot: string;
  readonly volumes: ReadonlyMap<string, Volume>;
  /** The mount points of the container that `--volumes-from` names; throws when there is none. */
  readonly mountsOf: (ref: string) => readonly MountPoint[];
  /** A fresh name for a volume without one. */
  readonly volumeName: () => string;
  readonly now: string;
};

/**
 * What is mounted where, and the volumes that have to be made for it. Who comes later in this list wins a
 * destination two ask for; two of the client's own `-v` and `--mount` for one destination are an error.
 *
 *   the image's VOLUMEs and `-v /anonymous`  <  `--volumes-from`  <  `-v`, `--mount`  <  `--tmpfs`
 */
export const resolveMounts = (
  requests: MountRequests,
  context: MountContext,
): { readonly mounts: readonly MountPoint[]; readonly newVolumes: readonly Volume[] } => {
  requests.mounts.forEach(checkMount);
  Object.keys(requests.tmpfs).forEach(checkTmpfs);

  const newVolumes = new Map<string, Volume>();
  const volumeFor = (request: Parameters<typeof newVolume>[0]): Volume => {
    const there = request.name === '' ? undefined : (context.volumes.get(request.name) ?? newVolumes.get(request.name));
    if (there) {
      checkDriver(request.name, request.driver);
      return there;
    }
    const made = newVolume(request, { dataRoot: context.dataRoot, now: context.now, name: context.volumeName });
    newVolumes.set(made.name, made);
    return made;
  };
  const inVolume = (mount: MountPoint, request: Parameters<typeof newVolume>[0]): MountPoint => {
    const { name, mountpoint } = volumeFor(request);
    return { ...mount, name, source: mountpoint, driver: 'local' };
  };

  const found = new Map<string, MountPoint>();
  for (const mount of requests.volumesFrom.flatMap((spec) => mountsFrom(spec, context))) found.set(mount.destination, mount);

  const tmpfs = Object.entries(requests.tmpfs).map(([destination, options]) => tmpfsMount(cleanPath(destination), splitWords(options)));
  const own = new Set<string>();
  const claim = (mount: MountPoint, shown: string): void => {
    if (own.has(mount.destination)) throw invalid(`Duplicate mount point: ${shown}`);
    own.add(mount.destination);
    found.set(mount.destination, withRootPropagation(mount, context.dataRoot));
  };
  for (const bind of requests.binds) {
    const mount = parseBind(bind);
    if (tmpfs.some(({ destination }) => destination === mount.destination)) throw invalid(`Duplicate mount point: ${mount.destination}`);
    const request = { name: mount.name, driver: requests.volumeDriver, labels: undefined, options: undefined };
    // `z` is what the reference engine shows for a volume without a mode: it may be shared between containers.
    claim(mount.type === 'volume' ? { ...inVolume(mount, request), mode: mount.mode || 'z' } : mount, mount.destination);
  }
  for (const request of requests.mounts) {
    const mount = parseMount(request);
    const { driver, labels, driverOptions: options } = request;
    claim(mount.type === 'volume' ? { ...inVolume(mount, { name: mount.name, driver, labels, options }), mode: 'z' } : mount, request.target);
  }

  for (const destination of new Set(requests.volumes.map((path) => cleanPath(`/${path}`)))) {
    const wrong = rootFault(destination);
    if (wrong !== undefined) throw invalid(wrong);
    if (found.has(destination) || tmpfs.some((mount) => mount.destination === destination)) continue;
    const mount: MountPoint = { ...plain(destination), type: 'volume', copyUp: true, anonymous: true, asked: 'image' };
    found.set(destination, inVolume(mount, { name: '', driver: requests.volumeDriver, labels: undefined, options: undefined }));
  }
  return { mounts: parentsFirst([...found.values(), ...tmpfs]), newVolumes: [...newVolumes.values()] };
};

/** Host paths that must be there before the container is made: `--mount type=bind` creates nothing. */
export const requiredSources = (requests: MountRequests): string[] =>
  requests.mounts.filter(({ type, createMountpoint }) => type === 'bind' && !createMountpoint).map(({ source }) => source).filter((source) => source.startsWith('/'));

export const missingSource = (path: string): EngineError => invalid(`invalid mount config for type "bind": bind source path does not exist: ${path}`);

/** Parents first, or mounting /data would hide what is already at /data/log. */
const parentsFirst = (mounts: readonly MountPoint[]): MountPoint[] => {
  const depth = ({ destination }: MountPoint): number => destination.split('/').length;
  return [...mounts].sort((a, b) => depth(a) - depth(b));
};

const plain = (destination: string): MountPoint => ({
  type: 'bind',
  name: '',
  source: '',
  destination,
  driver: '',
  mode: '',
  readonly: false,
  propagation: '',
  copyUp: false,
  options: [],
  subpath: '',
  createSource: false,
  nonRecursive: false,
  anonymous: false,
  asked: 'bind',
});

const tmpfsMount = (destination: string, options: readonly string[]): MountPoint => ({ ...plain(destination), type: 'tmpfs', options, asked: 'tmpfs' });

const splitWords = (text: string): string[] => text.split(',').filter((word) => word !== '');

/** Another container's mounts, as they are: whatever its image has there is not copied again. A tmpfs is nobody's to share. */
const mountsFrom = (spec: string, { mountsOf }: MountContext): MountPoint[] => {
  if (spec === '') throw invalid('volumes-from specification cannot be an empty string');
  const at = spec.indexOf(':');
  const [ref, mode] = at < 0 ? [spec, ''] : [spec.slice(0, at), spec.slice(at + 1)];
  const words = mode.split(',');
  if (!isMode(mode) || words.some((word) => isPropagation(word) || COPY.includes(word))) throw invalid(`invalid mode: ${mode}`);
  return existing(() => mountsOf(ref))
    .filter(({ type }) => type !== 'tmpfs')
    .map((mount) => ({ ...mount, mode: '', readonly: mount.readonly || words.includes('ro'), copyUp: false, createSource: mount.type === 'bind', asked: 'from' }));
};

/** Whose container is missing made a wrong request: it is not the container asked for that was not found. */
const existing = <T>(find: () => T): T => {
  try {
    return find();
  } catch (error) {
    throw invalid(messageOf(error));
  }
};

/** `-v`: /anonymous, NAME:DESTINATION[:MODE] or /SOURCE:DESTINATION[:MODE]. */
const parseBind = (raw: string): MountPoint => {
  const parts = raw.split(':');
  const [first = '', second = '', mode = ''] = parts;
  const alone = parts.length === 1;
  // Two parts of which the second is a mode would be DESTINATION:MODE, and an anonymous volume has no mode.
  if (first === '' || parts.length > 3 || (parts.length === 2 && isMode(second))) throw systemError(invalidSpec(raw));
  if (!isMode(mode)) throw systemError(`invalid mode: ${mode}`);

  const [source, target] = alone ? ['', first] : [first, second];
  const type = source.startsWith('/') ? 'bind' : 'volume';
  const words = mode.split(',');
  const propagation = words.find(isPropagation) ?? '';
  const wrong =
    targetFault(target) ??
    (type === 'volume' && propagation !== '' ? 'field BindOptions must not be specified' : undefined) ??
    (type === 'bind' && words.some((word) => COPY.includes(word)) ? 'field VolumeOptions must not be specified' : undefined);
  if (wrong !== undefined) throw systemError(`${invalidSpec(raw)}: ${invalidConfig(type, wrong)}`);

  const mount: MountPoint = { ...plain(cleanPath(target)), type, mode, readonly: words.includes('ro') };
  return type === 'bind'
    ? { ...mount, source: cleanPath(source), propagation: propagation || 'rprivate', createSource: true }
    : { ...mount, name: source, copyUp: !words.includes('nocopy'), anonymous: source === '' };
};

const invalidSpec = (raw: string): string => `invalid volume specification: '${raw}'`;
const invalidConfig = (type: string, wrong: string): string => `invalid mount config for type ${JSON.stringify(type)}: ${wrong}`;

/** `--mount`, once checked. */
const parseMount = (request: MountRequest): MountPoint => {
  const { type, source, target, subpath } = request;
  const mount: MountPoint = { ...plain(cleanPath(target)), readonly: request.readonly, asked: 'mount' };
  switch (type) {
    case 'bind':
      return {
        ...mount,
        source: cleanPath(source),
        propagation: request.propagation || 'rprivate',
        createSource: request.createMountpoint,
        nonRecursive: request.nonRecursive,
      };
    case 'volume':
      return { ...mount, type, name: source, subpath, copyUp: !request.noCopy && subpath === '', anonymous: source === '' };
    default:
      return { ...mount, type: 'tmpfs', options: tmpfsOptions(request) };
  }
};

const checkMount = (request: MountRequest): void => {
  const wrong = targetFault(request.target) ?? sourceFault(request);
  if (wrong !== undefined) throw invalid(invalidConfig(request.type, wrong));
  if (request.type !== 'bind' && (request.propagation !== '' || request.createMountpoint || request.nonRecursive))
    throw invalid(`BindOptions must not be specified on mount type ${JSON.stringify(request.type)}`);
};

const sourceFault = ({ type, source, subpath, readonly, propagation }: MountRequest): string | undefined => {
  switch (type) {
    case 'bind':
      if (source === '') return 'field Source must not be empty';
      if (propagation !== '' && !isPropagation(propagation)) return `invalid propagation mode: ${String(propagation)}`;
      return absoluteFault(source);
    case 'volume':
      if (subpath !== '' && source === '') return 'must not set Subpath when using anonymous volumes';
      if (subpath !== '' && !isLocalPath(subpath)) return 'subpath must be a relative path within the volume';
      return readonly && source === '' ? 'must not set ReadOnly mode when using anonymous volumes' : undefined;
    case 'tmpfs':
      return source === '' ? undefined : 'field Source must not be specified';
    default:
      return 'mount type unknown';
  }
};

const checkTmpfs = (destination: string): void => {
  const wrong = rootFault(destination) ?? absoluteFault(destination);
  if (wrong !== undefined) throw invalid(wrong);
};

const targetFault = (target: string): string | undefined =>
  target === '' ? 'field Target must not be empty' : (rootFault(target) ?? absoluteFault(target));
const rootFault = (path: string): string | undefined => (cleanPath(path) === '/' ? "invalid specification: destination can't be '/'" : undefined);
const absoluteFault = (path: string): string | undefined => (path.startsWith('/') ? undefined : `invalid mount path: '${path}' mount path must be absolute`);

const COPY = ['nocopy'];
const PROPAGATIONS: readonly string[] = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'];
const isPropagation = (word: string): word is Propagation => PROPAGATIONS.includes(word);

/** One word at most of each kind, and no others. */
const MODE_WORDS: readonly (readonly string[])[] = [['rw', 'ro'], ['z', 'Z'], PROPAGATIONS, COPY, ['consistent', 'cached', 'delegated']];
const isMode = (mode: string): boolean => {
  if (mode === '') return true;
  const words = mode.split(',');
  return words.every((word) => MODE_WORDS.some((kind) => kind.includes(word))) && MODE_WORDS.every((kind) => words.filter((word) => kind.includes(word)).length <= 1);
};

const tmpfsOptions = ({ readonly, tmpfsMode, tmpfsSize }: MountRequest): string[] => [
  ...(readonly ? ['ro'] : []),
  ...(tmpfsMode ? [`mode=${tmpfsMode.toString(8)}`] : []),
  ...(tmpfsSize ? [`size=${inLargestUnit(tmpfsSize)}`] : []),
];

const inLargestUnit = (bytes: number): string => {
  const [unit, size] = ([['g', 2 ** 30], ['m', 2 ** 20], ['k', 2 ** 10]] as const).find(([, size]) => bytes % size === 0) ?? ['', 1];
  return `${bytes / size}${unit}`;
};

/**
 * A bind through which the engine's own directory is seen must not keep the engine's mounts alive:
 * unmounting them on the host has to reach the container.
 */
const withRootPropagation = (mount: MountPoint, dataRoot: string): MountPoint => {
  if (mount.type !== 'bind' || !(mount.source.startsWith(dataRoot) || dataRoot.startsWith(mount.source))) return mount;
  const asked = mount.asked === 'bind' ? mount.mode.split(',').some(isPropagation) : mount.propagation !== 'rprivate';
  if (!asked) return { ...mount, propagation: 'rslave' };
  if (mount.propagation === 'rslave' || mount.propagation === 'rshared') return mount;
  throw invalid(
    `invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root, daemon root: "${dataRoot}", bind mount source: "${mount.source}", propagation: "${mount.propagation}"`,
  );
};

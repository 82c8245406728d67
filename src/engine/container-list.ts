import type { Container } from '../model/container.ts';
import { invalid, systemError } from '../model/errors.ts';
import type { Network } from '../model/network.ts';
import { exposedPort } from '../model/port.ts';
import type { State } from '../model/state.ts';
import { anyFits, booleanFilter, checkFilters, labelsMatch, matchesPattern, type Filters } from './filters.ts';
import { findContainer } from './find.ts';
import { findImage } from './image-find.ts';

export type ContainerQuery = { readonly all: boolean; readonly limit: number | undefined; readonly filters: Filters };

const FILTERS = [
  'ancestor', 'before', 'exited', 'expose', 'health', 'id', 'is-task', 'isolation', 'label', 'name', 'network', 'publish', 'since', 'status', 'volume',
];
const STATUSES = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'];
const HEALTHS = ['none', 'starting', 'healthy', 'unhealthy'];
const RUNNING: readonly string[] = ['running', 'paused', 'restarting'];

/** What `docker ps` shows, newest first. Without `all`, a limit or a status, only what runs. */
export const listContainers = (state: State, { all, limit = 0, filters }: ContainerQuery): readonly Container[] => {
  checkFilters(filters, FILTERS);
  const newestFirst = [...state.containers.values()].sort((a, b) => (madeLater(a, b) ? -1 : madeLater(b, a) ? 1 : 0));
  const tests = testsOf(state, filters, newestFirst);
  const stoppedToo = all || limit > 0 || valuesOf(filters, 'status').length > 0;
  const found = newestFirst.filter((container) => (stoppedToo || RUNNING.includes(container.state.status)) && tests.every((test) => test(container)));
  return limit > 0 ? found.slice(0, limit) : found;
};

type Test = (container: Container) => boolean;

const testsOf = (state: State, filters: Filters, newestFirst: readonly Container[]): Test[] => [
  ...(valuesOf(filters, 'id').length > 0 ? [idTest(filters, newestFirst)] : []),
  ({ name }) => anyFits(filters, 'name', (value) => matchesPattern(value, name) || matchesPattern(value, `/${name}`)),
  ({ spec }) => labelsMatch(filters, spec.labels),
  statusTest(filters),
  exitedTest(filters),
  healthTest(filters),
  ...neighbourTests(state, filters, newestFirst),
  ...(valuesOf(filters, 'ancestor').length > 0 ? [ancestorTest(state, valuesOf(filters, 'ancestor'))] : []),
  ({ mounts }) => anyFits(filters, 'volume', (value) => mounts.some((mount) => mount.destination === value || (mount.name || mount.source) === value)),
  (container) => anyFits(filters, 'network', (value) => networksOf(state, container).some(({ id, name }) => name === value || id.startsWith(value))),
  portTest(filters),
  // Tasks are a swarm's; isolation is Windows'.
  ...(booleanFilter(filters, 'is-task') === true ? [() => false] : []),
];

const valuesOf = (filters: Filters, key: string): readonly string[] => filters.get(key) ?? [];

/** The start of an id that others share means none of them. */
const idTest = (filters: Filters, containers: readonly Container[]): Test => {
  const meant = new Set<string>();
  for (const value of valuesOf(filters, 'id')) {
    const starting = containers.filter(({ id }) => value !== '' && id.startsWith(value));
    if (starting.length === 1) meant.add(starting[0]?.id ?? '');
  }
  return ({ id }) => meant.has(id);
};

const statusTest = (filters: Filters): Test => {
  checkWords(filters, 'status', 'state', STATUSES);
  return ({ state }) => anyFits(filters, 'status', (value) => value === state.status);
};

const healthTest = (filters: Filters): Test => {
  checkWords(filters, 'health', 'health', HEALTHS);
  return (container) => anyFits(filters, 'health', (value) => value === healthOf(container));
};

const checkWords = (filters: Filters, key: string, what: string, words: readonly string[]): void => {
  for (const value of valuesOf(filters, key))
    if (!words.includes(value)) throw invalid(`invalid filter '${key}=${value}': invalid value for ${what} (${value}): must be one of ${words.join(', ')}`);
};

const healthOf = ({ state }: Container): string => state.health?.status ?? 'none';

const exitedTest = (filters: Filters): Test => {
  const codes = valuesOf(filters, 'exited').map((value) => {
    if (!/^[+-]?\d+$/.test(value)) throw invalid(`invalid filter 'exited=${value}': strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`);
    return Number(value);
  });
  return ({ state }) => codes.length === 0 || (codes.includes(state.exitCode) && !RUNNING.includes(state.status) && state.startedAt !== undefined);
};

/** Made before, or since, another container (which itself is neither). */
const neighbourTests = (state: State, filters: Filters, newestFirst: readonly Container[]): Test[] => {
  const places = new Map(newestFirst.map(({ id }, index) => [id, index]));
  const placeOf = ({ id }: Container): number => places.get(id) ?? -1;
  return [
    ...valuesOf(filters, 'before').map((ref): Test => {
      const place = placeOf(findContainer(state, ref));
      return (container) => placeOf(container) > place;
    }),
    ...valuesOf(filters, 'since').map((ref): Test => {
      const place = placeOf(findContainer(state, ref));
      return (container) => placeOf(container) < place;
    }),
  ];
};

/** Times with and without a fraction: without its Z, an earlier one sorts first as text. */
const madeLater = (a: Container, b: Container): boolean => a.created.slice(0, -1) > b.created.slice(0, -1);

/** Of these images, or of one that was made from them. What names no image has no descendants. */
const ancestorTest = (state: State, refs: readonly string[]): Test => {
  const ancestors = new Set(refs.flatMap((ref) => imageIdOf(state, ref) ?? []));
  return ({ imageId }) => {
    for (let id: string | undefined = imageId; id !== undefined && id !== ''; id = state.images.get(id)?.parent) if (ancestors.has(id)) return true;
    return false;
  };
};

const imageIdOf = (state: State, ref: string): string | undefined => {
  try {
    return findImage(state, ref).id;
  } catch {
    return undefined;
  }
};

/** The networks a container is on, or will be once it runs; for the host's and none, the mode alone says so. */
const networksOf = (state: State, { spec }: Container): Network[] => {
  const refs = new Set(spec.endpoints.map(({ network }) => network));
  if (spec.networkMode === 'host' || spec.networkMode === 'none') refs.add(spec.networkMode);
  return [...state.networks.values()].filter(({ id, name }) => refs.has(id) || refs.has(name));
};

const portTest = (filters: Filters): Test => {
  const [published, exposed] = ['publish', 'expose'].map((key) => valuesOf(filters, key).map((value) => portsMeant(key, value)));
  const fits = (wanted: readonly PortsMeant[] = [], port: number, protocol: string): boolean =>
    wanted.some((range) => range.protocol === protocol && port >= range.first && port <= range.last);
  if (published?.length === 0 && exposed?.length === 0) return () => true;
  return ({ sandbox, spec }) => {
    if (!sandbox || sandbox.endpoints.length === 0) return false;
    const open = new Map([...spec.exposedPorts, ...sandbox.ports].map((port) => [exposedPort(port), port]));
    return (
      sandbox.ports.some(({ hostPort, protocol }) => fits(published, hostPort, protocol)) || [...open.values()].some(({ port, protocol }) => fits(exposed, port, protocol))
    );
  };
};

type PortsMeant = { readonly first: number; readonly last: number; readonly protocol: string };

/** PORT[-PORT][/PROTOCOL] */
const portsMeant = (key: string, value: string): PortsMeant => {
  if (value.includes(':')) throw systemError(`filter for '${key}' should not contain ':': ${value}`);
  const [ports = '', protocol = 'tcp'] = value.split('/');
  const fail = (why: string): Error => systemError(`error while looking up for ${key} ${value}: ${why}`);
  if (ports === '') throw fail('Empty string specified for ports.');
  const [first = 0, last = first] = ports.split('-', 2).map((text) => {
    if (!/^\d+$/.test(text)) throw fail(`strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`);
    if (Number(text) > 65535) throw fail(`strconv.ParseUint: parsing ${JSON.stringify(text)}: value out of range`);
    return Number(text);
  });
  if (last < first) throw fail(`Invalid range specified for the Port: ${ports}`);
  return { first, last, protocol: protocol.toLowerCase() || 'tcp' };
};

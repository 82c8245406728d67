import { conflict, EngineError, invalid, notFound } from '../model/errors.ts';
import type { State } from '../model/state.ts';
import type { Volume } from '../model/volume.ts';
import { ANONYMOUS_LABEL, checkDriver, newVolume, usersOf } from '../plan/volumes.ts';
import type { Events } from './events.ts';
import { booleanFilter, checkFilters, labelsMatch, type Filters } from './filters.ts';
import type { Ledger } from './ledger.ts';
import type { Volumes } from './services.ts';

/** What this service asks of the machine; the directories themselves come and go with the records. */
export type VolumeHost = {
  now(): string;
  /** Bytes of all files below a directory, a file of several names once. 0 when it is not there. */
  sizeOf(directory: string): Promise<number>;
};

export const createVolumes = ({
  ledger,
  host,
  events,
  id,
  dataRoot,
}: {
  ledger: Ledger;
  host: VolumeHost;
  events: Events;
  /** 64 hex digits, never twice the same. */
  id: () => string;
  dataRoot: string;
}): Volumes => {
  const list = (filters: Filters): readonly Volume[] => {
    checkFilters(filters, ['dangling', 'driver', 'label', 'name']);
    const dangling = booleanFilter(filters, 'dangling');
    const used = dangling === undefined ? undefined : usedNames(ledger.state);
    return [...ledger.state.volumes.values()].filter(
      (volume) =>
        (used === undefined || used.has(volume.name) !== dangling) &&
        oneOf(filters, 'driver', (value) => value === volume.driver) &&
        oneOf(filters, 'name', (value) => matches(value, volume.name)) &&
        labelsMatch(filters, volume.labels ?? {}),
    );
  };

  const find = (name: string): Volume => {
    const volume = ledger.state.volumes.get(name);
    if (!volume) throw notFound(`get ${name}: no such volume`);
    return volume;
  };

  /** Takes the record away if nobody uses the volume now; the directory follows it. */
  const release = (name: string): Promise<void> =>
    ledger.settle((state) => {
      if (!state.volumes.has(name)) throw notFound(`get ${name}: no such volume`);
      const users = usersOf(name, state.containers.values());
      if (users.length > 0) throw conflict(`remove ${name}: volume is in use - [${users.map((user) => user.id).join(', ')}]`);
      return { changes: [{ collection: 'volumes', key: name, record: undefined }], result: undefined };
    });

  return {
    list,
    find,
    async create(request) {
      checkDriver(request.name, request.driver);
      const there = ledger.state.volumes.get(request.name);
      if (there) return there;
      const { volume, made } = await ledger.change((state) => {
        const other = state.volumes.get(request.name);
        if (other) return { changes: [], result: { volume: other, made: false } };
        const record = newVolume(request, { dataRoot, now: host.now(), name: id });
        return { changes: [{ collection: 'volumes', key: record.name, record }], result: { volume: record, made: true } };
      });
      if (made) events.emit(volumeEvent('create', volume.name));
      return volume;
    },
    async remove(name, force) {
      if (force && !ledger.state.volumes.has(name)) return;
      await release(name);
      events.emit(volumeEvent('destroy', name));
    },
    async prune(filters) {
      checkFilters(filters, ['all', 'label', 'label!']);
      const all = allFilter(filters);
      const used = usedNames(ledger.state);
      // What is mounted in a volume with options lies somewhere else: it is not ours to prune.
      const unused = [...ledger.state.volumes.values()].filter(
        ({ name, labels = {}, options = {} }) =>
          !used.has(name) &&
          Object.keys(options).length === 0 &&
          (all || Object.hasOwn(labels, ANONYMOUS_LABEL)) &&
          labelsMatch(filters, labels) &&
          !(filters.has('label!') && labelsMatch(filters, labels, 'label!')),
      );
      const deleted: string[] = [];
      let reclaimed = 0;
      for (const { name, mountpoint } of unused) {
        const size = await host.sizeOf(mountpoint);
        // Whoever came to use it in the meantime keeps it; whoever removed it meant the same.
        const refused = await release(name).catch((error: unknown) => {
          if (error instanceof EngineError) return error;
          throw error;
        });
        if (refused) continue;
        deleted.push(name);
        reclaimed += size;
        events.emit(volumeEvent('destroy', name));
      }
      events.emit({ type: 'volume', action: 'prune', id: '', attributes: { reclaimed: String(reclaimed) } });
      return { deleted, reclaimed };
    },
    async usage(name) {
      const { mountpoint } = find(name);
      return { size: await host.sizeOf(mountpoint), references: usersOf(name, ledger.state.containers.values()).length };
    },
  };
};

/** `create` and `destroy`, also for the volumes a container brings and takes along. */
export const volumeEvent = (action: 'create' | 'destroy', name: string) =>
  ({ type: 'volume', action, id: name, attributes: { driver: 'local' } }) as const;

const usedNames = ({ containers }: State): Set<string> =>
  new Set([...containers.values()].flatMap(({ mounts }) => mounts.filter(({ type }) => type === 'volume').map(({ name }) => name)));

const oneOf = (filters: Filters, key: string, fits: (value: string) => boolean): boolean => filters.get(key)?.some(fits) ?? true;

/** As a name, or as a regular expression somewhere in it; what is none matches nothing. */
const matches = (pattern: string, name: string): boolean => {
  if (pattern === name) return true;
  try {
    return new RegExp(pattern).test(name);
  } catch {
    return false;
  }
};

/** `all=true`, in any of Go's spellings. */
const allFilter = (filters: Filters): boolean => {
  const values = filters.get('all') ?? [];
  const [value = 'false'] = values;
  if (values.length > 1) throw invalid(`invalid filter 'all=[${values.join(' ')}]': only one value is expected`);
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw invalid(`invalid filter 'all': strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
};

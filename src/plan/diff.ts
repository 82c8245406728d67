import type { RecordChange, State } from '../model/state.ts';
import type { HostObject, Operation } from '../operations/operation.ts';
import { desiredOf, type Layout } from './desired.ts';
import type { VolumesByName } from './volumes.ts';

/**
 * What the host has to do so that it follows a change: things of the records as they were go, last one first,
 * then things of the records as they are come. What both have is left alone. Costs what the change costs,
 * however large the state is.
 */
export const diff = (layout: Layout, before: State, changes: readonly RecordChange[]): Operation[] => {
  const was = changes.flatMap(({ collection, key }) => desiredOf(layout, { collection, record: before[collection].get(key) } as RecordChange, before.volumes));
  const wanted = changes.flatMap((change) => desiredOf(layout, change, volumesAfter(before, changes)));
  const [had, have] = [keysOf(was), keysOf(wanted)];
  return [
    ...was.filter((object) => !have.has(keyOf(object))).reverse().map((object): Operation => ({ action: 'remove', object })),
    ...wanted.filter((object) => !had.has(keyOf(object))).map((object): Operation => ({ action: 'add', object })),
  ];
};

/** The volumes there will be, without a copy of them all. */
const volumesAfter = ({ volumes }: State, changes: readonly RecordChange[]): VolumesByName => {
  const changed = new Map(changes.flatMap(({ collection, key, record }) => (collection === 'volumes' ? [[key, record] as const] : [])));
  return { get: (name) => (changed.has(name) ? changed.get(name) : volumes.get(name)) };
};

/** An object is its own name: two with the same fields are one. */
export const keyOf = (object: HostObject): string => JSON.stringify(object);

const keysOf = (objects: readonly HostObject[]): Set<string> => new Set(objects.map(keyOf));

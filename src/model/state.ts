import type { Container } from './container.ts';
import type { Image, Layer } from './image.ts';
import type { Network } from './network.ts';
import type { Volume } from './volume.ts';

/** Everything berth remembers. A value: it is replaced, never changed in place. */
export type State = {
  readonly containers: ReadonlyMap<string, Container>;
  readonly networks: ReadonlyMap<string, Network>;
  readonly volumes: ReadonlyMap<string, Volume>;
  readonly images: ReadonlyMap<string, Image>;
  readonly layers: ReadonlyMap<string, Layer>;
};

export type Collection = keyof State;
export type RecordOf<C extends Collection> = State[C] extends ReadonlyMap<string, infer R> ? R : never;

/** One record put (or, with `undefined`, taken away). */
export type RecordChange = {
  [C in Collection]: { readonly collection: C; readonly key: string; readonly record: RecordOf<C> | undefined };
}[Collection];

export const emptyState: State = {
  containers: new Map(),
  networks: new Map(),
  volumes: new Map(),
  images: new Map(),
  layers: new Map(),
};

/** The state with these records put and taken away. Copies only the collections that change. */
export const withChanges = (state: State, changes: readonly RecordChange[]): State => {
  const next: { [C in Collection]: ReadonlyMap<string, RecordOf<C>> } = { ...state };
  const copied = new Map<Collection, Map<string, unknown>>();
  for (const { collection, key, record } of changes) {
    let map = copied.get(collection);
    if (!map) {
      map = new Map<string, unknown>(state[collection]);
      copied.set(collection, map);
      Object.assign(next, { [collection]: map });
    }
    if (record === undefined) map.delete(key);
    else map.set(key, record);
  }
  return next;
};

import type { HistoryEntry, Image, ImageConfig } from '../model/image.ts';
import type { State } from '../model/state.ts';
import { nanoseconds } from './timestamp.ts';

/** The newest image that the same instruction has made of the same parent ('': of nothing). */
export const childMadeBy = (images: State['images'], parent: string, createdBy: string, config: ImageConfig): Image | undefined =>
  [...images.values()]
    .filter((image) => image.parent === parent && image.history.at(-1)?.createdBy === createdBy && (parent !== '' || image.history.length === 1) && isSame(image.config, config))
    .sort((a, b) => (nanoseconds(a.created) < nanoseconds(b.created) ? 1 : -1))[0];

/**
 * Of an image whose parents are not here (it was pulled), the step that this instruction would be: how many entries of its
 * history, and how many of its layers, make the image that the instruction makes of `parent`.
 */
export const stepOf = (image: Image, parent: Image | undefined, createdBy: string): { readonly entries: number; readonly layers: number } | undefined => {
  const before = parent?.history ?? [];
  if (image.history.length <= before.length || image.history[before.length]?.createdBy !== createdBy) return undefined;
  if (!before.every((entry, at) => isSameEntry(entry, image.history[at]))) return undefined;
  if (!(parent?.diffIds ?? []).every((diffId, at) => image.diffIds[at] === diffId)) return undefined;
  const layers = image.history.slice(0, before.length + 1).filter(({ emptyLayer }) => !emptyLayer).length;
  return layers <= image.diffIds.length ? { entries: before.length + 1, layers } : undefined;
};

const isSameEntry = (a: HistoryEntry, b: HistoryEntry | undefined): boolean => b !== undefined && a.createdBy === b.createdBy && a.created === b.created && a.emptyLayer === b.emptyLayer;

/** Order says nothing in what is a set. */
const isSame = (a: ImageConfig, b: ImageConfig): boolean => JSON.stringify(normal(a)) === JSON.stringify(normal(b));

const normal = (config: ImageConfig): unknown => [
  config.user,
  [config.exposedPorts, config.env, config.cmd, config.entrypoint, config.volumes, config.onBuild, config.shell].map((list) => list ?? []),
  config.workingDir,
  Object.entries(config.labels ?? {}).sort(([x], [y]) => (x < y ? -1 : 1)),
  config.stopSignal ?? '',
  config.healthcheck ? Object.entries(config.healthcheck).sort(([x], [y]) => (x < y ? -1 : 1)) : [],
];

import type { Container } from '../model/container.ts';
import { invalid, notFound } from '../model/errors.ts';
import type { State } from '../model/state.ts';

export { findNetwork } from '../plan/endpoint.ts';

/** By full id, then by name (with or without the slash before it), then by the start of an id. */
export const findContainer = (state: State, ref: string): Container => {
  const byId = state.containers.get(ref);
  if (byId) return byId;
  const name = ref.replace(/^\//, '');
  const starting: Container[] = [];
  for (const container of state.containers.values()) {
    if (container.name === name) return container;
    if (ref !== '' && container.id.startsWith(ref)) starting.push(container);
  }
  const [only] = starting;
  if (!only) throw notFound(`No such container: ${ref}`);
  if (starting.length > 1) throw invalid(`multiple IDs found with provided prefix: ${ref}`);
  return only;
};

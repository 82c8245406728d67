import type { Container } from '../model/container.ts';
import { conflict } from '../model/errors.ts';
import type { Network } from '../model/network.ts';
import type { RecordChange, State } from '../model/state.ts';
import type { Operation } from '../operations/operation.ts';
import { render } from '../operations/render.ts';
import { findNetwork, planSandbox, type SandboxContext } from '../plan/endpoint.ts';
import { relinked } from '../plan/links.ts';
import { volumesTakenAlong } from '../plan/volumes.ts';
import { connected, disconnected } from './connections.ts';
import { findContainer } from './find.ts';
import { checkRemovable, removable } from './networks.ts';
import type { Explain, Networks } from './services.ts';

/**
 * What a call would do to the host, line by line, without doing it: the same decisions as the call's own, and the same difference
 * of what should be. Ids, ports and addresses that are chosen by chance may come out otherwise when it is done.
 */
export const createExplain = ({ state, planned, differences, sandboxContext }: {
  readonly state: () => State;
  readonly planned: (request: Parameters<Networks['create']>[0]) => Network;
  readonly differences: (changes: readonly RecordChange[]) => readonly Operation[];
  readonly sandboxContext: () => SandboxContext;
}): Explain => {
  const told = (...changes: RecordChange[]): readonly string[] => differences(changes).map(render);
  const put = (record: Container): RecordChange => ({ collection: 'containers', key: record.id, record });
  // A port that is only thought of is not given out.
  const context = (): SandboxContext => ({ ...sandboxContext(), gavePort: () => {} });

  return {
    createNetwork(request) {
      const network = planned(request);
      return told({ collection: 'networks', key: network.id, record: network });
    },
    removeNetwork(ref) {
      const network = removable(state(), ref);
      checkRemovable(state(), network);
      return told({ collection: 'networks', key: network.id, record: undefined });
    },
    connect(ref, containerRef, request) {
      const network = findNetwork(state(), ref);
      return told(put(connected(state(), findContainer(state(), containerRef), network, { ...request, network: network.name }, context())));
    },
    disconnect: (ref, containerRef) => told(put(disconnected(state(), findContainer(state(), containerRef), findNetwork(state(), ref), context()))),
    start(ref) {
      const container = findContainer(state(), ref);
      if (container.sandbox) return [];
      const next = { ...container, sandbox: planSandbox(state(), container, context()) };
      return told(...[next, ...relinked(state(), next)].map(put));
    },
    stop: (ref) => told(put({ ...findContainer(state(), ref), sandbox: undefined })),
    remove(ref, { force, volumes }) {
      const container = findContainer(state(), ref);
      if (container.sandbox && !force) throw conflict(`cannot remove container "${ref}": container is ${container.state.status}: stop the container before removing or force remove`);
      const along = volumes ? volumesTakenAlong(container, state().containers.values()) : [];
      return told(
        { collection: 'containers', key: container.id, record: undefined },
        ...along.map((name): RecordChange => ({ collection: 'volumes', key: name, record: undefined })),
      );
    },
  };
};

import type { Container } from '../model/container.ts';
import { EngineError, messageOf, notFound, systemError } from '../model/errors.ts';
import type { Sandbox } from '../model/network.ts';
import type { State } from '../model/state.ts';
import { planSandbox, type SandboxContext } from '../plan/endpoint.ts';
import { relinked } from '../plan/links.ts';
import { chosenPorts } from '../plan/ports.ts';
import type { Ledger } from './ledger.ts';

/** So many ports of the host's own that are in the way, and no more, are gone round. */
const MOST_BUSY = 1000;

/** Addresses and ports for a container that starts, and its namespaces and mounts on the host. */
export const raiseSandbox = async (
  { ledger, sandboxContext, relink }: { readonly ledger: Ledger; readonly sandboxContext: () => SandboxContext; readonly relink: (parent: Container) => void },
  id: string,
): Promise<Container> => {
  const busy = new Set<string>();
  const recordIn = (state: State): Container => {
    const container = state.containers.get(id);
    if (!container) throw notFound(`No such container: ${id}`);
    return container;
  };
  for (;;) {
    const context = { ...sandboxContext(), busy };
    try {
      const { next, parents } = await ledger.change((state) => {
        const container = recordIn(state);
        const sandbox = planned(state, container, context);
        const chosen = chosenPorts(container.spec.portRequests, sandbox.ports);
        const next = { ...container, sandbox, ...(chosen.length > 0 ? { chosenPorts: chosen } : {}) };
        const parents = relinked(state, next);
        return { changes: [next, ...parents].map((record) => ({ collection: 'containers', key: record.id, record })), result: { next, parents } };
      });
      parents.forEach(relink);
      return next;
    } catch (error) {
      // Something of the host's has a port that was ours to choose: choose another.
      const { hostPort, protocol } = error as { hostPort?: number; protocol?: string };
      if (hostPort === undefined) throw error;
      const container = recordIn(ledger.state);
      const fixed = container.spec.portRequests.some(({ hostPorts }) => hostPorts?.first === hostPort && hostPorts?.last === hostPort);
      if (fixed || busy.size > MOST_BUSY) throw endpointError(container, error, context.hex(32));
      busy.add(`${protocol} ${hostPort}`);
    }
  }
};

const planned = (state: State, container: Container, context: SandboxContext): Sandbox => {
  try {
    return planSandbox(state, container, context);
  } catch (error) {
    if (/port is already allocated|all ports are allocated/.test(messageOf(error))) throw endpointError(container, error, context.hex(32));
    if (error instanceof EngineError) throw new EngineError(error.kind, `failed to set up container networking: ${error.message}`, { cause: error });
    throw error;
  }
};

const endpointError = (container: Container, error: unknown, endpoint: string): EngineError =>
  systemError(
    `failed to set up container networking: driver failed programming external connectivity on endpoint ${container.name} (${endpoint}): ${messageOf(error)}`,
    error,
  );

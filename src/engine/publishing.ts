import type { Container, UpdateRequest } from '../model/container.ts';
import { messageOf, notFound, systemError } from '../model/errors.ts';
import type { PortBinding, PortRequest } from '../model/port.ts';
import type { State } from '../model/state.ts';
import type { KindOf } from '../operations/operation.ts';
import { withPorts, type SandboxContext } from '../plan/endpoint.ts';
import { desiredOf, type Layout } from '../plan/desired.ts';
import { chosenPorts } from '../plan/ports.ts';
import { withUpdate } from '../plan/update.ts';
import type { Ledger } from './ledger.ts';
import type { Lifecycle } from './lifecycle.ts';

/** Ports of a container, running or not, become others: all of them, or none. */
export const createPublishing = ({ ledger, lifecycle, layout, sandboxContext, forgetFlows }: {
  ledger: Pick<Ledger, 'change' | 'state'>;
  lifecycle: Pick<Lifecycle, 'inTurn'>;
  layout: Layout;
  sandboxContext: () => SandboxContext;
  /** Ends what still flows to a container by ports that it has no more. */
  forgetFlows: (ports: readonly KindOf<'host-port'>[]) => void;
}) => {
  type Change = { readonly before: Container; readonly after: Container };

  const change = async (id: string, requests: readonly PortRequest[], next: (state: State, container: Container, context: SandboxContext) => Container): Promise<Change> => {
    const busy = new Set<string>();
    for (;;) {
      const context = { ...sandboxContext(), busy };
      try {
        return await ledger.change((state) => {
          const before = state.containers.get(id);
          if (!before) throw notFound(`No such container: ${id}`);
          const after = next(state, before, context);
          return { changes: [{ collection: 'containers', key: id, record: after }], result: { before, after } };
        });
      } catch (error) {
        // Something of the host's has a port that was ours to choose: choose another.
        const { hostPort, protocol } = error as { hostPort?: number; protocol?: string };
        if (hostPort === undefined || busy.size > 1000) throw error;
        if (requests.some(({ hostPorts }) => hostPorts?.first === hostPort && hostPorts.last === hostPort)) throw programmingError(containerOf(ledger.state, id), context, error);
        busy.add(`${protocol} ${hostPort}`);
      }
    }
  };

  /** What the container is after this, with the ports for it; what ends with the old ones is ended. */
  const publish = async (id: string, requests: readonly PortRequest[], next: (container: Container) => Container): Promise<Container> => {
    const { before, after } = await change(id, requests, (state, container, context) => {
      const updated = next(container);
      if (!container.sandbox) return updated;
      try {
        const sandbox = withPorts(state, updated, container.sandbox, context);
        return { ...updated, sandbox, chosenPorts: chosenPorts(updated.spec.portRequests, sandbox.ports) };
      } catch (error) {
        throw programmingError(container, context, error);
      }
    });
    const kept = new Set((after.sandbox?.ports ?? []).map(nameOf));
    const gone = before.sandbox?.ports.filter((port) => !kept.has(nameOf(port))) ?? [];
    if (before.sandbox && gone.length > 0) forgetFlows(hostPorts({ ...before, sandbox: { ...before.sandbox, ports: gone } }));
    return before;
  };

  const hostPorts = (record: Container): KindOf<'host-port'>[] =>
    desiredOf(layout, { collection: 'containers', record }, ledger.state.volumes).filter((object): object is KindOf<'host-port'> => object.kind === 'host-port');

  return (id: string, request: UpdateRequest): Promise<() => Promise<void>> =>
    lifecycle.inTurn(id, async () => {
      const { spec: was, asked } = await publish(id, request.ports ?? [], (container) => withUpdate(container, { ...request, resources: {}, restart: undefined }));
      return () =>
        lifecycle.inTurn(id, async () => {
          await publish(id, was.portRequests, (container) => ({ ...container, asked, spec: { ...container.spec, portRequests: was.portRequests, exposedPorts: was.exposedPorts } }));
        });
    });
};

const containerOf = (state: State, id: string): Container => {
  const container = state.containers.get(id);
  if (!container) throw notFound(`No such container: ${id}`);
  return container;
};

const nameOf = ({ protocol, hostAddress, hostPort, port }: PortBinding): string => `${protocol} ${hostAddress} ${hostPort} ${port}`;

const programmingError = ({ name }: Container, { hex }: SandboxContext, error: unknown): Error =>
  systemError(`driver failed programming external connectivity on endpoint ${name} (${hex(32)}): ${messageOf(error)}`, error);

import type { Container, EndpointRequest } from '../model/container.ts';
import { EngineError, forbidden, invalid, notFound, systemError } from '../model/errors.ts';
import { interfacesOf, type Network } from '../model/network.ts';
import type { RecordChange, State } from '../model/state.ts';
import { endpointFaults, findNetwork, invalidSettings, withEndpoint, withoutEndpoint, type SandboxContext } from '../plan/endpoint.ts';
import type { Events } from './events.ts';
import { findContainer } from './find.ts';
import type { Ledger } from './ledger.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Networks } from './services.ts';

/** Containers and networks: put together and taken apart, whether the container runs or not. */
export type Connections = Pick<Networks, 'connect' | 'disconnect'>;

export const createConnections = ({ ledger, events, lifecycle, sandboxContext, renameHosts, nameResolver }: {
  ledger: Ledger;
  events: Events;
  lifecycle: Pick<Lifecycle, 'inTurn'>;
  sandboxContext: () => SandboxContext;
  /** A running container has these addresses now, and those no more: its /etc/hosts says so. */
  renameHosts: (container: Container, addresses: { readonly come: readonly string[]; readonly gone: readonly string[] }) => void;
  /** A running container has come to have a resolver of its own: its /etc/resolv.conf says so. */
  nameResolver: (before: Container, after: Container) => void;
}): Connections => {
  const emit = (network: Network, action: string, container: Container): void =>
    events.emit({ type: 'network', action, id: network.id, attributes: { container: container.id, name: network.name, type: network.driver } });

  /** One change of one container's record; the container as it is then. */
  const change = (id: string, decide: (state: State, container: Container) => Container): Promise<{ readonly before: Container; readonly after: Container }> =>
    ledger.change((state) => {
      const before = state.containers.get(id);
      if (!before) throw notFound(`No such container: ${id}`);
      const after = decide(state, before);
      const changes: RecordChange[] = [{ collection: 'containers', key: id, record: after }];
      return { changes, result: { before, after } };
    });

  const tellHosts = (before: Container, after: Container): void => {
    const [was, is] = [addressesOf(before), addressesOf(after)];
    if (after.sandbox) renameHosts(after, { come: is.filter((address) => !was.includes(address)), gone: was.filter((address) => !is.includes(address)) });
  };

  return {
    async connect(ref, containerRef, asked) {
      const network = findNetwork(ledger.state, ref);
      const { id } = named(ledger.state, containerRef);
      const request: EndpointRequest = { ...asked, network: network.name };
      await lifecycle.inTurn(id, async () => {
        const { before, after } = await change(id, (state, container) => connected(state, container, network, request, sandboxContext()));
        if (!after.sandbox) return;
        tellHosts(before, after);
        if (after.sandbox.resolver && !before.sandbox?.resolver) nameResolver(before, after);
        emit(network, 'connect', after);
      });
    },

    async disconnect(ref, containerRef, force) {
      const container = force ? endpointNamed(ledger.state, containerRef) : named(ledger.state, containerRef);
      const network = force ? (found(() => findNetwork(ledger.state, ref)) ?? fail(notConnected(container, ref, false))) : findNetwork(ledger.state, ref);
      await lifecycle.inTurn(container.id, async () => {
        const { before, after } = await change(container.id, (state, now) => disconnected(state, now, network, sandboxContext()));
        tellHosts(before, after);
        emit(network, 'disconnect', after);
      });
    },
  };
};

/** The container with one network more. */
export const connected = (state: State, container: Container, network: Network, request: EndpointRequest, context: SandboxContext): Container => {
  checkConnect(state, network, container, request);
  const endpoints = [...container.spec.endpoints.filter((other) => !names(state, other, network)), request];
  const sandbox = container.sandbox && withEndpoint(state, container, container.sandbox, request, context);
  return { ...container, sandbox, spec: { ...container.spec, endpoints } };
};

/** The container without that network. */
export const disconnected = (state: State, container: Container, network: Network, context: SandboxContext): Container => {
  const { spec, sandbox } = container;
  if (spec.networkMode === 'host' && network.driver === 'host') throw invalid(HOST_MODE);
  // 'none' is a mode, and no network: without it, a container may have others.
  if (spec.networkMode === 'none' && network.driver === 'null' && !network.configOnly) return { ...container, spec: { ...spec, networkMode: 'bridge', endpoints: [] } };
  const endpoints = spec.endpoints.filter((request) => !names(state, request, network));
  if (endpoints.length === spec.endpoints.length) throw notConnected(container, network.name, sandbox !== undefined);
  return { ...container, spec: { ...spec, endpoints }, sandbox: sandbox && withoutEndpoint(state, container, sandbox, network.id, context) };
};

const HOST_MODE = 'container cannot be disconnected from host network or connected to host network';

const checkConnect = (state: State, network: Network, container: Container, request: EndpointRequest): void => {
  const { networkMode, endpoints } = container.spec;
  if (networkMode === 'host' || networkMode.startsWith('container:'))
    throw invalid('container sharing network namespace with another container or host cannot be connected to any other network');
  if (network.driver === 'host') throw invalid(HOST_MODE);
  if (networkMode === 'none' || (network.driver === 'null' && !network.configOnly))
    throw invalid('container cannot be connected to multiple networks with one of the networks in private (none) mode');
  if (container.state.status === 'removing' || container.state.status === 'dead')
    throw systemError(`container ${container.id} is marked for removal and cannot be connected or disconnected to the network`);
  const faults = endpointFaults(network, request);
  if (faults.length > 0) throw invalidSettings(faults);
  if (container.sandbox && endpoints.some((other) => names(state, other, network)))
    throw forbidden(`endpoint with name ${container.name} already exists in network ${network.name}`);
};

/** Whether a container's wish for a network means this one. */
const names = (state: State, { network: ref }: EndpointRequest, { id, name }: Network): boolean => {
  if (ref === name || ref === id) return true;
  return found(() => findNetwork(state, ref))?.id === id;
};

const addressesOf = ({ sandbox }: Container): string[] => (sandbox?.endpoints ?? []).flatMap((endpoint) => interfacesOf(endpoint).map(({ address }) => address));

const notConnected = ({ id }: Container, network: string, running: boolean): EngineError =>
  systemError(`container ${id} is not connected to ${running ? 'network' : 'the network'} ${network}`);

const named = (state: State, ref: string): Container => {
  if (ref === '') throw invalid('invalid name or ID supplied: ""');
  return findContainer(state, ref);
};

/** By force, an endpoint may be left that no container knows; berth's go with their container. */
const endpointNamed = (state: State, ref: string): Container => found(() => named(state, ref)) ?? fail(notFound(`endpoint ${ref} not found`));

/** undefined where it throws that there is none. */
const found = <T>(find: () => T): T | undefined => {
  try {
    return find();
  } catch (error) {
    if (error instanceof EngineError) return undefined;
    throw error;
  }
};

const fail = (error: EngineError): never => {
  throw error;
};

import { forbidden, invalid } from '../model/errors.ts';
import type { Network, NetworkRequest } from '../model/network.ts';
import type { State } from '../model/state.ts';
import { parseTimestamp } from '../model/time.ts';
import { checkUnused, configurationOf } from '../plan/network-configuration.ts';
import { planNetwork, PREDEFINED } from '../plan/network.ts';
import type { AddressPool, TakenRange } from '../plan/subnets.ts';
import type { Connections } from './connections.ts';
import type { Events } from './events.ts';
import { anyFits, checkFilters, labelsMatch, matchesPattern, type Filters } from './filters.ts';
import { findNetwork } from './find.ts';
import type { Ledger } from './ledger.ts';
import { createLocks } from './locks.ts';
import type { Networks } from './services.ts';

export type NetworksParts = {
  readonly ledger: Ledger;
  readonly events: Events;
  readonly connections: Connections;
  readonly host: {
    now(): string;
    nowNanoseconds(): bigint;
    /** What the host has a use for already: its own networks, its name servers. */
    hostRanges(): readonly TakenRange[];
    hasDevice(name: string): boolean;
  };
  readonly pools: (state: State) => readonly AddressPool[];
  /** Packets of this family may cross the host from now on. */
  readonly forward: (family: 'ipv4' | 'ipv6') => Promise<void>;
  /** Options of new bridge networks that do not say otherwise. */
  readonly options: Readonly<Record<string, string>>;
  readonly id: () => string;
};

export const createNetworks = ({ ledger, events, connections, host, pools, forward, options, id: newId }: NetworksParts): Networks & { readonly planned: (request: NetworkRequest) => Network } => {
  const inTurn = createLocks();
  const emit = (network: Network, action: string): void =>
    events.emit({ type: 'network', action, id: network.id, attributes: { name: network.name, type: network.driver } });

  const planned = (state: State, asked: NetworkRequest, id: string): Network => {
    const request = asked.configOnly || asked.configFrom !== '' ? asked : { ...asked, options: { ...options, ...asked.options } };
    return planNetwork(state, request, { id, now: host.now(), pools: pools(state), hostRanges: host.hostRanges(), hasDevice: host.hasDevice });
  };

  // A bridge's name is free when the bridge is gone, which may be a while after its network is.
  const create = (request: NetworkRequest): Promise<Network> => {
    const id = newId();
    const { ipv6, options: own } = configurationOf(ledger.state, request) ?? request;
    return inTurn(own['com.docker.network.bridge.name'] ?? id, async () => {
      if (ipv6) await forward('ipv6');
      const network = await ledger.change((state) => {
        const made = planned(state, request, id);
        return { changes: [{ collection: 'networks', key: id, record: made }], result: made };
      });
      emit(network, 'create');
      return network;
    });
  };

  const remove = (network: Network): Promise<void> =>
    inTurn(network.options['com.docker.network.bridge.name'] ?? network.id, async () => {
      const gone = await ledger.settle((state) => {
        if (!state.networks.has(network.id)) return { changes: [], result: false };
        checkRemovable(state, network);
        return { changes: [{ collection: 'networks', key: network.id, record: undefined }], result: true };
      });
      if (gone) emit(network, 'destroy');
    });

  const members: Networks['members'] = (network) => membersOf(ledger.state, network);

  return {
    list(filters) {
      checkFilters(filters, ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type']);
      const dangling = danglingFilter(filters);
      checkTypes(filters);
      return [...ledger.state.networks.values()].filter(
        (network) =>
          anyFits(filters, 'driver', (value) => value === network.driver) &&
          anyFits(filters, 'id', (value) => matchesPattern(value, network.id)) &&
          anyFits(filters, 'name', (value) => matchesPattern(value, network.name)) &&
          anyFits(filters, 'scope', (value) => value === 'local') &&
          anyFits(filters, 'type', (value) => value === (isPredefined(network) ? 'builtin' : 'custom')) &&
          labelsMatch(filters, network.labels) &&
          (dangling === undefined || dangling === (!isPredefined(network) && members(network).length === 0)),
      );
    },
    find: (ref) => findNetwork(ledger.state, ref),
    members,
    planned: (request) => planned(ledger.state, request, newId()),
    create,
    async remove(ref) {
      await remove(removable(ledger.state, ref));
    },
    async prune(filters) {
      checkFilters(filters, ['label', 'label!', 'until']);
      const [until, ...more] = (filters.get('until') ?? []).map((time) => parseTimestamp(time, host.nowNanoseconds()));
      if (more.length > 0) throw invalid('more than one until filter specified');
      const unused = [...ledger.state.networks.values()].filter(
        (network) =>
          !isPredefined(network) &&
          !network.configOnly &&
          members(network).length === 0 &&
          labelsMatch(filters, network.labels) &&
          !(filters.get('label!') ?? []).some((label) => labelsMatch(new Map([['label', [label]]]), network.labels)) &&
          (until === undefined || parseTimestamp(network.created, 0n) <= until),
      );
      // One that somebody has come to use meanwhile stays.
      const removals = await Promise.allSettled(unused.map((network) => remove(network)));
      events.emit({ type: 'network', action: 'prune', id: '', attributes: { reclaimed: '0' } });
      return unused.filter((_network, i) => removals[i]?.status === 'fulfilled').map(({ name }) => name);
    },
    connect: connections.connect,
    disconnect: connections.disconnect,
  };
};

/** Who may go, of those that a client may remove. */
export const removable = (state: State, ref: string): Network => {
  const network = findNetwork(state, ref);
  if (isPredefined(network)) throw forbidden(`${network.name} is a pre-defined network and cannot be removed`);
  return network;
};

export const checkRemovable = (state: State, network: Network): void => {
  checkUnused(state, network);
  const active = membersOf(state, network).map(({ container, endpoint }) => `name:${JSON.stringify(container.name)} id:${JSON.stringify(endpoint.id.slice(0, 12))}`);
  if (active.length > 0) throw forbidden(`error while removing network: network ${network.name} has active endpoints (${active.join(', ')})`);
};

const membersOf = ({ containers }: State, { id }: Network): ReturnType<Networks['members']> =>
  [...containers.values()].flatMap((container) =>
    (container.sandbox?.endpoints ?? []).filter(({ networkId }) => networkId === id).map((endpoint) => ({ container, endpoint })),
  );

/** Made by the engine at its first start; no client removes it. */
export const isPredefined = ({ name }: Network): boolean => PREDEFINED.includes(name);

const danglingFilter = (filters: Filters): boolean | undefined => {
  const [value, ...more] = filters.get('dangling') ?? [];
  if (more.length > 0) throw invalid('got more than one value for filter key "dangling"');
  if (value === undefined) return undefined;
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw invalid(`invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`);
};

const checkTypes = (filters: Filters): void => {
  for (const value of filters.get('type') ?? []) if (value !== 'builtin' && value !== 'custom') throw invalid(`invalid filter: 'type'='${value}'`);
};

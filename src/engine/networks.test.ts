import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import type { Network } from '../model/network.ts';
import { emptyState, type State } from '../model/state.ts';
import { defaultNetworks } from './default-networks.ts';
import { createNetworks, type NetworksParts } from './networks.ts';

let ids = 0;
const made = { now: '2026-11-23T10:00:00Z', id: () => `${++ids}`.padStart(64, '0'), bip: undefined, mtu: 1500, icc: true, free: () => '172.17.0.0/16' };
const [bridge, host, none] = defaultNetworks(made) as [Network, Network, Network];
const front: Network = { ...bridge, id: 'f'.repeat(64), name: 'front', bridge: 'br-ffffffffffff', labels: { tier: 'front' }, options: {} };
const back: Network = { ...front, id: 'b'.repeat(64), name: 'back', bridge: 'br-bbbbbbbbbbbb', labels: {} };
const web = { id: 'c1', name: 'web', sandbox: { endpoints: [{ networkId: front.id, address: '172.18.0.2' }] } } as unknown as Container;
const idle = { id: 'c2', name: 'idle', sandbox: undefined } as unknown as Container;
const state: State = {
  ...emptyState,
  networks: new Map([bridge, host, none, front, back].map((network) => [network.id, network])),
  containers: new Map([web, idle].map((container) => [container.id, container])),
};
const networks = createNetworks({ ledger: { state }, connections: {} } as unknown as NetworksParts);
const list = (filters: Record<string, string[]> = {}): string => networks.list(new Map(Object.entries(filters))).map(({ name }) => name).join(' ');

const cases: readonly [filters: Record<string, string[]>, names: string][] = [
  [{}, 'bridge host none front back'],
  [{ driver: ['bridge'] }, 'bridge front back'],
  [{ driver: ['bri'] }, ''],
  [{ driver: ['host', 'null'] }, 'host none'],
  [{ name: ['^b'] }, 'bridge back'],
  [{ id: ['fff'] }, 'front'],
  [{ id: ['b+$'] }, 'back'],
  [{ label: ['tier=front'] }, 'front'],
  [{ scope: ['local'] }, 'bridge host none front back'],
  [{ scope: ['swarm'] }, ''],
  [{ type: ['builtin'] }, 'bridge host none'],
  [{ type: ['custom'] }, 'front back'],
  [{ dangling: ['true'] }, 'back'],
  [{ dangling: ['0'] }, 'bridge host none front'],
  [{ dangling: [] }, 'bridge host none front back'],
];
for (const [filters, names] of cases) test(`filter ${JSON.stringify(filters)}`, () => assert.equal(list(filters), names));

test('refusals', () => {
  const invalid = (message: string) => ({ kind: 'invalid-parameter', message });
  assert.throws(() => list({ nosuch: ['x'] }), invalid("invalid filter 'nosuch'"));
  assert.throws(() => list({ type: ['x'] }), invalid("invalid filter: 'type'='x'"));
  assert.throws(() => list({ dangling: ['TRUE'] }), invalid(`invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`));
  assert.throws(() => list({ dangling: ['true', 'false'] }), invalid('got more than one value for filter key "dangling"'));
  assert.throws(() => networks.find('nosuch'), { kind: 'not-found', message: 'network nosuch not found' });
});

test('members: who runs on it', () => {
  assert.equal(networks.find('front'), front);
  assert.deepEqual(networks.members(front).map(({ container, endpoint }) => `${container.name} ${endpoint.address}`), ['web 172.18.0.2']);
  assert.deepEqual(networks.members(back), []);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import type { Network } from '../model/network.ts';
import { emptyState, withChanges, type State } from '../model/state.ts';
import type { Operation } from '../operations/operation.ts';
import { defaultNetworks, renewDefaultBridge } from './default-networks.ts';
import type { Ledger } from './ledger.ts';

let ids = 0;
const made = { now: '2026-11-23T10:00:00Z', id: () => `${++ids}`.padStart(64, '0'), bip: undefined, mtu: 1500, icc: true };
const [bridge, host, none] = defaultNetworks(made) as [Network, Network, Network];

test('the networks every host has', () => {
  assert.deepEqual([bridge, host, none].map(({ name, driver, bridge }) => `${name} ${driver} ${bridge}`), ['bridge bridge docker0', 'host host undefined', 'none null undefined']);
  assert.deepEqual(bridge.subnets, [{ cidr: '172.17.0.0/16', gateway: '172.17.0.1', ipRange: undefined, reserved: {}, asked: false, gatewayAsked: false }]);
  assert.deepEqual(bridge.options, {
    'com.docker.network.bridge.default_bridge': 'true',
    'com.docker.network.bridge.enable_icc': 'true',
    'com.docker.network.bridge.enable_ip_masquerade': 'true',
    'com.docker.network.bridge.host_binding_ipv4': '0.0.0.0',
    'com.docker.network.bridge.name': 'docker0',
    'com.docker.network.driver.mtu': '1500',
  });
});

test('--bip, --mtu, --icc', () => {
  const [own] = defaultNetworks({ ...made, bip: '10.1.2.3/24', mtu: 1400, icc: false });
  assert.deepEqual(own?.subnets.map(({ cidr, gateway }) => [cidr, gateway]), [['10.1.2.0/24', '10.1.2.3']]);
  assert.equal(own?.options['com.docker.network.driver.mtu'], '1400');
  assert.equal(own?.options['com.docker.network.bridge.enable_icc'], 'false');
  for (const bip of ['10.1.2.3', '10.1.2.0/24', '10.1.2.255/24', 'fd00::1/64', 'x', '10.1.2.3/33'])
    assert.throws(() => defaultNetworks({ ...made, bip }), { kind: 'invalid-parameter' }, bip);
});

const renewed = async (containers: readonly Container[], wanted: Network) => {
  let state: State = { ...emptyState, networks: new Map([[bridge.id, bridge]]), containers: new Map(containers.map((container) => [container.id, container])) };
  const ledger = {
    get state() { return state; },
    async found(changes: Parameters<Ledger['found']>[0]) { state = withChanges(state, changes); },
  } as Ledger;
  const operations: Operation[] = [];
  const said: string[] = [];
  await renewDefaultBridge({ ledger, attempt: async (more) => { operations.push(...more); return []; }, wanted, log: (message) => said.push(message) });
  return { network: state.networks.get(bridge.id), operations, said };
};

test('a daemon with other flags makes the default bridge anew, under the same id', async () => {
  const [wanted] = defaultNetworks({ ...made, bip: '10.1.2.3/24', icc: false }) as [Network];
  const { network, operations } = await renewed([], wanted);
  assert.deepEqual([network?.id, network?.created, network?.subnets, network?.options], [bridge.id, bridge.created, wanted.subnets, wanted.options]);
  assert.deepEqual(operations.map(({ action, object }) => `${action} ${object.kind} ${'name' in object ? object.name : ''}`), ['remove bridge docker0']);
});

test('with the same flags nothing happens', async () => {
  const [same] = defaultNetworks(made) as [Network];
  const { network, operations } = await renewed([], same);
  assert.equal(network, bridge);
  assert.deepEqual(operations, []);
});

test('containers that run on it keep it as it is, and the log says so', async () => {
  const [wanted] = defaultNetworks({ ...made, bip: '10.1.2.3/24' }) as [Network];
  const container = { id: 'c', sandbox: { endpoints: [{ networkId: bridge.id }] } } as unknown as Container;
  const { network, operations, said } = await renewed([container], wanted);
  assert.equal(network, bridge);
  assert.deepEqual(operations, []);
  assert.match(said.join(), /containers run on docker0/);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import type { Network } from '../model/network.ts';
import { emptyState, withChanges, type State } from '../model/state.ts';
import type { Operation } from '../operations/operation.ts';
import type { TakenRange } from '../plan/subnets.ts';
import { defaultNetworks, planDefaults, renewDefaultBridge, type BridgeFlags } from './default-networks.ts';
import type { Ledger } from './ledger.ts';

let ids = 0;
const made = { now: '2026-11-23T10:00:00Z', id: () => `${++ids}`.padStart(64, '0'), bip: undefined, mtu: 1500, icc: true, free: () => '172.17.0.0/16' };
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

const planned = (flags: Partial<BridgeFlags> = {}, networks: readonly Network[] = [], hostRanges: TakenRange[] = []) =>
  planDefaults({ state: { ...emptyState, networks: new Map(networks.map((network) => [network.id, network])) }, flags: { bip: undefined, mtu: 1500, icc: true, ...flags }, pools: [], hostRanges, now: made.now, id: made.id })[0] as Network;
const shown = ({ subnets }: Network): string => subnets.map(({ cidr, gateway, ipRange, reserved }) => [cidr, gateway, ...(ipRange === undefined ? [] : [ipRange]), ...Object.values(reserved)].join(' ')).join(', ');

test('the default bridge keeps away from what the host has, and stays where it is', () => {
  assert.equal(shown(planned()), '172.17.0.0/16 172.17.0.1');
  assert.equal(shown(planned({}, [], [{ cidr: '172.17.4.0/24', by: 'link eth0' }])), '172.18.0.0/16 172.18.0.1');
  const there = planned({ bip: '10.1.2.3/24' });
  assert.equal(shown(planned({}, [there], [{ cidr: '10.1.2.0/24', by: 'link docker0' }])), '10.1.2.0/24 10.1.2.3');
  assert.equal(planned({}, [there]).id, there.id);
});

test('--ipv6, --bip6, --fixed-cidr, --default-gateway', () => {
  assert.match(shown(planned({ ipv6: true })), /^172\.17\.0\.0\/16 172\.17\.0\.1, fd[0-9a-f:]+::\/64 fd[0-9a-f:]+::1$/);
  assert.equal(shown(planned({ ipv6: true, fixedCidr6: 'fd00:9::/80' })), '172.17.0.0/16 172.17.0.1, fd00:9::/80 fd00:9::1 fd00:9::/80');
  assert.equal(shown(planned({ ipv6: true, bip6: 'fd00:8::7/64' })), '172.17.0.0/16 172.17.0.1, fd00:8::/64 fd00:8::7');
  assert.equal(shown(planned({ bip: '10.1.0.1/16', fixedCidr: '10.1.5.0/24', gateway: '10.1.0.9' })), '10.1.0.0/16 10.1.0.1 10.1.5.0/24 10.1.0.9');
  assert.throws(() => planned({ fixedCidr: '10.9.0.0/24', bip: '10.1.0.1/16' }), /--fixed-cidr "10.9.0.0\/24": it is not in the bridge's subnet 10.1.0.0\/16/);
  assert.throws(() => planned({ gateway: '10.9.0.1', bip: '10.1.0.1/16' }), /--default-gateway "10.9.0.1": it is not in the bridge's subnet/);
});

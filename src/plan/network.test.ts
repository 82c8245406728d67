import assert from 'node:assert/strict';
import test from 'node:test';
import type { Network, NetworkRequest } from '../model/network.ts';
import { emptyState, type State } from '../model/state.ts';
import { planNetwork, poolsOf } from './network.ts';
import { DEFAULT_POOLS } from './subnets.ts';

const docker0 = { id: 'abcdef0123'.padEnd(64, '4'), name: 'bridge', bridge: 'docker0', subnets: [{ cidr: '172.17.0.0/16' }] } as unknown as Network;
const having = (...networks: Network[]): State => ({ ...emptyState, networks: new Map([docker0, ...networks].map((network) => [network.id, network])) });
const asked = (fields: Partial<NetworkRequest> = {}): NetworkRequest => ({
  name: 'web', driver: 'bridge', ipv4: true, ipv6: false, internal: false, attachable: false, ipamDriver: 'default', ipamOptions: {}, configOnly: false, configFrom: '', subnets: [], options: {}, labels: {}, ...fields,
});
const subnet = (cidr: string, fields: Partial<NetworkRequest['subnets'][number]> = {}) => ({ cidr, ipRange: '', gateway: '', reserved: {}, ...fields });

let ids = 0;
const plan = (fields: Partial<NetworkRequest> = {}, state = having(), hostRanges: { cidr: string; by: string }[] = []): Network =>
  planNetwork(state, asked(fields), {
    id: `${++ids}`.padStart(12, '0').padEnd(64, 'f'),
    now: '2026-11-23T10:00:00Z',
    pools: poolsOf([], docker0.id),
    hostRanges,
    hasDevice: (name) => name === 'eth0' || name === 'virbr0',
  });
const shown = ({ subnets }: Network): string => subnets.map(({ cidr, gateway = 'none' }) => `${cidr} ${gateway}`).join(', ');

test('subnets: chosen, asked for, of both families', () => {
  assert.equal(shown(plan()), '172.18.0.0/16 172.18.0.1');
  assert.equal(plan().bridge, `br-${String(ids).padStart(12, '0')}`);
  assert.equal(shown(plan({ subnets: [subnet('10.55.0.0/16')] })), '10.55.0.0/16 10.55.0.1');
  assert.equal(shown(plan({ subnets: [subnet('10.55.0.0/16', { gateway: '10.55.0.254' })] })), '10.55.0.0/16 10.55.0.254');
  assert.equal(shown(plan({ subnets: [subnet('10.55.0.0/16', { ipRange: '10.55.5.0/24' })] })), '10.55.0.0/16 10.55.5.0', 'from the range, as the reference');
  assert.equal(shown(plan({ subnets: [subnet('10.55.0.0/16', { reserved: { a: '10.55.0.1' } })] })), '10.55.0.0/16 10.55.0.2');
  assert.equal(shown(plan({ ipv6: true, subnets: [subnet('fd00:55::/64')] })), 'fd00:55::/64 fd00:55::1, 172.18.0.0/16 172.18.0.1', 'those asked for first');
  assert.equal(shown(plan({ ipv6: true })), '172.18.0.0/16 172.18.0.1, fdab:cdef:0123::/64 fdab:cdef:123::1'.replace('0123', '123'), 'from this host\'s own range');
  assert.equal(shown(plan({ ipv4: false, ipv6: true, subnets: [subnet('fd00:55::/64')] })), 'fd00:55::/64 fd00:55::1');
  assert.equal(shown(plan({ subnets: [subnet('fd00:55::/64')] })), '172.18.0.0/16 172.18.0.1', 'without --ipv6, as if it had not been said');
});

test('around the host\'s own networks, but not around the routes of our own bridges', () => {
  assert.equal(shown(plan({}, having(), [{ cidr: '172.18.4.0/24', by: 'link eth0' }, { cidr: '172.19.0.1', by: 'name server' }])), '172.20.0.0/16 172.20.0.1');
  assert.equal(shown(plan({}, having(), [{ cidr: '172.17.0.0/16', by: 'link docker0' }])), '172.18.0.0/16 172.18.0.1');
});

test('fifty, one after the other, and no subnet twice', () => {
  let state = having();
  for (let i = 0; i < 28; i++) {
    const made = plan({ name: `n${i}` }, state);
    state = { ...state, networks: new Map([...state.networks, [made.id, made]]) };
  }
  const subnets = [...state.networks.values()].flatMap((network) => network.subnets.map(({ cidr }) => cidr));
  assert.equal(new Set(subnets).size, 29);
});

test('no gateway: isolated, or nobody to be it', () => {
  const mode = 'com.docker.network.bridge.gateway_mode_ipv4';
  assert.equal(shown(plan({ internal: true, options: { [mode]: 'isolated' } })), '172.18.0.0/16 none');
  assert.equal(shown(plan({ internal: true, options: { 'com.docker.network.bridge.inhibit_ipv4': 'true' } })), '172.18.0.0/16 none');
  assert.equal(shown(plan({ internal: true })), '172.18.0.0/16 172.18.0.1');
});

const front = plan({ name: 'front', subnets: [subnet('10.55.0.0/16')], options: { 'com.docker.network.bridge.name': 'br-front' } });
const bridge = 'com.docker.network.bridge.';
const refusals: readonly [what: string, fields: Partial<NetworkRequest>, kind: string, message: RegExp | string][] = [
  ['no name', { name: ' ' }, 'invalid-parameter', 'invalid name: name is empty'],
  ['a name of two lines', { name: 'a\n-A FORWARD -j ACCEPT' }, 'invalid-parameter', /^invalid name: "a\\n-A FORWARD -j ACCEPT" has control characters/],
  ['a predefined name', { name: 'bridge' }, 'forbidden', 'operation is not permitted on predefined bridge network '],
  ['a name that is taken', { name: 'front' }, 'conflict', 'network with name front already exists'],
  ['a second host network', { driver: 'host' }, 'forbidden', 'only one instance of "host" network is allowed'],
  ['an unknown driver', { driver: 'nosuch' }, 'not-found', 'plugin "nosuch" not found'],
  ['an unknown IPAM driver', { ipamDriver: 'nosuch' }, 'not-found', 'plugin "nosuch" not found'],
  ['no CIDR', { subnets: [subnet('300.0.0.0/8')] }, 'invalid-parameter', 'invalid network config:\ninvalid subnet 300.0.0.0/8: invalid CIDR block notation'],
  ['host bits', { subnets: [subnet('10.1.0.5/24')] }, 'invalid-parameter', 'invalid network config:\ninvalid subnet 10.1.0.5/24: it should be 10.1.0.0/24'],
  ['a gateway elsewhere', { subnets: [subnet('10.1.0.0/24', { gateway: '10.2.0.1' })] }, 'invalid-parameter', "invalid network config:\ninvalid gateway 10.2.0.1: parent subnet 10.1.0.0/24 doesn't contain this address"],
  ['a gateway of the other family', { subnets: [subnet('10.1.0.0/24', { gateway: 'fd00::1' })] }, 'invalid-parameter', 'invalid network config:\ninvalid gateway fd00::1: parent subnet is an IPv4 block'],
  ['several faults at once', { subnets: [subnet('10.1.0.0/24', { ipRange: '10.2.0.0/16', reserved: { a: 'x' } })] }, 'invalid-parameter',
    "invalid network config:\ninvalid ip-range 10.2.0.0/16: CIDR block is bigger than its parent subnet 10.1.0.0/24\ninvalid ip-range 10.2.0.0/16: parent subnet 10.1.0.0/24 doesn't contain ip-range\ninvalid auxiliary address a: invalid address"],
  ['two subnets of a family', { subnets: [subnet('10.1.0.0/24'), subnet('10.2.0.0/24')] }, 'forbidden', "bridge driver doesn't support multiple subnets"],
  ['a subnet somebody has', { subnets: [subnet('10.55.5.0/24')] }, 'forbidden', 'invalid pool request: Pool overlaps with other one on this address space: 10.55.5.0/24 overlaps 10.55.0.0/16 (network front); 10.56.0.0/24 is free'],
  ['neither family', { ipv4: false }, 'invalid-parameter', 'IPv4 or IPv6 must be enabled'],
  ['no boolean', { options: { [`${bridge}enable_icc`]: 'maybe' } }, 'invalid-parameter', 'failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing "maybe": invalid syntax)'],
  ['no number', { options: { 'com.docker.network.driver.mtu': 'x' } }, 'invalid-parameter', 'failed to parse com.docker.network.driver.mtu value: x (strconv.Atoi: parsing "x": invalid syntax)'],
  ['an MTU below nothing', { options: { 'com.docker.network.driver.mtu': '-1' } }, 'invalid-parameter', 'invalid MTU number: -1'],
  ['no address', { options: { [`${bridge}host_binding_ipv4`]: 'x' } }, 'invalid-parameter', 'failed to parse com.docker.network.bridge.host_binding_ipv4 value: x (nil ip)'],
  ['no mode', { options: { [`${bridge}gateway_mode_ipv4`]: 'x' } }, 'invalid-parameter', /unknown gateway mode x/],
  ['isolated, and not internal', { options: { [`${bridge}gateway_mode_ipv4`]: 'isolated' } }, 'invalid-parameter', /can only be used for an internal network/],
  ['a long bridge name', { options: { [`${bridge}name`]: 'waytoolongbridgename' } }, 'invalid-parameter', /^invalid bridge name "waytoolongbridgename"/],
  ['rule text as a bridge name', { options: { [`${bridge}name`]: 'x -j ACCEPT' } }, 'invalid-parameter', /^invalid bridge name/],
  ['a bridge name for all', { options: { [`${bridge}name`]: 'br+' } }, 'invalid-parameter', /^invalid bridge name/],
  ['a bridge of another network', { options: { [`${bridge}name`]: 'br-front' } }, 'forbidden', /conflicts with network .* \(br-front\): networks have same bridge name$/],
  ['a bridge of the host\'s', { options: { [`${bridge}name`]: 'virbr0' } }, 'forbidden', /the host has a device of that name already$/],
  ['a long interface prefix', { options: { 'com.docker.network.container_iface_prefix': 'waytoolongprefix' } }, 'invalid-parameter', /^invalid interface prefix/],
];
for (const [what, fields, kind, message] of refusals) test(`refused: ${what}`, () => assert.throws(() => plan(fields, having(front)), { kind, message }));

test('exhausted: who is in the way', () => {
  const state = having(front);
  const pools = [{ base: '10.55.0.0/16', size: 24 }];
  const context = { id: 'e'.repeat(64), now: '', pools, hostRanges: [], hasDevice: () => false };
  assert.throws(() => planNetwork(state, asked(), context), { message: 'all predefined address pools have been fully subnetted: 10.55.0.0/16 are taken by 10.55.0.0/16 (network front)' });
});

test('pools', () => {
  assert.deepEqual(poolsOf([], docker0.id).slice(0, -1), DEFAULT_POOLS);
  const own = [{ base: '10.0.0.0/8', size: 24 }, { base: 'fd01::/48', size: 64 }];
  assert.equal(poolsOf(own, docker0.id), own);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import type { Network } from '../model/network.ts';
import type { State } from '../model/state.ts';
import { renderObject } from '../operations/render.ts';
import { linkFaults, mayConcern, subnetRoute, type LinksThere } from './link-drift.ts';

const layout = { dataRoot: '/d', execRoot: '/e', iptables: true, ip6tables: true };
const network = {
  id: '0123456789abcdef', name: 'bridge', created: '', driver: 'bridge', bridge: 'docker0', internal: false, options: {},
  subnets: [{ cidr: '172.17.0.0/16', gateway: '172.17.0.1' }, { cidr: 'fd00::/64', gateway: 'fd00::1' }],
} as unknown as Network;
const endpoint = {
  veth: 'veth1234567', bridge: 'docker0', device: 'eth0', mac: '02:42:ac:11:00:02', mtu: 1500, networkId: network.id, networkName: 'bridge', address: '172.17.0.2', prefixLength: 16,
  gateway: '172.17.0.1', ipv6: undefined, sysctls: { 'net.ipv4.conf.IFNAME.log_martians': '1' }, gatewayModes: { ipv4: 'nat', ipv6: 'nat' }, gwPriority: 0,
};
const container = { id: 'c', name: 'web', mounts: [], chainIds: [], spec: { ipcMode: 'private' }, state: {}, sandbox: { netns: '/e/netns/1', endpoints: [endpoint], ports: [] } } as unknown as Container;
const state = { networks: new Map([[network.id, network]]), containers: new Map([['c', container]]), volumes: new Map(), images: new Map(), layers: new Map() } as unknown as State;

const there = (changes: Partial<Record<'docker0' | 'veth1234567', { up: boolean; master: string | undefined } | undefined>> = {}, addresses = ['172.17.0.1/16', 'fd00::1/64', 'fe80::1/64'], routes = ['172.17.0.0/16', 'fd00::/64']): LinksThere => ({
  devices: new Map(Object.entries({ docker0: { up: true, master: undefined }, veth1234567: { up: true, master: 'docker0' }, eth0: { up: true, master: undefined }, ...changes }).flatMap(([name, link]) => (link ? [[name, link] as const] : []))),
  addresses: new Map([['docker0', new Set(addresses)]]),
  routes: new Map([['docker0', new Set(routes)]]),
});
const said = (links: LinksThere) => linkFaults(layout, state, links).map(({ words, objects }) => [words, objects.map(renderObject)]);
const LOCALNET = 'sysctl net.ipv4.conf.docker0.route_localnet=1';
const BRIDGE = 'bridge docker0 172.17.0.1/16 fd00::1/64';
const VETH = 'veth veth1234567 in docker0 to eth0 (02:42:ac:11:00:02)';

test('nothing where all is well', () => assert.deepEqual(said(there()), []));

test('a bridge that is gone, and what was in it', () => {
  assert.deepEqual(said({ ...there({ docker0: undefined, veth1234567: { up: true, master: undefined } }), addresses: new Map(), routes: new Map() }), [
    ['bridge docker0: gone', [BRIDGE, LOCALNET]],
    ['veth1234567 of web: not in docker0', [VETH]],
  ]);
});

test('a bridge that is down, without an address, without a route', () => {
  assert.deepEqual(said(there({ docker0: { up: false, master: undefined } })), [['bridge docker0: down', [BRIDGE, LOCALNET]]]);
  assert.deepEqual(said(there({}, ['172.17.0.1/16'])), [['bridge docker0: without address fd00::1/64', [BRIDGE, LOCALNET]]]);
  assert.deepEqual(said(there({}, undefined, [])), [['bridge docker0: without route 172.17.0.0/16, fd00::/64', [BRIDGE, LOCALNET]]]);
});

test('a veth that is gone takes the other end along; one that is down or elsewhere does not', () => {
  assert.deepEqual(said(there({ veth1234567: undefined })), [
    ['veth1234567 of web: gone', [VETH, 'sysctl net.ipv4.conf.eth0.log_martians=1', 'address 172.17.0.2/16 on eth0', 'route default via 172.17.0.1 on eth0']],
  ]);
  assert.deepEqual(said(there({ veth1234567: { up: false, master: 'docker0' } })), [['veth1234567 of web: down', [VETH]]]);
  assert.deepEqual(said(there({ veth1234567: { up: true, master: 'virbr0' } })), [['veth1234567 of web: not in docker0', [VETH]]]);
});

test('which news are worth a look', () => {
  const news = (links: Record<string, { up: boolean; master: string | undefined } | undefined>, ...bare: string[]) => mayConcern(state, new Map(Object.entries(links)), new Set(bare));
  assert.ok(!news({}));
  assert.ok(!news({ docker0: { up: true, master: undefined }, veth1234567: { up: true, master: 'docker0' }, eth0: undefined, veth7654321: undefined }, 'eth0'));
  assert.ok(news({ docker0: undefined }));
  assert.ok(news({ docker0: { up: false, master: undefined } }));
  assert.ok(news({}, 'docker0'));
  assert.ok(news({ veth1234567: undefined }));
  assert.ok(news({ veth1234567: { up: true, master: undefined } }));
});

test('an address alone has no route of its own', () => {
  assert.deepEqual(['10.0.0.1/32', '10.1.2.3/24', 'fd00::1/128', 'fd00::1/64'].map(subnetRoute), [[], ['10.1.2.0/24'], [], ['fd00::/64']]);
});

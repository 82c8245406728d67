import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import type { Network, Subnet } from '../model/network.ts';
import { emptyState } from '../model/state.ts';
import { allocateAddress, isWithin, takenAddresses } from './ipam.ts';

const network = { id: 'n1', name: 'front' } as Network;
const subnet = (cidr: string, fields: Partial<Subnet> = {}): Subnet => ({ cidr, gateway: undefined, ipRange: undefined, reserved: {}, asked: false, gatewayAsked: false, ...fields });

const cases: readonly [what: string, subnet: Subnet, taken: readonly string[], address: string][] = [
  ['the lowest after the gateway', subnet('172.17.0.0/16', { gateway: '172.17.0.1' }), [], '172.17.0.2'],
  ['a gap is filled', subnet('172.17.0.0/16', { gateway: '172.17.0.1' }), ['172.17.0.2', '172.17.0.4'], '172.17.0.3'],
  ['over the end of a byte', subnet('10.0.0.0/8'), Array.from({ length: 255 }, (_, i) => `10.0.0.${i + 1}`), '10.0.1.0'],
  ['a gateway elsewhere', subnet('10.55.0.0/16', { gateway: '10.55.0.254' }), [], '10.55.0.1'],
  ['reserved ones are left out', subnet('10.1.0.0/24', { reserved: { router: '10.1.0.1', printer: '10.1.0.2' } }), [], '10.1.0.3'],
  ['from a range in the subnet', subnet('10.55.0.0/16', { gateway: '10.55.0.254', ipRange: '10.55.5.0/24', reserved: { a: '10.55.5.0' } }), [], '10.55.5.1'],
  ['a subnet of two', subnet('10.1.0.0/31', { gateway: '10.1.0.0' }), [], '10.1.0.1'],
  ['IPv6: all but the subnet itself', subnet('fd00:55::/64', { gateway: 'fd00:55::1' }), [], 'fd00:55::2'],
];
for (const [what, range, taken, address] of cases) test(what, () => assert.equal(allocateAddress(network, range, new Set(taken)), address));

test('none left: not the broadcast address', () => {
  const full = () => allocateAddress(network, subnet('10.1.0.0/30', { gateway: '10.1.0.1' }), new Set(['10.1.0.2']));
  assert.throws(full, { kind: 'system', message: "no available IPv4 addresses on this network's address pools: front (n1)" });
});

test('the addresses that sandboxes have on a network', () => {
  const endpoints = [{ networkId: 'n1', address: '10.1.0.2' }, { networkId: 'n2', address: '10.2.0.2' }];
  const state = { ...emptyState, containers: new Map([['a', { sandbox: { endpoints } }], ['b', { sandbox: undefined }]]) as unknown as ReadonlyMap<string, Container> };
  assert.deepEqual([...takenAddresses(state, 'n1')], ['10.1.0.2']);
});

test('within a subnet', () => {
  assert.ok(isWithin(subnet('10.55.0.0/16'), '10.55.255.255'));
  for (const address of ['10.56.0.0', 'fd00::1', '', '10.55.0']) assert.ok(!isWithin(subnet('10.55.0.0/16'), address), address);
});

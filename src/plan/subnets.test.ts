import assert from 'node:assert/strict';
import test from 'node:test';
import { checkSubnet, chooseSubnet, DEFAULT_POOLS, parseAddressPool, type TakenRange } from './subnets.ts';

const taken = (...cidrs: string[]): TakenRange[] => cidrs.map((cidr, i) => ({ cidr, by: `network n${i}` }));

test('the lowest that is free, as the reference engine gives them', () => {
  const given: string[] = [];
  for (let i = 0; i < 31; i++) given.push(chooseSubnet(DEFAULT_POOLS, taken(...given)));
  assert.deepEqual([...given.slice(0, 5), given[14], given[15], given[16], given[30]], [
    '172.17.0.0/16', '172.18.0.0/16', '172.19.0.0/16', '172.20.0.0/16', '172.21.0.0/16', '172.31.0.0/16', '192.168.0.0/20', '192.168.16.0/20', '192.168.240.0/20',
  ]);
  assert.equal(chooseSubnet(DEFAULT_POOLS, taken('172.17.0.0/16', '172.19.0.0/16')), '172.18.0.0/16', 'a gap is filled');
});

test('over whatever is in the way: wider, narrower, a lone address, another family', () => {
  assert.equal(chooseSubnet(DEFAULT_POOLS, taken('172.16.0.0/12')), '192.168.0.0/20');
  assert.equal(chooseSubnet(DEFAULT_POOLS, taken('172.17.3.0/24', '172.18.255.255')), '172.19.0.0/16');
  assert.equal(chooseSubnet(DEFAULT_POOLS, taken('fd00::/8', '::/0')), '172.17.0.0/16');
});

test('a finely cut pool costs what is taken', () => {
  const pools = [{ base: 'fd00::/8', size: 64 }];
  assert.equal(chooseSubnet(pools, taken('fd00::/16')), 'fd01::/64');
  assert.equal(chooseSubnet([{ base: '10.0.0.0/8', size: 30 }], taken('10.0.0.0/9')), '10.128.0.0/30');
});

test('nothing left: who is in the way', () => {
  assert.throws(() => chooseSubnet([{ base: '10.1.0.0/16', size: 17 }], [{ cidr: '10.1.0.0/17', by: 'network a' }, { cidr: '10.1.200.1', by: 'link tun0' }]), {
    kind: 'system',
    message: 'all predefined address pools have been fully subnetted: 10.1.0.0/16 are taken by 10.1.0.0/17 (network a), 10.1.200.1 (link tun0)',
  });
});

test('a subnet of the client\'s own choosing', () => {
  checkSubnet('10.5.0.0/16', taken('10.6.0.0/16'));
  const refusal = (cidr: string, ...others: string[]) => {
    try {
      checkSubnet(cidr, taken(...others));
    } catch (error) {
      return (error as Error).message.replace('invalid pool request: Pool overlaps with other one on this address space: ', '');
    }
    return 'accepted';
  };
  assert.equal(refusal('10.55.5.0/24', '10.55.0.0/16'), '10.55.5.0/24 overlaps 10.55.0.0/16 (network n0); 10.56.0.0/24 is free');
  assert.equal(refusal('10.255.255.0/24', '10.255.255.0/24'), '10.255.255.0/24 overlaps 10.255.255.0/24 (network n0); 10.0.0.0/24 is free');
  assert.equal(refusal('203.0.113.0/24', '203.0.113.128/25', '172.17.0.0/16'), '203.0.113.0/24 overlaps 203.0.113.128/25 (network n0); 172.18.0.0/24 is free');
  assert.equal(refusal('10.0.0.0/8', '10.9.0.0/16'), '10.0.0.0/8 overlaps 10.9.0.0/16 (network n0)');
  assert.equal(refusal('fd00:55::/64', 'fd00:55::/64'), 'fd00:55::/64 overlaps fd00:55::/64 (network n0); fd00:55:0:1::/64 is free');
  assert.throws(() => checkSubnet('10.5.0.0/16', taken('10.5.1.0/24')), { kind: 'forbidden' });
});

test('--default-address-pool', () => {
  assert.deepEqual(parseAddressPool('base=10.10.0.0/16,size=24'), { base: '10.10.0.0/16', size: 24 });
  assert.deepEqual(parseAddressPool('size=64,base=fd00:1::5/48'), { base: 'fd00:1::/48', size: 64 });
  for (const text of ['', 'base=10.0.0.0/8', 'size=24', 'base=10.0.0.0,size=24', 'base=10.0.0.0/8,size=4', 'base=10.0.0.0/8,size=33', 'base=10.0.0.0/8,size=x', 'base=10.0.0.0/8,size=24,x=1'])
    assert.throws(() => parseAddressPool(text), { kind: 'invalid-parameter' }, text);
});

import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import test from 'node:test';
import { contains, firstOf, formatAddress, formatCidr, lastOf, overlaps, parseAddress, parseCidr, subnetOf, type Address, type Cidr } from './cidr.ts';

const address = (text: string): Address => parseAddress(text) ?? assert.fail(text);
const cidr = (text: string): Cidr => parseCidr(text) ?? assert.fail(text);

test('addresses there and back, IPv6 in its short form', () => {
  for (const text of ['0.0.0.0', '172.17.0.1', '255.255.255.255', '::', '::1', '1::', 'fd00:55::1', '2001:db8::1:0:0:1', '1:2:3:4:5:6:7:8', '0:1::', '1:0:2:3:4:5:6:7'])
    assert.equal(formatAddress(address(text)), text === '0:1::' ? '0:1::' : text);
  assert.equal(formatAddress(address('2001:DB8:0:0:1:0:0:1')), '2001:db8::1:0:0:1', 'the first of two equal runs');
  assert.equal(formatAddress(address('1:0:0:2:0:0:0:3')), '1:0:0:2::3', 'the longer run');
  assert.equal(formatAddress(address('10:0:0:0:0:0:0:10')), '10::10');
});

test('what is no address', () => {
  for (const text of ['', '1.2.3', '1.2.3.4.5', '256.0.0.1', '01.2.3.4', '1.2.3.-4', ':', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7:8::', '12345::', 'g::', ':1:2:3:4:5:6:7', '1:2:3:4:5:6:7:', '::ffff:1.2.3.4', 'fe80::1%eth0', ' ::1'])
    assert.equal(parseAddress(text), undefined, text);
});

test('only what Node takes for an address too', () => {
  const digits = ['', ':', '::', '0', '1', 'ffff', '1.2.3.4', '255', '.', 'g', '00000'];
  for (const a of digits) for (const b of digits) for (const c of digits) for (const d of digits) {
    const text = `${a}${b}${c}${d}`;
    if (parseAddress(text)) assert.ok(isIP(text), text);
  }
});

test('subnets', () => {
  assert.equal(formatCidr(subnetOf(cidr('172.17.0.1/16'))), '172.17.0.0/16');
  assert.equal(formatCidr(cidr('172.17.0.1/16')), '172.17.0.1/16');
  assert.equal(formatCidr(subnetOf(cidr('fd00:55::1/64'))), 'fd00:55::/64');
  assert.equal(formatCidr(subnetOf(cidr('1.2.3.4/0'))), '0.0.0.0/0');
  assert.equal(formatAddress({ bits: 32, value: lastOf(cidr('10.1.2.3/30')) }), '10.1.2.3');
  assert.equal(firstOf(cidr('10.1.2.3/32')), lastOf(cidr('10.1.2.3/32')));
  for (const text of ['10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '300.0.0.0/8', 'fd00::/129', '/8', '10.0.0.0/8/8', '10.0.0.0/-1']) assert.equal(parseCidr(text), undefined, text);
});

test('inside, and side by side', () => {
  assert.ok(contains(cidr('10.0.0.0/8'), address('10.255.255.255')) && !contains(cidr('10.0.0.0/8'), address('11.0.0.0')));
  assert.ok(!contains(cidr('0.0.0.0/0'), address('::1')), 'families never meet');
  assert.ok(overlaps(cidr('10.55.0.0/16'), cidr('10.55.5.0/24')) && overlaps(cidr('10.55.5.0/24'), cidr('10.55.0.0/16')));
  assert.ok(!overlaps(cidr('10.55.0.0/17'), cidr('10.55.128.0/17')) && !overlaps(cidr('0.0.0.0/0'), cidr('::/0')));
});

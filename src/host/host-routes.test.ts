import assert from 'node:assert/strict';
import test from 'node:test';
import { hostRanges, parseIpv6Routes, parseNameservers, parseRoutes } from './host-routes.ts';

test('links, not routes through a gateway', () => {
  const text = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
tun0\t0000000A\t0102A8C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0
*\t0000A8C0\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0
`;
  assert.deepEqual(parseRoutes(text), [
    { cidr: '192.0.2.0/24', by: 'link eth0' },
    { cidr: '172.17.0.0/16', by: 'link docker0' },
  ]);
});

test('IPv6 links', () => {
  const zero = '0'.repeat(32);
  const row = (destination: string, length: string, gateway: string, flags: string, device: string) =>
    `${destination.padEnd(32, '0')} ${length} ${zero} 00 ${gateway} 00000100 00000001 00000000 ${flags}     ${device}`;
  const text = [
    row('fd00', '40', zero, '00000001', 'eth0'),
    row('fe80', '40', zero, '00000001', 'eth0'),
    row('', '00', 'fd000000000000000000000000000001', '00000003', 'eth0'),
    row('fd000000000000000000000000000002', '80', zero, '80200001', 'eth0'),
    row('ff00', '08', zero, '00000001', 'eth0'),
    row('fd11', '10', zero, '00000001', 'lo'),
    row('', '00', zero, '00200200', 'lo'),
  ].join('\n');
  assert.deepEqual(parseIpv6Routes(text), [{ cidr: 'fd00::/64', by: 'link eth0' }]);
});

test('name servers', () => {
  const text = '# nameserver 1.1.1.1\nnameserver 10.0.0.2\n nameserver\t2001:db8::1 # x\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver no\nsearch a\n';
  assert.deepEqual(parseNameservers(text).map(({ cidr }) => cidr), ['10.0.0.2', '2001:db8::1', 'fe80::1']);
});

test('this machine\'s are ranges and addresses', () => {
  for (const { cidr } of hostRanges()) assert.match(cidr, /^[0-9a-f.:]+(\/\d+)?$/);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import type { PortBinding, Protocol } from '../model/port.ts';
import { spansOf } from './spans.ts';

const binding = (hostPort: number, port: number, hostAddress = '0.0.0.0', protocol: Protocol = 'tcp'): PortBinding => ({ hostAddress, hostPort, port, protocol });
const spans = (ports: readonly PortBinding[], shortest = 2): string[] => spansOf(ports, () => shortest).map(({ hostAddress, hostPort, port, protocol, count }) => `${hostAddress} ${hostPort}->${port} x ${count} ${protocol}`);

test('neighbours are one, whatever comes between them', () => {
  assert.deepEqual(spans([1, 2, 3].flatMap((n) => [binding(8000 + n, 80 + n), binding(8000 + n, 80 + n, '::'), binding(9000 + n, 80 + n)])), [
    '0.0.0.0 8001->81 x 3 tcp', ':: 8001->81 x 3 tcp', '0.0.0.0 9001->81 x 3 tcp',
  ]);
});

test('apart: a gap, another address, another protocol, one port on the other side, another direction', () => {
  const apart = [binding(1, 1), binding(3, 3), binding(4, 4, '127.0.0.1'), binding(4, 4, '0.0.0.0', 'udp'), binding(10, 80), binding(11, 80), binding(21, 90), binding(20, 91)];
  assert.deepEqual(spansOf(apart, () => 2), apart.map((port) => ({ ...port, count: 1 })));
});

test('too few stay as and where they are', () => {
  assert.deepEqual(spans([binding(8000, 80), binding(53, 53), binding(8001, 81), binding(54, 54), binding(55, 55)], 3), [
    '0.0.0.0 8000->80 x 1 tcp', '0.0.0.0 53->53 x 3 tcp', '0.0.0.0 8001->81 x 1 tcp',
  ]);
});

test('fifty thousand are a matter of milliseconds', () => {
  const many = Array.from({ length: 50_000 }, (_, index) => binding(index + 1, index + 1001));
  assert.deepEqual(spans(many), ['0.0.0.0 1->1001 x 50000 tcp']);
});

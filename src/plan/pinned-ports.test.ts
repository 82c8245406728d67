import assert from 'node:assert/strict';
import test from 'node:test';
import type { PortBinding, PortRequest } from '../model/port.ts';
import { pinnedRequests } from './pinned-ports.ts';

const request = (port: number, first?: number, last = first, hostAddress = ''): PortRequest => ({ port, protocol: 'tcp', hostAddress, hostPorts: first === undefined || last === undefined ? undefined : { first, last } });
const bound = (port: number, hostPort: number, ...addresses: string[]): PortBinding[] => (addresses.length > 0 ? addresses : ['0.0.0.0', '::']).map((hostAddress) => ({ port, protocol: 'tcp', hostAddress, hostPort }));
const exposed = (...ports: number[]) => ports.map((port) => ({ port, protocol: 'tcp' }) as const);

test('what was chosen is not chosen again', () => {
  assert.deepEqual(pinnedRequests([request(80), request(81, 9000, 9010), request(82)], [], [...bound(80, 32768), ...bound(81, 9003)]), [request(80, 32768), request(81, 9003), request(82)]);
});

test('but it is where the new request does not allow it', () => {
  assert.deepEqual(pinnedRequests([request(80, 9000, 9010), request(81, undefined, undefined, '127.0.0.1')], [], [...bound(80, 32768), ...bound(81, 32769)]), [request(80, 9000, 9010), request(81, undefined, undefined, '127.0.0.1')]);
  assert.deepEqual(pinnedRequests([request(81, undefined, undefined, '127.0.0.1')], [], bound(81, 32769, '127.0.0.1')), [request(81, 32769, 32769, '127.0.0.1')]);
});

test('two requests for one port do not come by the same host port; who is certain goes first', () => {
  assert.deepEqual(pinnedRequests([request(80), request(80, 8080)], [], [...bound(80, 8080), ...bound(80, 8081)]), [request(80, 8081), request(80, 8080)]);
  assert.deepEqual(pinnedRequests([request(80), request(80)], [], bound(80, 8080)), [request(80, 8080), request(80)]);
});

test('ports published without being asked for stay, unless they are asked for now', () => {
  const present = [...bound(80, 32768), ...bound(81, 32769)];
  assert.deepEqual(pinnedRequests([request(80, 8080)], exposed(80, 81, 82), present), [request(80, 8080), request(81, 32769)]);
});

test('a port at the container\'s own address is nobody\'s host port', () => {
  assert.deepEqual(pinnedRequests([request(80)], exposed(80), bound(80, 0)), [request(80)]);
});

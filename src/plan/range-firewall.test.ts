import assert from 'node:assert/strict';
import test from 'node:test';
import type { Endpoint } from '../model/network.ts';
import type { PortBinding, Protocol } from '../model/port.ts';
import { renderObject } from '../operations/render.ts';
import { rangeFirewall } from './range-firewall.ts';

const endpoint = { address: '172.17.0.2', bridge: 'docker0', ipv6: undefined, gatewayModes: { ipv4: 'nat', ipv6: 'nat' } } as Endpoint;
const both = { ...endpoint, ipv6: { address: 'fd00::2', prefixLength: 64, gateway: 'fd00::1' } } as Endpoint;
const range = (hostAddress: string, protocol: Protocol = 'tcp'): PortBinding & { count: number } => ({ hostAddress, hostPort: 20_000, port: 7000, protocol, count: 1000 });
const lines = (...args: Parameters<typeof rangeFirewall>): string => rangeFirewall(...args).map(renderObject).join('\n');
const dnat = (protocol: Protocol, target = '172.17.0.2'): string =>
  `-p ${protocol} -m ${protocol} --dport 20000:20999 -m addrtype --dst-type LOCAL -m comment --comment berth -j DNAT --to-destination ${target}:7000-7999/20000`;

test('TCP: to the container from the host and its bridge, to the listener from other networks', () => {
  assert.equal(lines(range('0.0.0.0'), endpoint), `
nat -A OUTPUT -d 127.0.0.0/8 ${dnat('tcp')}
nat -A PREROUTING -i docker0 ${dnat('tcp')}
filter -I DOCKER -d 172.17.0.2/32 -i docker0 -o docker0 -p tcp -m tcp --dport 7000:7999 -m conntrack --ctstate DNAT -j ACCEPT
nft ip berth relay 0.0.0.0/0 . tcp . 20000-20999 : 20000`.trim());
});

test('UDP: to the container from everywhere', () => {
  assert.equal(lines(range('0.0.0.0', 'udp'), endpoint), `
nat -A OUTPUT -d 127.0.0.0/8 ${dnat('udp')}
nat -A PREROUTING ${dnat('udp')}
filter -I DOCKER -d 172.17.0.2/32 -i docker0 -o docker0 -p udp -m udp --dport 7000:7999 -m conntrack --ctstate DNAT -j ACCEPT
filter -A DOCKER-CT -d 172.17.0.2/32 -o docker0 -p udp -m udp --dport 7000:7999 -m conntrack --ctstate DNAT -j ACCEPT`.trim());
});

test('of one address, of loopback', () => {
  assert.equal(lines(range('192.0.2.7'), endpoint), `
nat -A PREROUTING -d 192.0.2.7/32 -i docker0 ${dnat('tcp')}
filter -I DOCKER -d 172.17.0.2/32 -i docker0 -o docker0 -p tcp -m tcp --dport 7000:7999 -m conntrack --ctstate DNAT -j ACCEPT
nft ip berth relay 192.0.2.7/32 . tcp . 20000-20999 : 20000`.trim());
  assert.equal(lines(range('127.0.0.1'), endpoint), `nat -A OUTPUT -d 127.0.0.1/32 ${dnat('tcp')}`);
  assert.equal(lines(range('::1'), both), 'nft ip6 berth relay ::1/128 . tcp . 20000-20999 : 20000');
});

test('IPv6: ::1, and a container without it, by the listener', () => {
  assert.equal(lines(range('::'), both), `
ipv6 nat -A PREROUTING -i docker0 ${dnat('tcp', '[fd00::2]')}
ipv6 filter -I DOCKER -d fd00::2/128 -i docker0 -o docker0 -p tcp -m tcp --dport 7000:7999 -m conntrack --ctstate DNAT -j ACCEPT
nft ip6 berth relay ::/0 . tcp . 20000-20999 : 20000`.trim());
  for (const protocol of ['tcp', 'udp'] as const) assert.equal(lines(range('::', protocol), undefined), `nft ip6 berth relay ::/0 . ${protocol} . 20000-20999 : 20000`);
});

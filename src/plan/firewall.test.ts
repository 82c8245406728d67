import assert from 'node:assert/strict';
import test from 'node:test';
import type { Endpoint, Network } from '../model/network.ts';
import type { PortBinding, Protocol } from '../model/port.ts';
import type { Family, HostObject } from '../operations/operation.ts';
import { baseFirewall, foldChains, isOurs, networkFirewall, portsFirewall } from './firewall.ts';

/** As iptables-save lists a table, without counters and empty chains. */
const listing = (objects: readonly HostObject[], table: string, family: Family = 'ipv4'): string => {
  const chains = new Map<string, string[]>();
  for (const object of objects) {
    if (object.kind !== 'rule' || object.family !== family || object.table !== table) continue;
    const rules = chains.get(object.chain) ?? [];
    if (object.at === 'top') rules.unshift(object.spec.join(' '));
    else rules.push(object.spec.join(' '));
    chains.set(object.chain, rules);
  }
  const order = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING', ...[...chains.keys()].sort()];
  return [...new Set(order)].flatMap((chain) => (chains.get(chain) ?? []).map((spec) => `-A ${chain} ${spec}`)).join('\n');
};

const network = (bridge: string, cidrs: readonly string[], fields: Partial<Network> = {}): Network =>
  ({ bridge, subnets: cidrs.map((cidr) => ({ cidr })), internal: false, options: {}, ...fields }) as Network;
const endpoint = (address: string, bridge = 'docker0'): Endpoint => ({ address, bridge, ipv6: undefined, gatewayModes: { ipv4: 'nat', ipv6: 'nat' } }) as Endpoint;
const binding = (hostAddress: string, hostPort: number, port: number, protocol: Protocol = 'tcp'): PortBinding => ({ hostAddress, hostPort, port, protocol });
const both = (hostPort: number, port: number, protocol: Protocol = 'tcp'): PortBinding[] => ['0.0.0.0', '::'].map((address) => binding(address, hostPort, port, protocol));

const docker0 = network('docker0', ['172.17.0.0/16']);
const base = baseFirewall('ipv4');

test('docker run -d -P, as the reference engine lists it', () => {
  const objects = [...base, ...networkFirewall(docker0), ...portsFirewall(endpoint('172.17.0.2'), both(32768, 8080))];
  assert.equal(listing(objects, 'nat'), `
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 32768 -j DNAT --to-destination 172.17.0.2:8080`.trim());
  assert.equal(listing(objects, 'filter'), `
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 8080 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP`.trim());
  assert.equal(listing(objects, 'raw'), '-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP');
});

test('IPv6 without a network', () => {
  const objects = [...baseFirewall('ipv6'), ...networkFirewall(docker0)];
  assert.equal(listing(objects, 'nat', 'ipv6'), `
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER`.trim());
  assert.equal(listing(objects, 'filter', 'ipv6'), `
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE`.trim());
});

test('six networks: plain ones, one internal, one without icc, one of both families', () => {
  const objects = [
    ...base,
    ...baseFirewall('ipv6'),
    ...[
      docker0,
      network('br-72284c0e8a34', ['172.18.0.0/16']),
      network('br-back', ['10.55.0.0/16']),
      network('br-af2fb6f3171a', ['172.19.0.0/16'], { internal: true }),
      network('br-2334fb24e2bc', ['172.20.0.0/16'], { options: { 'com.docker.network.bridge.enable_icc': 'false' } }),
      network('br-2a794994a3a6', ['fd00:55::/64', '172.21.0.0/16']),
    ].flatMap(networkFirewall),
  ];
  assert.equal(listing(objects, 'filter'), `
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER ! -i br-72284c0e8a34 -o br-72284c0e8a34 -j DROP
-A DOCKER ! -i br-back -o br-back -j DROP
-A DOCKER ! -i br-2334fb24e2bc -o br-2334fb24e2bc -j DROP
-A DOCKER ! -i br-2a794994a3a6 -o br-2a794994a3a6 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-BRIDGE -o br-72284c0e8a34 -j DOCKER
-A DOCKER-BRIDGE -o br-back -j DOCKER
-A DOCKER-BRIDGE -o br-2334fb24e2bc -j DOCKER
-A DOCKER-BRIDGE -o br-2a794994a3a6 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-CT -o br-72284c0e8a34 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-CT -o br-back -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-CT -o br-2334fb24e2bc -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-CT -o br-2a794994a3a6 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-FORWARD -i br-72284c0e8a34 -j ACCEPT
-A DOCKER-FORWARD -i br-back -j ACCEPT
-A DOCKER-FORWARD -i br-af2fb6f3171a -o br-af2fb6f3171a -j ACCEPT
-A DOCKER-FORWARD -i br-2334fb24e2bc -o br-2334fb24e2bc -j DROP
-A DOCKER-FORWARD -i br-2334fb24e2bc ! -o br-2334fb24e2bc -j ACCEPT
-A DOCKER-FORWARD -i br-2a794994a3a6 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 ! -s 172.19.0.0/16 -o br-af2fb6f3171a -j DROP
-A DOCKER-ISOLATION-STAGE-1 ! -d 172.19.0.0/16 -i br-af2fb6f3171a -j DROP
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -i br-72284c0e8a34 ! -o br-72284c0e8a34 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -i br-back ! -o br-back -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -i br-2334fb24e2bc ! -o br-2334fb24e2bc -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -i br-2a794994a3a6 ! -o br-2a794994a3a6 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o br-2a794994a3a6 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -o br-2334fb24e2bc -j DROP
-A DOCKER-ISOLATION-STAGE-2 -o br-back -j DROP
-A DOCKER-ISOLATION-STAGE-2 -o br-72284c0e8a34 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP`.trim());
  assert.equal(listing(objects, 'nat'), `
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.21.0.0/16 ! -o br-2a794994a3a6 -j MASQUERADE
-A POSTROUTING -s 172.20.0.0/16 ! -o br-2334fb24e2bc -j MASQUERADE
-A POSTROUTING -s 10.55.0.0/16 ! -o br-back -j MASQUERADE
-A POSTROUTING -s 172.18.0.0/16 ! -o br-72284c0e8a34 -j MASQUERADE
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i br-2a794994a3a6 -j RETURN
-A DOCKER -i br-2334fb24e2bc -j RETURN
-A DOCKER -i br-back -j RETURN
-A DOCKER -i br-72284c0e8a34 -j RETURN
-A DOCKER -i docker0 -j RETURN`.trim());
  assert.equal(listing(objects, 'filter', 'ipv6'), `
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER ! -i br-2a794994a3a6 -o br-2a794994a3a6 -j DROP
-A DOCKER-BRIDGE -o br-2a794994a3a6 -j DOCKER
-A DOCKER-CT -o br-2a794994a3a6 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i br-2a794994a3a6 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i br-2a794994a3a6 ! -o br-2a794994a3a6 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o br-2a794994a3a6 -j DROP`.trim());
  assert.equal(listing(objects, 'nat', 'ipv6'), `
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s fd00:55::/64 ! -o br-2a794994a3a6 -j MASQUERADE
-A DOCKER -i br-2a794994a3a6 -j RETURN`.trim());
});

test('many ports, in the order in which they are bound', () => {
  const ports = [...both(8083, 53, 'udp'), ...both(9000, 7000), binding('127.0.0.1', 8082, 8080), ...both(8084, 8080), ...both(32769, 7777)];
  const objects = [...base, ...networkFirewall(docker0), ...portsFirewall(endpoint('172.17.0.3'), ports)];
  assert.equal(listing(objects, 'raw'), `
-A PREROUTING -d 172.17.0.3/32 ! -i docker0 -j DROP
-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8082 -j DROP`.trim());
  assert.equal(lines(objects, 'filter', /^-A DOCKER /), `
-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 7777 -j ACCEPT
-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 8080 -j ACCEPT
-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 7000 -j ACCEPT
-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p udp -m udp --dport 53 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP`.trim());
  assert.equal(lines(objects, 'nat', /DNAT/), `
-A DOCKER ! -i docker0 -p udp -m udp --dport 8083 -j DNAT --to-destination 172.17.0.3:53
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 9000 -j DNAT --to-destination 172.17.0.3:7000
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8082 -j DNAT --to-destination 172.17.0.3:8080
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8084 -j DNAT --to-destination 172.17.0.3:8080
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 32769 -j DNAT --to-destination 172.17.0.3:7777`.trim());
});

const range = (count: number, hostPort: number, port: number, hostAddress = '0.0.0.0'): PortBinding[] => Array.from({ length: count }, (_, index) => binding(hostAddress, hostPort + index, port + index));
const all = (objects: readonly HostObject[], family: Family = 'ipv4'): string => ['raw', 'nat', 'filter'].map((table) => listing(objects, table, family)).filter(Boolean).join('\n');

test('a range is one rule, however long', () => {
  assert.equal(all(portsFirewall(endpoint('172.17.0.2'), range(10_000, 20_000, 20_000))), `
-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 20000:29999 -j DNAT --to-destination 172.17.0.2
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 20000:29999 -j ACCEPT`.trim());
  assert.equal(all(portsFirewall(endpoint('172.17.0.2'), [...range(1000, 20_000, 7000), ...range(4, 9000, 9000, '127.0.0.1'), ...range(3, 80, 80)])), `
-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 9000:9003 -j DROP
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 20000:20999 -j DNAT --to-destination 172.17.0.2:7000-7999/20000
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 9000:9003 -j DNAT --to-destination 172.17.0.2
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 81 -j DNAT --to-destination 172.17.0.2:81
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 82 -j DNAT --to-destination 172.17.0.2:82
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 82 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 81 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 9000:9003 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 7000:7999 -j ACCEPT`.trim());
  const six = { ...endpoint('', 'br-six'), ipv6: { address: 'fd00:55::2', prefixLength: 64, gateway: 'fd00:55::1' } } as Endpoint;
  assert.equal(listing(portsFirewall(six, [...range(5, 80, 80, '::'), ...range(5, 8080, 80, '2001:db8::2')]), 'nat', 'ipv6'), `
-A DOCKER ! -s fe80::/10 ! -i br-six -p tcp -m tcp --dport 80:84 -j DNAT --to-destination fd00:55::2
-A DOCKER ! -s fe80::/10 -d 2001:db8::2/128 ! -i br-six -p tcp -m tcp --dport 8080:8084 -j DNAT --to-destination [fd00:55::2]:80-84/8080`.trim());
});

test('isOurs knows the rules of ranges from those of others', () => {
  const local = '-p tcp -m tcp --dport 20000:20999 -m addrtype --dst-type LOCAL -m comment --comment berth -j REDIRECT --to-ports 20000';
  assert.ok(isOurs('nat', 'PREROUTING', local));
  assert.ok(!isOurs('nat', 'PREROUTING', local.replace('--comment berth', '--comment mine')));
  assert.ok(isOurs('raw', 'PREROUTING', '-d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 9000:9003 -j DROP'));
});

const lines = (objects: readonly HostObject[], table: string, wanted: RegExp): string =>
  listing(objects, table).split('\n').filter((line) => wanted.test(line)).join('\n');

test('no masquerade where none is wanted; ports on :: alone need no rule', () => {
  assert.equal(lines(networkFirewall({ ...docker0, options: { 'com.docker.network.bridge.enable_ip_masquerade': 'false' } }), 'nat', /MASQUERADE/), '');
  assert.deepEqual(portsFirewall(endpoint('172.17.0.2'), [binding('::', 80, 80)]), []);
  assert.deepEqual(portsFirewall(endpoint('172.17.0.2'), []), []);
});

test('folded, berth\'s own chains are the same as one rule at a time', () => {
  const objects = [...base, ...networkFirewall(docker0), ...portsFirewall(endpoint('172.17.0.2'), both(80, 80)), ...portsFirewall(endpoint('172.17.0.3'), both(81, 80))];
  const { chains, shared } = foldChains(objects, 'ipv4');
  const folded = [...chains].flatMap(([key, rules]) => rules.map((spec) => `${key.split(' ')[0]} -A ${key.split(' ')[1]} ${spec}`));
  const listed = ['nat', 'filter'].flatMap((table) => lines(objects, table, /^-A DOCKER/).split('\n').map((line) => `${table} ${line}`));
  assert.deepEqual(folded.sort(), listed.sort());
  for (const [key, rules] of chains) assert.deepEqual(rules, lines(objects, key.split(' ')[0] ?? '', new RegExp(`^-A ${key.split(' ')[1]} `)).split('\n').filter(Boolean).map((line) => line.replace(/^-A \S+ /, '')));
  assert.ok(!chains.has('filter DOCKER-USER'), 'the administrator\'s');
  for (const { table, chain, spec } of shared) assert.ok(isOurs(table, chain, spec.join(' ')), `${table} ${chain} ${spec.join(' ')}`);
});

test('what an administrator wrote in a shared chain is not ours', () => {
  for (const [table, chain, spec] of [
    ['filter', 'FORWARD', '-i eth0 -j DROP'],
    ['filter', 'DOCKER-USER', '-j RETURN'],
    ['nat', 'POSTROUTING', '-s 10.0.0.0/8 -o eth0 -j MASQUERADE'],
    ['nat', 'POSTROUTING', '-s 10.0.0.0/8 ! -o br0 -j MASQUERADE'],
    ['nat', 'PREROUTING', '-p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1'],
    ['raw', 'PREROUTING', '-d 10.0.0.1/32 ! -i eth0 -j DROP'],
  ] as const)
    assert.ok(!isOurs(table, chain, spec), spec);
});

const mode = (family: Family, value: string): Partial<Network> => ({ options: { [`com.docker.network.bridge.gateway_mode_${family}`]: value } });

test('gateway modes: routed opens at the container\'s own address, nat-unprotected everything', () => {
  const routed = networkFirewall(network('br-web', ['172.18.0.0/16'], mode('ipv4', 'routed')));
  assert.equal(lines(routed, 'nat', /./), '-A DOCKER -i br-web -j RETURN');
  assert.equal(lines(routed, 'filter', /^-A DOCKER /), '-A DOCKER -o br-web -p icmp -j ACCEPT\n-A DOCKER ! -i br-web -o br-web -j DROP');
  const to = { ...endpoint('172.18.0.2', 'br-web'), gatewayModes: { ipv4: 'routed', ipv6: 'nat' } } as Endpoint;
  const open = portsFirewall(to, [binding('0.0.0.0', 0, 80)]);
  assert.equal(['raw', 'nat', 'filter'].map((table) => listing(open, table)).join(''), '-A DOCKER -d 172.18.0.2/32 ! -i br-web -o br-web -p tcp -m tcp --dport 80 -j ACCEPT');

  const bare = networkFirewall(network('br-web', ['172.18.0.0/16'], mode('ipv4', 'nat-unprotected')));
  assert.equal(lines(bare, 'filter', /^-A DOCKER /), '-A DOCKER ! -i br-web -o br-web -j ACCEPT');
  const there = { ...to, gatewayModes: { ipv4: 'nat-unprotected', ipv6: 'nat' } } as Endpoint;
  const mapped = portsFirewall(there, [binding('0.0.0.0', 8080, 80)]);
  assert.equal(['raw', 'nat', 'filter'].map((table) => listing(mapped, table)).join(''), '-A DOCKER ! -i br-web -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80');
});

test('another source address than the one that leads out', () => {
  const own = networkFirewall(network('br-web', ['172.18.0.0/16'], { options: { 'com.docker.network.host_ipv4': '192.0.2.7' } }));
  assert.equal(lines(own, 'nat', /POSTROUTING/), '-A POSTROUTING -s 172.18.0.0/16 ! -o br-web -j SNAT --to-source 192.0.2.7');
});

test('IPv6: neighbours may talk on an internal network, and ports have rules of their own', () => {
  const internal = networkFirewall(network('br-six', ['fd00:55::/64'], { internal: true }));
  assert.equal(listing(internal, 'filter', 'ipv6'), `
-A DOCKER-FORWARD -i br-six -o br-six -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 ! -s fd00:55::/64 ! -i br-six -o br-six -j DROP
-A DOCKER-ISOLATION-STAGE-1 ! -d fd00:55::/64 -i br-six ! -o br-six -j DROP`.trim());
  const six = { ...endpoint('', 'br-six'), ipv6: { address: 'fd00:55::2', prefixLength: 64, gateway: 'fd00:55::1' } } as Endpoint;
  const open = portsFirewall(six, [binding('0.0.0.0', 80, 80), binding('::', 80, 80), binding('2001:db8::2', 81, 80)]);
  assert.equal(['raw', 'nat', 'filter'].map((table) => listing(open, table, 'ipv6')).join('\n'), `
-A PREROUTING -d fd00:55::2/128 ! -i br-six -j DROP
-A DOCKER ! -s fe80::/10 ! -i br-six -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00:55::2]:80
-A DOCKER ! -s fe80::/10 -d 2001:db8::2/128 ! -i br-six -p tcp -m tcp --dport 81 -j DNAT --to-destination [fd00:55::2]:80
-A DOCKER -d fd00:55::2/128 ! -i br-six -o br-six -p tcp -m tcp --dport 80 -j ACCEPT`.trim());
  assert.equal(listing(open, 'nat', 'ipv4'), '', 'none where it has no address');
});

test('rules of bridges that are known to be ours, whatever they are called', () => {
  const own = new Set(['br-back']);
  for (const [table, chain, spec] of [
    ['nat', 'POSTROUTING', '-s 10.55.0.0/16 ! -o br-back -j MASQUERADE'],
    ['nat', 'POSTROUTING', '-s 10.55.0.0/16 ! -o br-back -j SNAT --to-source 192.0.2.7'],
    ['raw', 'PREROUTING', '-d 10.55.9.9/32 ! -i br-back -j DROP'],
  ] as const) {
    assert.ok(isOurs(table, chain, spec, own), spec);
    assert.ok(!isOurs(table, chain, spec), spec);
  }
});

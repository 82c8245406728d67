import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container, EndpointRequest } from '../model/container.ts';
import type { Endpoint, Network, Sandbox } from '../model/network.ts';
import type { PortRequest } from '../model/port.ts';
import { emptyState, type State } from '../model/state.ts';
import { renderAll } from '../operations/render.ts';
import { diff } from './diff.ts';
import { checkEndpoints, planSandbox, withEndpoint, withoutEndpoint, type SandboxContext } from './endpoint.ts';
import { gatewaysOf } from './gateway.ts';

const network = (name: string, cidrs: readonly string[], fields: Partial<Network> = {}): Network =>
  ({
    id: name.repeat(12).slice(0, 12), name, driver: 'bridge', bridge: `br-${name}`, internal: false, options: {},
    subnets: cidrs.map((cidr) => ({ cidr, gateway: cidr.replace(/[.:]0\/.*$/, '.1').replace(/::\/.*$/, '::1'), ipRange: undefined, reserved: {}, asked: true, gatewayAsked: false })),
    ...fields,
  }) as Network;
const back = network('back', ['10.2.0.0/24']);
const front = network('front', ['10.1.0.0/24']);
const six = network('six', ['10.6.0.0/24', 'fd00:6::/64']);
const hidden = network('hidden', ['10.3.0.0/24'], { internal: true });
const routed = network('routed', ['10.4.0.0/24'], { options: { 'com.docker.network.bridge.gateway_mode_ipv4': 'routed' } });
const local = network('local', ['10.5.0.0/24'], { options: { 'com.docker.network.bridge.host_binding_ipv4': '127.0.0.1' } });

const wish = (name: string, fields: Partial<EndpointRequest> = {}): EndpointRequest => ({
  network: name, ipv4: '', ipv6: '', mac: '', aliases: [], aliasesAsked: false, links: [], gwPriority: 0, driverOpts: undefined, ipamConfig: null, ...fields,
});
const http: PortRequest = { port: 80, protocol: 'tcp', hostAddress: '', hostPorts: { first: 8080, last: 8080 } };
const container = (endpoints: readonly EndpointRequest[], sandbox?: Sandbox): Container =>
  ({ id: 'c1', chainIds: [], mounts: [], spec: { networkMode: 'front', endpoints, portRequests: [http], exposedPorts: [], publishAll: false, dns: [], dnsSearch: [], dnsOptions: [] }, sandbox }) as unknown as Container;
const having = (...containers: Container[]): State => ({
  ...emptyState,
  networks: new Map([back, front, six, hidden, routed, local].map((each) => [each.id, each])),
  containers: new Map(containers.map((each) => [each.id, each])),
});
let dice = 0;
const context: SandboxContext = {
  execRoot: '/r', hex: (bytes) => (++dice).toString(16).padStart(bytes * 2, '0'), ephemeral: { first: 32768, last: 60999 },
  nextPort: () => 0, gavePort: () => {}, busy: new Set(), defaultAddress: '0.0.0.0',
  resolvConf: { hostFile: '', servers: [], search: [], options: [] },
};
const start = (...endpoints: EndpointRequest[]): Sandbox => planSandbox(having(), container(endpoints), context);
const shown = ({ endpoints }: Sandbox): string => endpoints.map(({ device, address, ipv6 }) => `${device} ${address}${ipv6 ? ` ${ipv6.address}` : ''}`).join(', ');
const ports = (sandbox: Sandbox): string => sandbox.ports.map(({ hostAddress, hostPort, port }) => `${hostAddress}:${hostPort}->${port}`).join(' ');

test('several networks at once', () => {
  assert.equal(shown(start(wish('front'), wish('back'), wish('six'))), 'eth0 10.1.0.2, eth1 10.2.0.2, eth2 10.6.0.2 fd00:6::2');
  assert.equal(shown(start(wish('front', { ipv4: '10.1.0.9' }), wish('six', { ipv6: 'fd00:6::0:99' }))), 'eth0 10.1.0.9, eth1 10.6.0.2 fd00:6::99');
});

test('addresses: not one that somebody has, nor the network\'s own', () => {
  const other = { ...container([]), id: 'c2', sandbox: { ...start(wish('front', { ipv4: '10.1.0.9' })), ports: [] } };
  const take = (ipv4: string) => () => planSandbox(having(other), container([wish('front', { ipv4 })]), context);
  for (const address of ['10.1.0.9', '10.1.0.1', '10.1.0.0', '10.1.0.255']) assert.throws(take(address), { kind: 'forbidden', message: 'Address already in use' }, address);
  assert.equal(shown(take('10.1.0.10')()), 'eth0 10.1.0.10');
  assert.throws(take('10.9.0.1'), { kind: 'invalid-parameter', message: 'invalid endpoint settings:\nno configured subnet contains IP address 10.9.0.1' });
});

test('what a network can not give is refused at create', () => {
  const check = (name: string, fields: Partial<EndpointRequest>, own = having()) => () => checkEndpoints(own, { endpoints: [wish(name, fields)] });
  const unasked = { ...front, subnets: front.subnets.map((subnet) => ({ ...subnet, asked: false })) };
  assert.throws(check('front', { ipv4: '172.99.0.9' }, { ...having(), networks: new Map([[front.id, unasked]]) }), {
    kind: 'invalid-parameter',
    message: 'invalid config for network front: invalid endpoint settings:\nuser specified IP address is supported only when connecting to networks with user configured subnets',
  });
  assert.throws(check('front', { ipv4: '10.9.0.1', mac: 'x' }), { message: 'invalid config for network front: invalid endpoint settings:\nno configured subnet contains IP address 10.9.0.1\ninvalid MAC address x' });
  assert.throws(check('front', { driverOpts: { 'com.docker.network.endpoint.ifname': 'a b' } }), /invalid interface name/);
  assert.throws(check('front', { driverOpts: { 'com.docker.network.endpoint.sysctls': 'net.ipv4.ip_forward=1' } }), /unrecognised network interface sysctl/);
  check('nosuch', { ipv4: '10.9.0.1' })();
});

test('the gateway: by priority, then one of both families, then by name', () => {
  const way = (...endpoints: EndpointRequest[]) => {
    const { ipv4, ipv6 } = gatewaysOf(start(...endpoints).endpoints);
    return `${ipv4?.networkName} ${ipv6?.networkName}`;
  };
  assert.equal(way(wish('front'), wish('back')), 'back undefined');
  assert.equal(way(wish('front', { gwPriority: 1 }), wish('back')), 'front undefined');
  assert.equal(way(wish('front'), wish('back', { gwPriority: -1 })), 'front undefined');
  assert.equal(way(wish('front'), wish('six')), 'six six');
  assert.equal(way(wish('hidden')), 'undefined undefined');
  assert.equal(way(wish('hidden'), wish('front')), 'front undefined');
});

test('ports, by what the gateway does for them', () => {
  assert.equal(ports(start(wish('front'))), '0.0.0.0:8080->80 :::8080->80');
  assert.equal(ports(start(wish('local'))), '127.0.0.1:8080->80');
  assert.equal(ports(start(wish('routed'))), '0.0.0.0:0->80');
  assert.equal(ports(start(wish('hidden'))), '');
});

const layout = { dataRoot: '/d', execRoot: '/r', iptables: true, ip6tables: true };
const change = (before: Container, after: Container): string =>
  renderAll(diff(layout, having(before), [{ collection: 'containers', key: 'c1', record: after }])).replace(/veth veth[0-9a-f]+/g, 'veth').replace(/\(02:[0-9a-f:]+\)/g, '(MAC)').replace(/\n. resolver .*/, '');

test('connected while it runs: the new interface, and where its way out is another now, that and its ports', () => {
  const running = container([wish('front')], start(wish('front')));
  const both = container([], withEndpoint(having(running), running, running.sandbox as Sandbox, wish('hidden'), context));
  assert.equal(change(running, both), '+ veth in br-hidden to eth1 (MAC)\n+ address 10.3.0.2/24 on eth1', 'no way out by that one');
  const moved = container([], withEndpoint(having(running), running, running.sandbox as Sandbox, wish('back'), context));
  assert.equal(change(running, moved), `
- nft ip berth any br-front . tcp . 8080 : 10.1.0.2 . 80
- nft ip berth any lo . tcp . 8080 : 10.1.0.2 . 80
- filter -I DOCKER -d 10.1.0.2/32 ! -i br-front -o br-front -p tcp -m tcp --dport 80 -j ACCEPT
- nat -A DOCKER ! -i br-front -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.0.2:80
- raw -A PREROUTING -d 10.1.0.2/32 ! -i br-front -j DROP
- host-port :::8080/tcp to 10.1.0.2:80
- host-port 0.0.0.0:8080/tcp to 10.1.0.2:80
- route default via 10.1.0.1 on eth0
+ veth in br-back to eth1 (MAC)
+ address 10.2.0.2/24 on eth1
+ route default via 10.2.0.1 on eth1
+ host-port 0.0.0.0:8080/tcp to 10.2.0.2:80
+ host-port :::8080/tcp to 10.2.0.2:80
+ raw -A PREROUTING -d 10.2.0.2/32 ! -i br-back -j DROP
+ nat -A DOCKER ! -i br-back -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.2.0.2:80
+ filter -I DOCKER -d 10.2.0.2/32 ! -i br-back -o br-back -p tcp -m tcp --dport 80 -j ACCEPT
+ nft ip berth any lo . tcp . 8080 : 10.2.0.2 . 80
+ nft ip berth any br-back . tcp . 8080 : 10.2.0.2 . 80`.trim());
  const again = withoutEndpoint(having(moved), moved, moved.sandbox as Sandbox, back.id, context);
  assert.deepEqual(again, running.sandbox, 'and back');
});

test('IPv6: addresses, routes and ports of its own', () => {
  const stopped = container([wish('six')]);
  assert.equal(change(stopped, { ...stopped, sandbox: { ...start(wish('six')), netns: '/r/netns/s' } }), `
+ overlay /d/overlay2/c1/merged of 1 layers
+ netns /r/netns/s
+ veth in br-six to eth0 (MAC)
+ address 10.6.0.2/24 on eth0
+ address fd00:6::2/64 on eth0
+ route default via 10.6.0.1 on eth0
+ route default via fd00:6::1 on eth0
+ host-port 0.0.0.0:8080/tcp to 10.6.0.2:80
+ host-port :::8080/tcp to fd00:6::2:80
+ hairpin on veth0000004
+ raw -A PREROUTING -d 10.6.0.2/32 ! -i br-six -j DROP
+ nat -A DOCKER ! -i br-six -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.6.0.2:80
+ filter -I DOCKER -d 10.6.0.2/32 ! -i br-six -o br-six -p tcp -m tcp --dport 80 -j ACCEPT
+ nft ip berth any lo . tcp . 8080 : 10.6.0.2 . 80
+ nft ip berth any br-six . tcp . 8080 : 10.6.0.2 . 80
+ ipv6 raw -A PREROUTING -d fd00:6::2/128 ! -i br-six -j DROP
+ ipv6 nat -A DOCKER ! -s fe80::/10 ! -i br-six -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:6::2]:80
+ ipv6 filter -I DOCKER -d fd00:6::2/128 ! -i br-six -o br-six -p tcp -m tcp --dport 80 -j ACCEPT
+ nft ip6 berth any br-six . tcp . 8080 : fd00:6::2 . 80`.trim());
});

test('a device of another name, and its settings', () => {
  const options = { 'com.docker.network.endpoint.ifname': 'lan0', 'com.docker.network.endpoint.sysctls': 'net.ipv4.conf.IFNAME.log_martians=1' };
  const sandbox = start(wish('front', { driverOpts: options }), wish('back'));
  assert.deepEqual(sandbox.endpoints.map(({ device }: Endpoint) => device), ['lan0', 'eth0']);
  const stopped = container([]);
  assert.match(change(stopped, { ...stopped, sandbox }), /^\+ sysctl net\.ipv4\.conf\.lan0\.log_martians=1$/m);
});

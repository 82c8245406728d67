import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import type { Endpoint, Network, Sandbox } from '../model/network.ts';
import type { PortBinding } from '../model/port.ts';
import { emptyState, withChanges, type RecordChange, type State } from '../model/state.ts';
import { undo } from '../operations/operation.ts';
import { renderAll } from '../operations/render.ts';
import { desired, type Layout } from './desired.ts';
import { diff, keyOf } from './diff.ts';

const layout: Layout = { dataRoot: '/d', execRoot: '/r', iptables: true, ip6tables: true };
const endpoint: Endpoint = {
  id: 'e1', networkId: 'n1', networkName: 'bridge', bridge: 'docker0', veth: 'veth1234567', device: 'eth0', mac: '02:00:00:00:00:01',
  address: '172.17.0.2', prefixLength: 16, gateway: '172.17.0.1', ipv6: undefined, mtu: 1500,
  gatewayModes: { ipv4: 'nat', ipv6: 'nat' }, gwPriority: 0, aliases: [], links: [], sysctls: {},
};
const port = (hostPort: number, containerPort: number, hostAddress = '0.0.0.0'): PortBinding => ({ hostAddress, hostPort, port: containerPort, protocol: 'tcp' });
const sandbox = (ports: readonly PortBinding[] = [], fields: Partial<Sandbox> = {}): Sandbox => ({ id: 's1', netns: '/r/netns/s1', endpoints: [endpoint], ports, ...fields });
const web = (box: Sandbox | undefined): Container => ({ id: 'c1', chainIds: ['sha256:l1', 'sha256:l2'], mounts: [], sandbox: box, spec: {} }) as unknown as Container;
const bridge = {
  id: 'n1', bridge: 'docker0', internal: false, subnets: [{ cidr: '172.17.0.0/16', gateway: '172.17.0.1' }], options: { 'com.docker.network.driver.mtu': '1400' },
} as unknown as Network;

const put = (container: Container): RecordChange => ({ collection: 'containers', key: container.id, record: container });
const having = (...changes: readonly RecordChange[]): State => withChanges(emptyState, changes);
const lines = (before: State, ...changes: readonly RecordChange[]): string => renderAll(diff(layout, before, changes));

test('create: a place for its files', () => {
  assert.equal(lines(emptyState, put(web(undefined))), `
+ directory /d/containers/c1
+ directory /d/overlay2/c1`.trim());
});

const START = `
+ overlay /d/overlay2/c1/merged of 3 layers
+ netns /r/netns/s1
+ veth veth1234567 in docker0 to eth0 (02:00:00:00:00:01)
+ address 172.17.0.2/16 on eth0
+ route default via 172.17.0.1 on eth0
+ host-port 0.0.0.0:32768/tcp to 172.17.0.2:8080
+ host-port :::32768/tcp to 172.17.0.2:8080
+ hairpin on veth1234567
+ raw -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
+ nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 32768 -j DNAT --to-destination 172.17.0.2:8080
+ filter -I DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 8080 -j ACCEPT
+ nft ip berth any lo . tcp . 32768 : 172.17.0.2 . 8080
+ nft ip berth any docker0 . tcp . 32768 : 172.17.0.2 . 8080`.trim();

test('start with -P; stop is the same the other way round', () => {
  const [stopped, running] = [web(undefined), web(sandbox([port(32768, 8080), port(32768, 8080, '::')]))];
  assert.equal(lines(having(put(stopped)), put(running)), START);
  assert.equal(lines(having(put(running)), put(stopped)), START.split('\n').reverse().join('\n').replaceAll('+ ', '- '));
  assert.equal(lines(having(put(running)), put(running)), '');
});

test('another port on a live container: the others are left alone', () => {
  const [one, two] = [web(sandbox([port(8080, 80)])), web(sandbox([port(8080, 80), port(8081, 80)]))];
  const more = `
+ host-port 0.0.0.0:8081/tcp to 172.17.0.2:80
+ nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.2:80
+ nft ip berth any lo . tcp . 8081 : 172.17.0.2 . 80
+ nft ip berth any docker0 . tcp . 8081 : 172.17.0.2 . 80`.trim();
  assert.equal(lines(having(put(one)), put(two)), more);
  assert.equal(lines(having(put(two)), put(one)), more.split('\n').reverse().join('\n').replaceAll('+ ', '- '), 'what they share stays with the last');
});

test('the last port takes what was there for all of them', () => {
  assert.equal(lines(having(put(web(sandbox([port(8080, 80)])))), put(web(sandbox([])))), `
- nft ip berth any docker0 . tcp . 8080 : 172.17.0.2 . 80
- nft ip berth any lo . tcp . 8080 : 172.17.0.2 . 80
- filter -I DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
- nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
- raw -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
- hairpin on veth1234567
- host-port 0.0.0.0:8080/tcp to 172.17.0.2:80`.trim());
});

test('a long range is held as one; without rules of ours, each port by itself', () => {
  const range = (fields: Partial<PortBinding> = {}) => Array.from({ length: 100 }, (_, index) => ({ ...port(20_000 + index, 7000 + index), ...fields }));
  const held = (own: Layout, ports: readonly PortBinding[]): string[] =>
    renderAll(diff(own, having(put(web(sandbox()))), [put(web(sandbox(ports)))])).split('\n').filter((line) => /host-port|nft/.test(line));
  assert.deepEqual(held(layout, range()), ['+ host-port 0.0.0.0:20000-20099/tcp to 172.17.0.2:7000', '+ nft ip berth relay 0.0.0.0/0 . tcp . 20000-20099 : 20000']);
  assert.deepEqual(held(layout, range({ protocol: 'udp' })), ['+ host-port 0.0.0.0:20000-20099/udp to 172.17.0.2:7000']);
  const rest = [...range(), ...range({ hostAddress: '::' })];
  assert.deepEqual(
    diff(layout, having(put(web(sandbox()))), [put(web(sandbox(rest)))]).flatMap(({ object }) => (object.kind === 'host-port' ? [`${object.hostAddress} ${object.rest}`] : [])),
    ['0.0.0.0 other', ':: both'],
    'one socket for both families',
  );
  assert.equal(held({ ...layout, iptables: false }, range()).length, 100);
  assert.equal(held({ ...layout, ip6tables: false }, range({ hostAddress: '::' })).length, 100);
  assert.deepEqual(held(layout, range({ protocol: 'udp', hostAddress: '::' })), ['+ host-port :::20000-20099/udp to 172.17.0.2:7000', '+ nft ip6 berth relay ::/0 . udp . 20000-20099 : 20000']);
  assert.equal(held(layout, range().slice(0, 15)).length, 3 * 15);
});

test('on the host\'s network: a root file system and no more', () => {
  assert.equal(lines(having(put(web(undefined))), put(web(sandbox([], { netns: '', endpoints: [] })))), '+ overlay /d/overlay2/c1/merged of 3 layers');
});

test('remove: all of it in one change', () => {
  const gone: RecordChange = { collection: 'containers', key: 'c1', record: undefined };
  assert.equal(lines(having(put(web(sandbox([], { netns: '', endpoints: [] })))), gone), `
- overlay /d/overlay2/c1/merged of 3 layers
- directory /d/overlay2/c1
- directory /d/containers/c1`.trim());
  assert.equal(lines(emptyState, gone), '');
});

test('a network: its bridge, then its rules', () => {
  assert.equal(lines(emptyState, { collection: 'networks', key: 'n1', record: bridge }), `
+ bridge docker0 172.17.0.1/16
+ nat -I POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
+ nat -I DOCKER -i docker0 -j RETURN
+ filter -A DOCKER ! -i docker0 -o docker0 -j DROP
+ filter -A DOCKER-BRIDGE -o docker0 -j DOCKER
+ filter -A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
+ filter -A DOCKER-FORWARD -i docker0 -j ACCEPT
+ filter -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
+ filter -I DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
+ nft ip berth bridges docker0
+ nft ip berth hairpin docker0
+ nft ip berth inside docker0 . 172.17.0.0/16
+ sysctl net.ipv4.conf.docker0.route_localnet=1`.trim());
});

test('the host and null networks want nothing; nor do images and layers', () => {
  assert.equal(lines(emptyState, { collection: 'networks', key: 'h', record: { ...bridge, bridge: undefined } }), '');
  assert.equal(lines(emptyState, { collection: 'layers', key: 'l1', record: { chainId: 'l1', diffId: 'l1', parent: undefined, size: 1 } }), '');
});

test('--iptables=false: no rule, and all else', () => {
  const own = { ...layout, iptables: false, ip6tables: false };
  assert.equal(renderAll(diff(own, emptyState, [{ collection: 'networks', key: 'n1', record: bridge }])), '+ bridge docker0 172.17.0.1/16');
  assert.equal(renderAll(diff(own, having(put(web(undefined))), [put(web(sandbox([port(32768, 8080), port(32768, 8080, '::')])))])), START.split('\n').slice(0, 7).join('\n'));
});

test('a way there and back leaves nothing; undone, neither', () => {
  const changes: RecordChange[] = [{ collection: 'networks', key: 'n1', record: bridge }, put(web(sandbox([port(1, 1), port(2, 1)])))];
  const up = diff(layout, emptyState, changes);
  const down = diff(layout, having(...changes), changes.map(({ collection, key }) => ({ collection, key, record: undefined })) as RecordChange[]);
  const has = new Set<string>();
  const apply = (operations: typeof up): void => {
    for (const { action, object } of operations) {
      assert.equal(has.has(keyOf(object)), action === 'remove', `${action} ${keyOf(object)}`);
      if (action === 'add') has.add(keyOf(object));
      else has.delete(keyOf(object));
    }
  };
  apply(up);
  assert.deepEqual([...has], desired(layout, having(...changes)).map(keyOf), 'what a change makes is what the state wants');
  apply(down);
  assert.equal(has.size, 0);
  apply(up);
  apply(undo(up));
  assert.equal(has.size, 0);
});

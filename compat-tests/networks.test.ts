// Networks: made, joined, left, removed; who reaches whom across them, by packets.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { docker, dockerFails, dockerOut, dockerode, inHost, inspect, onClient } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { clientAddress, hostAddress } from './support/hosts.ts';
import { http } from './support/http.ts';
import { fetched, serve, unreachable } from './support/reach.ts';
import { scope } from './support/scope.ts';
import { since } from './support/version.ts';

const { name } = scope('net');

const network = async (word: string, ...options: string[]) => {
  await dockerOut('network', 'create', ...options, name(word));
  return name(word);
};
const box = async (word: string, options: readonly string[], ...command: string[]) => {
  await dockerOut('run', '-d', '--name', name(word), ...options, 'busybox', ...(command.length > 0 ? command : ['sleep', '1000']));
  return name(word);
};
const net = async (ref: string): Promise<any> => JSON.parse(await dockerOut('network', 'inspect', ref))[0];
const joined = async (container: string, on: string): Promise<any> => (await inspect(container)).NetworkSettings.Networks[on];
const addressOf = async (container: string, on: string): Promise<string> => (await joined(container, on)).IPAddress;
const inside = (container: string, ...command: string[]) => dockerOut('exec', container, ...command);
const pings = async (container: string, address: string): Promise<boolean> =>
  (await docker('exec', container, address.includes(':') ? 'ping6' : 'ping', '-c', '1', '-W', '1', address)).exitCode === 0;
const bridgeOf = async (ref: string): Promise<string> => {
  const { Id, Options } = await net(ref);
  return Options['com.docker.network.bridge.name'] ?? `br-${Id.slice(0, 12)}`;
};

describe('docker network create', () => {
  test('every flag of a bridge network is shown again', async () => {
    const full = await network('full', '--subnet', '10.155.0.0/16', '--gateway', '10.155.0.254', '--ip-range', '10.155.5.0/24', '--aux-address', 'a=10.155.5.7',
      '--label', 'tier=back', '--attachable', '--internal', '-o', 'com.docker.network.bridge.name=ct-br-full', '-o', 'com.docker.network.driver.mtu=1400');
    const { IPAM, Labels, Attachable, Internal, Options, Driver, Scope } = await net(full);
    assert.deepEqual(IPAM.Config, [{ Subnet: '10.155.0.0/16', IPRange: '10.155.5.0/24', Gateway: '10.155.0.254', AuxiliaryAddresses: { a: '10.155.5.7' } }]);
    assert.deepEqual({ Labels, Attachable, Internal, Driver, Scope }, { Labels: { tier: 'back' }, Attachable: true, Internal: true, Driver: 'bridge', Scope: 'local' });
    assert.equal(Options['com.docker.network.driver.mtu'], '1400');
    const { stdout } = await inHost('ip', '-o', '-4', 'addr', 'show', 'ct-br-full');
    assert.match(stdout, / 10\.155\.0\.254\/16 /);
    await dockerOut('network', 'rm', full);
    assert.notEqual((await inHost('ip', 'link', 'show', 'ct-br-full')).exitCode, 0, 'the bridge goes with its network');
  });

  test('containers get addresses from the range, and its MTU and device names', async () => {
    const own = await network('own', '--subnet', '10.156.0.0/16', '--ip-range', '10.156.7.0/24', '--gateway', '10.156.0.1', '-o', 'com.docker.network.driver.mtu=1300', '-o', 'com.docker.network.container_iface_prefix=lan');
    const first = await box('own1', ['--network', own]);
    assert.match(await addressOf(first, own), /^10\.156\.7\./);
    assert.match(await inside(first, 'ip', '-o', 'link', 'show', 'lan0'), / mtu 1300 /);
  });

  test('refusals', async () => {
    const taken = await network('taken', '--subnet', '10.157.0.0/16');
    await dockerFails(1, `network with name ${taken} already exists`, 'network', 'create', taken);
    await dockerFails(1, since(48, 'invalid pool request: Pool overlaps with other one on this address space', 'Pool overlaps with other one on this address space'), 'network', 'create', '--subnet', '10.157.5.0/24', name('clash'));
    await dockerFails(1, 'invalid subnet 300.0.0.0/8: invalid CIDR block notation', 'network', 'create', '--subnet', '300.0.0.0/8', name('bad'));
    await dockerFails(1, 'invalid subnet 10.158.0.5/24: it should be 10.158.0.0/24', 'network', 'create', '--subnet', '10.158.0.5/24', name('bad'));
    await dockerFails(1, 'no matching subnet for gateway', 'network', 'create', '--subnet', '10.158.0.0/16', '--gateway', '10.159.0.1', name('bad'));
    await dockerFails(1, /plugin "nosuchdriver" not found|could not find plugin nosuchdriver/, 'network', 'create', '-d', 'nosuchdriver', name('bad'));
    await dockerFails(1, 'operation is not permitted on predefined bridge network', 'network', 'create', 'bridge');
    await dockerFails(1, 'networks have same bridge name', 'network', 'create', '-o', 'com.docker.network.bridge.name=docker0', name('bad'));
    assert.ok(!(await dockerOut('network', 'ls', '--format', '{{.Name}}')).split('\n').includes(name('bad')));
  });

  test('on the wire: what is wrong with a body', async () => {
    const create = async (body: object | string) => {
      const { status, json } = await http('POST', '/networks/create', body, typeof body === 'string' ? { 'content-type': 'application/json' } : {});
      return [status, json().message];
    };
    assert.deepEqual(await create('{bad'), [400, "invalid JSON: invalid character 'b' looking for beginning of object key string"]);
    assert.deepEqual(await create({ Name: name('bad'), Options: { 'com.docker.network.bridge.enable_icc': 'maybe' } }),
      [400, 'failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing "maybe": invalid syntax)']);
    assert.deepEqual(await create({ Name: name('bad'), Driver: 'host' }), [403, 'only one instance of "host" network is allowed']);
    const two = { Name: name('bad'), IPAM: { Config: [{ Subnet: '10.158.0.0/24' }, { Subnet: '10.159.0.0/24' }] } };
    assert.deepEqual(await create(two), [403, 'bridge driver doesn\'t support multiple subnets']);
    const long = await http('POST', '/networks/create', { Name: name('bad'), Options: { 'com.docker.network.bridge.name': 'waytoolongbridgename' } });
    assert.ok(long.status >= 400, long.text);
  });

  test('many at once: no error, no subnet twice', async () => {
    const words = Array.from({ length: 12 }, (_, i) => `many${i}`);
    await Promise.all(words.map(word => dockerode.createNetwork({ Name: name(word) })));
    const subnets = await Promise.all(words.map(async word => (await net(name(word))).IPAM.Config[0].Subnet));
    assert.equal(new Set(subnets).size, words.length);
    const bridges = await Promise.all(words.map(word => bridgeOf(name(word))));
    await Promise.all(words.map(word => dockerode.getNetwork(name(word)).remove()));
    const { stdout } = await inHost('sh', '-c', 'ip -o link; ip route; iptables-save; ip6tables-save');
    for (const bridge of bridges) assert.ok(!stdout.includes(bridge), `${bridge} is left in: ${stdout.split('\n').filter(line => line.includes(bridge)).join('; ')}`);
  });
});

describe('docker network connect and disconnect', () => {
  test('while the container runs', async () => {
    const [one, two] = [await network('hot1', '--subnet', '10.161.0.0/24'), await network('hot2', '--subnet', '10.162.0.0/24')];
    const running = await box('hot', ['--network', one]);
    const { MacAddress } = await joined(running, one);
    await dockerOut('network', 'connect', '--ip', '10.162.0.9', '--alias', 'warm', two, running);
    assert.match(await inside(running, 'ip', '-o', '-4', 'addr', 'show', 'eth1'), / 10\.162\.0\.9\/24 /);
    assert.match(await inside(running, 'cat', '/etc/hosts'), /^10\.162\.0\.9\t/m);
    assert.match(await inside(running, 'ip', 'route'), /^default via 10\.161\.0\.1 dev eth0/m);
    const now = await joined(running, two);
    assert.deepEqual([now.IPAddress, now.Gateway, now.IPAMConfig, now.Aliases], ['10.162.0.9', '10.162.0.1', { IPv4Address: '10.162.0.9' }, ['warm']]);
    assert.equal((await net(two)).Containers[(await inspect(running)).Id].IPv4Address, '10.162.0.9/24');

    await dockerFails(1, `endpoint with name ${running} already exists in network ${two}`, 'network', 'connect', two, running);
    await dockerFails(1, /has active endpoints/, 'network', 'rm', two);
    await dockerOut('network', 'disconnect', one, running);
    assert.match(await inside(running, 'ip', 'route'), /^default via 10\.162\.0\.1 dev eth1/m, 'the way out is the other one now');
    assert.doesNotMatch(await inside(running, 'cat', '/etc/hosts'), /^10\.161\./m);
    assert.equal(await joined(running, one), undefined);
    await dockerFails(1, /is not connected to network/, 'network', 'disconnect', one, running);

    await dockerOut('restart', '-t', '0', running);
    assert.equal(await addressOf(running, two), '10.162.0.9', 'kept over a restart');
    assert.notEqual((await joined(running, two)).MacAddress, MacAddress);
  });

  test('before it runs, and after', async () => {
    const [one, two] = [await network('cold1', '--subnet', '10.163.0.0/24'), await network('cold2', '--subnet', '10.164.0.0/24')];
    const cold = name('cold');
    await dockerOut('create', '--name', cold, '--network', one, 'busybox', 'sleep', '1000');
    await dockerOut('network', 'connect', '--ip', '10.164.0.7', two, cold);
    await dockerOut('start', cold);
    assert.equal(await addressOf(cold, two), '10.164.0.7');
    assert.match(await inside(cold, 'ip', '-o', '-4', 'addr'), / 10\.163\.0\.2\/24 /);
    await dockerOut('stop', '-t', '0', cold);
    await dockerOut('network', 'disconnect', one, cold);
    await dockerFails(1, /is not connected to the network/, 'network', 'disconnect', one, cold);
    await dockerOut('start', cold);
    assert.doesNotMatch(await inside(cold, 'ip', '-o', '-4', 'addr'), / 10\.163\./);
  });

  test('several networks at create', async () => {
    const [one, two] = [await network('multi1', '--subnet', '10.165.0.0/24'), await network('multi2', '--subnet', '10.166.0.0/24')];
    const multi = await box('multi', ['--network', `name=${one},ip=10.165.0.5,mac-address=02:42:0a:a5:00:05`, '--network', `name=${two},alias=second`]);
    const { Networks } = (await inspect(multi)).NetworkSettings;
    assert.deepEqual([Networks[one].IPAddress, Networks[one].MacAddress, Networks[two].Aliases], ['10.165.0.5', '02:42:0a:a5:00:05', ['second']]);
    assert.equal((await inside(multi, 'ip', '-o', '-4', 'addr', 'show')).split('\n').filter(line => / eth\d /.test(line)).length, 2);
  });

  test('refusals', async () => {
    const own = await network('refuse', '--subnet', '10.167.0.0/24');
    const auto = await network('auto');
    const here = await box('refused', ['--network', auto]);
    const hosts = await box('hosts', ['--network', 'host']);
    const none = await box('none', ['--network', 'none']);
    const connect = async (on: string, container: string, settings: object = {}) => {
      const { status, text } = await http('POST', `/networks/${on}/connect`, { Container: container, EndpointConfig: settings });
      return `${status} ${text === '' ? '' : JSON.parse(text).message}`.trim();
    };
    assert.equal(await connect('nosuch', here), '404 network nosuch not found');
    assert.equal(await connect(own, 'nosuch'), '404 No such container: nosuch');
    assert.equal(await connect(own, hosts), '400 container sharing network namespace with another container or host cannot be connected to any other network');
    assert.equal(await connect(own, none), '400 container cannot be connected to multiple networks with one of the networks in private (none) mode');
    assert.equal(await connect('host', here), '400 container cannot be disconnected from host network or connected to host network');
    assert.match(await connect(own, here, { IPAMConfig: { IPv4Address: '10.9.0.1' } }), /^400 .*no configured subnet (or ip-range contain the|contains) IP address 10\.9\.0\.1/s);
    assert.match(await connect(auto, name('refused'), { IPAMConfig: { IPv4Address: '10.9.0.1' } }), /user specified IP address is supported only when connecting to networks with user configured subnets|already exists in network/);
    assert.equal(await connect(own, here, { IPAMConfig: { IPv4Address: '10.167.0.1' } }), '403 Address already in use');
    assert.equal((await http('DELETE', '/networks/host')).status, 403);
    assert.equal((await http('POST', `/networks/${own}/disconnect`, { Container: 'nosuch', Force: true })).json().message, 'endpoint nosuch not found');
    await dockerFails(125, 'user specified IP address is supported only when connecting to networks with user configured subnets', 'run', '--name', name('never'), '--network', auto, '--ip', '172.99.0.9', 'busybox', 'true');
    await dockerFails(125, 'network nosuch not found', 'run', '--rm', '--name', name('nowhere'), '--network', 'nosuch', 'busybox', 'true');
  });

  test('published ports go where the gateway goes', async () => {
    const one = await network('pub1');
    const server = await box('pub', ['-p', '8471:8080'], ...serve('from bridge'));
    assert.match(await fetched('client', `http://${hostAddress}:8471/`), /from bridge/);
    await dockerOut('network', 'connect', one, server);
    await dockerOut('network', 'disconnect', 'bridge', server);
    assert.match(await fetched('client', `http://${hostAddress}:8471/`), /from bridge/);
    assert.match((await inHost('iptables-save', '-t', 'nat')).stdout, new RegExp(`--dport 8471 -j DNAT --to-destination ${await addressOf(server, one)}:8080`));
    await dockerOut('network', 'disconnect', one, server);
    await unreachable('client', `http://${hostAddress}:8471/`);
  });

  test('events', async () => {
    const begun = Math.floor(Date.now() / 1000);
    const own = await network('events');
    const here = await box('evented', []);
    await dockerOut('network', 'connect', own, here);
    await dockerOut('network', 'disconnect', own, here);
    await dockerOut('network', 'rm', own);
    const seen = await eventually(async () => {
      const lines = (await dockerOut('events', '--since', `${begun}`, '--until', `${Math.ceil(Date.now() / 1000)}`, '--filter', 'type=network', '--filter', `network=${own}`, '--format', '{{.Action}} {{index .Actor.Attributes "name"}} {{.Actor.Attributes.type}}')).split('\n');
      assert.ok(lines.some(line => line.startsWith('destroy ')));
      return lines;
    });
    // The older engine tells of a disconnection twice.
    assert.deepEqual([...new Set(seen)], ['create', 'connect', 'disconnect', 'destroy'].map(action => `${action} ${own} bridge`));
  });
});

describe('ls and prune', () => {
  test('filters', async () => {
    const labelled = await network('ls', '--label', `${name('label')}=1`);
    const names = (...filters: string[]) => dockerOut('network', 'ls', '--format', '{{.Name}}', ...filters.flatMap(filter => ['--filter', filter]));
    assert.equal(await names(`label=${name('label')}`), labelled);
    assert.equal(await names(`label=${name('label')}=2`), '');
    assert.equal(await names(`name=^${labelled}$`, 'driver=bridge', 'scope=local', 'type=custom'), labelled);
    await dockerFails(1, "invalid filter 'nosuch'", 'network', 'ls', '--filter', 'nosuch=x');
  });

  test('prune takes those nobody is on', async () => {
    const label = `${name('prune')}=1`;
    const [used, unused] = [await network('used', '--label', label), await network('unused', '--label', label)];
    await box('user', ['--network', used]);
    const out = await dockerOut('network', 'prune', '-f', '--filter', `label=${label}`);
    assert.equal(out.trim(), `Deleted Networks:\n${unused}`);
    assert.equal((await http('POST', `/networks/prune?filters=${encodeURIComponent(JSON.stringify({ label: [label] }))}`)).json().NetworksDeleted, null);
  });
});

const SERVE = 'mkdir -p /www; echo tcp >/www/index.html; exec httpd -f -p 8080 -h /www';
/** traceroute asks by UDP, and the one it reaches says that it has no such port. */
const udp = async (container: string, address: string): Promise<boolean> =>
  (await inside(container, 'traceroute', '-n', '-m', '1', '-q', '1', '-w', '1', address)).split('\n').some(line => line.startsWith(` 1  ${address} `));

describe('who reaches whom', () => {
  test('one network: TCP, UDP and ICMP; another: nothing, either way', async () => {
    const [left, right] = [await network('left'), await network('right')];
    const [a, b, c] = [await box('a', ['--network', left], 'sh', '-c', SERVE), await box('b', ['--network', left], 'sh', '-c', SERVE), await box('c', ['--network', right], 'sh', '-c', SERVE)];
    const [toA, toB, toC] = [await addressOf(a, left), await addressOf(b, left), await addressOf(c, right)];
    assert.ok(await pings(a, toB));
    assert.equal(await fetched({ container: a }, `http://${toB}:8080/`), 'tcp\n');
    assert.ok(await udp(a, toB));
    for (const [from, to] of [[a, toC], [c, toA]] as const) {
      assert.ok(!(await pings(from, to)), `${from} pings ${to}`);
      await unreachable({ container: from }, `http://${to}:8080/`);
      assert.ok(!(await udp(from, to)), `${from} by UDP to ${to}`);
    }
    assert.ok(await pings(a, clientAddress), 'out');
  });

  test('another host, by a route to the container', async () => {
    const own = await network('direct', '--subnet', '10.171.0.0/24');
    const server = await box('direct', ['--network', own], 'sh', '-c', SERVE);
    const address = await addressOf(server, own);
    assert.equal(await fetched('host', `http://${address}:8080/`), 'tcp\n', 'this host may');
    await onClient('ip', 'route', 'add', '10.171.0.0/24', 'via', hostAddress);
    try {
      await unreachable('client', `http://${address}:8080/`);
      assert.notEqual((await onClient('busybox', 'ping', '-c', '1', '-W', '1', address)).exitCode, 0);
    } finally {
      await onClient('ip', 'route', 'del', '10.171.0.0/24');
    }
  });

  test('--internal: among themselves and with the gateway, and nobody else', async () => {
    const [hidden, open] = [await network('hidden', '--internal', '--subnet', '10.172.0.0/24'), await network('open', '--subnet', '10.173.0.0/24')];
    const [a, b, c] = [await box('ha', ['--network', hidden]), await box('hb', ['--network', hidden], 'sh', '-c', SERVE), await box('hc', ['--network', open], 'sh', '-c', SERVE)];
    const [toB, toC] = [await addressOf(b, hidden), await addressOf(c, open)];
    assert.equal(await fetched({ container: a }, `http://${toB}:8080/`), 'tcp\n');
    assert.ok(await pings(a, '10.172.0.1'));
    assert.doesNotMatch(await inside(a, 'ip', 'route'), /default/);
    // Even one who adds a route of its own.
    await docker('run', '--rm', '--name', name('router'), '--network', `container:${a}`, '--cap-add', 'NET_ADMIN', 'busybox', 'ip', 'route', 'add', 'default', 'via', '10.172.0.1');
    for (const address of [clientAddress, toC]) assert.ok(!(await pings(a, address)), address);
    await unreachable({ container: a }, `http://${toC}:8080/`);
    assert.ok(!(await pings(c, toB)));
    await unreachable({ container: c }, `http://${toB}:8080/`);
  });

  test('enable_icc=false: out, but not to each other', async () => {
    const silent = await network('silent', '-o', 'com.docker.network.bridge.enable_icc=false');
    const [a, b] = [await box('sa', ['--network', silent]), await box('sb', ['--network', silent, '-p', '8472:8080'], 'sh', '-c', SERVE)];
    const toB = await addressOf(b, silent);
    assert.ok(await pings(a, clientAddress));
    assert.equal(await fetched('client', `http://${hostAddress}:8472/`), 'tcp\n');
    // Where the kernel gives bridged packets to iptables; elsewhere no rule sees them.
    if ((await inHost('sysctl', '-n', 'net.bridge.bridge-nf-call-iptables')).stdout.trim() === '1') assert.ok(!(await pings(a, toB)));
  });

  test('enable_ip_masquerade=false: with its own address', async () => {
    const bare = await network('bare', '--subnet', '10.174.0.0/24', '-o', 'com.docker.network.bridge.enable_ip_masquerade=false');
    const a = await box('bare', ['--network', bare]);
    assert.ok(!(await pings(a, clientAddress)), 'the other host has no route back');
    await onClient('ip', 'route', 'add', '10.174.0.0/24', 'via', hostAddress);
    try {
      assert.ok(await pings(a, clientAddress));
    } finally {
      await onClient('ip', 'route', 'del', '10.174.0.0/24');
    }
  });

  test('host_binding_ipv4: where ports are published that name no address', async () => {
    const local = await network('local', '-o', 'com.docker.network.bridge.host_binding_ipv4=127.0.0.1');
    await box('local', ['--network', local, '-p', '8473:8080'], ...serve('local'));
    assert.match(await fetched('host', 'http://127.0.0.1:8473/'), /local/);
    await unreachable('client', `http://${hostAddress}:8473/`);
  });

  test('IPv6: its own subnet, and apart from other networks', async () => {
    const [six, other, four] = [await network('six', '--ipv6', '--subnet', 'fd00:dead::/64'), await network('six2', '--ipv6', '--subnet', 'fd00:beef::/64'), await network('four')];
    const [a, b, c] = [await box('xa', ['--network', six]), await box('xb', ['--network', six, '--ip6', 'fd00:dead::99'], 'sh', '-c', SERVE), await box('xc', ['--network', other])];
    assert.equal((await joined(b, six)).GlobalIPv6Address, 'fd00:dead::99');
    assert.equal((await joined(b, six)).IPv6Gateway, 'fd00:dead::1');
    await eventually(async () => assert.ok(await pings(a, 'fd00:dead::99')));
    assert.equal(await fetched({ container: a }, 'http://[fd00:dead::99]:8080/'), 'tcp\n');
    assert.match(await inside(a, 'ip', '-6', 'route'), /^default via fd00:dead::1 dev eth0/m);
    // Before API 1.46 the engine left IPv6 to the administrator.
    if (since(46, true, false)) assert.ok(!(await pings(c, 'fd00:dead::99')));
    // The bridge may still be asking whether somebody else has its address.
    await eventually(async () => assert.ok(await pings(a, 'fd00:dead::1')));
    const d = await box('xd', ['--network', four]);
    assert.equal(await inside(d, 'cat', '/proc/sys/net/ipv6/conf/eth0/disable_ipv6'), '1');
    assert.equal(await inside(a, 'cat', '/proc/sys/net/ipv6/conf/eth0/disable_ipv6'), '0');
  });
});

describe('networks that are none', () => {
  test('none, host, and another container\'s', async () => {
    const own = await box('lender', []);
    assert.equal((await dockerOut('run', '--rm', '--name', name('n1'), '--network', 'none', 'busybox', 'ip', '-o', 'link')).split('\n').length, 1);
    assert.match(await dockerOut('run', '--rm', '--name', name('n2'), '--network', 'host', 'busybox', 'ip', '-o', '-4', 'addr', 'show', 'eth0'), new RegExp(` ${hostAddress.replaceAll('.', '\\.')}/24 `));
    assert.match(await dockerOut('run', '--rm', '--name', name('n3'), '--network', `container:${own}`, 'busybox', 'ip', '-o', '-4', 'addr', 'show', 'eth0'), new RegExp(` ${await addressOf(own, 'bridge')}/`));
    await dockerFails(125, 'No such container: nosuch', 'run', '--rm', '--name', name('n4'), '--network', 'container:nosuch', 'busybox', 'true');
  });

  test('--link on the default bridge: a name, and what it offers', async () => {
    const db = await box('db', ['--expose', '5432', '-e', 'COLOUR=blue', '--hostname', 'dbhost']);
    const out = await dockerOut('run', '--rm', '--name', name('app'), '--link', `${db}:store`, 'busybox', 'sh', '-c', 'cat /etc/hosts; env | grep ^STORE; ping -c 1 -W 1 store >/dev/null && echo reached');
    const address = await addressOf(db, 'bridge');
    assert.match(out, new RegExp(`^${address}\tstore dbhost ${db}$`, 'm'));
    for (const line of [`STORE_PORT=tcp://${address}:5432`, `STORE_PORT_5432_TCP_ADDR=${address}`, `STORE_NAME=/${name('app')}/store`, 'STORE_ENV_COLOUR=blue', 'reached'])
      assert.ok(out.split('\n').includes(line), `${line}\n${out}`);
    await dockerFails(125, 'could not get container for nosuch', 'run', '--rm', '--name', name('unlinked'), '--link', 'nosuch:x', 'busybox', 'true');
  });
});

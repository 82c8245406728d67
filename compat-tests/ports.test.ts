// Published ports: every form of -p, who gets one, and that the host's port is truly taken.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { dockerFails, dockerOut, inHost, inspect } from './support/docker.ts';
import { engine } from './support/engine.ts';
import { enter, hostAddress } from './support/hosts.ts';
import { fetched, serve, unreachable } from './support/reach.ts';
import { scope } from './support/scope.ts';

const { name } = scope('ports');
const web = (word: string, options: readonly string[], answer = word) => dockerOut('run', '-d', '--name', name(word), ...options, 'busybox', ...serve(answer));
const idle = (word: string, ...options: string[]) => dockerOut('run', '-d', '--name', name(word), ...options, 'busybox', 'sleep', '1000');
const ports = async (word: string) => (await inspect(name(word))).NetworkSettings.Ports;
const everywhere = (port: number | string) => [{ HostIp: '0.0.0.0', HostPort: `${port}` }, { HostIp: '::', HostPort: `${port}` }];
const natRules = async () => (await inHost('iptables-save', '-t', 'nat')).stdout;

/** Listens on the host as any program there could; resolves when it does or cannot. */
async function listen(port: number, address = '0.0.0.0') {
  const script = `require('net').createServer().listen(${port}, '${address}').on('listening', () => console.log('listening')).on('error', error => { console.log(error.code); process.exit(1); })`;
  const [file, ...args] = enter(engine.netns, [process.execPath, '-e', script]);
  const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = (await once(child.stdout!, 'data')) as [Buffer];
  return { said: said.toString().trim(), close: async () => { if (child.kill()) await once(child, 'exit'); } };
}

describe('the forms of -p', () => {
  test('HOST:CONTAINER', async () => {
    await web('fixed', ['-p', '21081:8080']);
    assert.deepEqual(await ports('fixed'), { '8080/tcp': everywhere(21081) });
    assert.deepEqual((await inspect(name('fixed'))).HostConfig.PortBindings, { '8080/tcp': [{ HostIp: '', HostPort: '21081' }] });
    assert.equal(await fetched('client', `http://${hostAddress}:21081/`), 'fixed\n');
  });

  test('CONTAINER alone, and --expose alone', async () => {
    await idle('mixed', '-p', '7777', '--expose', '6000-6001');
    const found = await ports('mixed');
    assert.deepEqual(Object.keys(found).sort(), ['6000/tcp', '6001/tcp', '7777/tcp']);
    assert.equal(found['6000/tcp'], null);
    assert.match(found['7777/tcp'][0].HostPort, /^\d{5}$/);
  });

  test('ranges, udp, and an address', async () => {
    await idle('many', '-p', '21100-21102:7000-7002', '-p', '21103:53/udp', '-p', '127.0.0.1:21104:8080');
    assert.deepEqual(await ports('many'), {
      '53/udp': everywhere(21103), '7000/tcp': everywhere(21100), '7001/tcp': everywhere(21101), '7002/tcp': everywhere(21102), '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '21104' }],
    });
    assert.equal((await dockerOut('port', name('many'))).split('\n').sort().join('\n'), [
      '53/udp -> 0.0.0.0:21103', '53/udp -> [::]:21103', '7000/tcp -> 0.0.0.0:21100', '7000/tcp -> [::]:21100', '7001/tcp -> 0.0.0.0:21101', '7001/tcp -> [::]:21101',
      '7002/tcp -> 0.0.0.0:21102', '7002/tcp -> [::]:21102', '8080/tcp -> 127.0.0.1:21104',
    ].join('\n'));
    assert.equal(await dockerOut('port', name('many'), '7001'), '0.0.0.0:21101\n[::]:21101');
    assert.equal(await dockerOut('port', name('many'), '53/udp'), '0.0.0.0:21103\n[::]:21103');
    await dockerFails(1, `No public port '1234' published for ${name('many')}`, 'port', name('many'), '1234');
  });

  test('a range for one port: a free one of it, as long as there is one', async () => {
    for (const word of ['range1', 'range2', 'range3']) await idle(word, '-p', '21110-21112:80');
    const taken = await Promise.all(['range1', 'range2', 'range3'].map(async word => (await ports(word))['80/tcp'][0].HostPort));
    assert.deepEqual(taken.sort(), ['21110', '21111', '21112']);
    await dockerFails(125, /all ports are allocated|Bind for 0\.0\.0\.0:2111\d failed: port is already allocated/, 'run', '-d', '--name', name('range4'), '-p', '21110-21112:80', 'busybox', 'sleep', '1000');
  });

  test('one container port, two host ports', async () => {
    await web('double', ['-p', '21120:8080', '-p', '21121:8080']);
    for (const port of [21120, 21121]) assert.equal(await fetched('client', `http://${hostAddress}:${port}/`), 'double\n');
  });

  test('the same number for tcp and udp', async () => {
    await idle('both', '-p', '21125:53/tcp', '-p', '21125:53/udp');
    assert.deepEqual(await ports('both'), { '53/tcp': everywhere(21125), '53/udp': everywhere(21125) });
  });

  test('-P with --expose', async () => {
    await dockerOut('run', '-d', '--name', name('all'), '-P', '--expose', '5353/udp', '--expose', '8443', 'docker-registry.sh/myapp:v0.0.1');
    const found = await ports('all');
    assert.deepEqual(Object.keys(found).sort(), ['5353/udp', '8080/tcp', '8443/tcp']);
    for (const [v4, v6] of Object.values<any>(found)) assert.deepEqual([v4.HostIp, v6.HostIp, v4.HostPort], ['0.0.0.0', '::', v6.HostPort]);
  });

  test('mistakes', async () => {
    await dockerFails(125, /invalid hostPort: 99999/, 'run', '-d', '--name', name('bad'), '-p', '99999:80', 'busybox');
    await dockerFails(125, /invalid proto/, 'run', '-d', '--name', name('bad'), '-p', '80:80/xyz', 'busybox');
  });
});

describe('a range of many ports', () => {
  const first = 21300, count = 100;
  const shown = ['-p', `${first}-${first + count - 1}:7000-${7000 + count - 1}`];
  // One server for the first, one in the middle, one for the last.
  const served = ['sh', '-c', 'for p in 7000 7050 7099; do mkdir -p /w/$p; echo at $p >/w/$p/index.html; httpd -p $p -h /w/$p; done; sleep 1000'];

  test('every port of it is reached by every way', async () => {
    await dockerOut('run', '-d', '--name', name('range'), ...shown, 'busybox', ...served);
    assert.deepEqual((await ports('range'))['7099/tcp'], everywhere(21399));
    assert.equal(Object.keys(await ports('range')).length, count);
    await dockerOut('network', 'create', name('apart'));
    await idle('neighbour');
    await idle('stranger', '--network', name('apart'));
    for (const port of [0, 50, 99]) {
      const [answer, at] = [`at ${7000 + port}`, first + port];
      assert.equal((await fetched('client', `http://${hostAddress}:${at}/`)).trim(), answer, 'from another host');
      for (const address of [hostAddress, '127.0.0.1', '[::1]']) assert.equal((await fetched('host', `http://${address}:${at}/`)).trim(), answer, `the host, by ${address}`);
      for (const from of ['range', 'neighbour', 'stranger']) assert.equal((await fetched({ container: name(from) }, `http://${hostAddress}:${at}/`)).trim(), answer, from);
    }
  });

  test('every port of it is held', async () => {
    for (const port of [first, first + 1, first + 50, first + count - 1])
      for (const address of ['0.0.0.0', '127.0.0.1', '::']) {
        const listener = await listen(port, address);
        await listener.close();
        assert.equal(listener.said, 'EADDRINUSE', `${address} ${port}`);
      }
    await dockerOut('rm', '-f', name('range'));
    assert.doesNotMatch(await natRules(), /213\d\d/);
    const listener = await listen(first + 50);
    try {
      assert.equal(listener.said, 'listening');
      await dockerFails(125, /213\d\d.*(address already in use|port is already allocated)/, 'run', '-d', '--name', name('refused'), ...shown, 'busybox', 'sleep', '1000');
      assert.doesNotMatch(await natRules(), /213\d\d/);
    } finally {
      await listener.close();
    }
  });

  test('of 127.0.0.1: the host reaches it, another host and a container do not', async () => {
    await dockerOut('run', '-d', '--name', name('inner'), '-p', '127.0.0.1:21300-21399:7000-7099', 'busybox', ...served);
    assert.equal((await fetched('host', 'http://127.0.0.1:21350/')).trim(), 'at 7050');
    for (const from of ['client', 'host'] as const) await unreachable(from, `http://${hostAddress}:21350/`);
    await idle('curious');
    await unreachable({ container: name('curious') }, `http://${hostAddress}:21350/`);
  });
});

describe('127.0.0.1:HOST:CONTAINER', () => {
  test('the host reaches it, another host does not', async () => {
    await web('local', ['-p', '127.0.0.1:21130:8080']);
    assert.equal(await fetched('host', 'http://127.0.0.1:21130/'), 'local\n');
    await unreachable('client', `http://${hostAddress}:21130/`);
    await unreachable('host', `http://${hostAddress}:21130/`);
  });
});

describe('a port belongs to one', () => {
  test('another container gets "port is already allocated"', async () => {
    await idle('first', '-p', '21140:80');
    await dockerFails(125, /driver failed programming external connectivity on endpoint .* \([0-9a-f]+\): Bind for 0\.0\.0\.0:21140 failed: port is already allocated/, 'run', '-d', '--name', name('second'), '-p', '21140:80', 'busybox', 'sleep', '1000');
    const { State } = await inspect(name('second'));
    assert.deepEqual([State.Status, State.Running, State.ExitCode], ['created', false, 128]);
    assert.match(State.Error, /port is already allocated$/);
    // When the first one is gone, the second may have it.
    await dockerOut('rm', '-f', name('first'));
    assert.equal(await dockerOut('start', name('second')), name('second'));
    assert.deepEqual(await ports('second'), { '80/tcp': everywhere(21140) });
  });

  test('another program of the host cannot bind it', async () => {
    await idle('reserved', '-p', '21145:80');
    for (const address of ['0.0.0.0', '127.0.0.1', hostAddress, '::']) {
      const listener = await listen(21145, address);
      await listener.close();
      assert.equal(listener.said, 'EADDRINUSE', address);
    }
    await dockerOut('rm', '-f', name('reserved'));
    const listener = await listen(21145);
    await listener.close();
    assert.equal(listener.said, 'listening');
  });

  test('a port that another program has is refused, and nothing of the attempt is left', async () => {
    const listener = await listen(21150);
    try {
      assert.equal(listener.said, 'listening');
      await dockerFails(125, /(Bind for 0\.0\.0\.0:21150 failed|failed to bind host port for 0\.0\.0\.0:21150:[\d.]+:80\/tcp|listen tcp4 0\.0\.0\.0:21150: bind|failed to bind port 0\.0\.0\.0:21150\/tcp).*(address already in use|port is already allocated)/, 'run', '-d', '--name', name('late'), '-p', '21151:81', '-p', '21150:80', 'busybox', 'sleep', '1000');
      assert.doesNotMatch(await natRules(), /2115[01]/);
      const freed = await listen(21151);
      await freed.close();
      assert.equal(freed.said, 'listening');
    } finally {
      await listener.close();
    }
    await dockerOut('start', name('late'));
    assert.deepEqual(await ports('late'), { '80/tcp': everywhere(21150), '81/tcp': everywhere(21151) });
  });

  test('-P and -p CONTAINER avoid what is taken', async () => {
    const first = (await inHost('cat', '/proc/sys/net/ipv4/ip_local_port_range')).stdout.split(/\s+/)[0];
    await idle('p1', '-p', '80');
    await idle('p2', '-p', '80');
    const [one, two] = [(await ports('p1'))['80/tcp'][0].HostPort, (await ports('p2'))['80/tcp'][0].HostPort];
    assert.notEqual(one, two);
    assert.ok(Number(one) >= Number(first));
  });

  test('an address the host does not have', async () => {
    await dockerFails(125, /cannot assign requested address/, 'run', '-d', '--name', name('foreign'), '-p', '203.0.113.77:21160:80', 'busybox', 'sleep', '1000');
    assert.doesNotMatch(await natRules(), /21160/);
  });
});

describe('over a container\'s life', () => {
  test('stopped: the ports are free, started: a fixed one is the same', async () => {
    await web('life', ['-p', '21170:8080']);
    await dockerOut('stop', '-t', '0', name('life'));
    assert.deepEqual(await ports('life'), {});
    assert.equal(await dockerOut('port', name('life')), '');
    const listener = await listen(21170);
    await listener.close();
    assert.equal(listener.said, 'listening');
    await dockerOut('start', name('life'));
    assert.equal(await fetched('client', `http://${hostAddress}:21170/`), 'life\n');
  });

  test('a program that ends frees its ports by itself', async () => {
    await dockerOut('run', '--name', name('ends'), '-p', '21175:80', 'busybox', 'true');
    assert.doesNotMatch(await natRules(), /21175/);
    const listener = await listen(21175);
    await listener.close();
    assert.equal(listener.said, 'listening');
  });

  test('the address goes to the next one', async () => {
    await web('before', ['-p', '21180:8080']);
    await dockerOut('rm', '-f', name('before'));
    await web('after', ['-p', '21180:8080']);
    assert.equal(await fetched('client', `http://${hostAddress}:21180/`), 'after\n');
  });
});

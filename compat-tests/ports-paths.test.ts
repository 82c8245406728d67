// The ways of a packet to a published port: who arrives, whom the container sees, and who is kept out.

import { execa } from 'execa';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { dockerOut, inHost, inspect, run } from './support/docker.ts';
import { engine } from './support/engine.ts';
import { eventually } from './support/eventually.ts';
import { clientAddress, enter, hostAddress } from './support/hosts.ts';
import { fetched, unreachable } from './support/reach.ts';
import { scope } from './support/scope.ts';

const { name } = scope('paths');
const idle = (word: string, ...options: string[]) => dockerOut('run', '-d', '--name', name(word), ...options, 'busybox', 'sleep', '1000');
// /cgi-bin/who tells who asks.
const tells = ['sh', '-c', "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho; echo $REMOTE_ADDR\\n' >/www/cgi-bin/who; chmod +x /www/cgi-bin/who; echo $0 >/www/index.html; exec httpd -f -p 8080 -h /www"];
const server = (word: string, ...options: string[]) => dockerOut('run', '-d', '--name', name(word), ...options, 'busybox', ...tells, word);
const who = async (from: Parameters<typeof fetched>[0], address: string, port: number) => (await fetched(from, `http://${address}:${port}/cgi-bin/who`)).trim().replace(/^\[(?:::ffff:)?(.*)\]$/, '$1');
const gatewayOf = async (network: string): Promise<string> => JSON.parse(await dockerOut('network', 'inspect', network))[0].IPAM.Config[0].Gateway;

/** Listens on a host as any program there could. */
async function program(netns: string, address: string, port: number, answer: string) {
  const script = `require('http').createServer((_, answer) => answer.end('${answer}')).listen(${port}, '${address}', () => console.log('listening'))`;
  const [file, ...args] = enter(netns, [process.execPath, '-e', script]);
  const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout!, 'data');
  return { close: async () => { if (child.kill()) await once(child, 'exit'); } };
}

describe('whom the container sees', () => {
  const port = 21600;
  before(async () => {
    await dockerOut('network', 'create', name('apart'));
    await server('seen', '-p', `${port}:8080`);
    await idle('neighbour');
    await idle('stranger', '--network', name('apart'));
  });

  test('another host by its own address', async () => assert.equal(await who('client', hostAddress, port), clientAddress));
  test('this host by its own, or by the bridge\'s', async () => {
    const bridge = await gatewayOf('bridge');
    assert.ok([hostAddress, bridge].includes(await who('host', hostAddress, port)));
    for (const address of ['127.0.0.1', '127.0.0.9']) assert.equal(await who('host', address, port), bridge, address);
    assert.equal(await who('host', '[::1]', port), bridge);
  });
  test('a neighbour, the container itself, and one of another network, by the bridge\'s', async () => {
    const bridge = await gatewayOf('bridge');
    for (const from of ['neighbour', 'seen', 'stranger']) assert.equal(await who({ container: name(from) }, hostAddress, port), bridge, from);
    for (const from of ['neighbour', 'seen']) assert.equal(await who({ container: name(from) }, bridge, port), bridge, from);
  });
  test('where neighbours are kept apart, a published port is there all the same', async () => {
    await dockerOut('network', 'create', '-o', 'com.docker.network.bridge.enable_icc=false', name('quiet'));
    await server('alone', '--network', name('quiet'), '-p', '21601:8080');
    await idle('beside', '--network', name('quiet'));
    for (const from of ['beside', 'alone']) assert.equal((await fetched({ container: name(from) }, `http://${hostAddress}:21601/`)).trim(), 'alone', from);
    assert.equal((await fetched('host', 'http://127.0.0.1:21601/')).trim(), 'alone');
    await unreachable({ container: name('beside') }, `http://${(await inspect(name('alone'))).NetworkSettings.Networks[name('quiet')].IPAddress}:8080/`);
  });
  test('a port on one address of the host', async () => {
    await server('one', '-p', `${hostAddress}:21602:8080`);
    assert.equal(await who('client', hostAddress, 21602), clientAddress);
    for (const from of ['neighbour', 'one', 'stranger']) assert.equal((await fetched({ container: name(from) }, `http://${hostAddress}:21602/`)).trim(), 'one', from);
    await unreachable('host', 'http://127.0.0.1:21602/');
    await unreachable({ container: name('neighbour') }, `http://${await gatewayOf('bridge')}:21602/`);
  });
});

describe('UDP', () => {
  const netnsOf = async (word: string): Promise<string> => (await inspect(name(word))).NetworkSettings.SandboxKey;
  const node = (netns: string, script: string) => enter(netns, [process.execPath, '-e', `const socket = (family) => require('dgram').createSocket(family); ${script}`]);
  /** In the container's network namespace: what is asked on one of the ports is told that port, and who asked. */
  const server = async (word: string, ports: readonly number[]) => {
    const [file, ...args] = node(await netnsOf(word), `for (const port of ${JSON.stringify(ports)}) { const s = socket('udp4').bind(port); s.on('message', (_, from) => s.send('at ' + port, from.port, from.address)); s.on('listening', () => console.log(port)); }`);
    const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout!, 'data');
    return async () => { if (child.kill()) await once(child, 'exit'); };
  };
  const asked = (netns: string, address: string, port: number) => eventually(async () => {
    const family = address.includes(':') ? 'udp6' : 'udp4';
    const { stdout } = await run(node(netns, `const s = socket('${family}'); s.on('message', (answer) => { console.log(String(answer)); process.exit(); }); s.send('?', ${port}, '${address}'); setTimeout(() => process.exit(1), 1000)`));
    assert.notEqual(stdout, '', `${netns} to ${address} ${port}`);
    return stdout.trim();
  });

  test('a port, and a long range, by every way', async () => {
    await dockerOut('network', 'create', name('udp'));
    await idle('echo', '-p', '21620:7200/udp', '-p', '21630-21679:7000-7049/udp');
    await idle('udp-near');
    await idle('udp-far', '--network', name('udp'));
    const stop = await server('echo', [7200, 7000, 7025, 7049]);
    try {
      for (const [at, port] of [[21620, 7200], [21630, 7000], [21655, 7025], [21679, 7049]] as const) {
        for (const netns of [engine.clientNetns, ...(await Promise.all(['udp-near', 'echo', 'udp-far'].map(netnsOf)))]) assert.equal(await asked(netns, hostAddress, at), `at ${port}`, netns);
        for (const address of ['127.0.0.1', hostAddress, '::1']) assert.equal(await asked(engine.netns, address, at), `at ${port}`, address);
      }
    } finally {
      await stop();
    }
  });
});

describe('who is kept out', () => {
  // A host that does with its routes and loopback what it likes, on a cable where ours does not look at where packets come from.
  const bad = `ct-${process.pid}-bad`;
  const cable = `ct${process.pid % 10_000}`;
  const [ours, theirs] = ['192.0.2.1', '192.0.2.2'];
  const curl = (url: string) => run(enter(bad, ['curl', '-sS', '--noproxy', '*', '-m', '1', url]));
  const ip = (...args: string[]) => execa('ip', args);
  let secret: Awaited<ReturnType<typeof program>>;

  before(async () => {
    await ip('netns', 'add', bad);
    await ip('-n', engine.netns, 'link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', bad);
    for (const [netns, device, address] of [[engine.netns, cable, ours], [bad, 'eth0', theirs]] as const) {
      await ip('-n', netns, 'addr', 'add', `${address}/24`, 'dev', device);
      await ip('-n', netns, 'link', 'set', device, 'up');
      await run(enter(netns, ['sysctl', '-qw', `net.ipv4.conf.${device}.route_localnet=${netns === bad ? 1 : 0}`, 'net.ipv4.conf.all.rp_filter=0', `net.ipv4.conf.${device}.rp_filter=0`]));
    }
    await ip('-n', bad, 'route', 'add', '172.16.0.0/12', 'via', ours);
    await ip('-n', bad, 'route', 'add', '127.0.0.0/8', 'via', ours);
    await server('inner', '-p', '127.0.0.1:21610:8080');
    await server('outer', '-p', '21611:8080');
    await idle('closed');
    secret = await program(engine.netns, '127.0.0.1', 21612, 'secret');
    assert.equal(await fetched('host', 'http://127.0.0.1:21612/'), 'secret');
  });
  after(async () => {
    await secret?.close();
    await execa('ip', ['-n', engine.netns, 'link', 'del', cable], { reject: false });
    await execa('ip', ['netns', 'del', bad], { reject: false });
  });
  // Before 28, Docker Engine let these in.
  const old = async () => Number((await dockerOut('version', '--format', '{{.Server.Version}}')).split('.')[0]) < 28;
  const refused = async (url: string) => {
    const { stdout, exitCode } = await curl(url);
    assert.notEqual(exitCode, 0, `${url} was answered: ${stdout}`);
  };

  test('a host that routes 127.0.0.0/8 at us has neither what is published on 127.0.0.1, nor what the host keeps to itself', async t => {
    if (await old()) return t.skip('an older engine');
    assert.equal((await curl(`http://${ours}:21611/`)).stdout, 'outer\n', 'there is a way');
    await Promise.all(['127.0.0.1', ours].flatMap(address => [21610, 21612].map(port => refused(`http://${address}:${port}/`))));
    // Not even where somebody lets that cable have 127.0.0.0/8: what then is open of the host's own is his doing.
    await inHost('sysctl', '-qw', `net.ipv4.conf.${cable}.route_localnet=1`);
    await refused('http://127.0.0.1:21610/');
    await inHost('sysctl', '-qw', `net.ipv4.conf.${cable}.route_localnet=0`);
  });

  test('a host that routes the containers\' addresses at us does not reach them', async t => {
    if (await old()) return t.skip('an older engine');
    const addresses = await Promise.all(['inner', 'outer', 'closed'].map(async word => (await inspect(name(word))).NetworkSettings.Networks.bridge.IPAddress as string));
    await Promise.all(addresses.map(address => refused(`http://${address}:8080/`)));
  });

  test('a container that may do all it likes with its own network has nothing of the host\'s loopback', async () => {
    const gateway = await gatewayOf('bridge');
    await dockerOut('run', '-d', '--privileged', '--name', name('bad'), 'busybox', 'sleep', '1000');
    await dockerOut('exec', name('bad'), 'sh', '-c', [
      'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet',
      'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done',
      'ip addr del 127.0.0.1/8 dev lo',
      `ip route add 127.0.0.0/8 via ${gateway} dev eth0`,
    ].join('; '));
    await Promise.all(['127.0.0.1', gateway].flatMap(address => [21610, 21612].map(port => unreachable({ container: name('bad') }, `http://${address}:${port}/`))));
    // And with an address of the host's loopback as its own.
    await dockerOut('exec', name('bad'), 'sh', '-c', `ip route del 127.0.0.0/8; ip addr add 127.0.0.5/32 dev eth0; ip route add ${hostAddress} via ${gateway} src 127.0.0.5`);
    await unreachable({ container: name('bad') }, `http://${hostAddress}:21611/`);
  });

  test('what goes through this host to another one is not taken for its own', async () => {
    const elsewhere = await program(engine.clientNetns, clientAddress, 21611, 'elsewhere');
    try {
      for (const from of [{ container: name('closed') }, 'host'] as const) assert.equal(await fetched(from, `http://${clientAddress}:21611/`), 'elsewhere');
    } finally {
      await elsewhere.close();
    }
  });
});

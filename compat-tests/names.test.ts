// Names: what a container calls another one on a network that users made, and whom it asks about all others.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { docker, dockerode, dockerOut, inspect } from './support/docker.ts';
import { clientAddress } from './support/hosts.ts';
import { startNameServer, type NameServer } from './support/name-server.ts';
import { scope } from './support/scope.ts';

const { name } = scope('names');
const [front, back, shut] = [name('front'), name('back'), name('shut')];
const [web, second, asker, inmate] = [name('web'), name('second'), name('asker'), name('inmate')];
let server: NameServer;

const sleeper = (box: string, ...options: readonly string[]) => dockerOut('run', '-d', '--name', box, '--dns', clientAddress, ...options, 'busybox', 'sleep', '1000');
const addressOf = async (box: string, network: string): Promise<string> => (await inspect(box)).NetworkSettings.Networks[network].IPAddress;

// The addresses that busybox finds, or why it finds none.
async function lookup(asked: string, { from = asker, type = 'a' } = {}): Promise<readonly string[] | string> {
  const { stdout, stderr } = await docker('exec', from, 'nslookup', `-type=${type}`, asked, '127.0.0.11');
  const [, why] = /can't find .*: (\w+)/.exec(stdout + stderr) ?? [];
  if (why !== undefined) return why;
  return [...stdout.matchAll(/^Address: (\S+)$|name = (\S+)$/gm)].map(([, address, named]) => address ?? named ?? '').sort();
}

before(async () => {
  server = await startNameServer();
  for (const network of [front, back]) await dockerOut('network', 'create', network);
  await dockerOut('network', 'create', '--internal', shut);
  await sleeper(web, '--network', front, '--network-alias', 'www', '--network-alias', 'MiXed', '--hostname', 'webhost');
  await sleeper(asker, '--network', front, '--link', `${web}:linked`);
  await sleeper(inmate, '--network', shut);
});
after(() => server.close());

describe('names on a network', () => {
  test('a container is known by its name, its aliases, its host name, the start of its id, and with the network behind it', async () => {
    const [address, { Id }] = await Promise.all([addressOf(web, front), inspect(web)]);
    for (const each of [web, web.toUpperCase(), 'www', 'mixed', 'webhost', Id.slice(0, 12), `${web}.${front}`, `www.${front}`]) assert.deepEqual(await lookup(each), [address], each);
  });

  test('a link is known to the one that has it', async () => {
    assert.deepEqual(await lookup('linked'), [await addressOf(web, front)]);
    assert.deepEqual(await lookup('linked.nx.test', { from: web }), 'NXDOMAIN');
  });

  test('an alias of two is both, until one leaves', async () => {
    await sleeper(second, '--network', front, '--network-alias', 'www');
    const both = [await addressOf(web, front), await addressOf(second, front)].sort();
    assert.deepEqual(await lookup('www'), both);
    await dockerOut('network', 'disconnect', front, second);
    assert.deepEqual(await lookup('www'), [await addressOf(web, front)]);
  });

  test('an address leads back to the name', async () => {
    const reverse = (await addressOf(web, front)).split('.').reverse().join('.');
    assert.deepEqual(await lookup(`${reverse}.in-addr.arpa`, { type: 'ptr' }), [`${web}.${front}`]);
  });

  test('a name without an IPv6 address has none, and nobody else is asked', async () => {
    assert.deepEqual(await lookup('www', { type: 'aaaa' }), []);
    assert.ok(!server.asked().includes('www'));
  });

  test('a new name takes the place of the old one', async () => {
    const [old, fresh] = [name('old'), name('fresh')];
    await sleeper(old, '--network', front);
    await dockerOut('rename', old, fresh);
    assert.deepEqual(await lookup(fresh), [await addressOf(fresh, front)]);
    assert.deepEqual(await lookup(old), ['203.0.113.7'], 'asked elsewhere');
  });

  test('a container that has ended has no name', async () => {
    const short = name('short');
    await sleeper(short, '--network', front);
    assert.deepEqual(await lookup(short), [await addressOf(short, front)]);
    await dockerOut('kill', short);
    assert.deepEqual(await lookup(short), ['203.0.113.7'], 'asked elsewhere');
  });

  test('dockerode: joining another network brings its names', async () => {
    const there = name('there');
    await sleeper(there, '--network', back);
    assert.deepEqual(await lookup(`${there}.nx.test`), 'NXDOMAIN');
    await dockerode.getNetwork(back).connect({ Container: asker, EndpointConfig: { Aliases: ['visitor'] } });
    assert.deepEqual(await lookup(there), [await addressOf(there, back)]);
    assert.deepEqual(await lookup('visitor', { from: there }), [await addressOf(asker, back)]);
  });

  test('programs find them by the system, too', async () => {
    assert.match(await dockerOut('exec', asker, 'ping', '-c', '1', web), new RegExp(`^PING ${web} \\(${await addressOf(web, front)}\\)`));
  });
});

describe('other names', () => {
  test('are asked of --dns', async () => {
    assert.deepEqual(await lookup('www.example.test'), ['203.0.113.7']);
    assert.deepEqual(await lookup('nx.test'), 'NXDOMAIN');
    assert.ok(server.asked().includes('www.example.test'));
  });

  test('are asked of nobody from an internal network', async () => {
    assert.deepEqual(await lookup('secret.example.test', { from: inmate }), 'SERVFAIL');
    assert.ok(!server.asked().includes('secret.example.test'));
    assert.deepEqual(await lookup(inmate, { from: inmate }), [await addressOf(inmate, shut)]);
  });
});

describe('the resolver', () => {
  test('is named in /etc/resolv.conf, and on the default bridge it is not', async () => {
    const nameservers = async (...options: readonly string[]) =>
      (await dockerOut('run', '--rm', '--name', name('conf'), '--dns', clientAddress, ...options, 'busybox', 'cat', '/etc/resolv.conf')).match(/^nameserver .*/gm);
    assert.deepEqual(await nameservers('--network', front), ['nameserver 127.0.0.11']);
    assert.deepEqual(await nameservers(), [`nameserver ${clientAddress}`]);
  });

  test('comes with the first network of a user', async () => {
    const late = name('late');
    await sleeper(late);
    await dockerOut('network', 'connect', front, late);
    assert.match(await dockerOut('exec', late, 'cat', '/etc/resolv.conf'), /^nameserver 127\.0\.0\.11$/m);
    assert.deepEqual(await lookup(web, { from: late }), [await addressOf(web, front)]);
  });

  test('leaves port 53 to a name server in the container', async () => {
    const box = name('bind');
    await sleeper(box, '--network', front);
    await dockerOut('exec', '-d', box, 'httpd', '-f', '-p', '0.0.0.0:53');
    assert.match(await dockerOut('exec', box, 'sh', '-c', 'sleep 0.3; netstat -ltn'), /0\.0\.0\.0:53 /);
    assert.deepEqual(await lookup(web, { from: box }), [await addressOf(web, front)]);
  });
});

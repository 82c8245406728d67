import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import type { HostObject, Operation } from '../operations/operation.ts';
import { createResolvers } from './dns.ts';
import { createExecutor } from './executor.ts';
import { createHostPorts } from './host-port.ts';
import { createIptables } from './iptables.ts';
import { createOwnTable } from './own-table.ts';
import { createPlaces } from './places.ts';
import { libc } from './syscalls.ts';

// A host of its own: this process's main thread moves to a network namespace that goes with it.
assert.equal(libc.func('int unshare(int flags)')(0x40000000), 0);

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-executor-'));
const iptables = createIptables();
const executor = createExecutor({ iptables, ownTable: createOwnTable(), hostPorts: createHostPorts(), places: createPlaces({ trash: path.join(root, 'tmp') }), resolvers: createResolvers(() => 'fail') });
const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const add = (object: HostObject): Operation => ({ action: 'add', object });
const remove = (object: HostObject): Operation => ({ action: 'remove', object });

const bridge: HostObject = { kind: 'bridge', name: 'br-test', addresses: ['172.30.0.1/24'], mtu: 1400, mac: '02:00:00:00:00:09', networkId: '' };
const netns = path.join(root, 'netns', 'one');
const sandbox: HostObject[] = [
  { kind: 'netns', path: netns },
  { kind: 'veth', name: 'vethtest', bridge: 'br-test', netns, device: 'eth0', mac: '02:42:ac:1e:00:02', mtu: 1400, ipv6: false },
  { kind: 'address', netns, device: 'eth0', cidr: '172.30.0.2/24' },
  { kind: 'route', netns, to: 'default', via: '172.30.0.1', device: 'eth0' },
];

after(async () => {
  await executor.attempt([...sandbox].reverse().map(remove));
  fs.rmSync(root, { recursive: true, force: true });
});

test('a bridge and a sandbox come up, as ip shows them, and go', async () => {
  await executor.execute([bridge, ...sandbox].map(add));
  assert.match(ip('-o', 'addr', 'show', 'br-test'), /inet 172\.30\.0\.1\/24 brd 172\.30\.0\.255/);
  assert.match(ip('-o', 'link', 'show', 'vethtest'), /mtu 1400 .*master br-test .*state UP/);
  const inside = (...args: string[]): string => execFileSync('nsenter', [`--net=${netns}`, 'ip', ...args], { encoding: 'utf8' });
  assert.match(inside('-o', 'addr', 'show', 'eth0'), /inet 172\.30\.0\.2\/24 brd 172\.30\.0\.255 scope global eth0/);
  assert.match(inside('-o', 'link', 'show', 'eth0'), /mtu 1400 .*link\/ether 02:42:ac:1e:00:02/);
  assert.match(inside('route'), /^default via 172\.30\.0\.1 dev eth0/);
  assert.match(inside('-o', 'addr', 'show', 'lo'), /127\.0\.0\.1/);
  assert.deepEqual(await executor.attempt([...sandbox].reverse().map(remove)), []);
  assert.equal(fs.existsSync(netns), false);
});

test('what is there already, or gone already, is no failure', async () => {
  await executor.execute([add(bridge)]);
  assert.deepEqual(await executor.attempt([remove(bridge), remove(bridge)]), []);
  await executor.execute([add(bridge)]);
});

const chain: HostObject = { kind: 'chain', family: 'ipv4', table: 'filter', name: 'TEST' };
const rule = (spec: string, at: 'top' | 'end' = 'end'): HostObject => ({ kind: 'rule', family: 'ipv4', table: 'filter', chain: 'TEST', spec: spec.split(' '), at });

test('rules stand where they were asked to, and go by their text', async () => {
  await executor.execute([add(chain), add(rule('-i br-test -j ACCEPT')), add(rule('-o br-test -j DROP')), add(rule('-d 172.30.0.2/32 -j ACCEPT', 'top'))]);
  assert.deepEqual((await iptables.list('ipv4')).get('filter TEST'), ['-d 172.30.0.2/32 -j ACCEPT', '-i br-test -j ACCEPT', '-o br-test -j DROP']);
  assert.deepEqual(await executor.attempt([remove(rule('-o br-test -j DROP')), remove(rule('-o lo -j DROP'))]), []);
  assert.deepEqual((await iptables.list('ipv4')).get('filter TEST'), ['-d 172.30.0.2/32 -j ACCEPT', '-i br-test -j ACCEPT']);
});

test('changes that wait for each other all arrive, and a bad one fails alone', async () => {
  const results = await Promise.allSettled([
    ...Array.from({ length: 20 }, (_, index) => executor.execute([add(rule(`-p tcp -m tcp --dport ${1000 + index} -j ACCEPT`))])),
    executor.execute([add(rule('-p nosuch -j ACCEPT'))]),
  ]);
  assert.deepEqual(results.map(({ status }) => status), [...Array<string>(20).fill('fulfilled'), 'rejected']);
  assert.equal((await iptables.list('ipv4')).get('filter TEST')?.filter((line) => line.includes('--dport')).length, 20);
});

test('a line break in a rule never reaches the firewall', async () => {
  await assert.rejects(executor.execute([add(rule('-j\nCOMMIT'))]), /refused as a firewall rule/);
});

test('a failure undoes what came before it, and names the wish', async () => {
  const directory: HostObject = { kind: 'directory', path: path.join(root, 'half'), mode: 0o755 };
  await assert.rejects(
    executor.execute([add(directory), add({ ...sandbox[0]!, path: path.join(root, 'netns', 'two') } as HostObject), add(rule('-p nosuch -j ACCEPT'))]),
    /cannot apply:\n\+ directory .*half\n\+ netns .*two\n\+ filter -A TEST -p nosuch -j ACCEPT\n/,
  );
  assert.equal(fs.existsSync(path.join(root, 'half')), false);
  assert.equal(fs.existsSync(path.join(root, 'netns', 'two')), false);
});

test('a range is held port by port without a descriptor for each, has one listener, and is given back', async () => {
  ip('link', 'set', 'lo', 'up');
  const upstreams = [7100, 7599].map((at) => net.createServer((socket) => socket.end(`at ${at}`)).listen(at, '127.0.0.1'));
  const range = (hostAddress: string): HostObject => ({ kind: 'host-port', protocol: 'tcp', hostAddress, hostPort: 21_000, count: 500, address: '127.0.0.1', port: 7100 });
  const descriptors = (): number => fs.readdirSync('/proc/self/fd').length;
  const listened = (at: number, address: string): Promise<string> =>
    new Promise((resolve) => {
      const server = net.createServer().listen({ port: at, host: address, ipv6Only: true }, () => server.close(() => resolve('free')));
      server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    });
  const relay = { ...rule('-p tcp -m tcp --dport 21000:21499 -j REDIRECT --to-ports 21000'), table: 'nat', chain: 'OUTPUT' } as HostObject;
  const before = descriptors();
  await executor.execute([add(range('0.0.0.0')), add(range('::')), add(relay)]);
  assert.ok(descriptors() - before < 20, `${descriptors() - before} descriptors more`);
  for (const at of [21_000, 21_001, 21_250, 21_251, 21_499]) for (const address of ['0.0.0.0', '127.0.0.1', '::', '::1']) assert.equal(await listened(at, address), 'EADDRINUSE', `${address} ${at}`);
  for (const [at, word] of [[21_000, 'at 7100'], [21_499, 'at 7599']] as const) {
    const said = await new Promise<string>((resolve, reject) => {
      let text = '';
      net.connect({ host: '127.0.0.1', port: at }).on('data', (chunk) => (text += chunk)).on('end', () => resolve(text)).on('error', reject);
    });
    assert.equal(said, word);
  }
  assert.deepEqual(await executor.attempt([remove(range('0.0.0.0')), remove(range('::')), remove(relay)]), []);
  const other = net.createServer().listen(21_300, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  await assert.rejects(executor.execute([add(range('0.0.0.0')), add(range('::'))]), /failed to bind host port for 0\.0\.0\.0:21300:127\.0\.0\.1:7400\/tcp: address already in use/);
  other.close();
  for (const at of [21_000, 21_001, 21_499]) for (const address of ['0.0.0.0', '::']) assert.equal(await listened(at, address), 'free', `${address} ${at}`);
  for (const upstream of upstreams) upstream.close();
});

test('a host port is really held, carries what no rule does, and is given back', async () => {
  ip('link', 'set', 'lo', 'up');
  const upstream = net.createServer((socket) => socket.end('from inside')).listen(7001, '127.0.0.1');
  const port = (hostAddress: string): HostObject => ({ kind: 'host-port', protocol: 'tcp', hostAddress, hostPort: 7002, address: '127.0.0.1', port: 7001 });
  await executor.execute([add(port('0.0.0.0')), add(port('::'))]);
  for (const host of ['127.0.0.1', '::1']) {
    const said = await new Promise<string>((resolve, reject) => {
      let text = '';
      net.connect({ host, port: 7002 }).on('data', (chunk) => (text += chunk)).on('end', () => resolve(text)).on('error', reject);
    });
    assert.equal(said, 'from inside');
  }
  await assert.rejects(
    createExecutor({ iptables, ownTable: createOwnTable(), hostPorts: createHostPorts(), places: createPlaces({ trash: path.join(root, 'tmp') }), resolvers: createResolvers(() => 'fail') }).execute([add(port('0.0.0.0'))]),
    /failed to bind host port for 0\.0\.0\.0:7002:127\.0\.0\.1:7001\/tcp: address already in use/,
  );
  assert.deepEqual(await executor.attempt([remove(port('0.0.0.0')), remove(port('::'))]), []);
  const free = net.createServer().listen(7002, '0.0.0.0');
  await new Promise((resolve) => free.once('listening', resolve));
  free.close();
  upstream.close();
});

// Published ports where the daemon is away, where the host's iptables are the legacy ones, and where rules are not berth's to make.

import { execa } from 'execa';
import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { attribute, netlinkTransaction, text } from '../src/host/netlink.ts';
import { createOwnTable } from '../src/host/own-table.ts';
import { batch, MESSAGE, message, NETLINK_NETFILTER } from '../src/host/nftables.ts';
import { OWN_TABLE } from '../src/operations/own-table.ts';
import { faultsOf } from './support/audit.ts';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { clientVariables } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { enter, hostAddress } from './support/hosts.ts';
import { serve } from './support/reach.ts';

const dockerOf = (daemon: Daemon) => async (...args: string[]) => {
  const { stdout, stderr, exitCode } = await execa('docker', args, { env: { ...clientVariables, DOCKER_HOST: `unix://${daemon.socket}` }, reject: false, timeout: 30_000, stdin: 'ignore' });
  assert.equal(exitCode, 0, `docker ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
};
const at = async (netns: string, ...argv: string[]) => {
  const [file, ...args] = enter(netns, argv);
  return (await execa(file!, args)).stdout;
};
const curl = (netns: string, url: string) => eventually(() => at(netns, 'curl', '-sS', '--fail', '--noproxy', '*', '-m', '2', url));
const wget = (daemon: Daemon, container: string, url: string) => eventually(() => dockerOf(daemon)('exec', container, 'timeout', '2', 'wget', '-q', '-O', '-', url));
const sound = async (daemon: Daemon) => assert.deepEqual(await faultsOf(daemon, new Set()), []);

/** Every way to a published port, and that of a long range. */
const reached = async (daemon: Daemon, port: number, answer: string) => {
  const { netns, clientNetns } = daemon;
  assert.equal(await curl(clientNetns, `http://${hostAddress}:${port}/`), answer, 'another host');
  for (const address of [hostAddress, '127.0.0.1', '[::1]']) assert.equal(await curl(netns, `http://${address}:${port}/`), answer, address);
  for (const container of ['web', 'near', 'far']) assert.equal(await wget(daemon, container, `http://${hostAddress}:${port}/`), answer, container);
};
const RANGE = ['-p', '21720-21739:8070-8089'];
const raise = async (docker: ReturnType<typeof dockerOf>, ...more: string[]) => {
  await docker('network', 'create', 'apart');
  await docker('run', '-d', '--name', 'web', '-p', '21700:8080', ...more, 'busybox', ...serve('here'));
  await docker('run', '-d', '--name', 'near', 'busybox', 'sleep', '1000');
  await docker('run', '-d', '--name', 'far', '--network', 'apart', 'busybox', 'sleep', '1000');
};

describe('the daemon is away', () => {
  let daemon: Daemon;
  let docker: ReturnType<typeof dockerOf>;
  before(async () => {
    daemon = await startDaemon('-ports');
    docker = dockerOf(daemon);
    await raise(docker);
    await docker('run', '-d', '--name', 'chosen', '-P', 'docker-registry.sh/myapp:v0.0.1');
  });
  after(() => daemon?.remove());

  test('127.0.0.1, neighbours and the container itself reach a port without it', async () => {
    await eventually(() => curl(daemon.netns, 'http://127.0.0.1:21700/'));
    const netns = await docker('inspect', '-f', '{{.NetworkSettings.SandboxKey}}', 'near');
    const own = await docker('inspect', '-f', '{{.NetworkSettings.SandboxKey}}', 'web');
    await daemon.crash();
    assert.equal(await curl(daemon.netns, 'http://127.0.0.1:21700/'), 'here');
    for (const from of [netns, own]) assert.equal((await execa('nsenter', [`--net=${from}`, 'curl', '-sS', '--fail', '--noproxy', '*', '-m', '2', `http://${hostAddress}:21700/`])).stdout, 'here');
    await daemon.start();
    await sound(daemon);
  });

  test('berth\'s own table, taken away meanwhile, is there again', async () => {
    await daemon.crash();
    const netns = `/run/netns/${daemon.netns}`;
    await netlinkTransaction(netns, NETLINK_NETFILTER, 'flush', batch([message(MESSAGE.deleteTable, 0, [attribute(1, text(OWN_TABLE))])]));
    assert.deepEqual(createOwnTable().list('ipv4', netns), { rules: [], elements: [] });
    await daemon.start();
    await sound(daemon);
    await reached(daemon, 21700, 'here');
  });

  test('the ports that -P chose stay the same over both restarts', async () => {
    const chosen = await docker('port', 'chosen');
    assert.match(chosen, /^8080\/tcp -> 0\.0\.0\.0:(\d+)\n8080\/tcp -> \[::\]:\1$/);
    await docker('restart', '-t', '0', 'chosen');
    assert.equal(await docker('port', 'chosen'), chosen);
    await daemon.crash();
    await daemon.start();
    assert.equal(await docker('port', 'chosen'), chosen);
    await docker('stop', '-t', '0', 'chosen');
    await daemon.stop();
    await daemon.start();
    await docker('start', 'chosen');
    assert.equal(await docker('port', 'chosen'), chosen);
    await docker('stop', '-t', '0', 'chosen');
    const [, port = ''] = /:(\d+)/.exec(chosen) ?? [];
    await docker('run', '-d', '--name', 'other', '-p', `${port}:80`, 'busybox', 'sleep', '1000');
    await docker('start', 'chosen');
    assert.notEqual(await docker('port', 'chosen'), chosen, 'another has it now');
  });
});

describe('the host\'s iptables are the legacy ones', () => {
  let daemon: Daemon;
  let tools: string;
  before(async () => {
    tools = await mkdtemp(join(tmpdir(), 'berth-ct-tools-'));
    for (const name of ['iptables', 'iptables-save', 'iptables-restore', 'ip6tables', 'ip6tables-save', 'ip6tables-restore'])
      await symlink(`/usr/sbin/${name.replace('tables', 'tables-legacy')}`, join(tools, name));
    daemon = await startDaemon('-legacy', { PATH: `${tools}:${process.env['PATH']}` });
    await raise(dockerOf(daemon), ...RANGE);
  });
  after(async () => {
    await daemon?.remove();
    await rm(tools, { recursive: true, force: true });
  });

  test('every way to a port leads there', async () => {
    for (const port of [21700, 21730]) await reached(daemon, port, 'here');
    assert.match(await at(daemon.netns, 'iptables-legacy-save', '-t', 'nat'), /-A DOCKER ! -i docker0 -p tcp -m tcp --dport 21700 -j DNAT --to-destination 172\.17\.0\.2:8080/);
    assert.doesNotMatch(await at(daemon.netns, 'iptables-nft-save'), /DOCKER/);
  });

  test('what is flushed comes back', async () => {
    const rules = async () => (await at(daemon.netns, 'iptables-legacy-save')).split('\n').filter(line => line.startsWith('-A')).join('\n');
    const before = await rules();
    for (const table of ['filter', 'nat', 'raw']) await at(daemon.netns, 'iptables-legacy', '-t', table, '-F');
    await eventually(async () => assert.equal(await rules(), before), { seconds: 5 });
  });

  test('networks are apart, and a restart finds its rules as they should be', async () => {
    const docker = dockerOf(daemon);
    const address = await docker('inspect', '-f', '{{.NetworkSettings.Networks.bridge.IPAddress}}', 'web');
    await assert.rejects(execa('docker', ['exec', 'far', 'timeout', '1', 'wget', '-q', '-O', '-', `http://${address}:8080/`], { env: { ...clientVariables, DOCKER_HOST: `unix://${daemon.socket}` }, stdin: 'ignore' }));
    const before = await at(daemon.netns, 'iptables-legacy-save');
    const rules = (saved: string) => saved.split('\n').filter(line => line.startsWith('-A')).join('\n');
    await daemon.crash();
    await daemon.start();
    assert.equal(rules(await at(daemon.netns, 'iptables-legacy-save')), rules(before));
    await docker('rm', '-f', 'web');
    assert.doesNotMatch(await at(daemon.netns, 'iptables-legacy-save'), /217\d\d|172\.17\.0\.2/);
  });
});

describe('--iptables=false', () => {
  let daemon: Daemon;
  before(async () => { daemon = await startDaemon('-norules', {}, '--iptables=false', '--ip6tables=false'); });
  after(() => daemon?.remove());

  test('no rule is made, nothing else is changed for rules, and ports are carried by the daemon', async () => {
    await raise(dockerOf(daemon), ...RANGE);
    const { netns, clientNetns } = daemon;
    for (const tool of ['iptables-save', 'ip6tables-save', 'iptables-legacy-save']) assert.doesNotMatch(await at(netns, tool), /^-|DOCKER/m, tool);
    for (const family of ['ipv4', 'ipv6'] as const) assert.deepEqual(createOwnTable().list(family, `/run/netns/${netns}`), { rules: [], elements: [] });
    assert.equal((await at(netns, 'cat', '/proc/sys/net/ipv4/conf/docker0/route_localnet')).trim(), '0');
    for (const port of [21700, 21730]) {
      assert.equal(await curl(clientNetns, `http://${hostAddress}:${port}/`), 'here');
      assert.equal(await curl(netns, `http://127.0.0.1:${port}/`), 'here');
      for (const container of ['web', 'near', 'far']) assert.equal(await wget(daemon, container, `http://${hostAddress}:${port}/`), 'here');
    }
  });

  test('rules of others are nobody\'s to mend; a bridge is', async () => {
    const { netns } = daemon;
    const saved = async () => (await at(netns, 'iptables-save')).split('\n').filter(line => !line.startsWith('#'));
    for (const rule of ['-N DOCKER', '-A DOCKER -p tcp --dport 1 -j ACCEPT', '-A FORWARD -j DOCKER', '-F DOCKER']) await at(netns, 'iptables', ...rule.split(' '));
    const before = await saved();
    await at(netns, 'ip', 'link', 'set', 'docker0', 'down');
    await eventually(async () => assert.match(await at(netns, 'ip', 'link', 'show', 'docker0'), /[<,]UP[,>]/), { seconds: 5 });
    assert.deepEqual(await saved(), before);
  });
});

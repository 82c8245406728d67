// What networks leave on a host when they are gone: nothing. And what a host's own firewall may be: shut, or wide open.

import assert from 'node:assert/strict';
import { execa } from 'execa';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { enter } from './support/hosts.ts';
import { serve } from './support/reach.ts';

const run = async (netns: string, ...argv: readonly string[]) => {
  const [file, ...args] = enter(netns, argv);
  return execa(file!, args, { reject: false });
};

/** Everything that a network or a container could leave behind, in words. */
async function traces({ netns, root }: Daemon): Promise<readonly string[]> {
  const { stdout } = await run(netns, 'sh', '-c', 'ip -o link; ip -4 route show table all; ip -6 route show table all; ip rule; iptables-save; ip6tables-save; nft list ruleset');
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map(line => line.split(' ')[4] ?? '').filter(path => path.startsWith(`${root}/`));
  const [namespaces, directories] = await Promise.all([readdir(join(root, 'exec/netns')).catch(() => []), readdir(join(root, 'data/containers')).catch(() => [])]);
  const lines = stdout
    .split('\n')
    // An index and a peer's index, a state that changes by itself, counters, times, policies.
    .map(line => line.replace(/^\d+: /, '').replace(/@if\d+/g, '@').replace(/ (mtu|qdisc|state|mode) .*/, '').replace(/<[^>]*>/, '').replace(' linkdown', '').replace(/\[\d+:\d+\]/, '').replace(/counter packets \d+ bytes \d+ ?/, '').trim())
    .filter(line => line !== '' && !line.startsWith('#') && !line.startsWith(':FORWARD') && !/type filter hook forward/.test(line) && !line.includes(' fe80::') && !line.startsWith('fe80::') && !line.includes('ff00::'));
  return [...lines, ...mounts, ...namespaces, ...directories].sort();
}

const docker = (daemon: Daemon, ...args: readonly string[]) => execa('docker', args, { env: { DOCKER_HOST: `unix://${daemon.socket}` }, reject: false });
const ok = async (daemon: Daemon, ...args: readonly string[]) => {
  const { stdout, stderr, exitCode } = await docker(daemon, ...args);
  assert.equal(exitCode, 0, `docker ${args.join(' ')}: ${stderr}`);
  return stdout;
};

void describe('networks and their traces', { concurrency: 1 }, () => {
  let daemon: Daemon;
  before(async () => { daemon = await startDaemon('-traces'); });
  after(() => daemon.remove());

  test('after docker rm -f of all and docker network prune, the host is as it was', async () => {
    // A first network and container of each family, for what comes with the first and stays: modules, tables, forwarding.
    await ok(daemon, 'network', 'create', '--ipv6', 'warm');
    await ok(daemon, 'run', '--rm', '-p', '18080:80', '--network', 'warm', 'busybox', 'true');
    await ok(daemon, 'network', 'rm', 'warm');
    const as = await traces(daemon);

    const kinds: readonly (readonly string[])[] = [
      [], ['--ipv6'], ['--internal'], ['--internal', '--ipv6'], ['-o', 'com.docker.network.bridge.enable_icc=false'], ['-o', 'com.docker.network.bridge.gateway_mode_ipv4=routed'],
      ['-o', 'com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected'], ['-o', 'com.docker.network.bridge.enable_ip_masquerade=false'], ['-o', 'com.docker.network.bridge.name=traces0'],
    ];
    await Promise.all(kinds.map((options, index) => ok(daemon, 'network', 'create', ...options, `kind${index}`)));
    for (const [index] of kinds.entries()) {
      await ok(daemon, 'run', '-d', '--name', `in${index}`, '--network', `kind${index}`, '-p', `${18100 + index}:80`, '-p', `127.0.0.1:${18200 + index}:80/udp`, 'busybox', 'sleep', '1000');
      await ok(daemon, 'network', 'connect', '--alias', 'both', `kind${(index + 1) % kinds.length}`, `in${index}`);
    }
    await ok(daemon, 'run', '-d', '--name', 'plain', '-P', '--expose', '8000-8040', 'busybox', 'sleep', '1000');
    await ok(daemon, 'run', '-d', '--name', 'linked', '--link', 'plain:p', 'busybox', 'sleep', '1000');
    await ok(daemon, 'network', 'disconnect', 'kind0', 'in0');
    assert.ok((await traces(daemon)).length > as.length + 50);

    await ok(daemon, 'rm', '-f', ...kinds.map((_options, index) => `in${index}`), 'plain', 'linked');
    await ok(daemon, 'network', 'prune', '-f');
    await eventually(async () => assert.deepEqual(await traces(daemon), as), { seconds: 10, every: 200 });
  });

  test('with INPUT and FORWARD at DROP, names resolve and published ports answer; with FORWARD at ACCEPT, networks are apart still', async () => {
    const { netns, clientNetns } = daemon;
    const inside = (container: string, ...argv: readonly string[]) => docker(daemon, 'exec', container, 'timeout', '2', ...argv);
    await ok(daemon, 'network', 'create', 'one');
    await ok(daemon, 'network', 'create', 'two');
    await ok(daemon, 'run', '-d', '--name', 'server', '--network', 'one', '-p', '18080:8080', 'busybox', ...serve('here'));
    await ok(daemon, 'run', '-d', '--name', 'friend', '--network', 'one', 'busybox', 'sleep', '1000');
    await ok(daemon, 'run', '-d', '--name', 'stranger', '--network', 'two', 'busybox', 'sleep', '1000');
    const address = await ok(daemon, 'inspect', '-f', '{{.NetworkSettings.Networks.one.IPAddress}}', 'server');

    for (const policy of ['DROP', 'ACCEPT']) {
      await run(netns, 'iptables', '-P', 'INPUT', policy);
      await run(netns, 'iptables', '-P', 'FORWARD', policy);
      await eventually(async () => assert.equal((await inside('friend', 'wget', '-q', '-O', '-', 'http://server:8080/')).stdout, 'here', policy));
      assert.equal((await run(clientNetns, 'curl', '-sS', '-m', '2', '--noproxy', '*', 'http://198.51.100.2:18080/')).stdout, 'here', policy);
      for (const argv of [['wget', '-q', '-O', '-', `http://${address}:8080/`], ['ping', '-c', '1', '-W', '1', address]]) assert.notEqual((await inside('stranger', ...argv)).exitCode, 0, `${policy}: ${argv.join(' ')}`);
    }
    // What the administrator says comes first.
    await run(netns, 'iptables', '-I', 'DOCKER-USER', '-p', 'tcp', '--dport', '8080', '-j', 'DROP');
    assert.notEqual((await run(clientNetns, 'curl', '-sS', '-m', '1', '--noproxy', '*', 'http://198.51.100.2:18080/')).exitCode, 0);
    await ok(daemon, 'network', 'create', 'three');
    const { stdout } = await run(netns, 'iptables', '-S', 'FORWARD');
    assert.equal(stdout.split('\n')[1], '-A FORWARD -j DOCKER-USER');
    assert.match((await run(netns, 'iptables', '-S', 'DOCKER-USER')).stdout, /--dport 8080 -j DROP/);
  });
});

// What others take from the host's network while the daemon runs comes back by itself, and nothing of theirs is touched.
// Only for a daemon of the tests' own, so run.ts leaves this file out for an engine that somebody else runs.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { faultsOf } from './support/audit.ts';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { talk, type Talk } from './support/echo.ts';
import { eventually } from './support/eventually.ts';
import { hostAddress } from './support/hosts.ts';
import { call } from './support/http.ts';
import { onDaemon } from './support/on-daemon.ts';
import { serve } from './support/reach.ts';

let daemon: Daemon;
before(async () => { daemon = await startDaemon('-healing'); });
after(() => daemon?.remove());

const { docker, at, curl } = onDaemon(() => daemon);
const onHost = (script: string) => at(daemon.netns, 'sh', '-ec', script);
const flushRuleset = () => at(daemon.netns, process.execPath, '--import', 'tsx', fileURLToPath(new URL('support/flush-ruleset.ts', import.meta.url)));
const device = async (name: string) => {
  const index = await docker('exec', name, 'cat', '/sys/class/net/eth0/iflink');
  return (await onHost('ip -o link')).split('\n').find(line => line.startsWith(`${index}: `))!.split(/[:@] ?/)[1]!;
};

/** The host's network, but for what the kernel counts and numbers, and addresses that it makes up. */
const picture = async () => {
  const said = await onHost('iptables-save; ip6tables-save; ip -o -d link | grep -o "^[^@]*@\\|master [^ ]*\\|state UP\\|hairpin on"; cat /proc/sys/net/ipv4/conf/*/route_localnet; ip -br address; ip route; ip -6 route show table main');
  return said.split('\n').filter(line => !line.startsWith('#')).map(line => line.replace(/\[\d+:\d+\]|@if\d+|fe80::\S+|^\d+: |linkdown| +$/g, '').trim()).sort();
};
const mended = async (before: readonly string[]) => {
  const start = Date.now();
  // The aim is a second.
  await eventually(async () => {
    const now = await picture();
    const [lost, come] = [before.filter(line => !now.includes(line)), now.filter(line => !before.includes(line))];
    assert.ok(now.join() === before.join(), `not as before:\n-${lost.join('\n-')}\n+${come.join('\n+')}`);
  }, { seconds: 3 });
  return Date.now() - start;
};
const heals = async () => (await call(daemon.socket, 'GET', `/events?since=0&until=${(Date.now() / 1000).toFixed(3)}&filters=${encodeURIComponent('{"event":["heal"]}')}`)).text.trim().split('\n').filter(line => line !== '').map(line => JSON.parse(line));

describe('what is taken away comes back', () => {
  let whole: readonly string[];
  let connection: Talk;

  before(async () => {
    await docker('network', 'create', '--ipv6', 'own');
    await docker('run', '-d', '--name', 'web', '-p', '21300:8080', 'busybox', ...serve('web'));
    await docker('run', '-d', '--name', 'own', '--network', 'own', '-p', '21301:8080', '-p', '21310-21330:7000-7020', 'busybox', ...serve('own'));
    await docker('run', '-d', '--name', 'echo', '-p', '21302:7000', 'busybox', 'nc', '-ll', '-p', '7000', '-e', 'cat');
    // Somebody else's rules, and the administrator's.
    await onHost(`iptables -A INPUT -s 203.0.113.9 -j DROP; iptables -A DOCKER-USER -s 203.0.113.1 -j DROP; iptables -t nat -A POSTROUTING -s 10.99.0.0/16 -o eth0 -j MASQUERADE; iptables -N theirs; iptables -A FORWARD -i tun0 -j theirs`);
    await reachable();
    connection = talk(daemon.clientNetns, 'tcp', hostAddress, 21302);
    await eventually(() => assert.ok(connection.answers().length > 2));
    whole = await picture();
  });
  after(() => connection.close());

  const reachable = () => eventually(async () => {
    assert.equal(await curl(daemon.clientNetns, `http://${hostAddress}:21300/`), 'web');
    assert.equal(await curl(daemon.clientNetns, `http://${hostAddress}:21301/`), 'own');
  });

  const cases: readonly (readonly [what: string, undo: () => Promise<unknown>, told: RegExp])[] = [
    ['the rules of the nat table', () => onHost('iptables -t nat -F DOCKER; iptables -t nat -F PREROUTING; ip6tables -t nat -F'), /ipv4 nat: .*missing.*ipv6 nat: .*missing|ipv6 nat: .*missing.*ipv4 nat: .*missing/],
    ['chains', () => onHost('iptables -F DOCKER-FORWARD; iptables -D FORWARD -j DOCKER-FORWARD; iptables -X DOCKER-FORWARD'), /ipv4 filter: rules \d+ missing/],
    ['rules that forbid', () => onHost('iptables -t raw -F'), /ipv4 raw/],
    ['a bridge, while it has containers', () => onHost('ip link delete docker0'), /bridge docker0: gone; veth\w{7} of (web|echo): not in docker0; veth\w{7} of (web|echo): not in docker0/],
    ['a bridge that is set down', async () => onHost(`ip link set ${await bridge('own')} down`), /bridge br-\w{12}: down/],
    ['an address of a bridge', () => onHost('ip address delete 172.17.0.1/16 dev docker0'), /bridge docker0: without address 172\.17\.0\.1\/16/],
    ['a route of a bridge', () => onHost('ip route delete 172.17.0.0/16'), /bridge docker0: without route 172\.17\.0\.0\/16/],
    ['a veth', async () => onHost(`ip link delete ${await device('web')}`), /veth\w{7} of web: gone/],
    ['a veth that is taken out of its bridge', async () => onHost(`ip link set ${await device('own')} nomaster`), /veth\w{7} of own: not in br-\w{12}/],
  ];
  const bridge = async (network: string) => `br-${(await docker('network', 'inspect', '-f', '{{.Id}}', network)).slice(0, 12)}`;

  for (const [what, undo, told] of cases)
    test(what, async t => {
      const known = (await heals()).length;
      await undo();
      t.diagnostic(`as before after ${await mended(whole)} ms`);
      await reachable();
      await eventually(async () => assert.match((await heals()).slice(known).map(({ Actor }) => Actor.Attributes.mended).join('; '), told));
    });

  test('through all of this, a connection by a published port goes on', async () => {
    const answers = connection.answers().length;
    await eventually(() => assert.ok(connection.answers().length > answers + 3), { seconds: 10 });
    assert.equal(connection.over(), false);
  });

  test('the event is as docker shows it', async () => {
    const [line] = (await docker('events', '--since', '1h', '--until', '0s', '--filter', 'type=daemon')).split('\n');
    assert.match(line!, /^\S+ daemon heal [0-9a-f-]{36} \(mended=ipv4 .*, name=.+\)$/);
  });

  test('a firewall that is loaded anew: its own rules stay, and DOCKER-USER comes first', async () => {
    await onHost('iptables -F; iptables -t nat -F; iptables -X; iptables -t nat -X; iptables -N zones; iptables -A zones -j ACCEPT; iptables -A FORWARD -j zones; iptables -A FORWARD -j REJECT');
    await eventually(async () => assert.deepEqual((await onHost('iptables -S FORWARD')).split('\n').slice(1), ['-A FORWARD -j DOCKER-USER', '-A FORWARD -j DOCKER-FORWARD', '-A FORWARD -j zones', '-A FORWARD -j REJECT --reject-with icmp-port-unreachable']), { seconds: 3 });
    await reachable();
    assert.match(await onHost('iptables -S zones'), /-A zones -j ACCEPT/);
  });

  test('everything, with nft flush ruleset; and a container that is started into the gap has its rules', async () => {
    await onHost('iptables -I DOCKER-USER -s 203.0.113.2 -j DROP');
    await flushRuleset();
    await docker('run', '-d', '--name', 'late', '-p', '21303:8080', 'busybox', ...serve('late'));
    await eventually(async () => assert.equal(await curl(daemon.clientNetns, `http://${hostAddress}:21303/`), 'late'));
    await reachable();
    // What kept others from being forwarded is there again too.
    assert.equal((await onHost('iptables -S FORWARD')).split('\n')[0], '-P FORWARD DROP');
    await docker('rm', '-f', 'late');
  });
});

test('while containers come and go and somebody flushes on and on: in the end the host has what it should, and no more', async () => {
  const ids = new Set<string>();
  let going = true;
  const flushing = (async () => {
    for (const what of ['iptables -F', 'iptables -t nat -F DOCKER', 'ip link set docker0 down', 'iptables -t raw -F', 'iptables -F DOCKER', 'ip route delete 172.17.0.0/16'])
      if (going) await onHost(`${what} 2>/dev/null || true; sleep 0.4`);
  })();
  await Promise.all([21340, 21341, 21342].map(async port => {
    for (let round = 0; round < 4; round++) {
      const id = await docker('run', '-d', '-p', `${port}:80`, 'busybox', 'sleep', '1000');
      ids.add(id);
      await docker('rm', '-f', id);
    }
  }));
  going = false;
  await flushing;
  await docker('rm', '-f', 'web', 'own', 'echo');
  await docker('network', 'rm', 'own');
  await docker('run', '-d', '--name', 'kept', '-p', '21343:8080', 'busybox', ...serve('kept'));
  await eventually(async () => {
    assert.deepEqual(await faultsOf(daemon, ids), []);
    assert.equal(await curl(daemon.clientNetns, `http://${hostAddress}:21343/`), 'kept');
  }, { seconds: 10, every: 200 });
});

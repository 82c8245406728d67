// The story this engine exists for: publish with -P, look at the rules, share volumes, back them up.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { docker, dockerBytes, dockerOut, inHost, inspect, run } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { clientAddress, hostAddress } from './support/hosts.ts';
import { fetched, serve, statusOf } from './support/reach.ts';
import { scope } from './support/scope.ts';

const { name, directory } = scope('seed');
const myapp = 'docker-registry.sh/myapp:v0.0.1';

const natRules = async () => (await inHost('iptables-save', '-t', 'nat')).stdout.split('\n');

describe('docker run -d -P', () => {
  const web = name('web');
  let port = '';
  let address = '';

  before(async () => {
    assert.match(await dockerOut('run', '-d', '-P', '--name', web, myapp), /^[0-9a-f]{64}$/);
    port = (await dockerOut('port', web, '8080')).split('\n')[0]!.replace(/.*:/, '');
    address = (await inspect(web)).NetworkSettings.IPAddress;
  });

  test('docker ps shows the port on both families', async () => {
    const line = await dockerOut('ps', '--filter', `name=${web}`, '--format', '{{.Image}}|{{.Command}}|{{.Ports}}|{{.Names}}|{{.Status}}');
    const [image, command, ports, names, status] = line.split('|');
    assert.equal(image, myapp);
    assert.equal(command, '"httpd -f -v -p 8080"');
    assert.match(ports!, new RegExp(`^0\\.0\\.0\\.0:${port}->8080/tcp, (\\[::\\]|::):${port}->8080/tcp$`));
    assert.equal(names, web);
    assert.match(status!, /^Up (Less than a second|\d+ seconds?|About a minute)$/);
  });

  test('the port is one of the ephemeral range', async () => {
    const [first, last] = (await inHost('cat', '/proc/sys/net/ipv4/ip_local_port_range')).stdout.split(/\s+/).map(Number);
    assert.ok(Number(port) >= first! && Number(port) <= last!, port);
  });

  test('docker port', async () => {
    assert.equal(await dockerOut('port', web), `8080/tcp -> 0.0.0.0:${port}\n8080/tcp -> [::]:${port}`);
  });

  test('docker inspect | grep IP', async () => {
    const lines = (await dockerOut('inspect', web)).split('\n').filter(line => line.includes('"IPAddress"'));
    assert.equal(lines.length, 2);
    for (const line of lines) assert.match(line, /^\s+"IPAddress": "172\.\d+\.\d+\.\d+",$/);
  });

  test('docker inspect tells the network, the ports and the image', async () => {
    const { NetworkSettings, HostConfig, Config, State, Image } = await inspect(web);
    assert.deepEqual(NetworkSettings.Ports, { '8080/tcp': [{ HostIp: '0.0.0.0', HostPort: port }, { HostIp: '::', HostPort: port }] });
    assert.equal(NetworkSettings.Networks.bridge.IPAddress, address);
    assert.equal(NetworkSettings.IPPrefixLen, 16);
    assert.match(NetworkSettings.MacAddress, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
    assert.equal(HostConfig.PublishAllPorts, true);
    assert.deepEqual(HostConfig.PortBindings, {});
    assert.deepEqual(Config.ExposedPorts, { '8080/tcp': {} });
    assert.equal(State.Status, 'running');
    assert.equal(Image, await dockerOut('image', 'inspect', '-f', '{{.Id}}', myapp));
  });

  test('the nat table has the DNAT and the MASQUERADE rule of the story', async () => {
    const rules = await natRules();
    const { subnet, gateway } = await bridge();
    assert.ok(rules.includes(`-A DOCKER ! -i docker0 -p tcp -m tcp --dport ${port} -j DNAT --to-destination ${address}:8080`), rules.join('\n'));
    assert.ok(rules.includes(`-A POSTROUTING -s ${subnet} ! -o docker0 -j MASQUERADE`), rules.join('\n'));
    assert.ok(rules.includes('-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER'), rules.join('\n'));
    assert.ok((await inHost('ip', '-br', 'addr', 'show', 'docker0')).stdout.includes(`${gateway}/16`));
  });

  test('iptables -nvL -t nat counts the connection of another host', async () => {
    const counted = async () => {
      const line = (await inHost('iptables', '-nvL', 'DOCKER', '-t', 'nat')).stdout.split('\n').find(text => text.includes(`dpt:${port} to:${address}:8080`));
      return Number(line?.trim().split(/\s+/)[0]);
    };
    await statusOf('client', `http://${hostAddress}:${port}/`);
    const counter = await counted();
    assert.equal(await statusOf('client', `http://${hostAddress}:${port}/`), 404);
    assert.equal(await counted(), counter + 1);
  });

  test('the host has one veth more, on docker0', async () => {
    const links = (await inHost('ip', '-br', 'link', 'show', 'master', 'docker0')).stdout;
    const peer = (await dockerOut('exec', web, 'cat', '/sys/class/net/eth0/iflink')).trim();
    const indexes = await Promise.all([...links.matchAll(/^(veth\w+)@/gm)].map(async ([, link]) => (await inHost('ip', '-o', 'link', 'show', link!)).stdout.split(':')[0]));
    assert.ok(indexes.includes(peer), `${peer} is not among the ports of docker0:\n${links}`);
  });

  test('after docker rm -f no rule and no port of it is left', async () => {
    const gone = name('gone');
    await dockerOut('run', '-d', '-P', '--name', gone, myapp);
    const { IPAddress, Ports } = (await inspect(gone)).NetworkSettings;
    const { HostPort } = Ports['8080/tcp'][0];
    assert.equal(await dockerOut('rm', '-f', gone), gone);
    assert.deepEqual((await natRules()).filter(rule => rule.includes(`${IPAddress}:`)), []);
    assert.ok(!(await inHost('ss', '-lnt')).stdout.includes(`:${HostPort} `));
  });
});

describe('who reaches a published port', () => {
  const server = name('server');
  const peer = name('peer');
  let port = '';
  let address = '';

  before(async () => {
    await dockerOut('run', '-d', '--name', server, '-p', '8080', 'busybox', ...serve('hello from the container'));
    await dockerOut('run', '-d', '--name', peer, 'busybox', 'sleep', '1000');
    const settings = (await inspect(server)).NetworkSettings;
    port = settings.Ports['8080/tcp'][0].HostPort;
    address = settings.IPAddress;
  });

  const answer = 'hello from the container\n';

  test('another host', async () => assert.equal(await fetched('client', `http://${hostAddress}:${port}/`), answer));
  test('the host, by its address', async () => assert.equal(await fetched('host', `http://${hostAddress}:${port}/`), answer));
  test('the host, by 127.0.0.1', async () => assert.equal(await fetched('host', `http://127.0.0.1:${port}/`), answer));
  test('the host, by [::1]', async () => assert.equal(await fetched('host', `http://[::1]:${port}/`), answer));
  test('the host, by the container\'s address', async () => assert.equal(await fetched('host', `http://${address}:8080/`), answer));
  test('another container, by the host\'s address', async () => assert.equal(await fetched({ container: peer }, `http://${hostAddress}:${port}/`), answer));
  test('another container, by the bridge\'s address', async () => {
    const { gateway } = await bridge();
    assert.equal(await fetched({ container: peer }, `http://${gateway}:${port}/`), answer);
  });
  test('another container, by the container\'s address', async () => assert.equal(await fetched({ container: peer }, `http://${address}:8080/`), answer));
  test('the container itself, by the host\'s address', async () => assert.equal(await fetched({ container: server }, `http://${hostAddress}:${port}/`), answer));
});

describe('the ways out of a container', () => {
  const box = name('box');
  before(() => dockerOut('run', '-d', '--name', box, 'busybox', 'sleep', '1000'));

  const ping = async (to: string) => (await docker('exec', box, 'ping', '-c', '1', '-W', '2', to)).stdout;

  test('container to host', async () => assert.match(await ping(hostAddress), /1 packets received/));
  test('container to its gateway', async () => assert.match(await ping((await bridge()).gateway), /1 packets received/));

  test('container to another host, which has no route back: the source is the host\'s address', async () => {
    assert.match(await ping(clientAddress), /1 packets received/);
  });

  test('host to container', async () => {
    const { IPAddress } = (await inspect(box)).NetworkSettings;
    assert.match((await inHost('busybox', 'ping', '-c', '1', '-W', '2', IPAddress)).stdout, /1 packets received/);
  });
});

describe('docker volumes', () => {
  const holder = name('Volume_Container');
  before(async () => {
    await dockerOut('run', '-d', '-v', '/var/volume1', '-v', '/var/volume2', '--name', holder, 'busybox', 'sleep', '1000');
    await dockerOut('exec', holder, 'sh', '-c', 'echo one >/var/volume1/a; mkdir /var/volume2/d; echo two >/var/volume2/d/b; ln -s a /var/volume1/l');
  });

  test('-v PATH makes an anonymous volume for each', async () => {
    const { Mounts } = await inspect(holder);
    assert.deepEqual(Mounts.map((mount: any) => mount.Destination).sort(), ['/var/volume1', '/var/volume2']);
    for (const mount of Mounts) {
      assert.match(mount.Name, /^[0-9a-f]{64}$/);
      assert.equal(mount.Type, 'volume');
      assert.equal(mount.Driver, 'local');
      assert.equal(mount.RW, true);
      assert.ok(mount.Source.endsWith(`/volumes/${mount.Name}/_data`), mount.Source);
    }
  });

  test('a volume is a directory on the host', async () => {
    const { Source } = (await inspect(holder)).Mounts.find((mount: any) => mount.Destination === '/var/volume1');
    assert.equal(await readFile(join(Source, 'a'), 'utf8'), 'one\n');
    await writeFile(join(Source, 'from-host'), 'seen');
    assert.equal(await dockerOut('exec', holder, 'cat', '/var/volume1/from-host'), 'seen');
  });

  test('--volumes-from shares both, in both directions', async () => {
    const script = 'cat /var/volume1/a /var/volume2/d/b; readlink /var/volume1/l; echo three >/var/volume1/c';
    assert.equal(await dockerOut('run', '-i', '--rm', '--volumes-from', holder, '--name', name('App_Container'), 'busybox', 'sh', '-c', script), 'one\ntwo\na');
    assert.equal(await dockerOut('exec', holder, 'cat', '/var/volume1/c'), 'three');
  });

  test('the backup: --volumes-from DATA -v $(pwd):/backup busybox tar cvf /backup/backup.tar /data', async () => {
    const data = name('DATA');
    const backup = await directory();
    await dockerOut('run', '-d', '-v', '/data', '--name', data, 'busybox', 'sh', '-c', 'echo precious >/data/file; sleep 1000');
    await eventually(() => dockerOut('exec', data, 'test', '-s', '/data/file'));
    const { stdout, stderr, exitCode } = await docker('run', '--rm', '--name', name('tar'), '--volumes-from', data, '-v', `${backup}:/backup`, 'busybox', 'tar', 'cvf', '/backup/backup.tar', '/data');
    assert.equal(exitCode, 0);
    assert.match(stdout + stderr, /^data\/file$/m);
    assert.equal((await run(['tar', 'tf', join(backup, 'backup.tar')])).stdout, 'data/\ndata/file\n');
    assert.equal((await run(['tar', 'xOf', join(backup, 'backup.tar'), 'data/file'])).stdout, 'precious\n');
  });

  test('docker cp CONTAINER:/data - is a tar of the volume', async () => {
    const { stdout, exitCode } = await dockerBytes(undefined, 'cp', `${holder}:/var/volume2`, '-');
    assert.equal(exitCode, 0);
    assert.equal((await run(['tar', 't'], { input: stdout })).stdout, 'volume2/\nvolume2/d/\nvolume2/d/b\n');
  });

  test('docker rm -f keeps anonymous volumes, docker rm -f -v removes them', async () => {
    const [kept, removed] = [name('kept'), name('removed')];
    for (const box of [kept, removed]) await dockerOut('run', '-d', '-v', '/data', '--name', box, 'busybox', 'sleep', '1000');
    const volumes = await Promise.all([kept, removed].map(async box => (await inspect(box)).Mounts[0].Name));
    await dockerOut('rm', '-f', kept);
    await dockerOut('rm', '-f', '-v', removed);
    assert.equal(await dockerOut('volume', 'ls', '-q', '--filter', `name=${volumes[0]}`), volumes[0]);
    assert.equal(await dockerOut('volume', 'ls', '-q', '--filter', `name=${volumes[1]}`), '');
    await dockerOut('volume', 'rm', volumes[0]);
  });
});

async function bridge(): Promise<{ subnet: string; gateway: string }> {
  const [config] = JSON.parse(await dockerOut('network', 'inspect', 'bridge'))[0].IPAM.Config;
  return { subnet: config.Subnet, gateway: config.Gateway };
}

// Ports of a running container, changed by update: published and taken back without a restart. And what is sent to a published
// port goes to who has it now, whoever had it before.

import { execa } from 'execa';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeBerth } from './support/berth.ts';
import { dockerOut, inHost, inspect } from './support/docker.ts';
import { talk } from './support/echo.ts';
import { engine } from './support/engine.ts';
import { eventually } from './support/eventually.ts';
import { hostAddress } from './support/hosts.ts';
import { http } from './support/http.ts';
import { fetched, serve, unreachable } from './support/reach.ts';
import { scope } from './support/scope.ts';

const { name } = scope('live');
const update = async (word: string, body: object) => {
  const { status, text } = await http('POST', `/containers/${name(word)}/update`, body);
  return { status, said: status === 200 ? '' : (JSON.parse(text).message as string) };
};
const publish = async (word: string, bindings: object) => assert.deepEqual(await update(word, { HostConfig: { PortBindings: bindings } }), { status: 200, said: '' });
const binding = (HostPort: number | string, HostIp = '') => ({ HostIp, HostPort: `${HostPort}` });
const everywhere = (port: number) => [binding(port, '0.0.0.0'), binding(port, '::')];
const ports = async (word: string) => (await inspect(name(word))).NetworkSettings.Ports;
const at = (port: number) => `http://${hostAddress}:${port}/`;

describeBerth('ports of a running container', () => {
  test('come and go, and the container runs on', async () => {
    await dockerOut('run', '-d', '--name', name('web'), '-p', '21400:8080', 'busybox', ...serve('web'));
    await fetched('client', at(21400));
    const { Pid } = (await inspect(name('web'))).State;

    await publish('web', { '8080/tcp': [binding(21400), binding(21401)], '9000/udp': [binding(21402, '127.0.0.1')] });
    assert.deepEqual([await fetched('client', at(21401)), await fetched('client', at(21400))], ['web\n', 'web\n']);
    const { HostConfig, NetworkSettings, Config, State } = await inspect(name('web'));
    assert.deepEqual(HostConfig.PortBindings, { '8080/tcp': [binding(21400), binding(21401)], '9000/udp': [binding(21402, '127.0.0.1')] });
    assert.deepEqual(NetworkSettings.Ports, { '8080/tcp': [...everywhere(21400), ...everywhere(21401)], '9000/udp': [binding(21402, '127.0.0.1')] });
    assert.deepEqual(Config.ExposedPorts, { '8080/tcp': {}, '9000/udp': {} });
    assert.equal(State.Pid, Pid);
    assert.match(await dockerOut('ps', '--filter', `name=${name('web')}`, '--format', '{{.Ports}}'), /0\.0\.0\.0:21400-21401->8080\/tcp|0\.0\.0\.0:21400->8080\/tcp, .*0\.0\.0\.0:21401->8080\/tcp/);

    await publish('web', { '8080/tcp': [binding(21401)] });
    await unreachable('client', at(21400));
    assert.equal(await fetched('client', at(21401)), 'web\n');
    assert.equal(await dockerOut('port', name('web')), '8080/tcp -> 0.0.0.0:21401\n8080/tcp -> [::]:21401');
  });

  test('PortBindings beside the limits is the same; without it nothing changes; empty, nothing is published', async () => {
    assert.equal((await update('web', { PortBindings: { '8080/tcp': [binding(21403)] } })).status, 200);
    assert.equal(await fetched('client', at(21403)), 'web\n');
    for (const body of [{}, { CpuShares: 512 }, { HostConfig: {} }, { PortBindings: null }]) assert.equal((await update('web', body)).status, 200);
    assert.deepEqual((await ports('web'))['8080/tcp'], everywhere(21403));
    await publish('web', {});
    assert.deepEqual(await ports('web'), { '8080/tcp': null, '9000/udp': null });
    await unreachable('client', at(21403));
    assert.doesNotMatch((await inHost('iptables-save')).stdout, /--dport 2140\d/);
  });

  test('what stays published stays where it is, also where nobody asked for a certain port', async () => {
    await dockerOut('run', '-d', '--name', name('any'), '-P', '--expose', '8080', '-p', '7000', 'busybox', ...serve('any'));
    const before = await ports('any');
    await publish('any', { '7000/tcp': [binding('')], '7001/tcp': [binding('21410-21420')] });
    const after = await ports('any');
    assert.deepEqual([after['7000/tcp'], after['8080/tcp'], after['7001/tcp']], [before['7000/tcp'], before['8080/tcp'], everywhere(21410)]);
  });

  test('of ports that somebody has, none is taken, and all is as before', async () => {
    await publish('web', { '8080/tcp': [binding(21404)] });
    const before = await inspect(name('web'));
    const refused = async (bindings: object, message: RegExp) => {
      const { status, said } = await update('web', { HostConfig: { PortBindings: bindings } });
      assert.deepEqual([status, message.test(said)], [500, true], said);
    };
    await refused({ '8080/tcp': [binding(21405)], '7000/tcp': [binding(21410)] }, /^Cannot update container [0-9a-f]{64}: driver failed programming external connectivity on endpoint \S+ \([0-9a-f]{64}\): Bind for 0\.0\.0\.0:21410 failed: port is already allocated$/);
    const listener = talkless(21406);
    await eventually(async () => assert.match((await inHost('ss', '-lnt')).stdout, /:21406 /));
    await refused({ '8080/tcp': [binding(21405)], '7000/tcp': [binding(21406)] }, /failed to bind host port for 0\.0\.0\.0:21406:[\d.]+:7000\/tcp: address already in use$/);
    await listener;
    for (const [body, message] of [
      [{ '8080/foo': [binding(21405)] }, 'invalid protocol: foo'],
      [{ '8080/tcp': [binding('x')] }, 'invalid port specification: "x"'],
    ] as const) assert.deepEqual(await update('web', { HostConfig: { PortBindings: body } }), { status: 400, said: message });
    const { HostConfig, NetworkSettings } = await inspect(name('web'));
    assert.deepEqual([HostConfig, NetworkSettings], [before.HostConfig, before.NetworkSettings]);
    assert.equal(await fetched('client', at(21404)), 'web\n');
    await unreachable('client', at(21405));
  });

  test('a stopped container publishes them when it starts', async () => {
    await dockerOut('stop', '-t', '0', name('web'));
    await publish('web', { '8080/tcp': [binding(21407)] });
    assert.deepEqual(await ports('web'), {});
    await dockerOut('start', name('web'));
    assert.equal(await fetched('client', at(21407)), 'web\n');
    await dockerOut('rm', '-f', name('web'), name('any'));
  });
});

/** Holds a port on the host for a moment. */
const talkless = (port: number) => inHost('timeout', '2', process.execPath, '-e', `require('net').createServer().listen(${port})`);

describeBerth('datagrams', () => {
  const servers = new Map<string, { readonly pid?: number | undefined; kill(): boolean }>();
  /** A container with a server in its network that answers everything with the container's name: busybox has none for datagrams. */
  const server = async (who: string, ...options: string[]) => {
    await dockerOut('run', '-d', '--name', name(who), ...options, 'busybox', 'sleep', '1000');
    await answering(who);
  };
  const answering = async (who: string) => {
    const { SandboxKey } = (await inspect(name(who))).NetworkSettings;
    const script = `const s = require('dgram').createSocket('udp4'); s.on('message', (_, from) => s.send('${who}\\n', from.port, from.address)).bind(9000);`;
    servers.set(who, execa('nsenter', [`--net=${SandboxKey}`, process.execPath, '-e', script], { reject: false, stdin: 'ignore', env: { NODE_TEST_CONTEXT: undefined } }));
  };

  const addressesOf = async (who: string) => {
    const pid = servers.get(who)!.pid!;
    const { stdout } = await execa('nsenter', ['-t', `${pid}`, '-n', 'ip', '-o', '-4', 'address']);
    return stdout.split('\n').filter(line => line !== '' && !line.includes('127.0.0.1'));
  };

  test('whoever goes on sending reaches the container that has the port now', async () => {
    await server('one', '-p', '21450:9000/udp');
    const talking = talk(engine.clientNetns, 'udp', hostAddress, 21450);
    const reaches = (who: string) => eventually(() => assert.equal(talking.answers().at(-1), who), { seconds: 10 });
    try {
      await reaches('one');
      // It comes back with another address.
      await dockerOut('stop', '-t', '0', name('one'));
      // Its namespace goes on, for the server is in it; but it has no way to anybody, nor the address that is given away now.
      await eventually(async () => assert.deepEqual(await addressesOf('one'), []), { seconds: 10 });
      servers.get('one')!.kill();
      await server('between');
      await dockerOut('start', name('one'));
      await answering('one');
      const before = talking.answers().length;
      await eventually(() => assert.ok(talking.answers().length > before), { seconds: 10 });
      // From one that runs to another that runs.
      await publish('one', {});
      await publish('between', { '9000/udp': [binding(21450)] });
      await reaches('between');
      // By the kernel's way, which is the only one that shows the sender.
      await eventually(async () => assert.match((await inHost('cat', '/proc/net/nf_conntrack')).stdout, /dport=21450 src=172\.17\.\d+\.\d+ .* sport=9000/), { seconds: 10 });
      await publish('between', {});
      await eventually(async () => {
        const now = talking.answers().length;
        await new Promise(resolve => setTimeout(resolve, 300));
        assert.equal(talking.answers().length, now);
      });
    } finally {
      await talking.close();
      for (const each of servers.values()) each.kill();
      await dockerOut('rm', '-f', ...['one', 'between'].map(name));
    }
  });
});

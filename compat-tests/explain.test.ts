// What a call would do to the host, asked before it is made (berth's own: on other engines there is nothing to ask).

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { execa } from 'execa';
import { fileURLToPath } from 'node:url';
import { docker, dockerFails, dockerOut, inHost, inspect } from './support/docker.ts';
import { engine } from './support/engine.ts';
import { http } from './support/http.ts';
import { scope } from './support/scope.ts';

const { name } = scope('explain');
const skip = (await http('POST', '/berth/explain/networks/create', { Name: name('probe') })).status === 404 ? 'the engine has no /berth/explain' : false;
const cli = fileURLToPath(new URL('../dist/berth.js', import.meta.url));
const explain = async (...words: readonly string[]): Promise<readonly string[]> =>
  (await execa(process.execPath, [cli, '-H', `unix://${engine.socket}`, 'explain', ...words])).stdout.split('\n').filter(line => line !== '');
const listing = async () => (await inHost('sh', '-c', 'ip -o link | cut -d " " -f 2; iptables -S; iptables -t nat -S')).stdout;

describe('berth explain', { skip, concurrency: 1 }, () => {
  test('start: what it tells is what is there afterwards, and before it nothing is', async () => {
    const box = name('box');
    await dockerOut('create', '--name', box, '-p', '18980:80', 'busybox', 'sleep', '1000');
    const told = await explain('start', box);
    assert.deepEqual(new Set(told.map(line => line.split(' ').slice(0, 2).join(' '))).has('+ netns'), true, told.join('\n'));
    assert.doesNotMatch(await listing(), /18980/);
    assert.equal((await inspect(box)).State.Status, 'created');

    await dockerOut('start', box);
    const { IPAddress } = (await inspect(box)).NetworkSettings.Networks.bridge;
    assert.ok(told.includes(`+ address ${IPAddress}/16 on eth0`), told.join('\n'));
    const rule = `-A DOCKER ! -i docker0 -p tcp -m tcp --dport 18980 -j DNAT --to-destination ${IPAddress}:80`;
    assert.ok(told.includes(`+ nat ${rule}`), told.join('\n'));
    assert.ok((await listing()).includes(rule));
    assert.deepEqual(await explain('start', box), []);
    assert.ok((await explain('stop', box)).includes(`- nat ${rule}`));
    assert.ok((await explain('rm', '-f', box)).some(line => line.startsWith('- directory ')));
    assert.equal((await inspect(box)).State.Status, 'running');
  });

  test('networks', async () => {
    const net = name('net');
    const box = name('joins');
    const told = await explain('network', 'create', '--subnet', '10.179.0.0/24', '--internal', net);
    assert.ok(told.some(line => /^\+ bridge br-[0-9a-f]{12} 10\.179\.0\.1\/24$/.test(line)), told.join('\n'));
    assert.equal((await docker('network', 'inspect', net)).exitCode, 1);

    await dockerOut('network', 'create', '--subnet', '10.179.0.0/24', net);
    await dockerOut('run', '-d', '--name', box, 'busybox', 'sleep', '1000');
    assert.ok((await explain('network', 'connect', net, box)).includes('+ address 10.179.0.2/24 on eth1'));
    await dockerOut('network', 'connect', net, box);
    assert.ok((await explain('network', 'disconnect', net, box)).some(line => line.startsWith('- veth ')));
    await dockerFails(1, 'has active endpoints', 'network', 'rm', net);
    await assert.rejects(explain('network', 'rm', net), /has active endpoints/);
  });

  test('what is wrong with a call is told as the call would', async () => {
    await assert.rejects(explain('start', name('nosuch')), /No such container: /);
    await assert.rejects(explain('network', 'create', 'bridge'), /operation is not permitted on predefined bridge network/);
    await assert.rejects(explain('network', 'rm', 'host'), /host is a pre-defined network and cannot be removed/);
    const { status, json } = await http('POST', '/berth/explain/networks/create', { Name: name('bad'), Driver: 'nosuch' });
    assert.deepEqual([status, json().message], [404, 'plugin "nosuch" not found']);
  });
});

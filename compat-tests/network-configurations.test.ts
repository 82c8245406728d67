// Networks of configuration only, and those that are made from them.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { docker, dockerFails, dockerOut, inHost } from './support/docker.ts';
import { scope } from './support/scope.ts';

const { name } = scope('cfg');
const configuration = name('settings');
const web = name('web');
const net = async (ref: string): Promise<any> => JSON.parse(await dockerOut('network', 'inspect', ref))[0];

describe('docker network create --config-only and --config-from', () => {
  // A configuration in use does not go: those made from it go first.
  after(async () => {
    await docker('network', 'rm', web);
    await docker('network', 'rm', configuration);
  });

  test('a configuration is kept, and nothing of it is on the host', async () => {
    await dockerOut('network', 'create', '--config-only', '--subnet', '10.177.0.0/24', '--gateway', '10.177.0.9', '--label', 'tier=back', '-o', 'com.docker.network.driver.mtu=1400', configuration);
    const { Driver, Scope, ConfigOnly, ConfigFrom, IPAM, Labels, Options, Id } = await net(configuration);
    assert.deepEqual({ Driver, Scope, ConfigOnly, ConfigFrom }, { Driver: 'null', Scope: 'local', ConfigOnly: true, ConfigFrom: { Network: '' } });
    assert.deepEqual(IPAM.Config, [{ Subnet: '10.177.0.0/24', Gateway: '10.177.0.9' }]);
    assert.deepEqual([Labels, Options], [{ tier: 'back' }, { 'com.docker.network.driver.mtu': '1400' }]);
    assert.notEqual((await inHost('ip', 'link', 'show', `br-${Id.slice(0, 12)}`)).exitCode, 0);
  });

  test('no container joins it', async () => {
    await dockerFails(125, 'cannot create endpoint on configuration-only network', 'run', '--rm', '--name', name('none'), '--network', configuration, 'busybox', 'true');
  });

  test('a network made from it has its subnet, gateway, options and labels', async () => {
    await dockerOut('network', 'create', '--config-from', configuration, '--internal', web);
    const { Driver, ConfigOnly, ConfigFrom, IPAM, Labels, Internal } = await net(web);
    assert.deepEqual({ Driver, ConfigOnly, ConfigFrom, Internal }, { Driver: 'bridge', ConfigOnly: false, ConfigFrom: { Network: configuration }, Internal: true });
    assert.deepEqual(IPAM.Config, [{ Subnet: '10.177.0.0/24', Gateway: '10.177.0.9' }]);
    assert.deepEqual(Labels, { tier: 'back' });
    assert.match(await dockerOut('run', '--rm', '--name', name('in'), '--network', web, 'busybox', 'ip', '-o', 'link', 'show', 'eth0'), / mtu 1400 /);
  });

  test('it stays as long as a network is made from it, and prune leaves it', async () => {
    await dockerFails(1, `configuration network "${configuration}" is in use`, 'network', 'rm', configuration);
    await dockerOut('network', 'prune', '-f', '--filter', 'label=tier=back');
    assert.equal((await docker('network', 'inspect', web)).exitCode, 1);
    assert.equal((await net(configuration)).Name, configuration);
    await dockerOut('network', 'rm', configuration);
  });

  test('refusals', async () => {
    const refused = (message: string, ...options: string[]) => dockerFails(1, message, 'network', 'create', ...options, name('bad'));
    await refused('configuration network can only contain network specific fields', '--config-only', '--internal');
    await refused('configuration network can only contain network specific fields', '--config-only', '--attachable');
    await refused('a configuration network cannot depend on another configuration network', '--config-only', '--config-from', 'any');
    await refused('invalid subnet 10.7.0.1/24: it should be 10.7.0.0/24', '--config-only', '--subnet', '10.7.0.1/24');
    await refused('configuration network "nosuch" does not exist', '--config-from', 'nosuch');
    await refused('configuration network "bridge" does not exist', '--config-from', 'bridge');
    await refused('user specified configurations are not supported if the network depends on a configuration network', '--config-from', 'any', '--label', 'a=b');
    await refused('user specified configurations are not supported if the network depends on a configuration network', '--config-from', 'any', '--subnet', '10.7.0.0/24');
    await refused('network driver options are not supported if the network depends on a configuration network', '--config-from', 'any', '-o', 'a=b');
    assert.equal((await docker('network', 'inspect', name('bad'))).exitCode, 1);
  });
});

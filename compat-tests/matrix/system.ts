// The engine itself: what it is, what happens in it, and how it speaks HTTP.

import assert from 'node:assert/strict';
import { check, type Resource } from './check.ts';
import type { Lab } from './lab.ts';

const shows = (lab: Lab, filters: Readonly<Record<string, readonly string[]>>, expected: readonly string[]) =>
  lab.eventually(async () => assert.deepEqual((await lab.events(filters)).map(({ Type, Action }) => `${Type} ${Action}`), expected));

export const system: Resource = {
  title: 'system',
  about: 'ping, version, info, disk usage, events with every filter; versions in paths, errors, bodies',
  checks: [
    check('GET /_ping', 'OK, and what the engine is', async lab => {
      const { status, text, headers } = await lab.call('GET', '/_ping');
      assert.deepEqual([status, text, headers['ostype'], headers['swarm'], headers['cache-control']], [200, 'OK', 'linux', 'inactive', 'no-cache, no-store, must-revalidate']);
      assert.match(String(headers['api-version']), /^1\.\d+$/);
    }),
    check('HEAD /_ping', 'the same, without a body', async lab => {
      const { status, text, headers } = await lab.call('HEAD', '/_ping');
      assert.deepEqual([status, text, headers['docker-experimental']], [200, '', 'false']);
    }, { since: 40 }),
    check('GET /version', 'its versions', async lab => {
      const { ApiVersion, MinAPIVersion, Os, Arch, KernelVersion, Components } = await lab.ask(200, 'GET', '/version');
      assert.deepEqual([ApiVersion, MinAPIVersion, Os], [`1.${lab.version}`, '1.24', 'linux']);
      assert.ok(Arch.length > 0 && KernelVersion.length > 0);
      assert.equal(Components.find(({ Name }: any) => Name === 'Engine').Details.ApiVersion, ApiVersion);
    }),
    check('GET /info', 'what is here, what it can do', async lab => {
      const info = await lab.ask(200, 'GET', '/info');
      assert.equal(info.Containers, info.ContainersRunning + info.ContainersPaused + info.ContainersStopped);
      assert.deepEqual([info.OSType, info.Swarm.LocalNodeState, info.MemoryLimit, info.PidsLimit], ['linux', 'inactive', true, true]);
      for (const driver of ['bridge', 'host', 'null']) assert.ok(info.Plugins.Network.includes(driver));
      assert.ok(info.Plugins.Volume.includes('local') && info.Plugins.Log.includes('json-file'));
      assert.ok(info.NCPU >= 1 && info.MemTotal > 0 && info.SecurityOptions.some((each: string) => each.startsWith('name=seccomp')));
      assert.ok(Object.keys(info.Runtimes).includes(info.DefaultRuntime));
    }),
    check('GET /info', 'what it does for its firewall', async lab => {
      assert.match((await lab.ask(200, 'GET', '/info')).FirewallBackend.Driver, /^(iptables|nftables)/);
    }, { since: 49 }),
    check('GET /system/df', 'what takes room', async lab => {
      const volume = await lab.volume();
      const id = await lab.start({ HostConfig: { Binds: [`${volume}:/v`] } });
      await lab.exec(id, ['dd', 'if=/dev/zero', 'of=/v/f', 'bs=1k', 'count=64']);
      const { Images, Containers, Volumes, LayersSize, BuildCache } = await lab.ask(200, 'GET', '/system/df');
      const usage = Volumes.find(({ Name }: any) => Name === volume).UsageData;
      assert.deepEqual([usage.RefCount, usage.Size >= 65536], [1, true]);
      assert.equal(typeof Containers.find(({ Id }: any) => Id === id).SizeRootFs, 'number');
      assert.ok(Images.some(({ RepoTags, Containers: count }: any) => RepoTags?.includes('busybox:latest') && count >= 1));
      assert.ok(LayersSize > 0 && Array.isArray(BuildCache));
    }),
    check('GET /system/df', 'of one kind only', async lab => {
      const { Images, Containers, Volumes } = await lab.ask(200, 'GET', '/system/df?type=volume');
      assert.deepEqual([Images, Containers, Array.isArray(Volumes)], [null, null, true]);
      await lab.refuses(400, 'unknown object type: bad', 'GET', '/system/df?type=bad');
    }, { since: 42 }),
    check('GET /events', 'a container\'s life, in order', async lab => {
      const id = await lab.start({}, lab.name('a'));
      await lab.exec(id, ['true']);
      await lab.ask(204, 'POST', `/containers/${id}/rename?name=${lab.name('b')}`);
      await lab.ask(204, 'POST', `/containers/${id}/pause`);
      await lab.ask(204, 'POST', `/containers/${id}/unpause`);
      await lab.ask(204, 'POST', `/containers/${id}/kill`);
      await lab.ask(200, 'POST', `/containers/${id}/wait`);
      await lab.ask(204, 'DELETE', `/containers/${id}`);
      const all = await lab.eventually(async () => {
        const found = await lab.events({ container: [id], type: ['container'] });
        assert.equal(found.at(-1)?.Action, 'destroy');
        return found;
      });
      assert.deepEqual(all.map(({ Action }) => Action.trim()), ['create', 'start', 'exec_create: true', 'exec_start: true', 'exec_die', 'rename', 'pause', 'unpause', 'kill', 'die', 'destroy']);
      const die = all.find(({ Action }) => Action === 'die');
      assert.deepEqual([die.Type, die.scope, die.Actor.ID, die.Actor.Attributes.exitCode, die.Actor.Attributes.name, die.Actor.Attributes.image], ['container', 'local', id, '137', lab.name('b'), 'busybox']);
      assert.ok(Math.floor(die.timeNano / 1e9) === die.time);
    }),
    check('GET /events', 'of networks and volumes', async lab => {
      const network = await lab.network();
      const volume = await lab.volume();
      const id = await lab.start({ HostConfig: { NetworkMode: network.name, Binds: [`${volume}:/v`] } });
      await lab.ask(204, 'DELETE', `/containers/${id}?force=1`);
      await lab.ask(204, 'DELETE', `/networks/${network.id}`);
      await lab.ask(204, 'DELETE', `/volumes/${volume}`);
      await shows(lab, { network: [network.id] }, ['network create', 'network connect', 'network disconnect', 'network destroy']);
      await shows(lab, { volume: [volume] }, ['volume create', 'volume mount', 'volume unmount', 'volume destroy']);
    }),
    check('GET /events', 'of images', async lab => {
      await lab.ask(201, 'POST', `/images/busybox/tag?repo=${lab.image('t')}&tag=1`);
      await lab.ask(200, 'DELETE', `/images/${lab.name('t')}:1`);
      await lab.eventually(async () => {
        const all = await lab.events({ type: ['image'], event: ['tag', 'untag'] });
        assert.ok(all.some(({ Action, Actor }) => Action === 'tag' && Actor.Attributes.name === `${lab.name('t')}:1`), 'no tag');
        assert.ok(all.some(({ Action }) => Action === 'untag'), 'no untag');
      });
    }),
    check('GET /events', 'filters: event, label, image', async lab => {
      const id = await lab.start({ Labels: { [lab.name('l')]: 'v' } });
      await lab.ask(204, 'DELETE', `/containers/${id}?force=1`);
      await shows(lab, { label: [`${lab.name('l')}=v`], event: ['start', 'die'] }, ['container start', 'container die']);
      await shows(lab, { container: [id], image: ['busybox'], event: ['create'] }, ['container create']);
      await shows(lab, { container: [id], type: ['volume'] }, []);
      await shows(lab, { container: [id], service: ['mx-nosuch'] }, []);
      await shows(lab, { container: [id.slice(0, 20)], event: ['create'], scope: ['local'] }, ['container create']);
    }),
    check('GET /events', 'times and filters that are none', async lab => {
      await lab.refuses(400, '`since` time (5) cannot be after `until` time (3)', 'GET', '/events?since=5&until=3');
      await lab.refuses(400, 'invalid filter', 'GET', '/events?since=0&until=1&filters={bad');
    }),
    check('GET /version', 'versions in the path: too old, too new', async lab => {
      assert.equal((await lab.call('GET', `/v1.${lab.version}/version`)).status, 200);
      const { status, text } = await lab.call('GET', '/v1.10/version');
      assert.equal(status, 400);
      assert.match(text, /client version 1\.10 is too old\. Minimum supported API version is 1\.24/);
      await lab.refuses(400, `client version 9.99 is too new. Maximum supported API version is 1.${lab.version}`, 'GET', '/v9.99/version');
    }),
    check('GET /version', 'what no path is', async lab => {
      await lab.refuses(404, 'page not found', 'GET', '/mx-nosuch');
      await lab.refuses(404, 'page not found', 'PATCH', '/version');
      assert.equal((await lab.call('HEAD', '/version')).status, 404);
      assert.equal((await lab.call('OPTIONS', '/version')).status, 200);
    }),
    check('POST /volumes/create', 'bodies that are wrong', async lab => {
      const json = { 'content-type': 'application/json' };
      await lab.refuses(400, "invalid JSON: invalid character 'b' looking for beginning of object key string", 'POST', '/volumes/create', '{bad', json);
      await lab.refuses(400, "unsupported Content-Type header (text/plain): must be 'application/json'", 'POST', '/volumes/create', '{}', { 'content-type': 'text/plain' });
      await lab.refuses(400, /cannot unmarshal number into Go struct field .*\.Name of type string/, 'POST', '/volumes/create', { Name: 5 });
    }),
  ],
};

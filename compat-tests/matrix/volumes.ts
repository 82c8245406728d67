// Volumes, and what else is mounted.

import assert from 'node:assert/strict';
import { check, type Resource } from './check.ts';
import type { Spec } from './lab.ts';

const sh = (script: string) => ['sh', '-c', script] as const;
const mounted = (Mounts: readonly Spec[]) => ({ HostConfig: { Mounts } });

export const volumes: Resource = {
  title: 'volumes',
  about: '`-v`, `--mount`, `--tmpfs`, `--volumes-from`, subpaths, options of the local driver; create, ls, inspect, rm, prune',
  later: 'volume plugins',
  checks: [
    check('POST /volumes/create', 'a name, labels, where it is', async lab => {
      const name = lab.name('v');
      await lab.volume({ Labels: { k: 'v' } }, name);
      const { Name, Driver, Mountpoint, Labels, Scope, CreatedAt } = await lab.ask(200, 'GET', `/volumes/${name}`);
      assert.deepEqual([Name, Driver, Labels, Scope], [name, 'local', { k: 'v' }, 'local']);
      assert.match(Mountpoint, new RegExp(`/${name}/_data$`));
      assert.ok(Date.parse(CreatedAt) > 0);
      await lab.volume({}, name);
    }),
    check('POST /volumes/create', 'without a name', async lab => {
      const { Name } = await lab.ask(201, 'POST', '/volumes/create', {});
      assert.match(Name, /^[0-9a-f]{64}$/);
      await lab.ask(204, 'DELETE', `/volumes/${Name}`);
    }),
    check('POST /volumes/create', 'a file system of its own (local driver\'s options)', async lab => {
      const name = await lab.volume({ DriverOpts: { type: 'tmpfs', device: 'tmpfs', o: 'size=1m' } });
      assert.match((await lab.run(sh('df -k /v | tail -1'), { HostConfig: { Binds: [`${name}:/v`] } })).stdout, /\s1024\s/);
    }),
    check('POST /volumes/create', 'a name or a driver that is none', async lab => {
      await lab.refuses(400, /includes invalid characters for a local volume name/, 'POST', '/volumes/create', { Name: 'bad/name' });
      await lab.refuses(404, /plugin "mx-nosuch" not found/, 'POST', '/volumes/create', { Name: lab.name('x'), Driver: 'mx-nosuch' });
    }),
    check('POST /volumes/create', 'cluster volumes are for swarms', async lab => {
      await lab.refuses(503, /This node is not a swarm manager/, 'POST', '/volumes/create', { Name: lab.name('x'), ClusterVolumeSpec: { Group: 'x' } });
    }, { since: 42 }),
    check('GET /volumes', 'filters: name, label, driver, dangling', async lab => {
      const [one, two] = [await lab.volume({ Labels: { [lab.name('l')]: 'x' } }), await lab.volume()];
      await lab.create({ HostConfig: { Binds: [`${two}:/v`] } });
      const found = async (filters: object) => ((await lab.ask(200, 'GET', `/volumes?filters=${encodeURIComponent(JSON.stringify(filters))}`)).Volumes ?? []).map(({ Name }: any) => Name);
      assert.deepEqual(await found({ label: [`${lab.name('l')}=x`] }), [one]);
      assert.deepEqual(await found({ name: [two], driver: ['local'] }), [two]);
      assert.deepEqual(await found({ name: [lab.name('')], dangling: ['true'] }), [one]);
      assert.deepEqual(await found({ name: [lab.name('')], dangling: ['false'] }), [two]);
      await lab.refuses(400, "invalid filter 'nosuch'", 'GET', '/volumes?filters={"nosuch":["x"]}');
    }),
    check('GET /volumes/{name}', 'no such volume', lab => lab.refuses(404, 'get mx-nosuch: no such volume', 'GET', '/volumes/mx-nosuch')),
    check('PUT /volumes/{name}', 'cluster volumes are for swarms', async lab => {
      await lab.refuses(503, 'volume update only valid for cluster volumes, but swarm is unavailable', 'PUT', `/volumes/${await lab.volume()}?version=1`, { Spec: {} });
    }, { since: 42 }),
    check('DELETE /volumes/{name}', 'only one that nobody has', async lab => {
      const name = await lab.volume();
      const id = await lab.create({ HostConfig: { Binds: [`${name}:/v`] } });
      await lab.refuses(409, `remove ${name}: volume is in use - [${id}]`, 'DELETE', `/volumes/${name}`);
      await lab.ask(204, 'DELETE', `/containers/${id}`);
      await lab.ask(204, 'DELETE', `/volumes/${name}`);
      await lab.refuses(404, `get ${name}: no such volume`, 'DELETE', `/volumes/${name}`);
      await lab.ask(204, 'DELETE', `/volumes/${name}?force=1`);
    }),
    check('POST /volumes/prune', 'those that nobody has, by label', async lab => {
      const Labels = { [lab.name('l')]: '' };
      const [used, unused] = [await lab.volume({ Labels }), await lab.volume({ Labels })];
      await lab.create({ HostConfig: { Binds: [`${used}:/v`] } });
      const { VolumesDeleted, SpaceReclaimed } = await lab.ask(200, 'POST', `/volumes/prune?filters=${encodeURIComponent(JSON.stringify({ label: [lab.name('l')], all: ['true'] }))}`);
      assert.deepEqual([VolumesDeleted, typeof SpaceReclaimed], [[unused], 'number']);
    }, { since: 42 }),
    check('POST /containers/create', 'a volume that outlives its container', async lab => {
      const name = await lab.volume();
      await lab.run(sh('echo kept >/v/f'), { HostConfig: { Binds: [`${name}:/v`] } });
      assert.equal((await lab.run(['cat', '/v/f'], { HostConfig: { Binds: [`${name}:/v`] } })).stdout, 'kept\n');
    }),
    check('POST /containers/create', 'a new volume has what the image has there', async lab => {
      const name = await lab.volume();
      assert.match((await lab.run(['ls', '/etc'], { HostConfig: { Binds: [`${name}:/etc`] } })).stdout, /passwd/);
      assert.match((await lab.run(['ls', '/x'], { HostConfig: { Binds: [`${name}:/x`] } })).stdout, /passwd/);
      const other = await lab.volume();
      assert.doesNotMatch((await lab.run(['ls', '/etc'], { HostConfig: { Binds: [`${other}:/etc:nocopy`] } })).stdout, /passwd/);
    }),
    check('POST /containers/create', 'read only', async lab => {
      const name = await lab.volume();
      const { stderr, code } = await lab.run(['touch', '/v/f'], { HostConfig: { Binds: [`${name}:/v:ro`] } });
      assert.match(stderr, /Read-only file system/);
      assert.equal(code, 1);
    }),
    check('POST /containers/create', 'the volumes of another', async lab => {
      const name = await lab.volume();
      const one = await lab.start({ Cmd: sh('echo one >/v/f; echo two >/anon/g'), Volumes: { '/anon': {} }, HostConfig: { Binds: [`${name}:/v`] } });
      await lab.ask(200, 'POST', `/containers/${one}/wait`);
      assert.equal((await lab.run(['cat', '/v/f', '/anon/g'], { HostConfig: { VolumesFrom: [one] } })).stdout, 'one\ntwo\n');
      assert.match((await lab.run(['touch', '/v/x'], { HostConfig: { VolumesFrom: [`${one}:ro`] } })).stderr, /Read-only file system/);
    }),
    check('POST /containers/create', 'mounts: volume, bind, tmpfs', async lab => {
      const name = await lab.volume();
      const { stdout } = await lab.run(sh('df -k /t | tail -1; ls /host | grep -c hostname; touch /v/f && ls /v'), mounted([
        { Type: 'volume', Source: name, Target: '/v' },
        { Type: 'bind', Source: '/etc', Target: '/host', ReadOnly: true },
        { Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 65536 } },
      ]));
      assert.match(stdout, /\s64\s[^]*\n1\nf\n$/);
    }),
    check('POST /containers/create', 'a directory of a volume', async lab => {
      const name = await lab.volume();
      await lab.run(sh('mkdir /v/sub; echo deep >/v/sub/f'), { HostConfig: { Binds: [`${name}:/v`] } });
      assert.equal((await lab.run(['cat', '/s/f'], mounted([{ Type: 'volume', Source: name, Target: '/s', VolumeOptions: { Subpath: 'sub' } }]))).stdout, 'deep\n');
    }, { since: 45 }),
    check('POST /containers/create', 'shown by inspect', async lab => {
      const name = await lab.volume();
      const id = await lab.create({ HostConfig: { Binds: [`${name}:/v:ro`, '/etc:/host'] } });
      const { Mounts } = await lab.inspect(id);
      const [bind, volume] = Mounts.toSorted((a: any, b: any) => (a.Type < b.Type ? -1 : 1));
      assert.deepEqual([bind.Type, bind.Source, bind.Destination, bind.RW, bind.Propagation], ['bind', '/etc', '/host', true, 'rprivate']);
      assert.deepEqual([volume.Type, volume.Name, volume.Destination, volume.RW, volume.Driver], ['volume', name, '/v', false, 'local']);
    }),
    check('POST /containers/create', 'mounts that can not be', async lab => {
      const refuses = (message: RegExp, HostConfig: Spec, status = 400) => lab.refuses(status, message, 'POST', '/containers/create', { Image: 'busybox', HostConfig });
      await refuses(/mount path must be absolute/, { Binds: [`${await lab.volume()}:relative`] }, 500);
      await refuses(/bind source path does not exist: \/mx-nosuch/, { Mounts: [{ Type: 'bind', Source: '/mx-nosuch', Target: '/x' }] });
      await refuses(/Duplicate mount point: \/a/, { Binds: ['/etc:/a', '/tmp:/a'] });
    }),
  ],
};

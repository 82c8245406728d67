// Containers: what they are made of, and how they are found.

import assert from 'node:assert/strict';
import { check, type Resource } from './check.ts';
import type { Lab, Spec } from './lab.ts';

const list = async (lab: Lab, filters: object, more = '') => (await lab.ask(200, 'GET', `/containers/json?all=1&filters=${encodeURIComponent(JSON.stringify(filters))}${more}`)) as any[];
const create = 'POST /containers/create';
const says = (behaviour: string, cmd: readonly string[], spec: Spec, expected: string | RegExp) =>
  check(create, behaviour, async lab => {
    const { stdout, stderr } = await lab.run(cmd, spec);
    if (typeof expected === 'string') assert.equal(stdout, expected, stderr);
    else assert.match(stdout, expected);
  });
const refused = (behaviour: string, status: number, message: RegExp, spec: Spec, name = '') =>
  check(create, behaviour, async lab => lab.refuses(status, message, 'POST', `/containers/create?name=${name === '' ? lab.name('x') : encodeURIComponent(name)}`, { Image: 'busybox', ...spec }));
const sh = (script: string) => ['sh', '-c', script] as const;

export const containers: Resource = {
  title: 'containers',
  about: 'create with environment, user, hostname, limits, capabilities, health checks, restart policies, `--init`; list with filters and sizes, inspect, prune',
  later: 'checkpoints',
  checks: [
    check(create, 'a name, an id, warnings', async lab => {
      const { Id, Warnings } = await lab.ask(201, 'POST', `/containers/create?name=${lab.name('a')}`, { Image: 'busybox' });
      assert.match(Id, /^[0-9a-f]{64}$/);
      assert.ok(Array.isArray(Warnings));
      await lab.ask(204, 'DELETE', `/containers/${Id}`);
    }),
    refused('a name that is none', 400, /^Invalid container name \(bad name\), only/, {}, 'bad name'),
    check(create, 'a name that is taken', async lab => {
      const id = await lab.create({}, lab.name('a'));
      await lab.refuses(409, `Conflict. The container name "/${lab.name('a')}" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`, 'POST', `/containers/create?name=${lab.name('a')}`, { Image: 'busybox' });
    }),
    refused('an image that is not here', 404, /^No such image: mx-nosuch:latest$/, { Image: 'mx-nosuch' }),
    check(create, 'an image for another machine', async lab => {
      const { Architecture } = await lab.ask(200, 'GET', '/images/busybox:latest/json');
      const other = Architecture === 'arm64' ? 'amd64' : 'arm64';
      await lab.refuses(404, `image with reference busybox was found but does not match the specified platform: wanted linux/${other}, actual: linux/${Architecture}`, 'POST', `/containers/create?platform=linux/${other}`, { Image: 'busybox' });
      await lab.refuses(400, /unknown operating system or architecture/, 'POST', '/containers/create?platform=nosuch', { Image: 'busybox' });
    }, { since: 41 }),
    check(create, 'no command anywhere', async lab => {
      await lab.ask(200, 'POST', `/images/create?fromSrc=-&repo=${lab.image('empty')}`, Buffer.alloc(1024), { 'content-type': 'application/x-tar' });
      await lab.refuses(400, /^no command specified$/i, 'POST', '/containers/create', { Image: lab.name('empty') });
    }),
    refused('a body that is wrong', 400, /cannot unmarshal/, { Cmd: { a: 1 } }),
    refused('too little memory', 400, /Minimum memory limit allowed is 6MB/, { HostConfig: { Memory: 1000 } }),
    refused('a port that is none', 400, /invalid/i, { ExposedPorts: { '80/tcp': {} }, HostConfig: { PortBindings: { '80/tcp': [{ HostPort: 'x' }] } } }),
    refused('a network mode that is none', 400, /invalid container format container:<name\|id>/, { HostConfig: { NetworkMode: 'container:' } }),
    says('environment, directory, hostname', sh('echo $A $PWD $(hostname)'), { Env: ['A=1'], WorkingDir: '/tmp', Hostname: 'host1' }, '1 /tmp host1\n'),
    says('a user by number, and groups', sh('id'), { User: '5:6', HostConfig: { GroupAdd: ['7'] } }, /uid=5 gid=6.*groups=.*7/),
    says('a user by name', ['id', '-u'], { User: 'root' }, '0\n'),
    says('an entrypoint', ['hello'], { Entrypoint: ['echo', 'well'] }, 'well hello\n'),
    says('capabilities dropped and added', sh('grep CapEff /proc/self/status'), { HostConfig: { CapDrop: ['ALL'], CapAdd: ['NET_ADMIN'] } }, /CapEff:\s+0000000000001000/),
    says('the usual capabilities', sh('grep CapEff /proc/self/status'), {}, /CapEff:\s+00000000a80425fb/),
    says('seccomp, and no new privileges', sh('grep -E "Seccomp:|NoNewPrivs" /proc/self/status'), { HostConfig: { SecurityOpt: ['no-new-privileges'] } }, /NoNewPrivs:\s+1\nSeccomp:\s+2/),
    says('privileged: all capabilities (but what the machine lacks), and its devices', sh('grep CapEff /proc/self/status; [ -e /dev/kmsg ] && echo devices'), { HostConfig: { Privileged: true } }, /CapEff:\s+0000[0-9a-f]{4}f[ef]ffffff\ndevices/),
    says('a memory limit', sh('cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null'), { HostConfig: { Memory: 33554432 } }, '33554432\n'),
    says('ulimits', sh('ulimit -n'), { HostConfig: { Ulimits: [{ Name: 'nofile', Soft: 123, Hard: 456 }] } }, '123\n'),
    says('sysctls', ['cat', '/proc/sys/net/core/somaxconn'], { HostConfig: { Sysctls: { 'net.core.somaxconn': '77' } } }, '77\n'),
    says('a shared memory of its own size', sh('df -k /dev/shm | tail -1'), { HostConfig: { ShmSize: 1048576 } }, /\s1024\s/),
    says('a root file system that is read only', sh('touch /x 2>&1; touch /t/x && echo written'), { HostConfig: { ReadonlyRootfs: true, Tmpfs: { '/t': '' } } }, /Read-only file system[^]*written/),
    says('extra hosts, DNS servers and options', sh('cat /etc/hosts /etc/resolv.conf'), { HostConfig: { ExtraHosts: ['extra:203.0.113.9'], Dns: ['192.0.2.53'], DnsSearch: ['example.test'], DnsOptions: ['ndots:2'] } }, /203\.0\.113\.9\s+extra[^]*nameserver 192\.0\.2\.53[^]*search example\.test[^]*options ndots:2/),
    says('masked and read-only paths', sh('cat /proc/keys /proc/timer_list | wc -c; mount | grep -c "/proc/sys .*[(]ro"'), {}, '0\n1\n'),
    says('the host\'s processes', sh('[ $$ -gt 1 ] && echo many'), { HostConfig: { PidMode: 'host' } }, 'many\n'),
    says('a device', sh('[ -c /dev/mine ] && echo there'), { HostConfig: { Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/mine', CgroupPermissions: 'rwm' }] } }, 'there\n'),
    check(create, 'joins another\'s processes and network', async lab => {
      const other = await lab.start();
      const { stdout } = await lab.run(sh('ps | grep -c "[s]leep 1000"; cat /proc/net/dev | grep -c eth0'), { HostConfig: { PidMode: `container:${other}`, NetworkMode: `container:${other}` } });
      assert.match(stdout, /^1\n1\n$/);
    }),
    check(create, 'a log of its own kind and size', async lab => {
      const id = await lab.create({ HostConfig: { LogConfig: { Type: 'json-file', Config: { 'max-size': '10k', 'max-file': '2' } } } });
      assert.deepEqual((await lab.inspect(id)).HostConfig.LogConfig, { Type: 'json-file', Config: { 'max-file': '2', 'max-size': '10k' } });
      await lab.refuses(400, /unknown log opt 'nosuch'|unknown log opt/, 'POST', '/containers/create', { Image: 'busybox', HostConfig: { LogConfig: { Type: 'json-file', Config: { nosuch: '1' } } } });
    }),
    check(create, 'removed when it ends', async lab => {
      const id = await lab.start({ Cmd: ['true'], HostConfig: { AutoRemove: true } });
      await lab.eventually(() => lab.ask(404, 'GET', `/containers/${id}/json`));
    }),
    check(create, 'restarted on failure, so many times', async lab => {
      const id = await lab.start({ Cmd: ['false'], HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } } });
      await lab.eventually(async () => {
        const { RestartCount, State } = await lab.inspect(id);
        assert.deepEqual([RestartCount, State.Status, State.ExitCode], [2, 'exited', 1]);
      });
    }),
    check(create, 'a health check', async lab => {
      const id = await lab.start({ Healthcheck: { Test: ['CMD-SHELL', 'echo fine'], Interval: 1e8 } });
      assert.equal((await lab.inspect(id)).State.Health.Status, 'starting');
      const health = await lab.eventually(async () => {
        const { Health } = (await lab.inspect(id)).State;
        assert.equal(Health.Status, 'healthy');
        return Health;
      });
      assert.deepEqual([health.FailingStreak, health.Log.at(-1).ExitCode, health.Log.at(-1).Output.trim()], [0, 0, 'fine']);
    }),
    check('GET /containers/json', 'what runs; all of them; the newest', async lab => {
      const [running, made] = [await lab.start({}, lab.name('r')), await lab.create({}, lab.name('c'))];
      const ids = async (query: string) => ((await lab.ask(200, 'GET', `/containers/json?${query}&filters=${encodeURIComponent(JSON.stringify({ name: [lab.name('')] }))}`)) as any[]).map(({ Id }) => Id);
      assert.deepEqual(await ids('all=0'), [running]);
      assert.deepEqual(await ids('all=1'), [made, running]);
      assert.deepEqual(await ids('limit=1'), [made]);
    }),
    check('GET /containers/json', 'a row', async lab => {
      const id = await lab.start({ Labels: { k: 'v' } }, lab.name('row'));
      const [row] = await list(lab, { id: [id] });
      const { Names, Image, ImageID, Command, State, Status, Labels, Ports, Mounts, HostConfig, NetworkSettings } = row;
      assert.deepEqual([Names, Image, Command, State, Ports, Mounts], [[`/${lab.name('row')}`], 'busybox', 'sleep 1000', 'running', [], []]);
      assert.match(ImageID, /^sha256:/);
      assert.match(Status, /^(Up|Less)/);
      assert.equal(Labels.k, 'v');
      assert.match(HostConfig.NetworkMode, /^(default|bridge)$/);
      assert.match(NetworkSettings.Networks.bridge.IPAddress, /^\d+\./);
    }),
    check('GET /containers/json', 'filters: status, label, name, exited, ancestor, volume, network', async lab => {
      const label = lab.name('l');
      const network = await lab.network();
      const volume = await lab.volume();
      const running = await lab.start({ Labels: { [label]: 'x' }, HostConfig: { NetworkMode: network.name, Binds: [`${volume}:/v`] } });
      const ended = await lab.start({ Labels: { [label]: 'y' }, Cmd: sh('exit 3') });
      await lab.ask(200, 'POST', `/containers/${ended}/wait`);
      const ids = async (filters: object) => (await list(lab, { label: [label], ...filters })).map(({ Id }) => Id);
      // The list of some engines follows a moment after the container.
      await lab.eventually(async () => assert.deepEqual(await ids({ status: ['running'] }), [running]));
      assert.deepEqual(await ids({ exited: ['3'] }), [ended]);
      assert.deepEqual(await ids({ label: [`${label}=y`] }), [ended]);
      assert.deepEqual(await ids({ ancestor: ['busybox'] }), [ended, running]);
      assert.deepEqual(await ids({ network: [network.name] }), [running]);
      assert.deepEqual(await ids({ volume: [volume] }), [running]);
      assert.deepEqual(await ids({ before: [ended] }), [running]);
      assert.deepEqual(await ids({ since: [running] }), [ended]);
      assert.deepEqual(await ids({ id: [running.slice(0, 20)] }), [running]);
    }),
    check('GET /containers/json', 'filters it does not know', async lab => {
      const asked = (filters: object) => `/containers/json?filters=${encodeURIComponent(JSON.stringify(filters))}`;
      await lab.refuses(400, "invalid filter 'nosuch'", 'GET', asked({ nosuch: ['x'] }));
      await lab.refuses(400, /invalid filter 'status=nosuch'|Unrecognised filter value for status|invalid value for state/i, 'GET', asked({ status: ['nosuch'] }));
      await lab.refuses(400, 'invalid filter', 'GET', '/containers/json?filters={bad');
    }),
    check('GET /containers/json', 'sizes', async lab => {
      const id = await lab.start();
      await lab.exec(id, ['dd', 'if=/dev/zero', 'of=/big', 'bs=1k', 'count=100']);
      const [row] = await list(lab, { id: [id] }, '&size=1');
      assert.ok(row.SizeRw >= 102400 && row.SizeRootFs > row.SizeRw, `${row.SizeRw} ${row.SizeRootFs}`);
    }),
    check('GET /containers/{id}/json', 'by name, by id, by the start of its id', async lab => {
      const id = await lab.create({}, lab.name('a'));
      for (const ref of [lab.name('a'), id, id.slice(0, 12)]) assert.equal((await lab.inspect(ref)).Id, id);
      await lab.refuses(404, 'No such container: mx-nosuch', 'GET', '/containers/mx-nosuch/json');
    }),
    check('GET /containers/{id}/json', 'its state, before, while and after', async lab => {
      const id = await lab.create({ Cmd: sh('trap "exit 7" TERM; while :; do sleep 0.1; done'), StopTimeout: 10 });
      const state = async () => (await lab.inspect(id)).State;
      const fresh = await state();
      assert.deepEqual([fresh.Status, fresh.Running, fresh.Pid, fresh.StartedAt], ['created', false, 0, '0001-01-01T00:00:00Z']);
      await lab.ask(204, 'POST', `/containers/${id}/start`);
      const up = await state();
      assert.deepEqual([up.Status, up.Running, up.Pid > 0], ['running', true, true]);
      await lab.exec(id, ['sleep', '0.3']);
      await lab.ask(204, 'POST', `/containers/${id}/stop`);
      const down = await state();
      assert.deepEqual([down.Status, down.Running, down.Pid, down.ExitCode, down.OOMKilled], ['exited', false, 0, 7, false]);
      assert.ok(Date.parse(down.FinishedAt) >= Date.parse(down.StartedAt));
    }),
    check('GET /containers/{id}/json', 'what it was asked for', async lab => {
      const id = await lab.create({ Env: ['A=1'], Labels: { k: 'v' }, Tty: true, OpenStdin: true, HostConfig: { Memory: 33554432, CpuShares: 512, RestartPolicy: { Name: 'always' } } });
      const { Config, HostConfig, Path, Args, Mounts, Image, Driver, Platform, NetworkSettings } = await lab.inspect(id);
      assert.deepEqual([Config.Tty, Config.OpenStdin, Config.Labels.k, Path, Args, Mounts, Platform], [true, true, 'v', 'sleep', ['1000'], [], 'linux']);
      assert.ok(Config.Env.includes('A=1'));
      assert.deepEqual([HostConfig.Memory, HostConfig.CpuShares, HostConfig.RestartPolicy.Name], [33554432, 512, 'always']);
      assert.match(Image, /^sha256:/);
      assert.ok(Driver.length > 0 && NetworkSettings.Networks.bridge !== undefined);
    }),
    check('GET /containers/{id}/json', 'sizes when asked', async lab => {
      const id = await lab.create();
      assert.equal((await lab.inspect(id)).SizeRw, undefined);
      assert.equal(typeof (await lab.ask(200, 'GET', `/containers/${id}/json?size=1`)).SizeRootFs, 'number');
    }),
    check('POST /containers/prune', 'what has ended, by label', async lab => {
      const label = lab.name('l');
      const [ended, running] = [await lab.create({ Labels: { [label]: '' } }), await lab.start({ Labels: { [label]: '' } })];
      const { ContainersDeleted, SpaceReclaimed } = await lab.ask(200, 'POST', `/containers/prune?filters=${encodeURIComponent(JSON.stringify({ label: [label] }))}`);
      assert.deepEqual([ContainersDeleted, typeof SpaceReclaimed], [[ended], 'number']);
      await lab.inspect(running);
      assert.equal((await lab.ask(200, 'POST', `/containers/prune?filters=${encodeURIComponent(JSON.stringify({ label: [label] }))}`)).ContainersDeleted, null);
    }),
    check('POST /containers/prune', 'filters it does not know', async lab => {
      await lab.refuses(400, "invalid filter 'nosuch'", 'POST', '/containers/prune?filters={"nosuch":["x"]}');
    }),
  ],
};

// What a container is kept from, and what it may use: capabilities, seccomp, paths, devices, limits, names.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { docker, dockerFails, dockerOut, inHost, inspect } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { scope } from './support/scope.ts';

const { name } = scope('iso');
let count = 0;
const once = (...args: string[]) => docker('run', '--rm', '--name', name(`once${count++}`), ...args);
const sh = async (options: readonly string[], script: string) => {
  const { stdout, stderr, exitCode } = await once(...options, 'busybox', 'sh', '-c', script);
  assert.equal(exitCode, 0, stderr);
  return stdout.replace(/\n$/, '');
};
const status = async (field: string, ...options: string[]) => (await sh(options, `grep ^${field}: /proc/self/status`)).split(/\s+/)[1];

describe('capabilities', () => {
  test('the default set', async () => {
    assert.equal(await sh([], 'grep ^Cap /proc/self/status | tr "\\t" " "'), 'CapInh: 0000000000000000\nCapPrm: 00000000a80425fb\nCapEff: 00000000a80425fb\nCapBnd: 00000000a80425fb\nCapAmb: 0000000000000000');
  });
  test('--cap-drop ALL', async () => assert.equal(await status('CapEff', '--cap-drop', 'ALL'), '0000000000000000'));
  test('--cap-drop ALL --cap-add NET_ADMIN', async () => assert.equal(await status('CapEff', '--cap-drop', 'ALL', '--cap-add', 'NET_ADMIN'), '0000000000001000'));
  test('--cap-add with the prefix, in lower case', async () => assert.equal(await status('CapEff', '--cap-drop', 'all', '--cap-add', 'cap_net_raw'), '0000000000002000'));
  test('--cap-drop of one', async () => assert.equal(await status('CapEff', '--cap-drop', 'MKNOD'), '00000000a00425fb'));
  test('a user who is not root has none in effect', async () => assert.equal(await status('CapEff', '-u', '7'), '0000000000000000'));
  test('--privileged has what the host has', async () => {
    assert.equal(await status('CapEff', '--privileged'), (await inHost('grep', 'CapBnd', '/proc/self/status')).stdout.trim().split('\t')[1]);
  });
  test('an unknown one', () => dockerFails(125, /invalid CapAdd: unknown capability: "CAP_NOSUCH"/, 'run', '--rm', '--name', name('nocap'), '--cap-add', 'NOSUCH', 'busybox', 'true'));
});

describe('seccomp and privileges', () => {
  test('a filter is on', async () => assert.equal(await status('Seccomp'), '2'));
  test('it keeps the container from mounting even with the capability for it', async () => {
    const { exitCode, stderr } = await once('busybox', 'unshare', '-m', 'true');
    assert.deepEqual([exitCode === 0, /not permitted/.test(stderr)], [false, true]);
  });
  test('--security-opt seccomp=unconfined', async () => assert.equal(await status('Seccomp', '--security-opt', 'seccomp=unconfined'), '0'));
  test('--privileged has no filter', async () => assert.equal(await status('Seccomp', '--privileged'), '0'));
  test('no-new-privileges', async () => {
    assert.equal(await status('NoNewPrivs'), '0');
    assert.equal(await status('NoNewPrivs', '--security-opt', 'no-new-privileges'), '1');
    assert.equal(await status('NoNewPrivs', '--security-opt', 'no-new-privileges=true'), '1');
  });
});

describe('paths', () => {
  test('read-only ones', async () => {
    for (const path of ['/proc/sys/kernel/hostname', '/proc/sysrq-trigger']) {
      const { exitCode } = await once('busybox', 'sh', '-c', `echo x >${path}`);
      assert.notEqual(exitCode, 0, path);
    }
    assert.equal(await sh([], 'for d in bus fs irq sys; do grep -q " /proc/$d proc ro," /proc/mounts && echo $d; done'), 'bus\nfs\nirq\nsys');
  });

  test('masked ones hold nothing', async () => {
    assert.equal(await sh([], 'for p in acpi asound kcore keys latency_stats timer_list scsi; do [ -d /proc/$p ] && ls /proc/$p; [ -f /proc/$p ] && head -c 1 /proc/$p; done; ls /sys/firmware'), '');
  });

  test('/sys is read-only; with --privileged it is not', async () => {
    assert.match(await sh([], 'grep " /sys sysfs " /proc/mounts'), /^sysfs \/sys sysfs ro,/);
    assert.match(await sh(['--privileged'], 'grep " /sys sysfs " /proc/mounts'), /^sysfs \/sys sysfs rw,/);
  });

  test('the root is an overlay, and /dev/shm has 64 MiB', async () => {
    assert.match(await sh([], 'grep " / " /proc/mounts'), /^overlay \/ overlay rw,/);
    assert.match(await sh([], 'df -k /dev/shm | tail -1'), /^shm +65536 /);
  });

  test('inspect tells them', async () => {
    const box = name('paths');
    await dockerOut('create', '--name', box, 'busybox');
    const { MaskedPaths, ReadonlyPaths } = (await inspect(box)).HostConfig;
    for (const path of ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware']) assert.ok(MaskedPaths.includes(path), path);
    assert.deepEqual(ReadonlyPaths, ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']);
  });
});

describe('devices', () => {
  test('the usual ones and no more', async () => {
    // A kernel with /proc/kcore has a link to it too.
    assert.equal((await sh([], 'ls /dev | tr "\\n" " "')).replace('core ', ''), 'fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ');
  });
  test('they work', async () => assert.equal(await sh([], 'echo x >/dev/null; head -c 2 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; : >/dev/full'), '2\n3'));
  test('a node that the container makes is of no use', async () => {
    const { exitCode, stderr } = await once('busybox', 'sh', '-c', 'mknod /disk b 254 0 && head -c 1 /disk');
    assert.notEqual(exitCode, 0);
    assert.match(stderr, /Operation not permitted/);
  });
  test('--device', async () => assert.match(await sh(['--device', '/dev/kmsg:/dev/other:r'], 'ls -l /dev/other'), /^crw.* 1, +11 .*\/dev\/other$/));
});

// The file of a controller, on cgroup v1 and on v2.
const limit = (v1: string, v2: string) => `cat /sys/fs/cgroup/${v1} 2>/dev/null || cat /sys/fs/cgroup/${v2}`;

describe('limits', () => {
  test('-m', async () => assert.equal(await sh(['-m', '32m'], limit('memory/memory.limit_in_bytes', 'memory.max')), `${32 * 1024 * 1024}`));
  test('--cpus', async () => assert.match(await sh(['--cpus', '0.5'], limit('cpu/cpu.cfs_quota_us', 'cpu.max')), /^50000( 100000)?$/));
  test('--pids-limit', async () => {
    assert.equal(await sh(['--pids-limit', '20'], limit('pids/pids.max', 'pids.max')), '20');
    const { stderr } = await once('--pids-limit', '5', 'busybox', 'sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait');
    assert.match(stderr, /can't fork/);
  });
  test('--cpu-shares and --cpuset-cpus', async () => {
    assert.equal(await sh(['--cpuset-cpus', '0'], limit('cpuset/cpuset.cpus', 'cpuset.cpus')), '0');
    const box = name('shares');
    await dockerOut('create', '--name', box, '--cpu-shares', '512', '-m', '64m', '--cpus', '1.5', '--pids-limit', '10', 'busybox');
    const { CpuShares, Memory, MemorySwap, NanoCpus, PidsLimit } = (await inspect(box)).HostConfig;
    assert.deepEqual([CpuShares, Memory, MemorySwap, NanoCpus, PidsLimit], [512, 64 * 1024 * 1024, 128 * 1024 * 1024, 1_500_000_000, 10]);
  });
  test('too much memory is death, and inspect says why', async () => {
    const box = name('oom');
    const { exitCode } = await docker('run', '--name', box, '-m', '16m', '--memory-swap', '16m', 'busybox', 'tail', '-c', '100m', '/dev/zero');
    assert.equal(exitCode, 137);
    // The kernel's news of it may come after the end itself.
    await eventually(async () => assert.equal((await inspect(box)).State.OOMKilled, true));
  });
  test('less than the least', () => dockerFails(125, 'Minimum memory limit allowed is 6MB', 'run', '--rm', '--name', name('tiny'), '-m', '1m', 'busybox', 'true'));
});

describe('names', () => {
  test('the hostname is the start of the id', async () => {
    const box = name('host');
    const id = await dockerOut('run', '-d', '--name', box, 'busybox', 'sleep', '1000');
    assert.equal(await dockerOut('exec', box, 'hostname'), id.slice(0, 12));
    assert.equal(await dockerOut('exec', box, 'cat', '/etc/hostname'), id.slice(0, 12));
  });

  test('/etc/hosts', async () => {
    const box = name('hosts');
    await dockerOut('run', '-d', '--name', box, '-h', 'myhost', '--add-host', 'extra:203.0.113.9', '--add-host', 'gw:host-gateway', 'busybox', 'sleep', '1000');
    const lines = (await dockerOut('exec', box, 'cat', '/etc/hosts')).split('\n').map(line => line.split(/\s+/).join(' '));
    const { IPAddress } = (await inspect(box)).NetworkSettings;
    const gateway = JSON.parse(await dockerOut('network', 'inspect', 'bridge'))[0].IPAM.Config[0].Gateway;
    for (const line of ['127.0.0.1 localhost', 'ff02::1 ip6-allnodes', 'ff02::2 ip6-allrouters', '203.0.113.9 extra', `${gateway} gw`, `${IPAddress} myhost`]) assert.ok(lines.includes(line), `${line}\n${lines.join('\n')}`);
  });

  test('/etc/resolv.conf', async () => {
    const lines = (await sh(['--dns', '192.0.2.53', '--dns-search', 'example.test', '--dns-option', 'ndots:2'], 'cat /etc/resolv.conf')).split('\n');
    for (const line of ['nameserver 192.0.2.53', 'search example.test', 'options ndots:2']) assert.ok(lines.includes(line), lines.join('\n'));
  });

  test('processes are its own', async () => assert.equal(await sh([], 'echo $$; ls -d /proc/[0-9]* | wc -l | grep -q "^[1-4]$"'), '1'));

  test('--pid host sees the host\'s', async () => assert.notEqual(await sh(['--pid', 'host'], 'echo $$'), '1'));

  test('--network none has a loopback only, --network host has the host\'s links', async () => {
    assert.equal(await sh(['--network', 'none'], 'ls /sys/class/net'), 'lo');
    assert.match(await sh(['--network', 'host'], 'ls /sys/class/net'), /^docker0$/m);
  });

  test('--network container:NAME shares it', async () => {
    const box = name('shared');
    await dockerOut('run', '-d', '--name', box, 'busybox', 'sleep', '1000');
    const { IPAddress } = (await inspect(box)).NetworkSettings;
    assert.match(await sh(['--network', `container:${box}`], 'ip -o -4 addr show eth0'), new RegExp(`inet ${IPAddress}/16 `));
  });

  test('two containers do not see each other\'s files, processes, shared memory', async () => {
    const box = name('apart');
    await dockerOut('run', '-d', '--name', box, 'busybox', 'sh', '-c', 'echo x >/secret; echo x >/dev/shm/secret; exec sleep 1000');
    assert.equal(await sh([], 'ls /secret /dev/shm/secret 2>/dev/null | wc -l; pidof sleep | wc -w'), '0\n0');
  });
});

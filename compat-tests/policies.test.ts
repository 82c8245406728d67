// What a container is to do when it ends, limits that change, and what it shares with others.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { docker, dockerFails, dockerOut, inspect } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { http } from './support/http.ts';
import { scope } from './support/scope.ts';

const { name } = scope('policies');

describe('restart policies', () => {
  const state = async (box: string) => {
    const { RestartCount, State } = await inspect(box);
    return { count: RestartCount as number, status: State.Status as string, code: State.ExitCode as number };
  };

  test('on-failure:2 is three runs', async () => {
    const box = name('twice');
    await dockerOut('run', '-d', '--name', box, '--restart', 'on-failure:2', 'busybox', 'sh', '-c', 'echo run; exit 5');
    await eventually(async () => assert.deepEqual(await state(box), { count: 2, status: 'exited', code: 5 }), { seconds: 15 });
    assert.equal(await dockerOut('logs', box), 'run\nrun\nrun');
  });

  test('on-failure and success', async () => {
    const box = name('success');
    await dockerOut('run', '--name', box, '--restart', 'on-failure', 'busybox', 'true');
    assert.deepEqual(await state(box), { count: 0, status: 'exited', code: 0 });
  });

  test('waiting for its next start: what it looks like, and what it refuses', async () => {
    const box = name('waiting');
    const id = await dockerOut('run', '-d', '--name', box, '--restart', 'always', 'busybox', 'sh', '-c', 'exit 3');
    // Each wait is twice as long as the one before: from the fourth on there is time to look.
    await eventually(async () => {
      const { count, status } = await state(box);
      assert.deepEqual([count >= 5, status], [true, 'restarting']);
    }, { seconds: 20 });
    assert.match(await dockerOut('ps', '--filter', `name=${box}`, '--format', '{{.Status}} {{.State}}'), /^Restarting \(3\) .* ago restarting$/);
    const { Running, Restarting, Pid } = (await inspect(box)).State;
    assert.deepEqual([Running, Restarting, Pid], [true, true, 0]);
    const waits = `Container ${id} is restarting, wait until the container is running`;
    await dockerFails(1, waits, 'exec', box, 'true');
    await dockerFails(1, waits, 'pause', box);
    await dockerFails(1, waits, 'top', box);
    await dockerFails(1, 'container is restarting: stop the container before removing or force remove', 'rm', box);
    assert.equal((await http('POST', `/containers/${box}/start`)).status, 304);
    await dockerOut('stop', box);
    assert.equal((await state(box)).status, 'exited');
  });

  test('stopped by a client it stays so; killed too', async () => {
    for (const verb of ['stop', 'kill']) {
      const box = name(verb);
      await dockerOut('run', '-d', '--name', box, '--restart', 'always', '--stop-timeout', '0', 'busybox', 'sleep', '1000');
      await dockerOut(verb, box);
      await eventually(async () => assert.deepEqual(await state(box), { count: 0, status: 'exited', code: 137 }));
    }
  });

  test('wait is over at the first end', async () => {
    const box = name('wait');
    await dockerOut('run', '-d', '--name', box, '--restart', 'always', 'busybox', 'sh', '-c', 'sleep 0.5; exit 4');
    assert.equal(await dockerOut('wait', box), '4');
  });
});

describe('update', () => {
  test('limits of a running container are the kernel\'s at once', async () => {
    const box = name('limits');
    await dockerOut('run', '-d', '--name', box, '-m', '64m', 'busybox', 'sleep', '1000');
    await dockerOut('update', '-m', '32m', '--memory-swap', '32m', '--cpus', '0.5', '--pids-limit', '50', '--cpu-shares', '100', box);
    const read = async (v1: string, v2: string) => (await dockerOut('exec', box, 'sh', '-c', `cat /sys/fs/cgroup/${v1} 2>/dev/null || cat /sys/fs/cgroup/${v2}`)).trim();
    assert.equal(await read('memory/memory.limit_in_bytes', 'memory.max'), `${32 * 1024 * 1024}`);
    assert.equal(await read('pids/pids.max', 'pids.max'), '50');
    assert.match(await read('cpu/cpu.cfs_quota_us', 'cpu.max'), /^50000/);
    const { Memory, MemorySwap, NanoCpus, PidsLimit, CpuShares } = (await inspect(box)).HostConfig;
    assert.deepEqual([Memory, MemorySwap, NanoCpus, PidsLimit, CpuShares], [32 << 20, 32 << 20, 5e8, 50, 100]);
  });

  test('of a stopped one, for its next start; what is not said stays', async () => {
    const box = name('stopped');
    await dockerOut('create', '--name', box, '-m', '64m', '--cpu-shares', '300', 'busybox', 'sleep', '1000');
    await dockerOut('update', '-m', '48m', '--restart', 'unless-stopped', box);
    const { Memory, MemorySwap, CpuShares, RestartPolicy } = (await inspect(box)).HostConfig;
    assert.deepEqual([Memory, MemorySwap, CpuShares, RestartPolicy.Name], [48 << 20, 128 << 20, 300, 'unless-stopped']);
  });

  test('what is refused', async () => {
    const [box, going] = [name('refusals'), name('going')];
    const id = await dockerOut('create', '--name', box, '-m', '64m', '--cpus', '0.5', 'busybox');
    const goingId = await dockerOut('create', '--rm', '--name', going, 'busybox');
    const update = async (ref: string, body: object) => {
      const { status, json } = await http('POST', `/containers/${ref}/update`, body);
      return [status, json()];
    };
    assert.deepEqual(await update(box, {}), [200, { Warnings: null }]);
    for (const [ref, body, status, message] of [
      ['ct-nosuch', {}, 404, 'No such container: ct-nosuch'],
      [box, { Memory: 1000 }, 400, 'Minimum memory limit allowed is 6MB'],
      [box, { Memory: 200e6 }, 409, `Cannot update container ${id}: Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time`],
      [box, { CpuQuota: 50000 }, 409, `Cannot update container ${id}: Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set`],
      [box, { CpuPeriod: 5 }, 400, 'CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)'],
      [box, { CpusetCpus: 'abc' }, 400, 'Invalid value abc for cpuset cpus: invalid format: abc'],
      [box, { Memory: 'x' }, 400, 'invalid JSON: json: cannot unmarshal string into Go struct field UpdateConfig.Resources.Memory of type int64'],
      [box, { RestartPolicy: { Name: 'foo' } }, 400, "invalid restart policy: unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"],
      [box, { RestartPolicy: { Name: 'always', MaximumRetryCount: 3 } }, 400, "invalid restart policy: maximum retry count can only be used with 'on-failure'"],
      [going, { RestartPolicy: { Name: 'always' } }, 409, `Cannot update container ${goingId}: Restart policy cannot be updated because AutoRemove is enabled for the container`],
    ] as const) {
      assert.deepEqual(await update(ref, body), [status, { message }]);
    }
  });
});

describe('--init', () => {
  test('is process 1, and reaps', async t => {
    const { stdout, stderr, exitCode } = await docker('run', '--rm', '--init', '--name', name('init'), 'busybox', 'sh', '-c', 'cat /proc/1/cmdline | tr "\\0" " "; exit 7');
    if (/docker-init.*not found/.test(stderr)) return t.skip('this engine has no init installed');
    assert.deepEqual([stdout.startsWith('/sbin/docker-init -- sh -c'), exitCode], [true, 7]);
  });
});

describe('shared memory', () => {
  test('--ipc shareable and container:NAME have one /dev/shm', async () => {
    const donor = name('donor');
    const id = await dockerOut('run', '-d', '--name', donor, '--ipc', 'shareable', '--shm-size', '8m', 'busybox', 'sleep', '1000');
    const guest = name('guest');
    await dockerOut('run', '--name', guest, '--ipc', `container:${donor}`, 'busybox', 'sh', '-c', 'echo hello >/dev/shm/f; ls -l /proc/self/ns/ipc >/dev/shm/ns');
    assert.equal(await dockerOut('exec', donor, 'cat', '/dev/shm/f'), 'hello');
    assert.match(await dockerOut('exec', donor, 'df', '-k', '/dev/shm'), / 8192 /);
    assert.match(await dockerOut('exec', donor, 'mount'), /\/dev\/shm type tmpfs \(rw,nosuid,nodev,noexec/);
    assert.equal((await inspect(guest)).HostConfig.IpcMode, `container:${id}`);
  });

  test('a container that keeps its own to itself', async () => {
    const donor = name('selfish');
    const id = await dockerOut('run', '-d', '--name', donor, 'busybox', 'sleep', '1000');
    await dockerFails(125, `failed to join IPC namespace: container ${id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
      'run', '--rm', '--name', name('rejected'), '--ipc', `container:${donor}`, 'busybox', 'true');
  });

  test('a donor that does not run, or does not exist', async () => {
    const donor = name('still');
    const id = await dockerOut('create', '--name', donor, 'busybox');
    for (const [flag, word] of [['--ipc', 'IPC'], ['--pid', 'PID']] as const) {
      await dockerFails(125, `failed to join ${word} namespace: container ${id} is not running`, 'run', '--rm', '--name', name('early'), flag, `container:${donor}`, 'busybox', 'true');
      await dockerFails(125, 'No such container: ct-nosuch', 'run', '--rm', '--name', name('lost'), flag, 'container:ct-nosuch', 'busybox', 'true');
    }
  });

  test('--pid container:NAME sees its processes', async () => {
    const donor = name('seen');
    await dockerOut('run', '-d', '--name', donor, 'busybox', 'sleep', '1234');
    assert.match(await dockerOut('run', '--rm', '--name', name('seer'), '--pid', `container:${donor}`, 'busybox', 'ps'), /sleep 1234/);
  });
});

describe('log drivers', () => {
  test('none keeps nothing', async () => {
    const box = name('lognone');
    assert.equal(await dockerOut('run', '--name', box, '--log-driver', 'none', 'busybox', 'echo', 'hi'), 'hi');
    await dockerFails(1, 'configured logging driver does not support reading', 'logs', box);
  });

  test('local is read as any other', async () => {
    const box = name('loglocal');
    await dockerOut('run', '--name', box, '--log-driver', 'local', '--log-opt', 'max-size=10k', 'busybox', 'echo', 'hi');
    assert.equal(await dockerOut('logs', box), 'hi');
    assert.equal((await inspect(box)).LogPath, '');
  });

  test('--details', async () => {
    const box = name('logdetails');
    await dockerOut('run', '--name', box, '--log-opt', 'labels=a', '--log-opt', 'env=B', '--log-opt', 'tag=t', '-l', 'a=1', '-e', 'B=2', 'busybox', 'echo', 'hi');
    assert.equal(await dockerOut('logs', '--details', box), 'B=2,a=1,tag=t hi');
  });

  test('what is refused', async () => {
    for (const [options, message] of [
      [['--log-driver', 'nosuch'], 'error looking up logging plugin nosuch: plugin "nosuch" not found'],
      [['--log-opt', 'foo=bar'], "unknown log opt 'foo' for json-file log driver"],
      [['--log-opt', 'max-size=abc'], "failed to initialize logging driver: invalid size: 'abc'"],
      [['--log-opt', 'max-file=0'], 'failed to initialize logging driver: max-file cannot be less than 1'],
      [['--stop-signal', 'FOO'], 'invalid signal: FOO'],
      [['--runtime', 'nosuch'], 'unknown or invalid runtime name: nosuch'],
      [['--cpuset-cpus', '0-8000'], 'Requested CPUs are not available - requested 0-8000, available:'],
    ] as const) {
      await dockerFails(125, message, 'run', '--rm', '--name', name('refused'), ...options, 'busybox', 'true');
    }
  });
});

describe('prune', () => {
  test('by label, by what has it not, and by age', async () => {
    const label = name('label');
    const [plain, kept] = [name('prune'), name('keep')];
    await dockerOut('create', '--name', plain, '-l', label, 'busybox');
    await dockerOut('create', '--name', kept, '-l', label, '-l', 'keep=1', 'busybox');
    const prune = async (...filters: string[]) => (await dockerOut('container', 'prune', '-f', '--filter', `label=${label}`, ...filters.flatMap(filter => ['--filter', filter]))).split('\n').filter(line => /^[0-9a-f]{64}$/.test(line)).length;
    assert.equal(await prune('until=1h'), 0);
    assert.equal(await prune('label!=keep=1'), 1);
    assert.equal(await prune(), 1);
    for (const [filters, message] of [
      [{ until: ['x'] }, 'failed to parse value as time or duration: "x"'],
      [{ until: ['1h', '2h'] }, 'more than one until filter specified'],
      [{ foo: ['x'] }, "invalid filter 'foo'"],
    ] as const) {
      const { status, json } = await http('POST', `/containers/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`);
      assert.deepEqual([status, json()], [400, { message }]);
    }
  });
});

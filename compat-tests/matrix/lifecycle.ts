// Containers: from start to end.

import assert from 'node:assert/strict';
import { check, type Resource } from './check.ts';

const trap = (signal: string, then: string) => ['sh', '-c', `trap "${then}" ${signal}; while :; do sleep 0.05; done`];

export const lifecycle: Resource = {
  title: 'lifecycle',
  about: 'start, stop, restart, kill, pause, unpause, rename, update, wait, rm, top, stats, resize',
  checks: [
    check('POST /containers/{id}/start', 'starts, and once is enough', async lab => {
      const id = await lab.create();
      await lab.ask(204, 'POST', `/containers/${id}/start`);
      await lab.ask(304, 'POST', `/containers/${id}/start`);
      await lab.refuses(404, 'No such container: mx-nosuch', 'POST', '/containers/mx-nosuch/start');
    }),
    check('POST /containers/{id}/start', 'a program that is not there', async lab => {
      const id = await lab.create({ Cmd: ['mx-nosuch'] });
      await lab.refuses(400, /executable file not found in \$PATH/, 'POST', `/containers/${id}/start`);
      const { State } = await lab.inspect(id);
      assert.deepEqual([State.Status, State.ExitCode], ['created', 127]);
    }),
    check('POST /containers/{id}/start', 'a program that can not be run', async lab => {
      const id = await lab.create({ Cmd: ['/etc'] });
      await lab.refuses(400, /is a directory|permission denied/, 'POST', `/containers/${id}/start`);
      assert.equal((await lab.inspect(id)).State.ExitCode, 126);
    }),
    check('POST /containers/{id}/stop', 'its signal, then the hard way', async lab => {
      const soft = await lab.start({ Cmd: trap('TERM', 'exit 5') });
      await lab.exec(soft, ['sleep', '0.2']);
      await lab.ask(204, 'POST', `/containers/${soft}/stop?t=10`);
      assert.equal((await lab.inspect(soft)).State.ExitCode, 5);
      await lab.ask(304, 'POST', `/containers/${soft}/stop`);
      const hard = await lab.start();
      await lab.ask(204, 'POST', `/containers/${hard}/stop?t=0`);
      assert.equal((await lab.inspect(hard)).State.ExitCode, 137);
    }),
    check('POST /containers/{id}/stop', 'a signal of one\'s choice', async lab => {
      const id = await lab.start({ Cmd: trap('USR1', 'exit 6') });
      await lab.exec(id, ['sleep', '0.2']);
      await lab.ask(204, 'POST', `/containers/${id}/stop?t=10&signal=SIGUSR1`);
      assert.equal((await lab.inspect(id)).State.ExitCode, 6);
    }, { since: 42 }),
    check('POST /containers/{id}/restart', 'a new process in the same container', async lab => {
      const id = await lab.start();
      await lab.exec(id, ['touch', '/kept']);
      const before = (await lab.inspect(id)).State;
      await lab.ask(204, 'POST', `/containers/${id}/restart?t=0`);
      const after = (await lab.inspect(id)).State;
      assert.notEqual(after.Pid, before.Pid);
      assert.equal((await lab.exec(id, ['ls', '/kept'])).stdout, '/kept\n');
    }),
    check('POST /containers/{id}/kill', 'signals by name and by number', async lab => {
      const id = await lab.start({ Cmd: trap('USR1', 'echo got') });
      await lab.exec(id, ['sleep', '0.2']);
      await lab.ask(204, 'POST', `/containers/${id}/kill?signal=SIGUSR1`);
      await lab.eventually(async () => assert.match((await lab.call('GET', `/containers/${id}/logs?stdout=1`)).text, /got/));
      await lab.ask(204, 'POST', `/containers/${id}/kill?signal=9`);
      await lab.ask(200, 'POST', `/containers/${id}/wait`);
      assert.equal((await lab.inspect(id)).State.ExitCode, 137);
    }),
    check('POST /containers/{id}/kill', 'no such signal, nothing that runs', async lab => {
      const id = await lab.start();
      await lab.refuses(400, /invalid signal: NOSUCH$/, 'POST', `/containers/${id}/kill?signal=NOSUCH`);
      const other = await lab.create();
      await lab.refuses(409, /is not running/, 'POST', `/containers/${other}/kill`);
    }),
    check('POST /containers/{id}/pause', 'it stands still', async lab => {
      const id = await lab.start();
      await lab.ask(204, 'POST', `/containers/${id}/pause`);
      const { State } = await lab.inspect(id);
      assert.deepEqual([State.Status, State.Paused, State.Running], ['paused', true, true]);
      await lab.refuses(409, /is already paused/, 'POST', `/containers/${id}/pause`);
      await lab.refuses(409, /is paused, unpause the container before exec/, 'POST', `/containers/${id}/exec`, { Cmd: ['true'] });
    }),
    check('POST /containers/{id}/unpause', 'and goes on', async lab => {
      const id = await lab.start();
      await lab.refuses(500, /is not paused/, 'POST', `/containers/${id}/unpause`);
      await lab.ask(204, 'POST', `/containers/${id}/pause`);
      await lab.ask(204, 'POST', `/containers/${id}/unpause`);
      assert.equal((await lab.exec(id, ['echo', 'on'])).stdout, 'on\n');
    }),
    check('POST /containers/{id}/rename', 'a new name', async lab => {
      const id = await lab.create({}, lab.name('old'));
      await lab.ask(204, 'POST', `/containers/${id}/rename?name=${lab.name('new')}`);
      assert.equal((await lab.inspect(lab.name('new'))).Name, `/${lab.name('new')}`);
      await lab.refuses(404, `No such container: ${lab.name('old')}`, 'GET', `/containers/${lab.name('old')}/json`);
      const other = await lab.create();
      await lab.refuses(409, /is already in use by container/, 'POST', `/containers/${other}/rename?name=${lab.name('new')}`);
      await lab.refuses(400, /Neither old nor new names may be empty/, 'POST', `/containers/${other}/rename?name=`);
      await lab.ask(204, 'DELETE', `/containers/${id}`);
    }),
    check('POST /containers/{id}/update', 'limits of one that runs', async lab => {
      const id = await lab.start({ HostConfig: { Memory: 67108864 } });
      const { Warnings } = await lab.ask(200, 'POST', `/containers/${id}/update`, { Memory: 33554432, MemorySwap: 33554432, RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 } });
      assert.ok(Warnings === null || Array.isArray(Warnings));
      assert.equal((await lab.exec(id, ['sh', '-c', 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null'])).stdout, '33554432\n');
      const { HostConfig } = await lab.inspect(id);
      assert.deepEqual([HostConfig.Memory, HostConfig.RestartPolicy], [33554432, { Name: 'on-failure', MaximumRetryCount: 3 }]);
    }),
    check('POST /containers/{id}/wait', 'its exit code', async lab => {
      const id = await lab.start({ Cmd: ['sh', '-c', 'exit 9'] });
      assert.deepEqual(await lab.ask(200, 'POST', `/containers/${id}/wait`), { StatusCode: 9 });
    }),
    check('POST /containers/{id}/wait', 'the next exit; the removal', async lab => {
      const id = await lab.create({ Cmd: ['sh', '-c', 'exit 4'], HostConfig: { AutoRemove: true } });
      const [next, removed] = [lab.ask(200, 'POST', `/containers/${id}/wait?condition=next-exit`), lab.ask(200, 'POST', `/containers/${id}/wait?condition=removed`)];
      await lab.call('GET', '/_ping');
      await lab.ask(204, 'POST', `/containers/${id}/start`);
      assert.deepEqual([(await next).StatusCode, (await removed).StatusCode], [4, 4]);
      await lab.refuses(400, 'invalid condition: "bad"', 'POST', `/containers/${id}/wait?condition=bad`);
    }),
    check('DELETE /containers/{id}', 'only when it has ended, or by force', async lab => {
      const id = await lab.start();
      await lab.refuses(409, /^cannot remove container ".+": container is running: stop the container before removing or force remove$/, 'DELETE', `/containers/${id}`);
      await lab.ask(204, 'DELETE', `/containers/${id}?force=1`);
      await lab.refuses(404, `No such container: ${id}`, 'DELETE', `/containers/${id}`);
    }),
    check('DELETE /containers/{id}', 'with its anonymous volumes', async lab => {
      const id = await lab.create({ Volumes: { '/anon': {} } });
      const [{ Name }] = (await lab.inspect(id)).Mounts;
      await lab.ask(204, 'DELETE', `/containers/${id}?v=1`);
      await lab.ask(404, 'GET', `/volumes/${Name}`);
    }),
    check('GET /containers/{id}/top', 'its processes', async lab => {
      const id = await lab.start();
      const { Titles, Processes } = await lab.ask(200, 'GET', `/containers/${id}/top`);
      assert.equal(Titles.at(-1), 'CMD');
      assert.deepEqual(Processes.map((row: string[]) => row.at(-1)), ['sleep 1000']);
      const other = await lab.create();
      await lab.refuses(409, /is not running/, 'GET', `/containers/${other}/top`);
    }),
    check('GET /containers/{id}/top', 'columns of one\'s choice', async lab => {
      const id = await lab.start();
      const { Titles, Processes } = await lab.ask(200, 'GET', `/containers/${id}/top?ps_args=${encodeURIComponent('-o pid,comm')}`);
      assert.deepEqual([Titles, Processes[0][1]], [['PID', 'COMMAND'], 'sleep']);
    }),
    check('GET /containers/{id}/stats', 'once', async lab => {
      const id = await lab.start({ HostConfig: { Memory: 33554432 } });
      const stats = await lab.ask(200, 'GET', `/containers/${id}/stats?stream=0&one-shot=1`);
      assert.ok(stats.memory_stats.usage > 0 && stats.memory_stats.limit === 33554432, JSON.stringify(stats.memory_stats));
      assert.ok(stats.cpu_stats.cpu_usage.total_usage > 0 && stats.cpu_stats.online_cpus >= 1);
      assert.equal(stats.pids_stats.current, 1);
      assert.equal(typeof stats.networks.eth0.rx_bytes, 'number');
      assert.ok(Date.parse(stats.read) > 0);
    }),
    check('GET /containers/{id}/stats', 'of one that does not run', async lab => {
      const stats = await lab.ask(200, 'GET', `/containers/${await lab.create()}/stats?stream=0`);
      assert.deepEqual(stats.pids_stats, {});
      await lab.refuses(404, 'No such container: mx-nosuch', 'GET', '/containers/mx-nosuch/stats');
    }),
    check('POST /containers/{id}/resize', 'its terminal', async lab => {
      const id = await lab.start({ Tty: true, OpenStdin: true, Cmd: ['sh'] });
      await lab.ask(200, 'POST', `/containers/${id}/resize?h=33&w=77`);
      const stream = await lab.hijack(`/containers/${id}/attach?stream=1&stdin=1&stdout=1`);
      let said = '';
      stream.on('data', chunk => (said += chunk)).write('stty size\n');
      await lab.eventually(() => assert.match(said, /33 77/));
      stream.destroy();
      await lab.refuses(400, /invalid syntax/, 'POST', `/containers/${id}/resize?h=x&w=1`);
    }),
  ],
};

// A container's life: created, started, paused, stopped, killed, renamed, removed, and waited for.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { docker, dockerFails, dockerOut, inspect } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { http, opened } from './support/http.ts';
import { scope } from './support/scope.ts';

const { name } = scope('life');

const created = async (word: string, ...args: string[]) => {
  const box = name(word);
  const id = await dockerOut('create', '--name', box, ...args);
  return { box, id };
};
const running = async (word: string, ...options: string[]) => {
  const box = name(word);
  const id = await dockerOut('run', '-d', '--name', box, ...options, 'busybox', 'sleep', '1000');
  return { box, id };
};
const post = async (path: string, body?: object) => {
  const { status, text } = await http('POST', path, body);
  return [status, text === '' ? '' : JSON.parse(text).message] as const;
};

// A shell as pid 1 hears only the signals it traps.
const trapping = (signal: string) => ['busybox', 'sh', '-c', `trap "echo got ${signal}; exit 7" ${signal}; echo ready; while :; do sleep 0.05; done`];
const ready = (box: string) => eventually(async () => assert.match(await dockerOut('logs', box), /^ready$/m));

describe('create and start', () => {
  test('a new container', async () => {
    const { box, id } = await created('new', '-e', 'A=1', '-l', 'k=v', '-w', '/tmp', '-u', '5:6', '-h', 'host1', 'busybox', 'sh', '-c', 'exit 3');
    const found = await inspect(box);
    assert.equal(found.Id, id);
    assert.equal(found.Name, `/${box}`);
    assert.equal(found.Path, 'sh');
    assert.deepEqual(found.Args, ['-c', 'exit 3']);
    assert.deepEqual(found.State, {
      Status: 'created', Running: false, Paused: false, Restarting: false, OOMKilled: false, Dead: false, Pid: 0, ExitCode: 0, Error: '',
      StartedAt: '0001-01-01T00:00:00Z', FinishedAt: '0001-01-01T00:00:00Z',
    });
    const { Hostname, User, WorkingDir, Env, Labels, Image, AttachStdout, Tty } = found.Config;
    assert.deepEqual({ Hostname, User, WorkingDir, Labels, Image, AttachStdout, Tty }, { Hostname: 'host1', User: '5:6', WorkingDir: '/tmp', Labels: { k: 'v' }, Image: 'busybox', AttachStdout: true, Tty: false });
    assert.ok(Env.includes('A=1'));
    assert.equal(found.ResolvConfPath, '');
    assert.deepEqual(found.Mounts, []);
  });

  test('start -a shows what it prints and ends as it ends', async () => {
    const { box } = await created('attached', 'busybox', 'sh', '-c', 'echo out; echo err >&2; exit 3');
    assert.deepEqual(await docker('start', '-a', box), { stdout: 'out\n', stderr: 'err\n', exitCode: 3 });
    const { State } = await inspect(box);
    assert.deepEqual([State.Status, State.ExitCode, State.Pid], ['exited', 3, 0]);
    assert.ok(Date.parse(State.StartedAt) <= Date.parse(State.FinishedAt));
    assert.match(State.StartedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z$/);
  });

  test('start again keeps the filesystem and appends to the log', async () => {
    const { box } = await created('twice', 'busybox', 'sh', '-c', 'echo round >>/rounds; cat /rounds');
    await dockerOut('start', '-a', box);
    assert.equal(await dockerOut('start', '-a', box), 'round\nround');
    assert.equal(await dockerOut('logs', box), 'round\nround\nround');
  });

  test('start of what runs is 304, stop of what does not is 304', async () => {
    const { box } = await running('idempotent');
    assert.deepEqual(await post(`/containers/${box}/start`), [304, '']);
    assert.equal(await dockerOut('start', box), box);
    await dockerOut('kill', box);
    await eventually(async () => assert.equal((await inspect(box)).State.Running, false));
    assert.deepEqual(await post(`/containers/${box}/stop`), [304, '']);
    assert.equal(await dockerOut('stop', box), box);
  });

  test('start is 204, stop is 204', async () => {
    const { box } = await created('statuses', 'busybox', 'sleep', '1000');
    assert.deepEqual(await post(`/containers/${box}/start`), [204, '']);
    assert.deepEqual(await post(`/containers/${box}/stop?t=0`), [204, '']);
  });

  test('no such container', async () => {
    await dockerFails(1, 'No such container: ct-nosuch', 'start', 'ct-nosuch');
    for (const verb of ['start', 'stop', 'kill', 'restart', 'pause', 'unpause', 'wait']) {
      const message = `${verb === 'kill' ? 'cannot kill container: ct-nosuch: ' : ''}No such container: ct-nosuch`;
      assert.deepEqual([verb, ...await post(`/containers/ct-nosuch/${verb}`)], [verb, 404, message]);
    }
    assert.equal((await http('DELETE', '/containers/ct-nosuch')).status, 404);
    assert.deepEqual((await http('GET', '/containers/ct-nosuch/json')).json(), { message: 'No such container: ct-nosuch' });
  });

  test('an unknown image', async () => {
    const { status, json } = await http('POST', '/containers/create', { Image: 'ct-nosuch:1' });
    assert.deepEqual([status, json()], [404, { message: 'No such image: ct-nosuch:1' }]);
  });

  test('no command', async () => {
    const { status, json } = await http('POST', `/containers/create?name=${name('nocommand')}`, { Image: 'busybox', Cmd: [], Entrypoint: [''] });
    assert.deepEqual([status, json()], [400, { message: 'no command specified' }]);
  });

  test('the answer of create', async () => {
    const { status, json } = await http('POST', `/containers/create?name=${name('answer')}`, { Image: 'busybox' });
    assert.equal(status, 201);
    const { Id, ...rest } = json();
    assert.match(Id, /^[0-9a-f]{64}$/);
    assert.deepEqual(rest, { Warnings: [] });
  });

  test('an image by its id and by the start of its id', async () => {
    const id = await dockerOut('image', 'inspect', '-f', '{{.Id}}', 'busybox');
    for (const ref of [id, id.slice('sha256:'.length), id.slice('sha256:'.length, 19)]) {
      assert.equal(await dockerOut('run', '--rm', '--name', name('byid'), ref, 'echo', 'found'), 'found');
    }
  });
});

describe('names', () => {
  test('taken', async () => {
    const { box, id } = await created('taken', 'busybox');
    const message = `Conflict. The container name "/${box}" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`;
    await dockerFails(1, `Error response from daemon: ${message}`, 'create', '--name', box, 'busybox');
    const { status, json } = await http('POST', `/containers/create?name=${box}`, { Image: 'busybox' });
    assert.deepEqual([status, json()], [409, { message }]);
  });

  test('bad', async () => {
    await dockerFails(1, 'Invalid container name (bad name), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed', 'create', '--name', 'bad name', 'busybox');
    for (const bad of ['a', '-ab', 'a/b', 'ä']) {
      const { status, json } = await http('POST', `/containers/create?name=${encodeURIComponent(bad)}`, { Image: 'busybox' });
      assert.deepEqual([status, json()], [400, { message: `Invalid container name (${bad}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed` }]);
    }
  });

  test('an id, the start of one, a name, a name with a slash', async () => {
    const { box, id } = await created('refs', 'busybox');
    for (const ref of [id, id.slice(0, 12), id.slice(0, 20), box, `/${box}`]) assert.equal((await inspect(ref)).Id, id);
  });

  test('the start of a name is not enough', async () => {
    const { box } = await created('whole', 'busybox');
    await dockerFails(1, `No such container: ${box.slice(0, -1)}`, 'container', 'inspect', box.slice(0, -1));
  });

  test('the start of more than one id', async () => {
    // Of seventeen ids, two begin with the same digit.
    const ids = await Promise.all(Array.from({ length: 17 }, async (_, index) => (await created(`many${index}`, 'busybox')).id));
    const firsts = ids.map(id => id[0]!);
    const shared = firsts.find((first, index) => firsts.indexOf(first) !== index)!;
    const { status, json } = await http('GET', `/containers/${shared}/json`);
    assert.equal(status, 400);
    assert.match(json().message, new RegExp(`[Mm]ultiple IDs found with provided prefix: ${shared}`));
  });

  test('a name goes before the start of an id', async () => {
    const { id } = await created('prefixed', 'busybox');
    const alias = id.slice(0, 12);
    const other = await dockerOut('create', '--name', alias, 'busybox');
    try {
      assert.equal((await inspect(alias)).Id, other);
    } finally {
      await dockerOut('rm', other);
    }
  });

  test('without a name one is made up', async () => {
    const id = await dockerOut('create', 'busybox');
    try {
      assert.match((await inspect(id)).Name, /^\/[a-z]+_[a-z]+\d?$/);
    } finally {
      await dockerOut('rm', id);
    }
  });

  test('rename', async () => {
    const { box, id } = await created('old', 'busybox');
    const other = await created('other', 'busybox');
    const renamed = name('renamed');
    assert.deepEqual(await post(`/containers/${box}/rename?name=${renamed}`), [204, '']);
    assert.equal((await inspect(renamed)).Id, id);
    await dockerFails(1, `No such container: ${box}`, 'container', 'inspect', box);
    await dockerFails(1, `Conflict. The container name "/${other.box}" is already in use by container "${other.id}"`, 'rename', renamed, other.box);
    assert.equal((await post(`/containers/${renamed}/rename?name=${other.box}`))[0], 409);
    assert.deepEqual(await post(`/containers/${renamed}/rename?name=`), [400, 'Neither old nor new names may be empty']);
    assert.deepEqual(await post(`/containers/${renamed}/rename?name=${renamed}`), [400, 'Renaming a container with the same name as its current name']);
    await dockerFails(1, 'No such container: ct-nosuch', 'rename', 'ct-nosuch', name('any'));
  });
});

describe('pause', () => {
  test('stops time, shows it, and says so when asked twice', async () => {
    const { box, id } = await running('paused');
    assert.equal(await dockerOut('pause', box), box);
    const { State } = await inspect(box);
    assert.deepEqual([State.Status, State.Running, State.Paused], ['paused', true, true]);
    assert.match(await dockerOut('ps', '--filter', `name=${box}`, '--format', '{{.Status}}'), /^Up .* \(Paused\)$/);
    await dockerFails(1, `Container ${id} is already paused`, 'pause', box);
    assert.equal((await post(`/containers/${box}/pause`))[0], 409);
    assert.equal(await dockerOut('unpause', box), box);
    await dockerFails(1, `Container ${id} is not paused`, 'unpause', box);
    assert.equal((await inspect(box)).State.Status, 'running');
  });

  test('a paused container can be killed and removed', async () => {
    const { box } = await running('pausedkill');
    await dockerOut('pause', box);
    await dockerOut('rm', '-f', box);
    assert.equal((await http('GET', `/containers/${box}/json`)).status, 404);
  });

  test('not running', async () => {
    const { box, id } = await created('notrunning', 'busybox');
    await dockerFails(1, new RegExp(`[Cc]ontainer ${id} is not running`), 'pause', box);
    assert.equal((await post(`/containers/${box}/pause`))[0], 409);
  });
});

describe('stop, kill and restart', () => {
  test('stop sends SIGTERM and waits', async () => {
    const box = name('term');
    await dockerOut('run', '-d', '--name', box, ...trapping('TERM'));
    await ready(box);
    await dockerOut('stop', box);
    assert.equal((await inspect(box)).State.ExitCode, 7);
    assert.equal(await dockerOut('logs', box), 'ready\ngot TERM');
  });

  test('stop sends the stop signal of the container', async () => {
    const box = name('usr1');
    await dockerOut('run', '-d', '--name', box, '--stop-signal', 'USR1', ...trapping('USR1'));
    await ready(box);
    await dockerOut('stop', box);
    assert.equal((await inspect(box)).State.ExitCode, 7);
  });

  test('stop -s', async () => {
    const box = name('stops');
    await dockerOut('run', '-d', '--name', box, ...trapping('USR2'));
    await ready(box);
    await dockerOut('stop', '-s', 'SIGUSR2', box);
    assert.equal((await inspect(box)).State.ExitCode, 7);
  });

  test('stop -t 1 kills what does not listen', async () => {
    const { box } = await running('deaf');
    const start = Date.now();
    await dockerOut('stop', '-t', '1', box);
    const seconds = (Date.now() - start) / 1000;
    assert.ok(seconds >= 0.9 && seconds < 4, `${seconds} s`);
    assert.equal((await inspect(box)).State.ExitCode, 137);
  });

  test('kill -s reaches the process', async () => {
    const box = name('kills');
    await dockerOut('run', '-d', '--name', box, ...trapping('USR1'));
    await ready(box);
    assert.equal(await dockerOut('kill', '-s', 'USR1', box), box);
    assert.equal(await dockerOut('wait', box), '7');
  });

  test('signals by name and by number', async () => {
    for (const signal of ['SIGKILL', 'KILL', '9', 'kill']) {
      const { box } = await running(`by-${signal}`);
      assert.deepEqual([signal, ...await post(`/containers/${box}/kill?signal=${signal}`)], [signal, 204, '']);
      assert.equal(await dockerOut('wait', box), '137');
    }
  });

  test('an unknown signal, and a container that does not run', async () => {
    const { box, id } = await running('signals');
    const [status, message] = await post(`/containers/${box}/kill?signal=NOSUCH`);
    assert.equal(status, 400);
    assert.match(message, /invalid signal: NOSUCH$/i);
    await dockerOut('kill', box);
    await dockerOut('wait', box);
    const [stoppedStatus, stoppedMessage] = await post(`/containers/${box}/kill`);
    assert.equal(stoppedStatus, 409);
    assert.match(stoppedMessage, new RegExp(`^[Cc]annot kill container: ${box}: [Cc]ontainer ${id} is not running$`));
  });

  test('restart of a running one is another process, and of a stopped one a start', async () => {
    const { box } = await running('again');
    const { Pid } = (await inspect(box)).State;
    await dockerOut('restart', '-t', '0', box);
    const after = await inspect(box);
    assert.notEqual(after.State.Pid, Pid);
    assert.deepEqual([after.State.Status, after.RestartCount], ['running', 0]);
    await dockerOut('stop', '-t', '0', box);
    assert.deepEqual(await post(`/containers/${box}/restart?t=0`), [204, '']);
    assert.equal((await inspect(box)).State.Running, true);
  });

  test('top', async () => {
    const { box } = await running('top');
    const { Titles, Processes } = (await http('GET', `/containers/${box}/top`)).json();
    assert.deepEqual(Titles, ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD']);
    assert.equal(Processes.length, 1);
    assert.equal(Processes[0][1], `${(await inspect(box)).State.Pid}`);
    assert.equal(Processes[0][7], 'sleep 1000');
    assert.match(await dockerOut('top', box, '-o', 'pid,comm'), /PID +COMMAND\n\d+ +sleep/);
    const { box: stopped, id } = await created('topstopped', 'busybox');
    await dockerFails(1, new RegExp(`[Cc]ontainer ${id} is not running`), 'top', stopped);
  });
});

describe('wait', () => {
  const wait = async (box: string, condition: string) => (await http('POST', `/containers/${box}/wait?condition=${condition}`)).json();

  test('a stopped container answers at once', async () => {
    const { box } = await created('stopped', 'busybox', 'sh', '-c', 'exit 5');
    await dockerOut('start', '-a', box).catch(() => undefined);
    assert.equal(await dockerOut('wait', box), '5');
    assert.deepEqual(await wait(box, 'not-running'), { StatusCode: 5 });
  });

  test('a container never started is not running', async () => {
    const { box } = await created('never', 'busybox');
    assert.deepEqual(await wait(box, 'not-running'), { StatusCode: 0 });
  });

  test('not-running: the running one\'s end', async () => {
    const { box } = await running('until');
    const waiting = wait(box, 'not-running');
    await dockerOut('kill', box);
    assert.deepEqual(await waiting, { StatusCode: 137 });
  });

  test('next-exit does not count the last one', async () => {
    const { box } = await created('next', 'busybox', 'sh', '-c', 'echo x >>/n; exit $(wc -l </n)');
    await docker('start', '-a', box);
    // The headers tell that the engine is waiting; `docker run` relies on them to start nothing before that.
    const waiting = await opened('POST', `/containers/${box}/wait?condition=next-exit`);
    await http('POST', `/containers/${box}/start`);
    assert.deepEqual((await waiting.answer).json(), { StatusCode: 2 });
  });

  test('removed', async () => {
    const box = name('removed');
    await dockerOut('create', '--rm', '--name', box, 'busybox', 'sh', '-c', 'exit 6');
    const waiting = await opened('POST', `/containers/${box}/wait?condition=removed`);
    await http('POST', `/containers/${box}/start`);
    assert.deepEqual((await waiting.answer).json(), { StatusCode: 6 });
    assert.equal((await http('GET', `/containers/${box}/json`)).status, 404);
  });

  test('an unknown condition', async () => {
    const { box } = await created('condition', 'busybox');
    const { status, json } = await http('POST', `/containers/${box}/wait?condition=nosuch`);
    assert.deepEqual([status, json()], [400, { message: 'invalid condition: "nosuch"' }]);
  });

  test('several at once', async () => {
    const boxes = await Promise.all([1, 2, 3].map(code => created(`code${code}`, 'busybox', 'sh', '-c', `sleep 0.1; exit ${code}`)));
    await dockerOut('start', ...boxes.map(({ box }) => box));
    assert.equal(await dockerOut('wait', ...boxes.map(({ box }) => box)), '1\n2\n3');
  });
});

describe('rm', () => {
  test('a running container stays, unless -f', async () => {
    const { box } = await running('rm');
    await dockerFails(1, /cannot remove container "\/?.*": container is running: stop the container before removing or force remove/, 'rm', box);
    assert.equal((await http('DELETE', `/containers/${box}`)).status, 409);
    assert.equal((await http('DELETE', `/containers/${box}?force=1`)).status, 204);
    assert.equal((await http('GET', `/containers/${box}/json`)).status, 404);
  });

  test('what is not there', async () => {
    await dockerFails(1, 'No such container: ct-nosuch', 'rm', 'ct-nosuch');
    // With --force, what is gone is good.
    await dockerFails(0, 'No such container: ct-nosuch', 'rm', '-f', 'ct-nosuch');
  });

  test('several, of which one is missing', async () => {
    const { box } = await created('one', 'busybox');
    const { stdout, stderr, exitCode } = await docker('rm', box, 'ct-nosuch');
    assert.deepEqual([stdout, exitCode], [`${box}\n`, 1]);
    assert.match(stderr, /No such container: ct-nosuch/);
  });

  test('twice at once: one removes, the other says so or finds nothing', async () => {
    const { box } = await running('race');
    const statuses = (await Promise.all([1, 2, 3].map(() => http('DELETE', `/containers/${box}?force=1`)))).map(({ status }) => status).sort();
    assert.equal(statuses[0], 204);
    for (const status of statuses.slice(1)) assert.ok(status === 204 || status === 404 || status === 409, `${status}`);
  });

  test('the name is free again', async () => {
    const { box } = await created('free', 'busybox');
    await dockerOut('rm', box);
    await dockerOut('create', '--name', box, 'busybox');
  });
});

describe('update', () => {
  test('limits and the restart policy of a container', async () => {
    const { box } = await running('update');
    assert.equal(await dockerOut('update', '--memory', '64m', '--memory-swap', '64m', '--restart', 'on-failure:3', box), box);
    const { HostConfig } = await inspect(box);
    assert.equal(HostConfig.Memory, 64 * 1024 * 1024);
    assert.deepEqual(HostConfig.RestartPolicy, { Name: 'on-failure', MaximumRetryCount: 3 });
  });
});

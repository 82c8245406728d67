// docker exec and the exec calls of the API.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { before, describe, test } from 'node:test';
import { docker, dockerBytes, dockerFails, dockerOnTerminal, dockerOut, dockerWith, inHost, inspect } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { frames, hijack, http, only } from './support/http.ts';
import { scope } from './support/scope.ts';
import { since } from './support/version.ts';

const { name } = scope('exec');
const box = name('box');

before(() => dockerOut('run', '-d', '--name', box, '-e', 'A=1', 'busybox', 'sleep', '1000'));

const create = async (options: object): Promise<string> => {
  const { status, json, text } = await http('POST', `/containers/${box}/exec`, options);
  assert.equal(status, 201, text);
  assert.match(json().Id, /^[0-9a-f]{64}$/);
  return json().Id;
};
const inspectExec = async (id: string) => (await http('GET', `/exec/${id}/json`)).json();
const ended = (id: string) => eventually(async () => {
  const found = await inspectExec(id);
  assert.equal(found.Running, false);
  assert.notEqual(found.ExitCode, null);
  return found;
});

describe('docker exec', () => {
  test('prints what the command prints', async () => assert.equal(await dockerOut('exec', box, 'echo', 'hello'), 'hello'));

  test('stdout and stderr stay apart', async () => {
    assert.deepEqual(await docker('exec', box, 'sh', '-c', 'echo out; echo err >&2'), { stdout: 'out\n', stderr: 'err\n', exitCode: 0 });
  });

  test('-e -w -u, on top of the container\'s environment', async () => {
    assert.equal(await dockerOut('exec', '-e', 'B=2', '-w', '/tmp', '-u', '7', box, 'sh', '-c', 'echo $A $B; pwd; id -u; id -g'), '1 2\n/tmp\n7\n0');
  });

  test('-u USER:GROUP', async () => assert.equal(await dockerOut('exec', '-u', '7:8', box, 'sh', '-c', 'id -u; id -g'), '7\n8'));

  test('HOME is that of the user', async () => assert.equal(await dockerOut('exec', box, 'sh', '-c', 'echo $HOME'), '/root'));

  test('PATH is the default one', async () => {
    assert.equal(await dockerOut('exec', box, 'sh', '-c', 'echo $PATH'), '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin');
  });

  for (const code of [0, 9, 255]) test(`exit code ${code}`, async () => assert.equal((await docker('exec', box, 'sh', '-c', `exit ${code}`)).exitCode, code));

  test('a command that dies of a signal', async () => assert.equal((await docker('exec', box, 'sh', '-c', 'kill -9 $$')).exitCode, 137));

  // Engines before 28 took every failed start of an exec for "not a program".
  const notFound = since(47, 127, 126);

  test('127: no such command', () => dockerFails(notFound, /exec failed: .*exec: "nosuch": executable file not found in \$PATH/, 'exec', box, 'nosuch'));

  test('127: no such file', () => dockerFails(notFound, /exec: "\/nosuch": stat \/nosuch: no such file or directory/, 'exec', box, '/nosuch'));

  test('126: not a program', () => dockerFails(126, /exec: "\/etc": (permission denied|is a directory)/, 'exec', box, '/etc'));

  test('-i brings stdin, and its end', async () => {
    assert.equal((await dockerWith({ input: 'data\n' }, 'exec', '-i', box, 'cat')).stdout, 'data\n');
    assert.equal((await dockerWith({ input: '' }, 'exec', '-i', box, 'cat')).stdout, '');
  });

  test('without -i there is no stdin', async () => assert.equal((await dockerWith({ input: 'data\n' }, 'exec', box, 'cat')).stdout, ''));

  test('bytes come through unchanged, in and out', async () => {
    const bytes = randomBytes(3 * 1024 * 1024 + 17);
    const { stdout, exitCode } = await dockerBytes(bytes, 'exec', '-i', box, 'cat');
    assert.equal(exitCode, 0);
    assert.ok(stdout.equals(bytes), `${stdout.length} of ${bytes.length} bytes`);
  });

  test('a slow reader loses nothing', async () => {
    const { stdout } = await docker('exec', box, 'sh', '-c', 'seq 1 200000');
    assert.equal(stdout, Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join(''));
  });

  test('-t gives a terminal', async () => {
    const { stdout, exitCode } = await dockerOnTerminal('', 'exec', '-t', box, 'sh', '-c', 'tty; echo err >&2; exit 5');
    assert.match(stdout, /^\/dev\/pts\/\d+\nerr\n$/);
    assert.equal(exitCode, 5);
  });

  test('-it is a shell to talk to', async () => {
    const { stdout, exitCode } = await dockerOnTerminal('echo $((6*7))\nexit 3\n', 'exec', '-it', box, 'sh');
    assert.match(stdout, /^42$/m);
    assert.equal(exitCode, 3);
  });

  test('-t sets TERM', async () => assert.match((await dockerOnTerminal('', 'exec', '-t', box, 'sh', '-c', 'echo $TERM')).stdout, /^xterm\n$/));

  test('-d returns at once and prints nothing', async () => {
    assert.equal(await dockerOut('exec', '-d', box, 'sh', '-c', 'sleep 0.2; touch /tmp/detached'), '');
    await eventually(() => dockerOut('exec', box, 'test', '-e', '/tmp/detached'));
  });

  test('--privileged has all capabilities', async () => {
    const caps = async (...options: string[]) => (await dockerOut('exec', ...options, box, 'grep', 'CapEff', '/proc/self/status')).split('\t')[1]!;
    assert.equal(await caps(), '00000000a80425fb');
    assert.equal(await caps('--privileged'), (await inHost('grep', 'CapBnd', '/proc/self/status')).stdout.trim().split('\t')[1]);
  });

  test('many at once', async () => {
    const results = await Promise.all(Array.from({ length: 8 }, (_, index) => docker('exec', box, 'sh', '-c', `echo ${index}; exit ${index}`)));
    assert.deepEqual(results.map(({ stdout, exitCode }) => [stdout, exitCode]), results.map((_, index) => [`${index}\n`, index]));
  });

  test('an unknown user', () => dockerFails(126, /unable to find user nosuch: no matching entries in passwd file/, 'exec', '-u', 'nosuch', box, 'true'));

  test('no such container', () => dockerFails(1, 'No such container: ct-nosuch', 'exec', 'ct-nosuch', 'true'));
});

describe('exec in a container that does not run', () => {
  test('paused', async () => {
    const paused = name('paused');
    await dockerOut('run', '-d', '--name', paused, 'busybox', 'sleep', '1000');
    await dockerOut('pause', paused);
    await dockerFails(1, `Container ${paused} is paused, unpause the container before exec`, 'exec', paused, 'true');
    assert.equal((await http('POST', `/containers/${paused}/exec`, { Cmd: ['true'] })).status, 409);
    await dockerOut('unpause', paused);
    await dockerOut('exec', paused, 'true');
  });

  test('stopped', async () => {
    const stopped = name('stopped');
    const id = await dockerOut('create', '--name', stopped, 'busybox', 'true');
    await dockerFails(1, new RegExp(`[Cc]ontainer ${id} is not running`), 'exec', stopped, 'true');
    const { status, json } = await http('POST', `/containers/${stopped}/exec`, { Cmd: ['true'] });
    assert.equal(status, 409);
    assert.match(json().message, new RegExp(`^[Cc]ontainer ${id} is not running$`));
  });

  test('an exec ends with its container', async () => {
    const dying = name('dying');
    await dockerOut('run', '-d', '--name', dying, 'busybox', 'sleep', '1000');
    const running = docker('exec', dying, 'sh', '-c', 'echo up; sleep 999');
    await eventually(async () => assert.match(await dockerOut('top', dying), /sleep 999/));
    await dockerOut('kill', dying);
    const { stdout, exitCode } = await running;
    assert.equal(stdout, 'up\n');
    assert.equal(exitCode, 137);
  });
});

describe('exec over the API', () => {
  test('inspect before and after', async () => {
    const id = await create({ Cmd: ['sh', '-c', 'exit 4'], AttachStdout: true });
    const { Id } = await inspect(box);
    const expected = {
      ID: id, Running: false, ExitCode: null as number | null,
      ProcessConfig: { tty: false, entrypoint: 'sh', arguments: ['-c', 'exit 4'], privileged: false },
      OpenStdin: false, OpenStderr: false, OpenStdout: true, CanRemove: false, ContainerID: Id, DetachKeys: '', Pid: 0,
    };
    assert.deepEqual(await inspectExec(id), expected);
    const start = await http('POST', `/exec/${id}/start`, { Detach: true });
    assert.equal(start.status, 200);
    assert.equal(start.text, '');
    const { Pid, ...rest } = await ended(id);
    assert.ok(Pid > 0);
    const { Pid: _, ...expectedRest } = { ...expected, ExitCode: 4 };
    assert.deepEqual(rest, expectedRest);
  });

  test('user and privileged show in ProcessConfig', async () => {
    const id = await create({ Cmd: ['true'], User: '7', Privileged: true, Tty: true });
    assert.deepEqual((await inspectExec(id)).ProcessConfig, { tty: true, entrypoint: 'true', arguments: [], privileged: true, user: '7' });
  });

  test('the container lists it', async () => {
    const id = await create({ Cmd: ['sleep', '1000'] });
    await http('POST', `/exec/${id}/start`, { Detach: true });
    const { Pid, Running } = await inspectExec(id);
    assert.equal(Running, true);
    assert.ok((await inspect(box)).ExecIDs.includes(id));
    await dockerOut('exec', box, 'sh', '-c', 'kill -9 $(pidof sleep | tr " " "\\n" | grep -v "^1$")');
    assert.equal((await ended(id)).ExitCode, 137);
    assert.ok(Pid > 1);
  });

  test('a plain answer is a multiplexed stream', async () => {
    const id = await create({ Cmd: ['sh', '-c', 'echo out; echo err >&2'], AttachStdout: true, AttachStderr: true });
    const { status, headers, bytes } = await http('POST', `/exec/${id}/start`, {});
    assert.equal(status, 200);
    assert.match(headers['content-type']!, /^application\/vnd\.docker\.(raw-stream|multiplexed-stream)$/);
    assert.equal(only('stdout', bytes), 'out\n');
    assert.equal(only('stderr', bytes), 'err\n');
  });

  test('what is not attached does not come', async () => {
    const id = await create({ Cmd: ['sh', '-c', 'echo out; echo err >&2'], AttachStderr: true });
    const { bytes } = await http('POST', `/exec/${id}/start`, {});
    assert.deepEqual(frames(bytes).map(frame => [frame.stream, frame.bytes.toString()]), [['stderr', 'err\n']]);
  });

  test('hijacked: 101, stdin in, frames out, and the end of stdin reaches the command', async () => {
    const id = await create({ Cmd: ['cat'], AttachStdin: true, AttachStdout: true, AttachStderr: true });
    const { status, headers, stream, early } = await hijack(`/exec/${id}/start`);
    assert.equal(status, 101);
    assert.equal(headers['upgrade'], 'tcp');
    assert.match(headers['content-type']!, /^application\/vnd\.docker\.(raw-stream|multiplexed-stream)$/);
    stream.end('through\n');
    assert.equal(only('stdout', Buffer.concat([early, await buffer(stream)])), 'through\n');
    assert.equal((await ended(id)).ExitCode, 0);
  });

  test('a terminal\'s stream is raw, and it can be resized', async () => {
    const id = await create({ Cmd: ['sh', '-c', 'until [ "$(stty size 2>&1)" = "33 77" ]; do sleep 0.02; done; stty size'], AttachStdin: true, AttachStdout: true, Tty: true });
    const { stream, early } = await hijack(`/exec/${id}/start`, { Tty: true });
    const resized = await eventually(async () => {
      const answer = await http('POST', `/exec/${id}/resize?h=33&w=77`);
      assert.equal(answer.status, 200, answer.text);
      return answer;
    });
    assert.equal(resized.text, '');
    assert.equal(Buffer.concat([early, await buffer(stream)]).toString(), '33 77\r\n');
  });

  // Not asked for at once: a runtime may leave it to the engine to set the size of a terminal that is already in use.
  test('ConsoleSize is the size it has', async () => {
    const id = await create({ Cmd: ['sh', '-c', 'sleep 0.3; stty size'], AttachStdin: true, AttachStdout: true, Tty: true, ConsoleSize: [21, 65] });
    const { stream, early } = await hijack(`/exec/${id}/start`, { Tty: true, ConsoleSize: [21, 65] });
    assert.equal(Buffer.concat([early, await buffer(stream)]).toString(), '21 65\r\n');
  });

  test('only once', async () => {
    const id = await create({ Cmd: ['true'] });
    await http('POST', `/exec/${id}/start`, { Detach: true });
    await ended(id);
    const { status, json } = await http('POST', `/exec/${id}/start`, { Detach: true });
    assert.deepEqual([status, json()], [409, { message: `Error: Exec command ${id} has already run` }]);
  });

  test('a wrong resize', async () => {
    const id = await create({ Cmd: ['true'], Tty: true });
    assert.equal((await http('POST', `/exec/${id}/resize?h=x&w=1`)).status, 400);
  });

  test('no command', async () => {
    const { status, json } = await http('POST', `/containers/${box}/exec`, { AttachStdout: true });
    assert.deepEqual([status, json()], [400, { message: 'No exec command specified' }]);
  });

  test('unknown ids', async () => {
    for (const [method, path] of [['GET', '/exec/nosuch/json'], ['POST', '/exec/nosuch/start'], ['POST', '/exec/nosuch/resize?h=1&w=1']] as const) {
      const { status, json } = await http(method, path, method === 'POST' ? {} : undefined);
      assert.deepEqual([path, status, json()], [path, 404, { message: 'No such exec instance: nosuch' }]);
    }
    const { status, json } = await http('POST', '/containers/ct-nosuch/exec', { Cmd: ['true'] });
    assert.deepEqual([status, json()], [404, { message: 'No such container: ct-nosuch' }]);
  });

  test('it may be found by the start of neither id nor name', async () => {
    const id = await create({ Cmd: ['true'] });
    assert.equal((await http('GET', `/exec/${id.slice(0, 12)}/json`)).status, 404);
  });
});

// docker logs, and attach, which reads the same streams while they come.

import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { before, describe, test } from 'node:test';
import { docker, dockerFails, dockerOut, dockerWith, inspect } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { frames, hijack, http, only, opened } from './support/http.ts';
import { scope } from './support/scope.ts';

const { name } = scope('logs');

describe('docker logs', () => {
  const box = name('five');
  before(() => dockerOut('run', '--name', box, 'busybox', 'sh', '-c', 'for i in 1 2 3 4 5; do echo line $i; done; printf partial'));

  test('all, the unfinished last line too', async () => {
    assert.deepEqual(await docker('logs', box), { stdout: 'line 1\nline 2\nline 3\nline 4\nline 5\npartial', stderr: '', exitCode: 0 });
  });

  test('--tail', async () => {
    assert.equal((await docker('logs', '--tail', '2', box)).stdout, 'line 5\npartial');
    assert.equal((await docker('logs', '-n', '0', box)).stdout, '');
    assert.equal((await docker('logs', '--tail', '100', box)).stdout.split('\n').length, 6);
    assert.equal((await docker('logs', '--tail', 'all', box)).stdout.split('\n').length, 6);
  });

  test('-t puts the time of each line before it, in order', async () => {
    const lines = (await docker('logs', '-t', box)).stdout.split('\n');
    const times = lines.map(line => /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (line \d|partial)$/.exec(line)?.[1] ?? assert.fail(line));
    assert.deepEqual(times, times.toSorted());
    const { StartedAt, FinishedAt } = (await inspect(box)).State;
    assert.ok(Date.parse(times[0]!) >= Date.parse(StartedAt) - 1000 && Date.parse(times.at(-1)!) <= Date.parse(FinishedAt) + 1000);
  });

  test('-f of an ended container ends', async () => assert.equal((await docker('logs', '-f', box)).stdout.split('\n').length, 6));

  test('--since and --until', async () => {
    const times = (await docker('logs', '-t', box)).stdout.split('\n').map(line => line.split(' ')[0]!);
    assert.equal((await docker('logs', '--since', times[2]!, box)).stdout, 'line 3\nline 4\nline 5\npartial');
    assert.equal((await docker('logs', '--until', times[1]!, box)).stdout, 'line 1\nline 2\n');
    assert.equal((await docker('logs', '--since', '1h', box)).stdout.split('\n').length, 6);
    assert.equal((await docker('logs', '--until', '1h', box)).stdout, '');
    assert.equal((await docker('logs', '--since', '2999-01-01', box)).stdout, '');
    assert.equal((await docker('logs', '--since', times[1]!, '--until', times[3]!, box)).stdout, 'line 2\nline 3\nline 4\n');
  });

  test('mistakes', async () => {
    await dockerFails(1, 'No such container: ct-nosuch', 'logs', 'ct-nosuch');
    const none = await http('GET', `/containers/${box}/logs`);
    assert.deepEqual([none.status, none.json()], [400, { message: 'Bad parameters: you must choose at least one stream' }]);
  });
});

describe('streams', () => {
  const box = name('both');
  before(() => dockerOut('run', '--name', box, 'busybox', 'sh', '-c', 'echo out; echo err >&2; echo out2'));

  test('stdout and stderr come apart', async () => {
    const { stdout, stderr } = await docker('logs', box);
    assert.deepEqual([stdout, stderr], ['out\nout2\n', 'err\n']);
  });

  test('one of them over the API', async () => {
    const { headers, bytes } = await http('GET', `/containers/${box}/logs?stdout=1`);
    assert.match(headers['content-type']!, /^application\/vnd\.docker\.(raw-stream|multiplexed-stream)$/);
    assert.deepEqual(frames(bytes).map(frame => [frame.stream, frame.bytes.toString()]), [['stdout', 'out\n'], ['stdout', 'out2\n']]);
    assert.equal(only('stderr', (await http('GET', `/containers/${box}/logs?stderr=1`)).bytes), 'err\n');
  });

  test('of a terminal there is one, and it is raw', async () => {
    const tty = name('tty');
    await dockerOut('run', '-t', '--name', tty, 'busybox', 'sh', '-c', 'echo out; echo err >&2');
    const { headers, text } = await http('GET', `/containers/${tty}/logs?stdout=1&stderr=1`);
    assert.equal(headers['content-type'], 'application/vnd.docker.raw-stream');
    assert.equal(text, 'out\r\nerr\r\n');
  });

  test('a line longer than any buffer', async () => {
    const long = name('long');
    await dockerOut('run', '-d', '--name', long, 'busybox', 'sh', '-c', 'head -c 100000 /dev/zero | tr "\\0" x; echo; echo end');
    await dockerOut('wait', long);
    assert.equal((await docker('logs', long)).stdout, `${'x'.repeat(100_000)}\nend\n`);
  });

  test('bytes that are no text come back as they were', async () => {
    const binary = name('binary');
    await dockerOut('run', '-d', '--name', binary, 'busybox', 'printf', '\\377\\000\\n');
    await dockerOut('wait', binary);
    const { bytes } = await http('GET', `/containers/${binary}/logs?stdout=1`);
    // Engines keep logs as JSON, and JSON is text; what they may not do is lose the line or its length.
    assert.equal(frames(bytes).length, 1);
    assert.ok(bytes.includes(0x0a));
  });

  test('no output at all', async () => {
    const silent = name('silent');
    await dockerOut('run', '-d', '--name', silent, 'busybox', 'true');
    await dockerOut('wait', silent);
    assert.deepEqual(await docker('logs', silent), { stdout: '', stderr: '', exitCode: 0 });
    assert.equal((await docker('logs', '-f', silent)).stdout, '');
  });

  test('a container that never ran', async () => {
    const fresh = name('fresh');
    await dockerOut('create', '--name', fresh, 'busybox');
    assert.deepEqual(await docker('logs', fresh), { stdout: '', stderr: '', exitCode: 0 });
  });
});

describe('docker logs -f', () => {
  test('shows what was and what comes, and ends with the container', async () => {
    const box = name('follow');
    await dockerOut('run', '-d', '--name', box, 'busybox', 'sh', '-c', 'echo first; until [ -e /go ]; do sleep 0.02; done; sleep 0.5; echo second');
    await eventually(async () => assert.equal(await dockerOut('logs', box), 'first'));
    const following = await opened('GET', `/containers/${box}/logs?stdout=1&follow=1`);
    // The container ends some time after it: its end would be the end of the touch as well.
    await dockerOut('exec', box, 'touch', '/go');
    assert.equal(only('stdout', (await following.answer).bytes), 'first\nsecond\n');
  });

  test('a line is shown when it comes, not when the container ends', async () => {
    const box = name('live');
    await dockerOut('run', '-d', '--name', box, 'busybox', 'sh', '-c', 'echo early; sleep 1000');
    const { stream } = await opened('GET', `/containers/${box}/logs?stdout=1&follow=1`);
    const [chunk] = await Promise.all([new Promise<Buffer>(resolve => stream.once('data', resolve))]);
    assert.ok(chunk.includes('early\n'));
    stream.destroy();
    assert.equal((await inspect(box)).State.Running, true);
  });

  test('--tail 0 -f shows only what comes', async () => {
    const box = name('tail0');
    await dockerOut('run', '-d', '--name', box, 'busybox', 'sh', '-c', 'echo old; until [ -e /go ]; do sleep 0.02; done; sleep 0.5; echo new');
    await eventually(async () => assert.equal(await dockerOut('logs', box), 'old'));
    const following = await opened('GET', `/containers/${box}/logs?stdout=1&follow=1&tail=0`);
    await dockerOut('exec', box, 'touch', '/go');
    assert.equal(only('stdout', (await following.answer).bytes), 'new\n');
  });

  test('no line is lost or doubled in a hurry', async () => {
    const box = name('hurry');
    await dockerOut('run', '-d', '--name', box, 'busybox', 'seq', '1', '20000');
    const { stdout } = await docker('logs', '-f', box);
    assert.equal(stdout, Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`).join(''));
  });
});

describe('attach', () => {
  test('docker attach shows what comes and ends as the container ends', async () => {
    const box = name('attach');
    await dockerOut('run', '-d', '--name', box, 'busybox', 'sh', '-c', 'until [ -e /go ]; do sleep 0.02; done; sleep 0.5; echo out; echo err >&2; exit 5');
    const attached = docker('attach', '--no-stdin', box);
    // /go means that somebody looks on: the CLI asks for the container before it attaches.
    await eventually(() => dockerOut('exec', box, 'touch', '/go'));
    assert.deepEqual(await attached, { stdout: 'out\n', stderr: 'err\n', exitCode: 5 });
  });

  test('stdin of a detached container stays open when a client leaves', async () => {
    const box = name('attachin');
    await dockerOut('run', '-d', '-i', '--name', box, 'busybox', 'cat');
    for (const word of ['one', 'two']) {
      const { stream, early } = await hijack(`/containers/${box}/attach?stream=1&stdin=1&stdout=1&stderr=1`);
      stream.write(`${word}\n`);
      await shown(stream, early, `${word}\n`);
      stream.destroy();
    }
    assert.equal((await inspect(box)).State.Running, true);
    assert.equal(await dockerOut('logs', box), 'one\ntwo');
  });

  test('stdin of an attached container ends when the client\'s does', async () => {
    const box = name('attachonce');
    await dockerOut('create', '-i', '--name', box, 'busybox', 'cat');
    assert.equal((await inspect(box)).Config.StdinOnce, true);
    const { stdout, exitCode } = await dockerWith({ input: 'late\n' }, 'start', '-a', '-i', box);
    assert.deepEqual([stdout, exitCode], ['late\n', 0]);
  });

  test('logs=1 brings what was before', async () => {
    const box = name('attachlogs');
    await dockerOut('run', '-d', '-i', '--name', box, 'busybox', 'sh', '-c', 'echo before; cat');
    await eventually(async () => assert.equal(await dockerOut('logs', box), 'before'));
    const { status, stream, early } = await hijack(`/containers/${box}/attach?logs=1&stream=1&stdin=1&stdout=1&stderr=1`);
    assert.equal(status, 101);
    stream.write('after\n');
    await shown(stream, early, 'before\nafter\n');
    stream.destroy();
  });

  test('two see the same', async () => {
    const box = name('two');
    await dockerOut('create', '-i', '--name', box, 'busybox', 'cat');
    const one = await hijack(`/containers/${box}/attach?stream=1&stdin=1&stdout=1`);
    const two = await hijack(`/containers/${box}/attach?stream=1&stdout=1`);
    await http('POST', `/containers/${box}/start`);
    one.stream.end('shared\n');
    const seen = await Promise.all([one, two].map(async ({ stream, early }) => only('stdout', Buffer.concat([early, await buffer(stream)]))));
    assert.deepEqual(seen, ['shared\n', 'shared\n']);
  });

  test('a container that does not run', async () => {
    const box = name('stopped');
    await dockerOut('create', '--name', box, 'busybox', 'true');
    await dockerFails(1, 'cannot attach to a stopped container, start it first', 'attach', box);
    await dockerFails(1, 'No such container: ct-nosuch', 'attach', 'ct-nosuch');
  });

  test('resize reaches the terminal', async () => {
    const box = name('resize');
    await dockerOut('run', '-d', '-t', '--name', box, 'busybox', 'sh', '-c', 'until [ "$(stty size 2>&1)" = "33 77" ]; do sleep 0.02; done; stty size');
    const { status, text } = await http('POST', `/containers/${box}/resize?h=33&w=77`);
    assert.deepEqual([status, text], [200, '']);
    assert.equal(await dockerOut('wait', box), '0');
    assert.equal((await docker('logs', box)).stdout, '33 77\r\n');
  });
});

/** Reads until stdout has shown exactly this. */
async function shown(stream: AsyncIterable<Buffer>, early: Buffer, expected: string): Promise<void> {
  let bytes = early;
  if (stdoutOf(bytes) === expected) return;
  for await (const chunk of stream) {
    bytes = Buffer.concat([bytes, chunk]);
    if (stdoutOf(bytes) === expected) return;
  }
  assert.equal(stdoutOf(bytes), expected);
}

// What is there of a frame that is still coming does not count yet.
function stdoutOf(bytes: Buffer): string | undefined {
  try {
    return only('stdout', bytes);
  } catch {
    return undefined;
  }
}

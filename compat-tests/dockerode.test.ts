// A program that uses dockerode as programs do: attach, start, wait, logs, exec, events.

import Docker from 'dockerode';
import assert from 'node:assert/strict';
import { PassThrough, type Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { dockerode } from './support/docker.ts';
import { engine } from './support/engine.ts';
import { eventually } from './support/eventually.ts';
import { scope } from './support/scope.ts';
import { tar, untar } from './support/tars.ts';

const { name } = scope('node');

/** Takes the two streams apart, as dockerode's own demuxStream does it. */
async function demuxed(stream: NodeJS.ReadableStream): Promise<{ stdout: string; stderr: string }> {
  const [out, err] = [new PassThrough(), new PassThrough()];
  dockerode.modem.demuxStream(stream, out, err);
  stream.once('end', () => [out, err].forEach(end => end.end()));
  stream.once('close', () => [out, err].forEach(end => end.end()));
  const [stdout, stderr] = await Promise.all([text(out), text(err)]);
  return { stdout, stderr };
}

describe('a container', () => {
  test('create, attach, start, write, wait, remove', async () => {
    const container = await dockerode.createContainer({
      name: name('attach'), Image: 'busybox', Cmd: ['sh', '-c', 'read line; echo "got $line"; echo problem >&2; exit 4'],
      OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
    });
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    const output = demuxed(stream);
    await container.start();
    stream.write('hello\n');
    assert.deepEqual(await container.wait(), { StatusCode: 4 });
    assert.deepEqual(await output, { stdout: 'got hello\n', stderr: 'problem\n' });
    const logs = await container.logs({ stdout: true, stderr: true, timestamps: false });
    assert.ok(logs.includes('got hello\n') && logs.includes('problem\n'));
    await container.remove();
    await assert.rejects(container.inspect(), { statusCode: 404, reason: 'no such container' });
  });

  test('docker.run', async () => {
    const out = new PassThrough();
    const [result, container] = await dockerode.run('busybox', ['echo', 'from run'], out, { name: name('run'), Tty: false });
    assert.equal(result.StatusCode, 0);
    await container.remove();
    assert.ok((await text(out)).includes('from run\n'));
  });

  test('following logs', async () => {
    const container = await dockerode.createContainer({ name: name('logs'), Image: 'busybox', Cmd: ['sh', '-c', 'for i in 1 2 3; do echo $i; sleep 0.05; done; echo end >&2'] });
    await container.start();
    assert.deepEqual(await demuxed(await container.logs({ follow: true, stdout: true, stderr: true })), { stdout: '1\n2\n3\n', stderr: 'end\n' });
  });

  test('exec, with and without a terminal', async () => {
    const container = await dockerode.createContainer({ name: name('exec'), Image: 'busybox', Cmd: ['sleep', '1000'] });
    await container.start();
    const exec = await container.exec({ Cmd: ['sh', '-c', 'cat; echo err >&2; exit 3'], AttachStdin: true, AttachStdout: true, AttachStderr: true });
    const stream = await exec.start({ hijack: true, stdin: true });
    const output = demuxed(stream);
    stream.end('to exec\n');
    assert.deepEqual(await output, { stdout: 'to exec\n', stderr: 'err\n' });
    await eventually(async () => assert.deepEqual([(await exec.inspect()).Running, (await exec.inspect()).ExitCode], [false, 3]));
    const terminal = await container.exec({ Cmd: ['tty'], AttachStdout: true, Tty: true });
    assert.match(await text(await terminal.start({ Tty: true, hijack: true })), /^\/dev\/pts\/\d+\r\n$/);
  });

  test('archives in and out', async () => {
    const container = await dockerode.createContainer({ name: name('archive'), Image: 'busybox' });
    await container.putArchive(await tar([{ name: 'f', body: 'archived' }]), { path: '/tmp' });
    const chunks: Buffer[] = [];
    for await (const chunk of (await container.getArchive({ path: '/tmp/f' })) as Readable) chunks.push(chunk);
    assert.deepEqual((await untar(Buffer.concat(chunks))).map(entry => [entry.name, entry.body.toString()]), [['f', 'archived']]);
  });

  test('stats', async () => {
    const container = await dockerode.createContainer({ name: name('stats'), Image: 'busybox', Cmd: ['sleep', '1000'] });
    await container.start();
    const stats = await container.stats({ stream: false });
    assert.ok(stats.memory_stats.usage > 0);
    assert.equal(stats.pids_stats?.current, 1);
    assert.ok(stats.cpu_stats.cpu_usage.total_usage > 0);
    assert.ok('eth0' in stats.networks);
  });

  test('publishing, restarting, renaming, pausing', async () => {
    const container = await dockerode.createContainer({
      name: name('published'), Image: 'docker-registry.sh/myapp:v0.0.1', Labels: { [name('label')]: 'v' },
      ExposedPorts: { '8080/tcp': {} }, HostConfig: { PortBindings: { '8080/tcp': [{ HostPort: '0' }] } },
    });
    await container.start();
    const { NetworkSettings } = await container.inspect();
    assert.match(NetworkSettings.Ports['8080/tcp']![0]!.HostPort, /^[1-9]\d+$/);
    await container.restart({ t: 0 });
    await container.rename({ name: name('published2') });
    await container.pause();
    await container.unpause();
    assert.deepEqual((await dockerode.listContainers({ filters: { label: [name('label')] } })).map(({ Names }) => Names), [[`/${name('published2')}`]]);
    await container.stop({ t: 0 });
    await assert.rejects(container.stop(), { statusCode: 304 });
    assert.equal((await container.top().catch((error: { statusCode: number }) => error)).statusCode, 409);
  });

  test('errors carry status and message', async () => {
    await assert.rejects(dockerode.getContainer('ct-nosuch').start(), { statusCode: 404, json: { message: 'No such container: ct-nosuch' } });
    await assert.rejects(dockerode.createContainer({ Image: 'ct-nosuch:1' }), { statusCode: 404 });
    await dockerode.createContainer({ name: name('dup'), Image: 'busybox' });
    await assert.rejects(dockerode.createContainer({ name: name('dup'), Image: 'busybox' }), { statusCode: 409 });
  });
});

describe('events', () => {
  test('of a whole life, live', async () => {
    const box = name('events');
    const stream = (await dockerode.getEvents({ filters: { container: [box] } })) as Readable;
    const seen: any[] = [];
    let rest = '';
    stream.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop()!;
      seen.push(...lines.filter(line => line.trim() !== '').map(line => JSON.parse(line)));
    });
    const container = await dockerode.createContainer({ name: box, Image: 'busybox', Cmd: ['sleep', '1000'], Labels: { k: 'v' } });
    await container.start();
    await container.kill();
    await container.wait();
    await container.remove();
    await eventually(() => assert.equal(seen.at(-1)?.Action, 'destroy'));
    stream.destroy();
    assert.deepEqual(seen.filter(({ Type }) => Type === 'container').map(({ Action }) => Action).sort(), ['create', 'destroy', 'die', 'kill', 'start']);
    const die = seen.find(({ Action }) => Action === 'die');
    assert.equal(die.Actor.ID, container.id);
    const { execDuration, ...attributes } = die.Actor.Attributes;
    assert.deepEqual(attributes, { exitCode: '137', image: 'busybox', k: 'v', name: box });
    assert.match(execDuration, /^\d+$/);
    assert.deepEqual([die.scope, die.status, die.id, die.from], ['local', 'die', container.id, 'busybox']);
    assert.equal(Math.floor(die.timeNano / 1e9), die.time);
  });

  test('of the past, between two times', async () => {
    const box = name('past');
    const since = Math.floor(Date.now() / 1000);
    const container = await dockerode.createContainer({ name: box, Image: 'busybox', Cmd: ['true'] });
    await container.start();
    await container.wait();
    await container.remove();
    const past = async (filters: object) => {
      const stream = await dockerode.getEvents({ since, until: Math.ceil(Date.now() / 1000), filters: { container: [box], ...filters } as any });
      return (await text(stream as Readable)).split('\n').filter(line => line !== '').map(line => JSON.parse(line).Action);
    };
    assert.deepEqual(await past({ type: ['container'] }), ['create', 'start', 'die', 'destroy']);
    assert.deepEqual(await past({ event: ['die'] }), ['die']);
  });
});

describe('images, volumes, networks', () => {
  test('the lists and their things', async () => {
    const volume = await dockerode.createVolume({ Name: name('v'), Labels: { k: 'v' } });
    assert.equal(volume.name, name('v'));
    assert.equal((await dockerode.getVolume(name('v')).inspect()).Labels?.['k'], 'v');
    await dockerode.getVolume(name('v')).remove();
    const network = await dockerode.createNetwork({ Name: name('n') });
    assert.equal((await network.inspect()).Name, name('n'));
    await network.remove();
    await dockerode.getImage('busybox').tag({ repo: name('i'), tag: 't' });
    assert.ok((await dockerode.listImages()).some(({ RepoTags }) => RepoTags?.includes(`${name('i')}:t`)));
    await dockerode.getImage(`${name('i')}:t`).remove();
    assert.equal((await new Docker({ socketPath: engine.socket, version: 'v1.40' }).ping()).toString(), 'OK');
  });
});

// The rest of dockerode: every call of it that an engine outside a swarm serves, beside those in dockerode.test.ts.

import assert from 'node:assert/strict';
import { PassThrough, type Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { dockerode } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { scope } from './support/scope.ts';
import { tar, untar } from './support/tars.ts';

const { name } = scope('surface');
const label = name('label');
const nobody = { filters: { label: [name('nobody')] } };

const sleeper = async (word: string, options: object = {}) => {
  const container = await dockerode.createContainer({ name: name(word), Image: 'busybox', Cmd: ['sleep', '1000'], ...options });
  await container.start();
  return container;
};
const finished = (stream: NodeJS.ReadableStream) => new Promise<any[]>((resolve, reject) =>
  dockerode.modem.followProgress(stream, (error: Error | null, events: any[]) => (error ? reject(error) : resolve(events))));
const status = (promise: Promise<unknown>) => promise.then(() => 200, (error: { statusCode: number }) => error.statusCode);

describe('containers', () => {
  test('update, top, changes, commit, export, archives', async () => {
    const container = await sleeper('work');
    await container.update({ Memory: 64 << 20, MemorySwap: 128 << 20, RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 } });
    const { HostConfig } = await container.inspect();
    assert.deepEqual([HostConfig.Memory, HostConfig.RestartPolicy], [64 << 20, { Name: 'on-failure', MaximumRetryCount: 3 }]);
    const { Titles, Processes } = await container.top({ ps_args: '-o pid,args' });
    assert.deepEqual([Titles, Processes[0]![1]], [['PID', 'COMMAND'], 'sleep 1000']);
    await container.putArchive(await tar([{ name: 'made', body: 'by tar' }]), { path: '/' });
    assert.ok((await container.changes()).some(({ Path, Kind }: any) => Path === '/made' && Kind === 1));
    const answer = (await container.infoArchive({ path: '/made' })) as any;
    answer.resume();
    const stat = answer.headers['x-docker-container-path-stat'];
    assert.equal(JSON.parse(Buffer.from(stat, 'base64').toString()).size, 6);
    assert.ok((await untar(await buffer((await container.export()) as Readable))).some(entry => entry.name === 'made'));
    const { Id } = await container.commit({ repo: name('committed'), tag: 't', changes: ['LABEL made=yes'], pause: true });
    const image = await dockerode.getImage(Id).inspect();
    assert.equal(image.Config.Labels['made'], 'yes');
    await dockerode.getImage(`${name('committed')}:t`).remove();
  });

  test('resize, wait for a condition, kill, the next exit', async () => {
    const container = await sleeper('terminal', { Tty: true, OpenStdin: true, Cmd: ['sh', '-c', 'while :; do stty size; sleep 0.05; done'] });
    await container.resize({ h: 31, w: 97 });
    await eventually(async () => assert.match((await container.logs({ stdout: true, tail: 1 })).toString(), /31 97/));
    const next = container.wait({ condition: 'next-exit' });
    await container.kill({ signal: 'SIGKILL' });
    assert.deepEqual(await next, { StatusCode: 137 });
    const removed = container.wait({ condition: 'removed' });
    await container.remove();
    assert.deepEqual(await removed, { StatusCode: 137 });
  });

  test('stats, one after the other', async () => {
    const container = await sleeper('stats');
    const stream = (await container.stats({ stream: true })) as unknown as Readable;
    let seen = '';
    for await (const chunk of stream) if ((seen += String(chunk)).split('\n').length > 2) break;
    const [first, second] = seen.split('\n').slice(0, 2).map(line => JSON.parse(line));
    assert.ok(new Date(second.read) > new Date(first.read));
    assert.equal(second.preread, first.read);
    await container.remove({ force: true });
  });

  test('exec: resize, inspect, a working directory', async () => {
    const container = await sleeper('exec');
    const exec = await container.exec({ Cmd: ['sh', '-c', 'pwd; while :; do stty size; sleep 0.05; done'], Tty: true, AttachStdout: true, AttachStdin: true, WorkingDir: '/tmp', User: '0:0', Env: ['A=b'] });
    const stream = await exec.start({ hijack: true, stdin: true, Tty: true });
    let seen = '';
    stream.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    await eventually(() => assert.match(seen, /^\/tmp\r\n/));
    await exec.resize({ h: 12, w: 34 });
    await eventually(() => assert.match(seen, /12 34/));
    const { Running, ProcessConfig } = await exec.inspect();
    assert.deepEqual([Running, (ProcessConfig as any).tty, ProcessConfig.entrypoint], [true, true, 'sh']);
    stream.destroy();
    await container.remove({ force: true });
    assert.equal(await status(dockerode.getExec(name('nosuch')).inspect()), 404);
  });

  test('prune takes what the filters name', async () => {
    const { id } = await dockerode.createContainer({ name: name('pruned'), Image: 'busybox', Labels: { [label]: '' } });
    const { ContainersDeleted, SpaceReclaimed } = await dockerode.pruneContainers({ filters: { label: [label] } });
    assert.deepEqual([ContainersDeleted, SpaceReclaimed], [[id], 0]);
  });
});

describe('images', () => {
  test('import, tag, history, save, load, remove, prune', async () => {
    const imported = await dockerode.importImage(await tar([{ name: 'etc/who', body: 'imported' }]) as any, { repo: name('imported'), tag: 'one' });
    await text(imported as Readable);
    const image = dockerode.getImage(`${name('imported')}:one`);
    await image.tag({ repo: name('imported'), tag: 'two' });
    const { Id, RepoTags } = await image.inspect();
    assert.deepEqual(RepoTags.sort(), [`${name('imported')}:one`, `${name('imported')}:two`]);
    assert.equal((await image.history())[0].Id, Id);
    const saved = await buffer((await (dockerode as any).getImages({ names: [`${name('imported')}:one`, `${name('imported')}:two`] })) as Readable);
    for (const tag of ['one', 'two']) await dockerode.getImage(`${name('imported')}:${tag}`).remove();
    assert.equal(await status(image.inspect()), 404);
    const events = await finished(await dockerode.loadImage(new PassThrough().end(saved) as any));
    assert.deepEqual(events.flatMap(({ stream }) => (stream?.startsWith('Loaded image: ') ? [stream.trim()] : [])).sort(), ['one', 'two'].map(tag => `Loaded image: ${name('imported')}:${tag}`));
    const again = await buffer((await image.get()) as Readable);
    assert.ok((await untar(again)).some(entry => entry.name === 'manifest.json'));
    assert.deepEqual(await dockerode.listImages({ filters: { reference: [`${name('imported')}:*`] } }).then(images => images.map(each => each.Id)), [Id]);
    await image.remove();
    await dockerode.getImage(`${name('imported')}:two`).remove();
    assert.deepEqual(await dockerode.pruneImages(nobody as any), { ImagesDeleted: null, SpaceReclaimed: 0 });
  });
});

describe('networks and volumes', () => {
  test('connect, disconnect, prune', async () => {
    const network = await dockerode.createNetwork({ Name: name('net'), Driver: 'bridge', Internal: true, Labels: { [label]: '' }, IPAM: { Config: [{ Subnet: '10.213.9.0/24' }] } });
    const container = await sleeper('member');
    await network.connect({ Container: container.id, EndpointConfig: { Aliases: ['it'], IPAMConfig: { IPv4Address: '10.213.9.77' } } });
    assert.equal((await container.inspect()).NetworkSettings.Networks[name('net')]!.IPAddress, '10.213.9.77');
    assert.deepEqual(Object.keys((await network.inspect()).Containers ?? {}), [container.id]);
    assert.equal(await status(network.remove()), 403);
    await network.disconnect({ Container: container.id, Force: true });
    await container.remove({ force: true });
    assert.deepEqual(await dockerode.pruneNetworks({ filters: { label: [label] } }), { NetworksDeleted: [name('net')] } as any);
  });

  test('volumes by label, prune', async () => {
    await dockerode.createVolume({ Name: name('vol'), Labels: { [label]: '' }, DriverOpts: {} });
    assert.deepEqual((await dockerode.listVolumes({ filters: { label: [label] } })).Volumes.map(({ Name }) => Name), [name('vol')]);
    assert.deepEqual((await dockerode.pruneVolumes({ filters: { label: [label], all: ['true'] } })).VolumesDeleted, [name('vol')]);
  });
});

describe('the system', () => {
  test('info, version, ping, df, auth', async () => {
    const [info, version, usage] = [await dockerode.info(), await dockerode.version(), await dockerode.df()];
    assert.equal(info.OSType, 'linux');
    assert.match(version.ApiVersion, /^1\.\d+$/);
    assert.ok(Array.isArray(usage.Images) && Array.isArray(usage.Volumes));
    assert.equal((await dockerode.ping()).toString(), 'OK');
    assert.notEqual(await status(dockerode.checkAuth({ username: 'u', password: 'p', serveraddress: '127.0.0.1:1' })), 200);
  });

  test('outside a swarm', async () => {
    const calls = [dockerode.listServices(), dockerode.listNodes(), dockerode.listTasks(), dockerode.listSecrets(), dockerode.listConfigs(), dockerode.swarmInspect()];
    assert.deepEqual(await Promise.all(calls.map(status)), calls.map(() => 503));
    assert.deepEqual(await dockerode.listPlugins(), []);
  });
});

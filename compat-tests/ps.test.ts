// docker ps: filters, formats and columns.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { dockerFails, dockerOut, inspect } from './support/docker.ts';
import { http } from './support/http.ts';
import { scope } from './support/scope.ts';

const { name } = scope('ps');
const mark = name('mark');
const box = (word: string) => name(word);

before(async () => {
  await dockerOut('network', 'create', box('net'));
  await dockerOut('create', '--name', box('created'), '-l', mark, 'busybox', 'sh');
  await dockerOut('run', '--name', box('exited0'), '-l', mark, '-l', `${mark}k=v`, 'busybox', 'true');
  await dockerOut('run', '--name', box('exited3'), '-l', mark, 'busybox', 'sh', '-c', 'exit 3').catch(() => undefined);
  await dockerOut('run', '-d', '--name', box('up'), '-l', mark, '-v', `${box('vol')}:/vol`, '-p', '127.0.0.1::81', '--expose', '82/udp', 'busybox', 'sleep', '1000');
  await dockerOut('run', '-d', '--name', box('net1'), '-l', mark, '--network', box('net'), 'docker-registry.sh/myapp:v0.0.1');
  await dockerOut('run', '-d', '--name', box('paused'), '-l', mark, 'busybox', 'sleep', '1000');
  await dockerOut('pause', box('paused'));
});

// All of these tests' containers that the filter lets through, by the word they are called.
const listed = async (...args: string[]) =>
  (await dockerOut('ps', '--filter', `label=${mark}`, '--format', '{{.Names}}', ...args)).split('\n').filter(line => line !== '').map(line => line.slice(box('').length)).sort();

const all = ['created', 'exited0', 'exited3', 'net1', 'paused', 'up'];
const filter = (filters: object) => http('GET', `/containers/json?all=1&filters=${encodeURIComponent(JSON.stringify(filters))}`);

describe('which', () => {
  test('running ones, all with -a', async () => {
    assert.deepEqual(await listed(), ['net1', 'paused', 'up']);
    assert.deepEqual(await listed('-a'), all);
  });

  test('newest first; -n and -l count from there', async () => {
    const newest = await dockerOut('ps', '-a', '--filter', `label=${mark}`, '--format', '{{.Names}}');
    assert.deepEqual(newest.split('\n').map(line => line.slice(box('').length)), ['paused', 'net1', 'up', 'exited3', 'exited0', 'created']);
    assert.deepEqual(await listed('-n', '2'), ['net1', 'paused']);
    assert.deepEqual(await listed('-l'), ['paused']);
  });

  const cases: readonly [string, readonly string[], readonly string[]][] = [
    ['status=exited', ['status=exited'], ['exited0', 'exited3']],
    ['status=created', ['status=created'], ['created']],
    ['status=paused', ['status=paused'], ['paused']],
    ['status=running is not paused', ['status=running'], ['net1', 'up']],
    ['two of one kind: either', ['status=created', 'status=paused'], ['created', 'paused']],
    ['exited=3', ['exited=3'], ['exited3']],
    ['exited=0 does not count what never ran', ['exited=0'], ['exited0']],
    ['label=KEY=VALUE', [`label=${mark}k=v`], ['exited0']],
    ['label=KEY=another value', [`label=${mark}k=w`], []],
    ['name is a part of the name', [`name=${box('exited')}`], ['exited0', 'exited3']],
    ['name is a regular expression', [`name=^/${box('')}(up|net1)$`], ['net1', 'up']],
    ['ancestor=IMAGE', ['ancestor=docker-registry.sh/myapp:v0.0.1'], ['net1']],
    ['ancestor=NAME without a tag', ['ancestor=busybox'], ['created', 'exited0', 'exited3', 'paused', 'up']],
    ['volume=NAME', [`volume=${box('vol')}`], ['up']],
    ['volume=DESTINATION', ['volume=/vol'], ['up']],
    ['network=NAME', [`network=${box('net')}`], ['net1']],
    ['publish= does not mean the container\'s port', ['publish=81'], []],
    ['expose=PORT/PROTOCOL', ['expose=82/udp'], ['up']],
    ['expose=FROM-TO', ['expose=8000-8100/tcp'], ['net1']],
    ['before=NAME', [`before=${box('exited3')}`], ['created', 'exited0']],
    ['since=NAME', [`since=${box('up')}`], ['net1', 'paused']],
    ['kinds together: both', ['status=exited', `name=${box('exited0')}`], ['exited0']],
    ['health=none', ['health=none'], all],
    ['is-task=false', ['is-task=false'], all],
  ];
  for (const [title, filters, expected] of cases) {
    test(title, async () => assert.deepEqual(await listed('-a', ...filters.flatMap(text => ['--filter', text])), expected));
  }

  test('id=, by its start', async () => {
    const { Id } = await inspect(box('up'));
    assert.deepEqual(await listed('--filter', `id=${Id.slice(0, 12)}`), ['up']);
    assert.deepEqual(await listed('--filter', `id=${Id}`), ['up']);
  });

  test('publish=PORT, publish=FROM-TO/PROTOCOL: the host\'s port', async () => {
    const { HostPort } = (await inspect(box('up'))).NetworkSettings.Ports['81/tcp'][0];
    assert.deepEqual(await listed('--filter', `publish=${HostPort}`), ['up']);
    assert.deepEqual(await listed('--filter', `publish=${HostPort}-${HostPort}/tcp`), ['up']);
    assert.deepEqual(await listed('--filter', `publish=${HostPort}/udp`), []);
  });

  test('ancestor=ID', async () => {
    const id = await dockerOut('image', 'inspect', '-f', '{{.Id}}', 'docker-registry.sh/myapp:v0.0.1');
    assert.deepEqual(await listed('--filter', `ancestor=${id}`), ['net1']);
  });

  test('network=ID', async () => {
    assert.deepEqual(await listed('--filter', `network=${await dockerOut('network', 'inspect', '-f', '{{.Id}}', box('net'))}`), ['net1']);
  });

  test('the older form of filters, a list instead of a map', async () => {
    const { status, json } = await filter({ label: [mark], status: ['created'] });
    assert.equal(status, 200);
    assert.deepEqual(json().map((found: any) => found.Names), [[`/${box('created')}`]]);
    assert.equal((await filter({ label: { [mark]: true }, status: { created: true } })).json().length, 1);
  });

  test('mistakes', async () => {
    await dockerFails(1, "invalid filter 'status=nosuch'", 'ps', '-a', '--filter', 'status=nosuch');
    await dockerFails(1, "invalid filter 'nosuch'", 'ps', '--filter', 'nosuch=1');
    assert.equal((await filter({ nosuch: ['1'] })).status, 400);
    await dockerFails(1, 'No such container: ct-nosuch', 'ps', '--filter', 'before=ct-nosuch');
    assert.equal((await http('GET', '/containers/json?filters=%7Bbad')).status, 400);
  });
});

describe('what', () => {
  test('the columns', async () => {
    const [header, line] = (await dockerOut('ps', '--filter', `name=${box('up')}`)).split('\n');
    assert.match(header!, /^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +PORTS +NAMES$/);
    assert.match(line!, new RegExp(`^[0-9a-f]{12} +busybox +"sleep 1000" +\\S.* ago +Up \\S.* +82/udp, 127\\.0\\.0\\.1:\\d+->81/tcp +${box('up')}$`));
  });

  test('the status of what ended', async () => {
    assert.match(await dockerOut('ps', '-a', '--filter', `name=${box('exited3')}`, '--format', '{{.Status}}'), /^Exited \(3\) (Less than a second|\d+ seconds?|About a minute) ago$/);
    assert.equal(await dockerOut('ps', '-a', '--filter', `name=${box('created')}`, '--format', '{{.Status}}'), 'Created');
  });

  test('-q and --no-trunc', async () => {
    const { Id } = await inspect(box('up'));
    assert.equal(await dockerOut('ps', '-q', '--filter', `name=${box('up')}`), Id.slice(0, 12));
    assert.equal(await dockerOut('ps', '-q', '--no-trunc', '--filter', `name=${box('up')}`), Id);
  });

  test('-s', async () => {
    assert.match(await dockerOut('ps', '-s', '--filter', `name=${box('up')}`, '--format', '{{.Size}}'), /^\d+B \(virtual [\d.]+MB\)$/);
    const [found] = (await http('GET', `/containers/json?size=1&filters=${encodeURIComponent(JSON.stringify({ name: [box('up')] }))}`)).json();
    assert.ok(found.SizeRootFs > 1_000_000 && found.SizeRootFs < 3_000_000, `${found.SizeRootFs}`);
  });

  test('one entry over the API', async () => {
    const [found] = (await http('GET', `/containers/json?filters=${encodeURIComponent(JSON.stringify({ name: [box('up')] }))}`)).json();
    const { Id, Image, NetworkSettings, Config, HostConfig, Created } = await inspect(box('up'));
    assert.equal(found.Id, Id);
    assert.deepEqual(found.Names, [`/${box('up')}`]);
    assert.equal(found.Image, 'busybox');
    assert.equal(found.ImageID, Image);
    assert.equal(found.Command, 'sleep 1000');
    assert.equal(found.Created, Math.floor(Date.parse(Created) / 1000));
    assert.equal(found.State, 'running');
    assert.deepEqual(found.Labels, Config.Labels);
    assert.deepEqual(found.HostConfig.NetworkMode, HostConfig.NetworkMode);
    const { HostPort } = NetworkSettings.Ports['81/tcp'][0];
    const byPort = (a: any, b: any) => a.PrivatePort - b.PrivatePort;
    assert.deepEqual(found.Ports.toSorted(byPort), [{ IP: '127.0.0.1', PrivatePort: 81, PublicPort: Number(HostPort), Type: 'tcp' }, { PrivatePort: 82, Type: 'udp' }]);
    assert.equal(found.NetworkSettings.Networks.bridge.IPAddress, NetworkSettings.IPAddress);
    assert.deepEqual(found.Mounts.map((mount: any) => [mount.Type, mount.Name, mount.Destination, mount.RW]), [['volume', box('vol'), '/vol', true]]);
    assert.ok(!('SizeRw' in found));
  });

  test('--format can name every column', async () => {
    const line = await dockerOut('ps', '--filter', `name=${box('net1')}`, '--format', '{{.ID}} {{.Image}} {{.Networks}} {{.State}} {{.Ports}} {{.Mounts}}|{{.Label "nosuch"}}|{{.LocalVolumes}}');
    assert.match(line, new RegExp(`^[0-9a-f]{12} docker-registry.sh/myapp:v0.0.1 ${box('net')} running 8080/tcp \\|\\|0$`));
  });
});

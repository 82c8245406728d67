// Images: import, load, save, tag, rmi, history, inspect and the list.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { before, describe, test } from 'node:test';
import { busyboxRootfs } from '../fixtures/busybox-rootfs.ts';
import { dockerBytes, dockerFails, dockerOut } from './support/docker.ts';
import { http } from './support/http.ts';
import { scope } from './support/scope.ts';
import { names, tar, untar, type Entry } from './support/tars.ts';

const { name, directory } = scope('images');
const rootfs = busyboxRootfs();
const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');
const imageOf = async (ref: string) => JSON.parse(await dockerOut('image', 'inspect', ref))[0];
const importImage = async (word: string, bytes: Buffer, ...options: string[]) => {
  const { stdout, stderr, exitCode } = await dockerBytes(bytes, 'import', ...options, '-', name(word));
  assert.equal(exitCode, 0, stderr);
  return { ref: name(word), id: stdout.toString().trim() };
};
const load = async (bytes: Buffer) => {
  const { stdout, stderr, exitCode } = await dockerBytes(bytes, 'load');
  return { stdout: stdout.toString(), stderr, exitCode };
};
let count = 0;
const once = (ref: string, ...args: string[]) => dockerOut('run', '--rm', '--name', name(`once${count++}`), ref, ...args);

describe('docker import', () => {
  test('every instruction of --change', async () => {
    const changes = ['CMD ["echo","default"]', 'ENTRYPOINT ["env","-u","X"]', 'ENV A=1 B=two', 'ENV C three words', 'EXPOSE 80 53/udp', 'LABEL k=v "l"="w x"', 'USER 7:8', 'VOLUME /v1 /v2', 'WORKDIR /work', 'STOPSIGNAL SIGUSR1', 'ONBUILD RUN true', 'HEALTHCHECK NONE'];
    const { ref, id } = await importImage('changes', await rootfs, '-m', 'a message', ...changes.flatMap(change => ['-c', change]));
    const image = await imageOf(ref);
    assert.equal(image.Id, id);
    assert.equal(image.Comment, 'a message');
    const { Cmd, Entrypoint, Env, ExposedPorts, Labels, User, Volumes, WorkingDir, StopSignal, OnBuild, Healthcheck } = image.Config;
    assert.deepEqual({ Cmd, Entrypoint, ExposedPorts, Labels, User, Volumes, WorkingDir, StopSignal, OnBuild, Healthcheck }, {
      Cmd: ['echo', 'default'], Entrypoint: ['env', '-u', 'X'], ExposedPorts: { '80/tcp': {}, '53/udp': {} }, Labels: { k: 'v', l: 'w x' }, User: '7:8',
      Volumes: { '/v1': {}, '/v2': {} }, WorkingDir: '/work', StopSignal: 'SIGUSR1', OnBuild: ['RUN true'], Healthcheck: { Test: ['NONE'] },
    });
    for (const variable of ['A=1', 'B=two', 'C=three words']) assert.ok(Env.includes(variable), Env.join());
  });

  test('the shell form of CMD', async () => {
    const { ref } = await importImage('shellform', await rootfs, '-c', 'CMD echo $((6*7))');
    assert.deepEqual((await imageOf(ref)).Config.Cmd, ['/bin/sh', '-c', 'echo $((6*7))']);
    assert.equal(await once(ref), '42');
  });

  test('what the image says is what a container does', async () => {
    const { ref } = await importImage('does', await rootfs, '-c', 'ENV GREETING=hello', '-c', 'WORKDIR /tmp', '-c', 'USER 5', '-c', 'ENTRYPOINT ["sh","-c","echo $GREETING $0 $(pwd) $(id -u)"]', '-c', 'CMD ["default"]');
    assert.equal(await once(ref), 'hello default /tmp 5');
    assert.equal(await once(ref, 'given'), 'hello given /tmp 5');
  });

  test('what it is made of', async () => {
    const bytes = await rootfs;
    const { ref, id } = await importImage('plain', bytes);
    const image = await imageOf(ref);
    assert.match(id, /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual(image.RepoTags, [`${ref}:latest`]);
    assert.deepEqual(image.RootFS, { Type: 'layers', Layers: [`sha256:${sha256(bytes)}`] });
    assert.equal(image.Architecture, 'amd64');
    assert.equal(image.Os, 'linux');
    assert.match(image.Comment, /^Imported from -$/);
    assert.ok(Math.abs(Date.now() - Date.parse(image.Created)) < 60_000);
    assert.equal(image.Size, 1_000_000 < image.Size && image.Size < 3_000_000 ? image.Size : 'about two megabytes');
  });

  test('a compressed archive is the same layer', async () => {
    const bytes = await rootfs;
    const { ref } = await importImage('gzip', gzipSync(bytes));
    assert.deepEqual((await imageOf(ref)).RootFS.Layers, [`sha256:${sha256(bytes)}`]);
  });

  test('without a name, from a file', async () => {
    const file = join(await directory(), 'rootfs.tar');
    await writeFile(file, await rootfs);
    const id = await dockerOut('import', file);
    const image = await imageOf(id);
    assert.deepEqual(image.RepoTags, []);
    assert.match(await dockerOut('rmi', id), new RegExp(`^Deleted: ${id}$`, 'm'));
  });

  test('mistakes', async () => {
    for (const change of ['RUN true', 'NOSUCH x', 'FROM x']) {
      const { stderr, exitCode } = await dockerBytes(await rootfs, 'import', '-c', change, '-', name('bad'));
      assert.equal(exitCode, 1);
      assert.match(stderr, new RegExp(`${change.split(' ')[0]} is not a valid change command|unknown instruction: ${change.split(' ')[0]}`));
    }
    const garbage = await dockerBytes(Buffer.from('this is no archive'), 'import', '-', name('garbage'));
    assert.equal(garbage.exitCode, 1);
    assert.match(garbage.stderr, /unexpected EOF|invalid tar header|archive\/tar/);
    assert.equal(await dockerOut('images', '-q', name('garbage')), '');
    await dockerFails(1, /repository name .*must be lowercase/, 'import', '/dev/null', 'Ct-Upper');
  });
});

// Two layers over a root: the second takes a file and a directory away, and hides all that was in another.
const layers: readonly (readonly Entry[])[] = [
  [
    { name: 'd/', type: 'directory' }, { name: 'd/kept', body: 'kept\n' }, { name: 'd/gone', body: 'gone\n' }, { name: 'd/changed', body: 'old\n' },
    { name: 'whole/', type: 'directory' }, { name: 'whole/f', body: 'x' },
    { name: 'opaque/', type: 'directory' }, { name: 'opaque/hidden', body: 'x' },
    { name: 'link', type: 'symlink', linkname: 'd/kept' }, { name: 'owned', body: 'x', uid: 12, gid: 34, mode: 0o4711 },
    { name: 'd/hard', type: 'link', linkname: 'd/kept' },
  ],
  [
    { name: 'd/', type: 'directory' }, { name: 'd/.wh.gone' }, { name: 'd/changed', body: 'new\n' }, { name: '.wh.whole' },
    { name: 'opaque/', type: 'directory' }, { name: 'opaque/.wh..wh..opq' }, { name: 'opaque/fresh', body: 'x' },
  ],
];
const config = (diffIds: readonly string[]) => JSON.stringify({
  architecture: 'amd64', os: 'linux', created: '2020-01-02T03:04:05Z', config: { Cmd: ['cat', '/d/changed'], Env: ['PATH=/bin'] },
  rootfs: { type: 'layers', diff_ids: diffIds.map(id => `sha256:${id}`) },
  history: diffIds.map((_, index) => ({ created: '2020-01-02T03:04:05Z', created_by: `step ${index}` })),
});

const layerTars = async () => [await rootfs, ...await Promise.all(layers.map(entries => tar(entries)))];

const checkLayers = async (ref: string) => {
  assert.equal(await once(ref), 'new');
  assert.equal(await once(ref, 'find', '/d', '/opaque', '-type', 'f'), '/d/changed\n/d/hard\n/d/kept\n/opaque/fresh');
  assert.equal(await once(ref, 'sh', '-c', 'ls -d /whole 2>/dev/null; cat /link; stat -c "%u %g %a" /owned; stat -c %h /d/hard; ls -A / | grep -c wh'
    .concat('; true')), 'kept\n12 34 4711\n2\n0');
};

describe('docker load', () => {
  test('a docker archive', async () => {
    const tars = await layerTars();
    const json = config(tars.map(sha256));
    const ref = `${name('archive')}:1`;
    const archive = await tar([
      ...tars.map((bytes, index) => ({ name: `${index}/layer.tar`, body: bytes })),
      { name: `${sha256(json)}.json`, body: json },
      { name: 'manifest.json', body: JSON.stringify([{ Config: `${sha256(json)}.json`, RepoTags: [ref], Layers: tars.map((_, index) => `${index}/layer.tar`) }]) },
    ]);
    assert.deepEqual(await load(archive), { stdout: `Loaded image: ${ref}\n`, stderr: '', exitCode: 0 });
    assert.equal((await imageOf(ref)).Id, `sha256:${sha256(json)}`);
    await checkLayers(ref);
  });

  test('the same, compressed', async () => {
    const bytes = await rootfs;
    const json = config([sha256(bytes)]);
    const ref = `${name('gz')}:1`;
    const archive = gzipSync(await tar([{ name: 'l.tar', body: bytes }, { name: 'c.json', body: json }, { name: 'manifest.json', body: JSON.stringify([{ Config: 'c.json', RepoTags: [ref], Layers: ['l.tar'] }]) }]));
    assert.equal((await load(archive)).stdout, `Loaded image: ${ref}\n`);
  });

  test('without a name it is known by its id', async () => {
    const bytes = await rootfs;
    const json = config([sha256(bytes)]).replace('step 0', 'step nameless');
    const archive = await tar([{ name: 'l.tar', body: bytes }, { name: 'c.json', body: json }, { name: 'manifest.json', body: JSON.stringify([{ Config: 'c.json', RepoTags: null, Layers: ['l.tar'] }]) }]);
    assert.equal((await load(archive)).stdout, `Loaded image ID: sha256:${sha256(json)}\n`);
    await dockerOut('rmi', `sha256:${sha256(json)}`);
  });

  test('an OCI layout with the docker manifest beside it, as docker save writes it', async () => {
    const tars = await layerTars();
    const json = config(tars.map(sha256));
    const blob = (bytes: Buffer | string) => ({ name: `blobs/sha256/${sha256(bytes)}`, body: bytes });
    const descriptor = (mediaType: string, bytes: Buffer | string) => ({ mediaType, digest: `sha256:${sha256(bytes)}`, size: Buffer.byteLength(bytes) });
    const ref = `${name('oci')}:1`;
    const manifest = JSON.stringify({
      schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: descriptor('application/vnd.oci.image.config.v1+json', json),
      layers: tars.map(bytes => descriptor('application/vnd.oci.image.layer.v1.tar', bytes)),
    });
    const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [{ ...descriptor('application/vnd.oci.image.manifest.v1+json', manifest), annotations: { 'io.containerd.image.name': `docker.io/library/${ref}`, 'org.opencontainers.image.ref.name': '1' } }] };
    const archive = await tar([
      ...tars.map(blob), blob(json), blob(manifest), { name: 'oci-layout', body: JSON.stringify({ imageLayoutVersion: '1.0.0' }) }, { name: 'index.json', body: JSON.stringify(index) },
      { name: 'manifest.json', body: JSON.stringify([{ Config: `blobs/sha256/${sha256(json)}`, RepoTags: [ref], Layers: tars.map(bytes => `blobs/sha256/${sha256(bytes)}`) }]) },
    ]);
    assert.equal((await load(archive)).stdout, `Loaded image: ${ref}\n`);
    await checkLayers(ref);
  });

  test('mistakes leave nothing', async () => {
    const images = () => dockerOut('images', '-aq', '--no-trunc', '--filter', `reference=${name('broken')}`);
    const garbage = await load(Buffer.from('garbage\n'));
    assert.equal(garbage.exitCode, 1);
    assert.match(garbage.stderr, /unexpected EOF|archive\/tar: invalid tar header/);
    const nothing = await load(Buffer.alloc(0));
    assert.equal(nothing.exitCode, 1);
    assert.notEqual(nothing.stderr, '');
    const bytes = await rootfs;
    const json = config([sha256('something else')]);
    const archive = await tar([{ name: 'l.tar', body: bytes }, { name: 'c.json', body: json }, { name: 'manifest.json', body: JSON.stringify([{ Config: 'c.json', RepoTags: [`${name('broken')}:1`], Layers: ['l.tar'] }]) }]);
    const wrong = await load(archive);
    assert.equal(wrong.exitCode, 1);
    assert.match(wrong.stderr + wrong.stdout, /invalid diffID/);
    assert.equal(await images(), '');
    const missing = await load(await tar([{ name: 'manifest.json', body: JSON.stringify([{ Config: 'c.json', RepoTags: null, Layers: [] }]) }]));
    assert.equal(missing.exitCode, 1);
    assert.match(missing.stderr + missing.stdout, /c\.json: no such file or directory/);
  });

  test('an archive cannot write outside of its image', async () => {
    for (const entry of [{ name: '../../ct-escaped', body: 'x' }, { name: 'manifest.json', type: 'symlink' as const, linkname: '/etc/passwd' }]) {
      const { exitCode, stderr, stdout } = await load(await tar([entry]));
      assert.equal(exitCode, 1, stdout);
      assert.doesNotMatch(stderr, /root:x/);
    }
  });
});

describe('docker save', () => {
  test('what comes out can go in again', async () => {
    const ref = `${name('saved')}:1`;
    await dockerOut('tag', 'busybox', ref);
    const { stdout, exitCode } = await dockerBytes(undefined, 'save', ref);
    assert.equal(exitCode, 0);
    const found = await untar(stdout);
    const [manifest] = JSON.parse(found.find(entry => entry.name === 'manifest.json')!.body.toString());
    assert.deepEqual(manifest.RepoTags, [ref]);
    const { Id, RootFS } = await imageOf('busybox');
    const body = (path: string) => found.find(entry => entry.name === path)!.body;
    assert.equal(`sha256:${sha256(body(manifest.Config))}`, Id);
    assert.deepEqual(manifest.Layers.map((path: string) => `sha256:${sha256(body(path))}`), RootFS.Layers);
    for (const entry of ['oci-layout', 'index.json', 'repositories']) assert.ok(names(found).includes(entry), entry);
    await dockerOut('rmi', ref);
    assert.equal((await load(stdout)).stdout, `Loaded image: ${ref}\n`);
    assert.equal((await imageOf(ref)).Id, Id);
  });

  test('two at once, with shared layers once', async () => {
    const [one, two] = [`${name('save')}:1`, `${name('save')}:2`];
    for (const ref of [one, two]) await dockerOut('tag', 'busybox', ref);
    const { stdout } = await dockerBytes(undefined, 'save', one, two);
    const manifests = JSON.parse((await untar(stdout)).find(entry => entry.name === 'manifest.json')!.body.toString());
    assert.deepEqual(manifests.flatMap((manifest: any) => manifest.RepoTags).sort(), [one, two]);
    assert.ok(stdout.length < 1.5 * (await rootfs).length);
  });

  test('what is not there', async () => {
    await dockerFails(1, /No such image: ct-nosuch|reference does not exist/, 'save', '-o', join(await directory(), 'out.tar'), 'ct-nosuch');
  });
});

describe('docker tag and docker rmi', () => {
  test('a tag is another name', async () => {
    const ref = name('tagged');
    await dockerOut('tag', 'busybox', ref);
    assert.equal((await imageOf(ref)).Id, (await imageOf('busybox')).Id);
    assert.ok((await imageOf('busybox')).RepoTags.includes(`${ref}:latest`));
    assert.equal(await dockerOut('rmi', ref), `Untagged: ${ref}:latest`);
    await dockerFails(1, `No such image: ${ref}:latest`, 'image', 'inspect', ref);
  });

  test('a tag moves', async () => {
    const ref = name('moving');
    await dockerOut('tag', 'busybox', ref);
    await dockerOut('tag', 'docker-registry.sh/myapp:v0.0.1', ref);
    assert.equal((await imageOf(ref)).Id, (await imageOf('docker-registry.sh/myapp:v0.0.1')).Id);
    assert.ok(!(await imageOf('busybox')).RepoTags.includes(`${ref}:latest`));
  });

  test('docker.io/library/busybox:latest is busybox', async () => {
    const { Id } = await imageOf('busybox');
    for (const ref of ['busybox:latest', 'library/busybox', 'docker.io/busybox', 'docker.io/library/busybox:latest', Id, Id.slice(7, 19)]) assert.equal((await imageOf(ref)).Id, Id, ref);
  });

  test('mistakes', async () => {
    await dockerFails(1, 'No such image: ct-nosuch:latest', 'tag', 'ct-nosuch', name('x'));
    const { status, json } = await http('POST', `/images/busybox/tag?repo=${encodeURIComponent('Bad:Name')}`);
    assert.equal(status, 400);
    assert.match(json().message, /invalid reference format|must be lowercase/);
    await dockerFails(1, 'No such image: ct-nosuch:latest', 'rmi', 'ct-nosuch');
    const { stdout, exitCode } = await dockerBytes(undefined, 'image', 'inspect', 'ct-nosuch');
    assert.deepEqual([stdout.toString().trim(), exitCode], ['[]', 1]);
  });

  test('the last tag takes the image with it', async () => {
    const { ref, id } = await importImage('last', await tar([{ name: 'only-here', body: `${process.pid}` }]));
    assert.equal(await dockerOut('rmi', ref), `Untagged: ${ref}:latest\nDeleted: ${id}\nDeleted: ${`sha256:${sha256(await tar([{ name: 'only-here', body: `${process.pid}` }]))}`}`);
  });

  test('rmi over the API lists what it did', async () => {
    const { ref } = await importImage('api', await tar([{ name: 'api-only', body: `${process.pid}` }]));
    const { status, json } = await http('DELETE', `/images/${ref}`);
    assert.equal(status, 200);
    assert.deepEqual(json().map((entry: object) => Object.keys(entry)[0]), ['Untagged', 'Deleted', 'Deleted']);
  });

  test('a container keeps its image', async () => {
    const { ref, id } = await importImage('kept', await rootfs, '-c', `LABEL ${name('unique')}=1`);
    const container = await dockerOut('create', '--name', name('keeper'), ref, 'echo', 'still here');
    const short = container.slice(0, 12);
    await dockerFails(1, `conflict: unable to remove repository reference "${ref}" (must force) - container ${short} is using its referenced image ${id.slice(7, 19)}`, 'rmi', ref);
    await dockerFails(1, new RegExp(`conflict: unable to delete ${id.slice(7, 19)} \\(must be forced\\) - image is being used by stopped container ${short}`), 'rmi', id);
    // By force the image goes, even its record; the layers stay as long as the container needs them.
    assert.equal(await dockerOut('rmi', '-f', ref), `Untagged: ${ref}:latest\nDeleted: ${id}`);
    await dockerFails(1, 'No such image', 'image', 'inspect', id);
    assert.equal(await dockerOut('start', '-a', name('keeper')), 'still here');
  });

  test('not even by force while it runs', async () => {
    const { ref, id } = await importImage('running', await rootfs, '-c', `LABEL ${name('running')}=1`);
    const container = await dockerOut('run', '-d', '--name', name('runner'), ref, 'sleep', '1000');
    await dockerFails(1, new RegExp(`conflict: unable to delete ${id.slice(7, 19)} \\(cannot be forced\\) - image is being used by running container ${container.slice(0, 12)}`), 'rmi', '-f', id);
    await dockerOut('rm', '-f', name('runner'));
  });

  test('an id with two names needs force', async () => {
    const { ref, id } = await importImage('two', await rootfs, '-c', `LABEL ${name('two')}=1`);
    await dockerOut('tag', ref, `${ref}b`);
    await dockerFails(1, /conflict: unable to delete [0-9a-f]{12} \(must be forced\) - image is referenced in multiple repositories/, 'rmi', id);
    assert.match(await dockerOut('rmi', '-f', id), /^Untagged: [^]*^Untagged: [^]*^Deleted: /m);
  });
});

describe('docker images and docker history', () => {
  const ref = name('list');
  before(async () => {
    await importImage('list', await rootfs, '-c', `LABEL ${name('listed')}=yes`);
    await dockerOut('tag', ref, `${ref}:v2`);
  });
  const list = async (...filters: string[]) => (await dockerOut('images', '--format', '{{.Repository}}:{{.Tag}}', ...filters.flatMap(text => ['--filter', text]))).split('\n').filter(line => line.startsWith(ref)).sort();

  test('filters', async () => {
    assert.deepEqual(await list(), [`${ref}:latest`, `${ref}:v2`]);
    assert.deepEqual(await list(`reference=${ref}`), [`${ref}:latest`, `${ref}:v2`]);
    assert.deepEqual(await list(`reference=${ref}:v*`), [`${ref}:v2`]);
    assert.deepEqual(await list(`reference=${name('li')}*`), [`${ref}:latest`, `${ref}:v2`]);
    assert.deepEqual(await list(`label=${name('listed')}`), [`${ref}:latest`, `${ref}:v2`]);
    assert.deepEqual(await list(`label=${name('listed')}=no`), []);
    assert.deepEqual(await list('dangling=true'), []);
    assert.deepEqual(await list('before=busybox'), []);
    assert.deepEqual(await list('since=busybox'), [`${ref}:latest`, `${ref}:v2`]);
    await dockerFails(1, "invalid filter 'nosuch'", 'images', '--filter', 'nosuch=x');
    assert.equal((await dockerOut('images', '-q', ref)).split('\n').length, 2);
  });

  test('one entry over the API', async () => {
    const [found] = (await http('GET', `/images/json?filters=${encodeURIComponent(JSON.stringify({ reference: [ref] }))}`)).json();
    const image = await imageOf(ref);
    assert.equal(found.Id, image.Id);
    assert.deepEqual(found.RepoTags.toSorted(), [`${ref}:latest`, `${ref}:v2`]);
    assert.deepEqual(found.Labels, { [name('listed')]: 'yes' });
    assert.equal(found.Size, image.Size);
    assert.equal(found.Created, Math.floor(Date.parse(image.Created) / 1000));
    assert.deepEqual([found.Containers, found.SharedSize, found.ParentId], [-1, -1, '']);
  });

  test('a tag that moved away leaves the image dangling', async () => {
    const { id } = await importImage('dangling', await rootfs, '-c', `LABEL ${name('dangling')}=1`);
    await dockerOut('tag', 'busybox', name('dangling'));
    assert.equal(await dockerOut('images', '-q', '--no-trunc', '--filter', 'dangling=true', '--filter', `label=${name('dangling')}`), id);
    const { RepoTags } = await imageOf(id);
    assert.deepEqual(RepoTags, []);
    await dockerOut('rmi', id);
  });

  test('history', async () => {
    const [entry] = (await http('GET', `/images/${ref}/history`)).json();
    assert.equal(entry.Id, (await imageOf(ref)).Id);
    assert.deepEqual(entry.Tags.toSorted(), [`${ref}:latest`, `${ref}:v2`]);
    assert.deepEqual([entry.Comment, entry.CreatedBy], ['Imported from -', '']);
    assert.equal(await dockerOut('history', '--format', '{{.Comment}}', ref), 'Imported from -');
    await dockerFails(1, 'No such image: ct-nosuch:latest', 'history', 'ct-nosuch');
  });
});

describe('docker commit', () => {
  test('what changed becomes a layer', async () => {
    const [box, ref] = [name('cm'), `${name('committed')}:1`];
    await dockerOut('run', '--name', box, 'busybox', 'sh', '-c', 'echo changed >/changed; rm /etc/group');
    assert.match(await dockerOut('commit', '-m', 'msg', '-a', 'author', '-c', 'ENV Z=1', box, ref), /^sha256:[0-9a-f]{64}$/);
    assert.equal(await once(ref, 'sh', '-c', 'cat /changed; echo $Z; ls /etc/group 2>&1'.concat('; true')), 'changed\n1\nls: /etc/group: No such file or directory');
    const image = await imageOf(ref);
    assert.deepEqual([image.Comment, image.Author, image.RootFS.Layers.length], ['msg', 'author', 2]);
    assert.equal(await dockerOut('history', '--no-trunc', '--format', '{{.CreatedBy}}|{{.Comment}}', ref), 'sh -c echo changed >/changed; rm /etc/group|msg\n|Imported from -');
  });
});

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { Container, ContainerStatus } from '../model/container.ts';
import { parseName } from '../model/image-reference.ts';
import { emptyState } from '../model/state.ts';
import { createEvents } from './events.ts';
import type { Filters } from './filters.ts';
import { createImages } from './images.ts';
import type { Archive, ArchiveEntry, Layers } from './layers.ts';
import type { Registry } from './registry.ts';
import type { Progress } from './services.ts';
import { createLedger } from './ledger.ts';

const digest = (content: string): string => `sha256:${createHash('sha256').update(content).digest('hex')}`;

/** Holds layers as texts: a "tar" is the text it holds, an archive is the JSON of its files. */
const fakeLayers = () => {
  const stored = new Map<string, string>();
  const staged = new Set<string>();
  let unpacking: () => Promise<void> = async () => {};
  const unpack = async (content: string) => {
    staged.add(content);
    await unpacking();
    return {
      diffId: digest(content),
      size: content.length,
      async store(chainId: string) {
        staged.delete(content);
        if (!stored.has(chainId)) stored.set(chainId, content);
      },
      discard: async () => void staged.delete(content),
    };
  };
  const layers: Layers = {
    unpack: async (tar) => unpack(await text(tar)),
    async openArchive(tar) {
      const files = JSON.parse(await text(tar)) as Record<string, string>;
      const read = async (path: string) => {
        if (files[path] === undefined) throw new Error(`open /fake/${path}: no such file or directory`);
        return files[path];
      };
      return {
        directory: '/fake',
        names: async () => Object.keys(files),
        read,
        exists: async (path) => path in files,
        unpack: async (path, progress) => {
          const content = await read(path);
          progress(content.length, content.length);
          return unpack(content);
        },
        close: async () => {},
      };
    },
    archive: (entries) =>
      Readable.from((async function* () {
        const content = ({ content }: ArchiveEntry) => (typeof content === 'string' ? content : stored.get(content.layer));
        yield JSON.stringify(Object.fromEntries((await entries).map((entry) => [entry.name, content(entry)])));
      })()),
    tarSize: async (chainId) => stored.get(chainId)?.length ?? 0,
    changes: (upper) => Readable.from([upper]),
    remove: async (chainIds) => chainIds.forEach((chainId) => stored.delete(chainId)),
    list: async () => [...stored.keys()],
    clean: async () => staged.clear(),
  };
  return { layers, stored, staged, during: (work: () => Promise<void>) => (unpacking = work) };
};

/** Holds manifests by name and blobs by digest: a push is what `save` gives of fake layers, a blob the text it holds. */
const fakeRegistry = (archiveOf: (files: Record<string, string>) => Promise<Archive>) => {
  const blobs = new Map<string, string>();
  const manifests = new Map<string, string>();
  const fetched: string[] = [];
  const store = (content: string): { digest: string; size: number } => {
    blobs.set(digest(content), content);
    return { digest: digest(content), size: content.length };
  };
  const known = (content: string | undefined, words: string): string => {
    if (content === undefined) throw new Error(words);
    return content;
  };
  const registry: Registry = {
    manifest: async ({ name }, version) => known(manifests.get(`${name.path} ${version}`), 'manifest unknown: manifest unknown'),
    config: async ({ name }, version) => known(blobs.get(JSON.parse(manifests.get(`${name.path} ${version}`) ?? '').config.digest), 'blob unknown'),
    tags: async ({ name }) => [...manifests.keys()].filter((key) => key.startsWith(`${name.path} `) && !key.includes('sha256:')).map((key) => key.split(' ')[1] ?? ''),
    async fetch(_remote, _digest, layers, moved) {
      const wanted = layers.filter(({ here }) => !here);
      for (const { digest, size } of wanted) moved(digest, size);
      fetched.push(...wanted.map(({ digest }) => digest));
      return archiveOf(Object.fromEntries(wanted.map(({ digest }) => [`blobs/${digest.replace(':', '/')}`, blobs.get(digest) ?? ''])));
    },
    async push({ name }, tag, saved, told) {
      const files = JSON.parse(await text(saved)) as Record<string, string>;
      const [{ Config, Layers }] = JSON.parse(files['manifest.json'] ?? '') as [{ Config: string; Layers: string[] }];
      for (const layer of Layers) told(digest(files[layer] ?? ''), blobs.has(digest(files[layer] ?? '')) ? 'exists' : 0);
      const manifest = JSON.stringify({ config: store(files[Config] ?? ''), layers: Layers.map((layer) => store(files[layer] ?? '')) });
      for (const version of [tag, digest(manifest)]) manifests.set(`${name.path} ${version}`, manifest);
      return { digest: digest(manifest), size: manifest.length };
    },
    login: async () => {},
  };
  return { registry, manifests, blobs, fetched };
};

const engine = () => {
  const ledger = createLedger({
    store: { load: () => emptyState, commit: async () => {}, close: async () => {} },
    execute: async () => {},
    attempt: async () => [],
    diff: () => [],
  });
  const events = createEvents(() => 0n);
  const fake = fakeLayers();
  const { registry, ...hub } = fakeRegistry((files) => fake.layers.openArchive(Readable.from([JSON.stringify(files)])));
  let clock = 0;
  const images = createImages({
    ledger,
    layers: fake.layers,
    registry,
    events,
    now: () => `2026-01-01T00:00:${String(clock++ % 60).padStart(2, '0')}.000000000Z`,
    architecture: 'amd64',
    dockerVersion: '28.5.2',
    upper: (id) => `written by ${id}`,
    freeze: async () => ({ thaw: async () => {}, told: () => {} }),
  });
  const imported = (content: string, repo = '', changes: string[] = []) =>
    images.import(Readable.from([content]), { repo, tag: '', message: '', changes, platform: '' });
  const contain = (id: string, imageId: string, status: ContainerStatus) => {
    const image = ledger.state.images.get(imageId);
    const spec = { image: imageId, cmd: ['sh', '-c', 'x'], env: ['PATH=/bin'], labels: {}, exposedPorts: [], user: '', workingDir: '' };
    const record = { id, name: id, imageId, chainIds: image?.chainIds ?? [], state: { status }, spec, asked: { config: {}, hostConfig: {} } } as unknown as Container;
    return ledger.change(() => ({ changes: [{ collection: 'containers', key: id, record }], result: undefined }));
  };
  const drop = (id: string) => ledger.change(() => ({ changes: [{ collection: 'containers', key: id, record: undefined }], result: undefined }));
  const load = async (files: string): Promise<string[]> => {
    const lines: string[] = [];
    for await (const line of images.load(Readable.from([files]))) lines.push(textOf(line));
    return lines;
  };
  const happened = () => events.recent().map(({ action, attributes }) => `${action} ${attributes['name']?.slice(0, 14)}`);
  const remove = (ref: string, force = false) => images.remove(ref, { force, prune: true });
  const lines = async (progress: AsyncIterable<Progress>): Promise<string[]> => {
    const found: string[] = [];
    for await (const line of progress) found.push(textOf(line));
    return found;
  };
  const transfer = (ref: string) => ({ named: parseName(ref), credentials: undefined, gone: new AbortController().signal });
  const pull = (ref: string, platform = '') => lines(images.pull({ ...transfer(ref), platform }));
  const push = (ref: string) => lines(images.push(transfer(ref)));
  return { ...fake, ...hub, ledger, images, imported, contain, drop, load, happened, remove, events, pull, push };
};
const textOf = (line: Progress): string =>
  'stream' in line ? line.stream.trim() : 'aux' in line ? `aux ${line.aux.tag}` : line.id === undefined || line.status === 'Loading layer' ? line.status : `${line.id}: ${line.status}`;
const filters = (entries: Record<string, string[]>): Filters => new Map(Object.entries(entries));
const tags = (rows: readonly { readonly tags: readonly string[] }[]) => rows.flatMap((row) => [...row.tags]);
const list = (images: ReturnType<typeof createImages>, query: Record<string, string[]> = {}, all = false) => images.list({ all, filters: filters(query), sharedSize: false });

test('import, find, history', async () => {
  const { images, imported, stored, staged, happened } = engine();
  const id = await imported('layer', 'my/app:1', ['CMD ["sh"]', 'LABEL a=b']);
  const image = images.find('my/app:1');
  assert.deepEqual([image.id, image.config.cmd, image.size, image.comment, image.chainIds, image.lastTagged !== undefined], [id, ['sh'], 5, 'Imported from -', [digest('layer')], true]);
  for (const ref of [id, id.slice(7), id.slice(7, 19), id.slice(0, 12), 'docker.io/my/app:1']) assert.equal(images.find(ref), image, ref);
  assert.deepEqual(images.history('my/app:1'), [{ id, created: image.created, createdBy: '', author: '', comment: 'Imported from -', emptyLayer: false, size: 5, tags: ['my/app:1'] }]);
  assert.deepEqual([[...stored.keys()], staged.size], [[digest('layer')], 0]);
  assert.deepEqual(happened(), ['tag my/app:1', `import ${id.slice(0, 14)}`]);
  for (const [ref, message] of [['my/app', 'No such image: my/app:latest'], ['nosuch', 'No such image: nosuch:latest'], ['a'.repeat(64), `No such image: sha256:${'a'.repeat(64)}`], ['sha256:abcd', 'No such image: sha256:abcd']] as const)
    assert.throws(() => images.find(ref), { message, kind: 'not-found' });
  assert.throws(() => images.find('Bad'), { kind: 'invalid-parameter' });
  await assert.rejects(imported('x', 'Bad'), { message: 'invalid reference format: repository name (library/Bad) must be lowercase' });
  await assert.rejects(imported('x', '', ['NOSUCH']), { message: 'NOSUCH is not a valid change command' });
  assert.equal(staged.size, 0);
});

test('list and its filters', async () => {
  const { images, imported } = engine();
  await imported('1', 'old', ['LABEL a=b']);
  const middle = await imported('2', 'my/middle:v');
  await imported('3');
  await imported('4', 'new');
  const names = async (query: Record<string, string[]>) => tags(await list(images, query));
  assert.deepEqual((await list(images)).map((row) => row.tags), [['new:latest'], [], ['my/middle:v'], ['old:latest']]);
  assert.deepEqual((await list(images, { dangling: ['true'] })).map((row) => row.tags), [[]]);
  assert.equal((await list(images, { dangling: ['false'] })).length, 3);
  assert.deepEqual(await names({ label: ['a=b'] }), ['old:latest']);
  assert.deepEqual(await names({ before: ['my/middle:v'] }), ['old:latest']);
  assert.deepEqual(await names({ since: [middle] }), ['new:latest']);
  assert.deepEqual(await names({ reference: ['my/*', 'o*'] }), ['my/middle:v', 'old:latest']);
  assert.deepEqual(await names({ until: ['2026-01-01T00:00:01Z'] }), ['old:latest']);
  await assert.rejects(names({ nosuch: ['x'] }), { message: "invalid filter 'nosuch'" });
  await assert.rejects(names({ before: ['nosuch'] }), { message: 'No such image: nosuch:latest' });
  await assert.rejects(names({ reference: ['['] }), { message: 'syntax error in pattern' });
  await assert.rejects(names({ until: ['x'] }), { message: 'failed to parse value as time or duration: "x"' });
});

test('a tag moves from image to image', async () => {
  const { images, imported } = engine();
  const [first, second] = [await imported('1', 'a'), await imported('2', 'b')];
  await images.tag('b', 'a', '');
  assert.deepEqual([images.find(first).tags, images.find(second).tags], [[], ['a:latest', 'b:latest']]);
  await assert.rejects(images.tag('nosuch', 'x', 'y'), { message: 'No such image: nosuch:latest' });
  await assert.rejects(images.tag('a', 'x', '-'), { message: 'invalid tag format' });
});

test('removing by name and by id', async () => {
  const { images, imported, remove, stored, happened } = engine();
  const id = await imported('1', 'it/a:1');
  await images.tag('it/a:1', 'it/b', '2');
  await images.tag('it/a:1', 'it/a', '2');
  const short = id.slice(7, 19);
  await assert.rejects(remove(short), { message: `conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`, kind: 'conflict' });
  assert.deepEqual(await remove('it/a:1'), [{ untagged: 'it/a:1' }]);
  assert.deepEqual(await remove('it/b:2'), [{ untagged: 'it/b:2' }]);
  assert.deepEqual(await remove(short), [{ untagged: 'it/a:2' }, { deleted: id }, { deleted: digest('1') }]);
  assert.equal(stored.size, 0);
  assert.deepEqual(happened().slice(-4).map((line) => line.split(' ')[0]), ['untag', 'untag', 'untag', 'delete']);
  await imported('1', 'x');
  await images.tag('x', 'y', '');
  assert.deepEqual((await remove(images.find('x').id, true)).map((item) => Object.keys(item)[0]), ['untagged', 'untagged', 'deleted', 'deleted']);
});

test('an image that containers use', async () => {
  const { images, imported, contain, drop, remove, stored } = engine();
  const id = await imported('1', 'it/c:1');
  const short = id.slice(7, 19);
  const user = 'c'.repeat(64);
  await contain(user, id, 'exited');
  const name = { message: `conflict: unable to remove repository reference "it/c:1" (must force) - container cccccccccccc is using its referenced image ${short}` };
  await assert.rejects(remove('it/c:1'), name);
  await assert.rejects(remove(id), { message: `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container cccccccccccc` });
  await contain(user, id, 'running');
  await assert.rejects(remove('it/c:1'), name);
  await assert.rejects(remove(id, true), { message: `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container cccccccccccc` });
  await images.tag(id, 'other', '');
  assert.deepEqual(await remove('it/c:1'), [{ untagged: 'it/c:1' }]);
  assert.deepEqual(await remove('other', true), [{ untagged: 'other:latest' }]);
  assert.deepEqual(images.find(id).tags, []);
  await contain(user, id, 'exited');
  // Its layers stay while the container does.
  assert.deepEqual(await remove(id, true), [{ deleted: id }]);
  assert.equal(stored.size, 1);
  await drop(user);
  await images.collect();
  assert.equal(stored.size, 0);
});

test('commit, children and their parents', async () => {
  const { images, imported, contain, drop, remove, stored, events } = engine();
  const base = await imported('1', 'base', ['CMD ["sh"]']);
  await contain('aa', base, 'running');
  const commit = (container: string, repo: string) => images.commit(container, { repo, tag: '', comment: 'msg', author: 'me', changes: ['ENV Z=1'], pause: true });
  const middle = await commit('aa', 'middle');
  const image = images.find('middle');
  assert.deepEqual([image.parent, image.config.env, image.config.cmd, image.size, image.author], [base, ['Z=1', 'PATH=/bin'], ['sh', '-c', 'x'], 1 + 'written by aa'.length, 'me']);
  assert.deepEqual(images.history('middle').map(({ id, createdBy, comment, size }) => [id, createdBy, comment, size]), [[middle, 'sh -c x', 'msg', 13], [base, '', 'Imported from -', 1]]);
  assert.deepEqual(events.recent().at(-1)?.attributes['imageRef'], 'middle:latest');
  await contain('bb', middle, 'exited');
  const top = await commit('bb', 'top');
  await drop('aa');
  await drop('bb');

  assert.deepEqual(await remove('middle'), [{ untagged: 'middle:latest' }]);
  await assert.rejects(remove(middle), { message: `conflict: unable to delete ${middle.slice(7, 19)} (cannot be forced) - image has dependent child images` });
  assert.deepEqual((await list(images)).map((row) => row.tags), [['top:latest'], ['base:latest']]);
  assert.equal((await list(images, {}, true)).length, 3);
  const chain = images.find('top').chainIds;
  assert.deepEqual(await remove('top'), [{ untagged: 'top:latest' }, { deleted: top }, { deleted: chain[2] }, { deleted: middle }, { deleted: chain[1] }]);
  assert.deepEqual([...stored.keys()], [digest('1')]);
});

test('save and load: the same images, whatever was there', async () => {
  const one = engine();
  await one.imported('1', 'busybox');
  await one.contain('aa', one.images.find('busybox').id, 'exited');
  await one.images.commit('aa', { repo: 'my/child', tag: '1', comment: '', author: '', changes: [], pause: false });
  await one.images.tag('busybox', 'my/bb', '1');
  const archive = await text(one.images.save(['busybox', 'my/child:1', 'my/bb:1']));
  const files = JSON.parse(archive) as Record<string, string>;
  assert.deepEqual(Object.keys(files).slice(-4), ['index.json', 'manifest.json', 'oci-layout', 'repositories']);
  for (const [name, content] of Object.entries(files)) if (/sha256\/./.test(name)) assert.equal(digest(content), name.replace('blobs/sha256/', 'sha256:'));
  assert.equal(Object.keys(files).filter((name) => /sha256\/./.test(name)).length, 2 + 2 + 2 + 3);

  const two = engine();
  const loaded = ['Loaded image: busybox:latest', 'Loaded image: my/bb:1', 'Loaded image: my/child:1'];
  assert.deepEqual((await two.load(archive)).filter((line) => line !== 'Loading layer'), loaded);
  for (const ref of ['busybox', 'my/child:1']) {
    const [was, is] = [one.images.find(ref), two.images.find(ref)];
    assert.deepEqual([is.id, is.size, is.parent, is.rawConfig], [was.id, was.size, was.parent, was.rawConfig]);
  }
  assert.deepEqual(await two.load(archive), loaded);
  assert.equal(two.staged.size, 0);

  // The same as an OCI layout only, and with no names at all.
  delete files['manifest.json'];
  const three = engine();
  assert.deepEqual((await three.load(JSON.stringify(files))).filter((line) => line !== 'Loading layer'), loaded);
  const four = engine();
  const nameless = await text(one.images.save([one.images.find('busybox').id.slice(7)]));
  assert.deepEqual((await four.load(nameless)).at(-1), `Loaded image ID: ${one.images.find('busybox').id}`);
  assert.throws(() => one.images.save(['nosuch']), { message: 'No such image: nosuch' });
  assert.throws(() => one.images.save(['nosuch:x']), { message: 'reference does not exist' });
});

test('loading what is broken leaves nothing', async () => {
  const one = engine();
  await one.imported('1', 'a');
  const files = JSON.parse(await text(one.images.save(['a']))) as Record<string, string>;
  const id = one.images.find('a').id;
  const config = `blobs/${id.replace(':', '/')}`;
  const layer = `blobs/${digest('1').replace(':', '/')}`;
  for (const [change, message] of [
    [{ 'manifest.json': 'null' }, 'invalid manifest, manifest cannot be null (but can be [])'],
    [{ 'manifest.json': 'x' }, "invalid character 'x' looking for beginning of value"],
    [{ 'manifest.json': files['manifest.json']?.replace('a:latest', 'a') }, 'invalid tag "a"'],
    [{ 'manifest.json': files['manifest.json']?.replace('"Layers":[', '"Layers":["x",') }, 'invalid manifest, layers length mismatch: expected 2, got 1'],
    [{ [config]: undefined }, `open /fake/${config}: no such file or directory`],
    [{ [config]: files[config]?.replace('linux', 'windows') }, 'cannot load windows image on linux'],
    [{ [config]: '{}' }, 'invalid image JSON, no RootFS key'],
    [{ [layer]: 'other' }, `invalid diffID for layer 0: expected "${digest('1')}", got "${digest('other')}"`],
    [{ 'manifest.json': undefined, 'index.json': undefined, repositories: undefined }, 'open /fake/repositories: no such file or directory'],
  ] as const) {
    const two = engine();
    await assert.rejects(two.load(JSON.stringify({ ...files, ...change })), { message });
    assert.deepEqual([two.ledger.state.images.size, two.ledger.state.layers.size, two.stored.size, two.staged.size], [0, 0, 0, 0], message);
  }
});

test('two loads of the same layers, and a removal while a load goes on', async () => {
  const one = engine();
  await one.imported('1', 'a');
  const archive = await text(one.images.save(['a']));
  const two = engine();
  await Promise.all([two.load(archive), two.load(archive), two.load(archive)]);
  assert.deepEqual([two.stored.size, two.staged.size, two.ledger.state.layers.size], [1, 0, 1]);

  // The layer is here when the load begins, so it is not unpacked; then it goes; then the image is to be recorded.
  await two.contain('aa', two.images.find('a').id, 'exited');
  await two.images.commit('aa', { repo: 'b', tag: '', comment: '', author: '', changes: [], pause: false });
  const both = await text(two.images.save(['b']));
  await two.drop('aa');
  await two.remove('b');
  let times = 0;
  two.during(async () => {
    if (times++ === 0) await two.remove('a');
  });
  await two.load(both);
  assert.deepEqual(two.images.find('b').chainIds.map((chainId) => two.stored.has(chainId)), [true, true]);
  assert.deepEqual([two.staged.size, two.ledger.state.layers.size], [0, 2]);
});

test('layers stay while they are being saved', async () => {
  const { images, imported, remove, stored } = engine();
  await imported('1', 'a');
  const saving = images.save(['a']);
  await remove('a');
  assert.equal(stored.size, 1);
  assert.ok((await text(saving)).includes(digest('1')));
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(stored.size, 0);
});

test('prune, and what a boot finds', async () => {
  const { images, imported, stored, staged, layers, happened } = engine();
  await imported('1', 'a');
  await imported('22');
  assert.deepEqual(await images.prune(filters({ until: ['2026-01-01T00:00:00Z'] })), { deleted: undefined, reclaimed: 0 });
  const { deleted, reclaimed } = await images.prune(new Map());
  assert.deepEqual([deleted?.length, reclaimed], [2, 2]);
  assert.equal(happened().at(-1), 'prune undefined');
  assert.deepEqual((await images.prune(filters({ dangling: ['false'] }))).deleted?.length, 3);
  await assert.rejects(images.prune(filters({ until: ['1h', '2h'] })), { message: 'more than one until filter specified' });
  await imported('1', 'a');
  await (await layers.unpack(Readable.from(['nobody']))).store('sha256:nobody');
  await layers.unpack(Readable.from(['half']));
  await images.reconcile();
  assert.deepEqual([[...stored.keys()], staged.size], [[digest('1')], 0]);
});

test('push, then pull what is not here', async () => {
  const { images, imported, push, pull, remove, stored, staged, fetched, happened } = engine();
  const id = await imported('bytes of a layer', 'my/app:1');
  const layer = digest('bytes of a layer');
  const short = layer.slice(7, 19);
  const pushed = await push('my/app:1');
  const [digestName = ''] = images.find('my/app:1').digests;
  const version = digestName.slice('my/app@'.length);
  assert.match(version, /^sha256:/);
  assert.deepEqual(pushed.filter((line) => !line.includes('digest:')), ['The push refers to repository [docker.io/my/app]', `${short}: Preparing`, `${short}: Pushing`, `${short}: Pushed`, 'aux 1']);
  assert.ok((await push('my/app')).includes(`${short}: Layer already exists`));
  assert.deepEqual(await pull('my/app:1'), ['1: Pulling from my/app', `Digest: ${version}`, 'Status: Image is up to date for my/app:1']);
  assert.deepEqual(fetched, []);

  await remove('my/app:1');
  assert.deepEqual([...stored.keys()], []);
  const lines = await pull('my/app:1');
  assert.deepEqual(lines, [
    '1: Pulling from my/app', `${short}: Pulling fs layer`, `${short}: Downloading`, `${short}: Verifying Checksum`, `${short}: Download complete`, `${short}: Extracting`, `${short}: Pull complete`,
    `Digest: ${version}`, 'Status: Downloaded newer image for my/app:1',
  ]);
  assert.deepEqual([images.find('my/app:1').id, images.find('my/app:1').tags, images.find(digestName).id], [id, ['my/app:1'], id]);
  await remove('my/app:1');
  await pull(digestName);
  assert.deepEqual([images.find(id).tags, images.find(id).digests], [[], [digestName]]);
  assert.deepEqual(happened().slice(-1), ['pull my/app']);
  assert.equal(staged.size, 0);
});

test('a layer that is here already is not fetched', async () => {
  const { imported, contain, images, push, pull, remove, fetched } = engine();
  await contain('c', await imported('below', 'base'), 'exited');
  await images.commit('c', { repo: 'my/two', tag: '1', comment: '', author: '', changes: [], pause: false });
  await push('my/two:1');
  await remove('my/two:1');
  const lines = await pull('my/two:1');
  assert.ok(lines.includes(`${digest('below').slice(7, 19)}: Already exists`), lines.join('\n'));
  assert.deepEqual(fetched, [digest('written by c')]);
});

test('pulls and pushes that fail', async () => {
  const { imported, push, pull, manifests } = engine();
  await assert.rejects(pull('nosuch:1'), { kind: 'not-found', message: 'manifest for nosuch:1 not found: manifest unknown: manifest unknown' });
  await assert.rejects(push('nosuch:1'), { kind: 'not-found', message: 'An image does not exist locally with the tag: nosuch' });
  await imported('x', 'my/x:1');
  await push('my/x:1');
  await assert.rejects(pull('my/x:1', 'linux/arm64'), { message: 'image with reference my/x:1 was found but does not match the specified platform: wanted linux/arm64, actual: linux/amd64' });
  await assert.rejects(pull('my/x:1', 'a/b/c/d'), { kind: 'invalid-parameter' });
  manifests.set('library/list latest', JSON.stringify({ manifests: [{ digest: digest('x'), platform: { os: 'linux', architecture: 's390x' } }] }));
  await assert.rejects(pull('list:latest'), { kind: 'not-found', message: 'no matching manifest for linux/amd64 in the manifest list entries' });
});

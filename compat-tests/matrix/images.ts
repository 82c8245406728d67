// Images: made here, named, saved and loaded.

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { names, tar, untar } from '../support/tars.ts';
import { check, type Resource } from './check.ts';
import type { Lab } from './lab.ts';

const TAR = { 'content-type': 'application/x-tar' };
const filters = (value: object) => `filters=${encodeURIComponent(JSON.stringify(value))}`;
/** An image of one small layer. */
const make = async (lab: Lab, word: string, changes: readonly string[] = []) => {
  const ref = lab.image(word);
  const query = new URLSearchParams({ fromSrc: '-', repo: ref, tag: '1' });
  for (const change of changes) query.append('changes', change);
  await lab.ask(200, 'POST', `/images/create?${query}`, await tar([{ name: 'own', body: `${ref}\n` }]), TAR);
  lab.image(`${word}:1`);
  return `${ref}:1`;
};
const inspect = (lab: Lab, ref: string) => lab.ask(200, 'GET', `/images/${ref}/json`);
/** A file of busybox's and one more, as `docker commit` makes it. */
const committed = async (lab: Lab, word: string, query = '') => {
  const id = await lab.start();
  await lab.exec(id, ['sh', '-c', 'echo changed >/changed']);
  const { Id } = await lab.ask(201, 'POST', `/commit?container=${id}&repo=${lab.image(word)}&tag=1${query}`);
  lab.image(`${word}:1`);
  return { id: Id as string, ref: `${lab.name(word)}:1`, container: id };
};

export const images: Resource = {
  title: 'images',
  about: 'build by the classic builder (stages, arguments, cache, ONBUILD; no BuildKit), import, load and save (several at once, compressed), commit, list with filters, inspect, history, tag, rmi, prune',
  checks: [
    check('POST /images/create', 'import of a tar, with changes', async lab => {
      const ref = await make(lab, 'a', ['CMD ["x"]', 'ENV A=1', 'LABEL k=v', 'EXPOSE 80', 'WORKDIR /w', 'USER 5']);
      const { Config, RepoTags, RootFS } = await inspect(lab, ref);
      assert.deepEqual([RepoTags, Config.Cmd, Config.Labels, Object.keys(Config.ExposedPorts), Config.WorkingDir, Config.User, RootFS.Layers.length], [[ref], ['x'], { k: 'v' }, ['80/tcp'], '/w', '5', 1]);
      assert.ok(Config.Env.includes('A=1'));
    }),
    check('POST /images/create', 'a change or a name that is none', async lab => {
      await lab.refuses(400, /nosuch/i, 'POST', `/images/create?fromSrc=-&changes=${encodeURIComponent('NOSUCH x')}`, await tar([]), TAR);
      await lab.refuses(400, /^invalid reference format: repository name \(library\/Bad\) must be lowercase$/, 'POST', '/images/create?fromSrc=-&repo=Bad', await tar([]), TAR);
      await lab.refuses(400, /must be lowercase/, 'POST', '/images/create?fromImage=Bad:Name');
    }),
    check('POST /images/create', 'from a registry that is not there', async lab => {
      await lab.refuses(500, /^Get "http:\/\/127\.0\.0\.1:1\/v2\/": dial tcp 127\.0\.0\.1:1: connect: connection refused$/, 'POST', '/images/create?fromImage=127.0.0.1:1/x&tag=1');
    }),
    check('GET /images/json', 'a row', async lab => {
      const ref = await make(lab, 'a', ['LABEL k=v']);
      const [row] = await lab.ask(200, 'GET', `/images/json?${filters({ reference: [ref] })}`);
      assert.deepEqual([row.RepoTags, row.Labels, row.Containers, row.SharedSize], [[ref], { k: 'v' }, -1, -1]);
      assert.ok(row.Size > 0 && row.Created > 1e9);
      assert.match(row.Id, /^sha256:[0-9a-f]{64}$/);
    }),
    check('GET /images/json', 'what images have in common, when asked', async lab => {
      const { ref } = await committed(lab, 'a');
      const [row] = await lab.ask(200, 'GET', `/images/json?shared-size=1&${filters({ reference: [ref] })}`);
      assert.ok(row.SharedSize > 1e5 && row.SharedSize < row.Size, JSON.stringify(row));
    }, { since: 42 }),
    check('GET /images/json', 'filters: reference, label, dangling, before, since', async lab => {
      const [one, two] = [await make(lab, 'a', [`LABEL ${lab.name('l')}=x`]), await make(lab, 'b')];
      const found = async (wanted: object) => ((await lab.ask(200, 'GET', `/images/json?${filters(wanted)}`)) as any[]).flatMap(({ RepoTags }) => RepoTags).filter(tag => tag.startsWith(lab.name(''))).sort();
      assert.deepEqual(await found({ reference: [`${lab.name('')}*`] }), [one, two]);
      assert.deepEqual(await found({ label: [`${lab.name('l')}=x`] }), [one]);
      assert.deepEqual(await found({ reference: [`${lab.name('')}*`], before: [two] }), [one]);
      assert.deepEqual(await found({ reference: [`${lab.name('')}*`], since: [one] }), [two]);
      assert.deepEqual(await found({ dangling: ['true'] }), []);
      await lab.refuses(400, "invalid filter 'nosuch'", 'GET', '/images/json?filters={"nosuch":["x"]}');
    }),
    check('GET /images/{name}/json', 'by tag, by id, by the start of its id', async lab => {
      const ref = await make(lab, 'a');
      const { Id, Os, Architecture, Size, RootFS } = await inspect(lab, ref);
      assert.deepEqual([Os, typeof Architecture, RootFS.Type], ['linux', 'string', 'layers']);
      assert.ok(Size > 0);
      for (const other of [Id, Id.slice(7), Id.slice(7, 19)]) assert.equal((await inspect(lab, other)).Id, Id);
      await lab.refuses(404, 'No such image: mx-nosuch:latest', 'GET', '/images/mx-nosuch/json');
    }),
    check('GET /images/{name}/json', 'what only newer stores know, when asked', async lab => {
      const { Id } = await lab.ask(200, 'GET', '/images/busybox:latest/json?manifests=1');
      assert.match(Id, /^sha256:/);
    }, { since: 48 }),
    check('GET /images/{name}/history', 'layer by layer', async lab => {
      const { ref } = await committed(lab, 'a', '&comment=why&author=who');
      const history = await lab.ask(200, 'GET', `/images/${ref}/history`);
      assert.equal(history.length, 2);
      assert.deepEqual([history[0].Comment, history[0].Tags, history[0].CreatedBy], ['why', [ref], 'sleep 1000']);
      assert.ok(history[0].Size > 0 && history[1].Size > 1e5);
      await lab.refuses(404, 'No such image: mx-nosuch:latest', 'GET', '/images/mx-nosuch/history');
    }),
    check('POST /images/{name}/tag', 'another name', async lab => {
      const ref = await make(lab, 'a');
      await lab.ask(201, 'POST', `/images/${ref}/tag?repo=${lab.image('b')}&tag=2`);
      lab.image('b:2');
      assert.deepEqual((await inspect(lab, ref)).RepoTags.sort(), [ref, `${lab.name('b')}:2`]);
      await lab.refuses(400, /must be lowercase/, 'POST', `/images/${ref}/tag?repo=Bad`);
      await lab.refuses(404, 'No such image: mx-nosuch:latest', 'POST', '/images/mx-nosuch/tag?repo=x');
    }),
    check('DELETE /images/{name}', 'a name goes, then the image', async lab => {
      const ref = await make(lab, 'a');
      const { Id, RootFS } = await inspect(lab, ref);
      await lab.ask(201, 'POST', `/images/${ref}/tag?repo=${lab.image('b')}&tag=2`);
      assert.deepEqual(await lab.ask(200, 'DELETE', `/images/${ref}`), [{ Untagged: ref }]);
      assert.deepEqual(await lab.ask(200, 'DELETE', `/images/${lab.name('b')}:2`), [{ Untagged: `${lab.name('b')}:2` }, { Deleted: Id }, { Deleted: RootFS.Layers[0] }]);
      await lab.refuses(404, `No such image: ${ref}`, 'DELETE', `/images/${ref}`);
    }),
    check('DELETE /images/{name}', 'in use, with several names', async lab => {
      const { ref, id } = await committed(lab, 'a');
      const container = await lab.start({ Image: ref });
      await lab.refuses(409, new RegExp(`^conflict: unable to remove repository reference "${ref}" \\(must force\\) - container ${container.slice(0, 12)} is using its referenced image ${id.slice(7, 19)}$`), 'DELETE', `/images/${ref}`);
      await lab.refuses(409, /^conflict: unable to delete [0-9a-f]{12} \(cannot be forced\) - image is being used by running container [0-9a-f]{12}$/, 'DELETE', `/images/${id}`);
      await lab.ask(201, 'POST', `/images/${ref}/tag?repo=${lab.image('b')}&tag=2`);
      await lab.ask(204, 'DELETE', `/containers/${container}?force=1`);
      await lab.refuses(409, /image is referenced in multiple repositories/, 'DELETE', `/images/${id}`);
      await lab.ask(200, 'DELETE', `/images/${id}?force=1`);
    }),
    check('POST /images/prune', 'what has no name, by label', async lab => {
      const query = new URLSearchParams({ fromSrc: '-', changes: `LABEL ${lab.name('l')}=` });
      const { status: id } = await lab.ask(200, 'POST', `/images/create?${query}`, await tar([{ name: 'own', body: lab.name('x') }]), TAR);
      const { ImagesDeleted, SpaceReclaimed } = await lab.ask(200, 'POST', `/images/prune?${filters({ dangling: ['true'], label: [lab.name('l')] })}`);
      assert.ok(ImagesDeleted.some(({ Deleted }: any) => Deleted === id), JSON.stringify(ImagesDeleted));
      assert.ok(SpaceReclaimed > 0);
      await lab.refuses(400, "invalid filter 'nosuch'", 'POST', '/images/prune?filters={"nosuch":["x"]}');
    }),
    check('POST /commit', 'a container as an image, with changes', async lab => {
      const { ref, id } = await committed(lab, 'a', `&comment=why&author=who&changes=${encodeURIComponent('ENV Z=1')}&changes=${encodeURIComponent('CMD ["sh","-c","cat /changed; echo $Z"]')}`);
      const { Id, Author, Comment, Parent, Config } = await inspect(lab, ref);
      assert.deepEqual([Id, Author, Comment], [id, 'who', 'why']);
      assert.match(Parent, /^sha256:/);
      assert.ok(Config.Env.includes('Z=1'));
      const container = await lab.start({ Image: ref, Cmd: null });
      await lab.ask(200, 'POST', `/containers/${container}/wait`);
      assert.match((await lab.call('GET', `/containers/${container}/logs?stdout=1`)).text, /changed\n[^]*1\n$/);
      await lab.refuses(404, 'No such container: mx-nosuch', 'POST', '/commit?container=mx-nosuch');
    }),
    check('GET /images/{name}/get', 'saved as a tar', async lab => {
      const ref = await make(lab, 'a');
      const { bytes, headers } = await lab.call('GET', `/images/${ref}/get`);
      assert.equal(headers['content-type'], 'application/x-tar');
      const found = await untar(bytes);
      const [{ RepoTags, Layers, Config }] = JSON.parse(found.find(({ name }) => name === 'manifest.json')!.body.toString());
      assert.deepEqual([RepoTags, Layers.length], [[ref], 1]);
      for (const path of [Config, ...Layers]) assert.ok(names(found).includes(path), path);
      await lab.refuses(404, /No such image: mx-nosuch/, 'GET', '/images/mx-nosuch/get');
    }),
    check('GET /images/get', 'several in one', async lab => {
      const [one, two] = [await make(lab, 'a'), await make(lab, 'b')];
      const { bytes } = await lab.call('GET', `/images/get?names=${one}&names=${two}`);
      const manifest: any[] = JSON.parse((await untar(bytes)).find(({ name }) => name === 'manifest.json')!.body.toString());
      assert.deepEqual(manifest.flatMap(({ RepoTags }) => RepoTags).sort(), [one, two]);
      await lab.refuses(404, /No such image: mx-nosuch/, 'GET', `/images/get?names=${one}&names=mx-nosuch`);
    }),
    check('POST /images/load', 'what was saved, compressed or not', async lab => {
      const ref = await make(lab, 'a');
      const { Id } = await inspect(lab, ref);
      const { bytes } = await lab.call('GET', `/images/${ref}/get`);
      for (const body of [bytes, gzipSync(bytes)]) {
        await lab.ask(200, 'DELETE', `/images/${ref}`);
        const { text } = await lab.call('POST', '/images/load?quiet=1', body, TAR);
        assert.match(text, new RegExp(`Loaded image: ${ref}`));
        assert.equal((await inspect(lab, ref)).Id, Id);
      }
    }),
    check('POST /images/load', 'what is no image', async lab => {
      const { status, text } = await lab.call('POST', '/images/load', Buffer.from('garbage'), TAR);
      assert.ok(status >= 400 || /"errorDetail"/.test(text), `${status} ${text}`);
    }),
    check('POST /build', 'a Dockerfile, step by step', async lab => {
      const ref = lab.image('built');
      const { status, text } = await lab.call('POST', `/build?t=${ref}:1&version=1`, await tar([{ name: 'Dockerfile', body: 'FROM busybox\nCOPY f /f\nRUN echo ran >/r\nCMD ["cat","/f","/r"]\n' }, { name: 'f', body: 'copied\n' }]), TAR);
      lab.image('built:1');
      assert.equal(status, 200, text);
      assert.match(text, /Successfully built/);
      const container = await lab.start({ Image: `${ref}:1`, Cmd: null });
      await lab.ask(200, 'POST', `/containers/${container}/wait`);
      assert.match((await lab.call('GET', `/containers/${container}/logs?stdout=1`)).text, /copied\n[^]*ran\n$/);
      await lab.ask(204, 'DELETE', `/containers/${container}`);
    }),
    check('POST /build', 'stages and arguments; the same again comes from the cache', async lab => {
      const dockerfile = 'ARG base=busybox\nFROM $base AS one\nARG who=nobody\nRUN echo $who >/w\nFROM busybox\nCOPY --from=one /w /w\nRUN cat /w\n';
      const build = async () => (await lab.call('POST', `/build?t=${lab.image('staged')}:1&buildargs=${encodeURIComponent('{"who":"me"}')}`, await tar([{ name: 'Dockerfile', body: dockerfile }]), TAR)).text;
      lab.image('staged:1');
      assert.match(await build(), /Successfully tagged/);
      assert.equal((await build()).match(/Using cache/g)?.length, 4);
    }),
    check('POST /build', 'what is no Dockerfile, and a command that fails', async lab => {
      const build = async (dockerfile: string) => lab.call('POST', '/build?forcerm=1', await tar([{ name: 'Dockerfile', body: dockerfile }]), TAR);
      const { status, text } = await build('FROM busybox\nFOO\n');
      assert.deepEqual([status, JSON.parse(text).message], [400, 'dockerfile parse error on line 2: unknown instruction: FOO (did you mean FROM?)']);
      assert.match((await build('FROM busybox\nRUN exit 3\n')).text, /"errorDetail":\{"code":3,"message":"The command '\/bin\/sh -c exit 3' returned a non-zero code: 3"\}/);
    }),
    check('POST /build/prune', 'nothing to take away; filters it does not know', async lab => {
      const { CachesDeleted, SpaceReclaimed } = await lab.ask(200, 'POST', `/build/prune?${filters({ id: ['mx-nosuch'] })}`);
      assert.deepEqual([CachesDeleted, SpaceReclaimed], [null, 0]);
      await lab.refuses(400, "failed to prune build cache: invalid filter 'nosuch'", 'POST', '/build/prune?filters={"nosuch":["x"]}');
    }),
    check('POST /session', 'not without an upgrade', lab => lab.refuses(400, 'no upgrade proto in request', 'POST', '/session')),
  ],
};

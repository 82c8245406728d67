// Files and images, changes of containers, and the daemon's own beginning: it dies at every step (see support/crash.ts).

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createHost, taken, gone, must, oneOf, removeHost, sound, there, walk, type Host, type Story } from './support/crash.ts';
import { eventually } from './support/eventually.ts';
import { call } from './support/http.ts';
import { tar } from './support/tars.ts';

const running = async ({ daemon }: Host) => {
  await must(daemon, 'POST', '/containers/create?name=one', { Image: 'busybox', Cmd: ['sleep', '1000'], StopSignal: 'KILL', HostConfig: { Binds: ['kept:/v'] } });
  await must(daemon, 'POST', '/containers/one/start');
};
const one = async ({ daemon }: Host): Promise<any> => there(daemon, '/containers/one/json');
const volumeFile = ({ daemon }: Host, volume: string) => join(daemon.root, 'data/volumes', volume, '_data/file');
const text = (file: string) => readFile(file, 'utf8').catch(() => 'none');
const withFile = (content: string) => async (host: Host) => {
  await must(host.daemon, 'POST', '/volumes/create', { Name: 'kept' });
  await writeFile(volumeFile(host, 'kept'), content);
};
const image = (name: string) => async ({ daemon }: Host): Promise<boolean> => (await there(daemon, `/images/${name}/json`)) !== undefined;
const imported = async ({ daemon }: Host, name: string) => {
  const { status, text } = await call(daemon.socket, 'POST', `/images/create?fromSrc=-&repo=${name}`, await tar([{ name: 'file', body: 'of the image' }]), { 'content-type': 'application/x-tar' });
  assert.equal(status, 200, text);
};

let saved: Buffer | undefined;

const stories: readonly Story[] = [
  {
    title: 'volume restore',
    prepare: withFile('old'),
    call: async ({ daemon }) => call(daemon.socket, 'PUT', '/volumes/kept/archive?mode=replace', await tar([{ name: 'file', body: 'new' }])),
    done: async host => oneOf(await text(volumeFile(host, 'kept')), ['old'], ['new']),
    undo: async () => {},
  },
  {
    title: 'volume clone',
    prepare: withFile('old'),
    call: ({ daemon }) => call(daemon.socket, 'POST', '/volumes/kept/clone?name=twin'),
    async done(host) {
      const is = (await there(host.daemon, '/volumes/twin')) !== undefined;
      assert.equal(await text(volumeFile(host, 'twin')), is ? 'old' : 'none');
      return is;
    },
    undo: ({ daemon }) => gone(daemon, '/volumes/twin'),
  },
  {
    title: 'volume rename',
    async prepare(host) {
      await gone(host.daemon, '/volumes/other');
      await withFile('old')(host);
    },
    call: ({ daemon }) => call(daemon.socket, 'POST', '/volumes/kept/rename?name=other'),
    async done(host) {
      const is = (await there(host.daemon, '/volumes/other')) !== undefined;
      assert.equal((await there(host.daemon, '/volumes/kept')) !== undefined, !is);
      assert.equal(await text(volumeFile(host, is ? 'other' : 'kept')), 'old');
      return is;
    },
    undo: async () => {},
  },
  {
    title: 'image load',
    async prepare(host) {
      if (saved !== undefined) return;
      await imported(host, 'loaded');
      saved = (await call(host.daemon.socket, 'GET', '/images/loaded/get')).bytes;
      await gone(host.daemon, '/images/loaded');
    },
    call: ({ daemon }) => call(daemon.socket, 'POST', '/images/load?quiet=1', saved, { 'content-type': 'application/x-tar' }),
    done: image('loaded'),
    undo: ({ daemon }) => gone(daemon, '/images/loaded'),
  },
  {
    title: 'image rm',
    prepare: host => imported(host, 'short-lived'),
    call: ({ daemon }) => call(daemon.socket, 'DELETE', '/images/short-lived'),
    done: async host => !(await image('short-lived')(host)),
    undo: async () => {},
  },
  {
    title: 'commit',
    prepare: running,
    call: ({ daemon }) => call(daemon.socket, 'POST', '/commit?container=one&repo=committed'),
    done: image('committed'),
    undo: ({ daemon }) => gone(daemon, '/images/committed'),
  },
  {
    title: 'rename',
    async prepare(host) {
      await running(host);
      if ((await one(host)).Name !== '/one') throw new Error('not one');
    },
    call: ({ daemon }) => call(daemon.socket, 'POST', '/containers/one/rename?name=two'),
    async done(host) {
      const [here, there2] = [await one(host), await there(host.daemon, '/containers/two/json')];
      assert.equal((here ?? there2).State.Status, 'running');
      assert.equal(here === undefined, there2 !== undefined);
      return here === undefined;
    },
    undo: ({ daemon }) => must(daemon, 'POST', '/containers/two/rename?name=one'),
  },
  {
    title: 'update',
    prepare: running,
    call: ({ daemon }) => call(daemon.socket, 'POST', '/containers/one/update', { CpuShares: 512, RestartPolicy: { Name: 'always' } }),
    async done(host) {
      const { HostConfig: { CpuShares, RestartPolicy } } = await one(host);
      return oneOf(`${CpuShares} ${RestartPolicy.Name}`, ['0 no', '1024 no'], ['512 always']);
    },
    undo: ({ daemon }) => must(daemon, 'POST', '/containers/one/update', { CpuShares: 1024, RestartPolicy: { Name: 'no' } }),
  },
  {
    title: 'pause',
    prepare: running,
    call: ({ daemon }) => call(daemon.socket, 'POST', '/containers/one/pause'),
    done: async host => oneOf((await one(host)).State.Status, ['running'], ['paused']),
    undo: ({ daemon }) => must(daemon, 'POST', '/containers/one/unpause'),
  },
  {
    title: 'unpause',
    async prepare(host) {
      await running(host);
      await must(host.daemon, 'POST', '/containers/one/pause');
    },
    call: ({ daemon }) => call(daemon.socket, 'POST', '/containers/one/unpause'),
    done: async host => oneOf((await one(host)).State.Status, ['paused'], ['running']),
    undo: async () => {},
  },
];

void describe('files, images and changes', { concurrency: 1 }, () => {
  let host: Host;
  before(async () => { host = await createHost('-crash-more'); });
  after(() => removeHost(host));
  for (const [index, story] of stories.entries()) {
    test(story.title, async t => {
      const began = Date.now();
      const steps = await walk(host, story, index);
      t.diagnostic(`killed ${steps.length} times in ${Date.now() - began} ms: ${steps.join(', ')}`);
    });
  }
});

/** Dies at this step of its beginning; undefined: it has begun before it came to that. */
async function dieAtStart({ daemon, count }: Host, step: number): Promise<string | undefined> {
  await writeFile(count, `${step}`);
  await daemon.start().catch(() => undefined);
  const where = await taken(count);
  if (/^\d+$/.test(where)) return undefined;
  await daemon.ended();
  return where;
}

void describe('the daemon\'s own beginning', () => {
  let host: Host;
  before(async () => { host = await createHost('-crash-boot'); });
  after(() => removeHost(host));

  test('killed at each of its steps, it comes back with everything', async t => {
    const { daemon } = host;
    const made = async (name: string, more: object = {}, hostConfig: object = {}) => {
      await must(daemon, 'POST', `/containers/create?name=${name}`, { Image: 'busybox', Cmd: ['sleep', '1000'], StopSignal: 'KILL', ...more, HostConfig: hostConfig });
      await must(daemon, 'POST', `/containers/${name}/start`);
    };
    const state = async (name: string) => (await there(daemon, `/containers/${name}/json`))?.State;
    await must(daemon, 'POST', '/networks/create', { Name: 'net' });
    await made('web', { ExposedPorts: { '80/tcp': {} } }, { NetworkMode: 'net', PortBindings: { '80/tcp': [{ HostPort: '21450' }] }, Binds: ['data:/data'] });
    const { Pid } = await state('web');
    const steps: string[] = [];
    const stride = process.env['CRASH_STEPS'] === 'all' ? 1 : 12;
    for (let step = 1; ; step += stride) {
      // A mess to be set right: one that ends meanwhile, one that vanishes, one that begins again.
      await gone(daemon, '/containers/ends?force=1');
      await gone(daemon, '/containers/again?force=1');
      for (const [name, policy] of [['ends', {}], ['vanishes', { AutoRemove: true }], ['again', { RestartPolicy: { Name: 'always' } }]] as const) await made(name, {}, policy);
      const pids = await Promise.all(['ends', 'vanishes', 'again'].map(async name => (await state(name)).Pid as number));
      await daemon.crash();
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      const where = await dieAtStart(host, step);
      if (where !== undefined) {
        steps.push(where);
        await daemon.start();
      }
      const when = `dead at step ${step} of its beginning: ${where}`;
      assert.deepEqual([(await state('web')).Status, (await state('web')).Pid], ['running', Pid], when);
      await eventually(async () => {
        assert.deepEqual([(await state('ends')).Status, (await state('ends')).ExitCode], ['exited', 137], when);
        assert.equal(await state('vanishes'), undefined, when);
        assert.equal((await state('again')).Status, 'running', when);
      });
      await sound(host, when);
      if (where === undefined) break;
    }
    t.diagnostic(`killed ${steps.length} times: ${steps.join(', ')}`);
  });
});

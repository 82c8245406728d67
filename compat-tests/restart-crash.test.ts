// The daemon dies at every single step of a call, and comes back: the call has been made, or it has not, and nothing is left.
// Which step is the next is told by a file that the daemon counts down (src/fault.ts). After one step is much as before the
// next: every other one is tried, from the first on; with CRASH_STEPS=all every one.

import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { faultsOf } from './support/audit.ts';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { call, type Answer } from './support/http.ts';

type Story = {
  readonly title: string;
  /** Brings about what the call needs; done once more after each step, when some of it may be there still. */
  readonly prepare: (host: Host) => Promise<unknown>;
  readonly call: (host: Host) => Promise<Answer>;
  /** True: it is as after the call; false: as before it. Throws for anything else. */
  readonly done: (host: Host) => Promise<boolean>;
  /** Takes away what the call has made, so that it can be made again. */
  readonly undo: (host: Host) => Promise<unknown>;
};

const network = { Name: 'net', IPAM: { Config: [{ Subnet: '172.31.77.0/24' }] } };
const container = {
  Image: 'busybox',
  Cmd: ['sh', '-c', 'trap "exit 7" TERM; httpd -f -p 8080 -h /data & wait'],
  ExposedPorts: { '8080/tcp': {} },
  Volumes: { '/anonymous': {} },
  HostConfig: { Binds: ['data:/data'], PortBindings: { '8080/tcp': [{ HostPort: '21400' }] }, NetworkMode: 'net' },
  NetworkingConfig: { EndpointsConfig: { net: { IPAMConfig: { IPv4Address: '172.31.77.5' } } } },
};

/** A call that must succeed. 304 and 409: it is so already. */
const must = async ({ socket }: Daemon, method: string, path: string, body?: object): Promise<Answer> => {
  const answer = await call(socket, method, path, body);
  assert.ok(answer.status < 400 || answer.status === 409, `${method} ${path}: ${answer.status} ${answer.text}`);
  return answer;
};
const gone = async ({ socket }: Daemon, path: string): Promise<void> => {
  const { status, text } = await call(socket, 'DELETE', path);
  assert.ok(status < 300 || status === 404, `DELETE ${path}: ${status} ${text}`);
};
const there = async ({ socket }: Daemon, path: string): Promise<any> => {
  const { status, text, json } = await call(socket, 'GET', path);
  assert.ok(status === 200 || status === 404, `GET ${path}: ${status} ${text}`);
  return status === 200 ? json() : undefined;
};
const oneOf = <T>(value: T, before: readonly T[], after: readonly T[]): boolean => {
  assert.ok([...before, ...after].includes(value), `neither as before nor as after: ${value}`);
  return after.includes(value);
};

const made = async ({ daemon }: Host) => {
  await must(daemon, 'POST', '/networks/create', network);
  await must(daemon, 'POST', '/containers/create?name=one', container);
};
const started = async (host: Host) => {
  await made(host);
  await must(host.daemon, 'POST', '/containers/one/start');
};
const removed = ({ daemon }: Host) => gone(daemon, '/containers/one?force=1&v=1');
const status = async ({ daemon }: Host): Promise<string> => (await there(daemon, '/containers/one/json'))?.State.Status ?? 'gone';
const volumes = async ({ daemon }: Host): Promise<number> => ((await there(daemon, '/volumes')).Volumes ?? []).length;

const stories: readonly Story[] = [
  {
    title: 'create',
    prepare: ({ daemon }) => must(daemon, 'POST', '/networks/create', network),
    call: ({ daemon }) => call(daemon.socket, 'POST', '/containers/create?name=one', container),
    async done(host) {
      const is = oneOf(await status(host), ['gone'], ['created']);
      assert.equal(await volumes(host), is ? 2 : 0);
      return is;
    },
    async undo(host) {
      await removed(host);
      await gone(host.daemon, '/volumes/data');
    },
  },
  {
    title: 'start',
    prepare: made,
    call: ({ daemon }) => call(daemon.socket, 'POST', '/containers/one/start'),
    done: async host => oneOf(await status(host), ['created'], ['running']),
    undo: removed,
  },
  {
    title: 'stop',
    prepare: started,
    call: ({ daemon }) => call(daemon.socket, 'POST', '/containers/one/stop'),
    async done(host) {
      const is = oneOf(await eventually(() => status(host)), ['running'], ['exited']);
      if (is) assert.equal((await there(host.daemon, '/containers/one/json')).State.ExitCode, 7);
      return is;
    },
    undo: async () => {},
  },
  {
    title: 'start again',
    prepare: async host => {
      await started(host);
      await must(host.daemon, 'POST', '/containers/one/stop');
    },
    call: ({ daemon }) => call(daemon.socket, 'POST', '/containers/one/start'),
    async done(host) {
      const { State } = await there(host.daemon, '/containers/one/json');
      return oneOf(`${State.Status} ${State.ExitCode}`, ['exited 7'], ['running 0']);
    },
    undo: async () => {},
  },
  {
    title: 'rm -f -v',
    prepare: started,
    call: ({ daemon }) => call(daemon.socket, 'DELETE', '/containers/one?force=1&v=1'),
    async done(host) {
      const is = oneOf(await status(host), ['running'], ['gone']);
      assert.equal(await volumes(host), is ? 1 : 2);
      return is;
    },
    undo: async () => {},
  },
  {
    title: 'exec',
    prepare: started,
    async call({ daemon }) {
      const { status, json } = await call(daemon.socket, 'POST', '/containers/one/exec', { Cmd: ['true'], AttachStdout: true });
      assert.equal(status, 201);
      return call(daemon.socket, 'POST', `/exec/${json().Id}/start`, {});
    },
    // What was executed is not a thing that stays.
    done: async host => {
      assert.equal(await status(host), 'running');
      return false;
    },
    undo: async () => {},
  },
  {
    title: 'network connect',
    async prepare(host) {
      await started(host);
      await must(host.daemon, 'POST', '/networks/create', { Name: 'second' });
    },
    call: ({ daemon }) => call(daemon.socket, 'POST', '/networks/second/connect', { Container: 'one' }),
    done: async ({ daemon }) => oneOf(Object.keys((await there(daemon, '/containers/one/json')).NetworkSettings.Networks).join(), ['net'], ['net,second', 'second,net']),
    undo: ({ daemon }) => must(daemon, 'POST', '/networks/second/disconnect', { Container: 'one' }),
  },
  {
    title: 'network disconnect',
    async prepare(host) {
      await started(host);
      await must(host.daemon, 'POST', '/networks/create', { Name: 'second' });
      if (Object.keys((await there(host.daemon, '/containers/one/json')).NetworkSettings.Networks).length === 1) await must(host.daemon, 'POST', '/networks/second/connect', { Container: 'one' });
    },
    call: ({ daemon }) => call(daemon.socket, 'POST', '/networks/net/disconnect', { Container: 'one' }),
    done: async ({ daemon }) => oneOf(Object.keys((await there(daemon, '/containers/one/json')).NetworkSettings.Networks).join(), ['net,second', 'second,net'], ['second']),
    undo: ({ daemon }) => must(daemon, 'POST', '/networks/net/connect', { Container: 'one', EndpointConfig: container.NetworkingConfig.EndpointsConfig.net }),
  },
  {
    title: 'network create',
    prepare: async () => {},
    call: ({ daemon }) => call(daemon.socket, 'POST', '/networks/create', { Name: 'third', EnableIPv6: true }),
    done: async ({ daemon }) => (await there(daemon, '/networks/third')) !== undefined,
    undo: ({ daemon }) => gone(daemon, '/networks/third'),
  },
  {
    title: 'network rm',
    prepare: ({ daemon }) => must(daemon, 'POST', '/networks/create', { Name: 'third', EnableIPv6: true }),
    call: ({ daemon }) => call(daemon.socket, 'DELETE', '/networks/third'),
    done: async ({ daemon }) => (await there(daemon, '/networks/third')) === undefined,
    undo: async () => {},
  },
  {
    title: 'volume create',
    prepare: async () => {},
    call: ({ daemon }) => call(daemon.socket, 'POST', '/volumes/create', { Name: 'kept' }),
    done: async ({ daemon }) => (await there(daemon, '/volumes/kept')) !== undefined,
    undo: ({ daemon }) => gone(daemon, '/volumes/kept'),
  },
  {
    title: 'volume rm',
    prepare: ({ daemon }) => must(daemon, 'POST', '/volumes/create', { Name: 'kept' }),
    call: ({ daemon }) => call(daemon.socket, 'DELETE', '/volumes/kept'),
    done: async ({ daemon }) => (await there(daemon, '/volumes/kept')) === undefined,
    undo: async () => {},
  },
];

/** A daemon with its own count of steps, and the containers it has ever had. */
type Host = { readonly daemon: Daemon; readonly count: string; readonly known: Set<string> };

async function createHost(name: string): Promise<Host> {
  const count = join(tmpdir(), `berth-fault-${process.pid}${name}`);
  return { daemon: await startDaemon(name, { BERTH_FAULT: count }), count, known: new Set() };
}

async function removeHost(host: Host | undefined): Promise<void> {
  await host?.daemon.remove();
  if (host) await rm(host.count, { force: true });
}

/** What was asked to go may be going still. */
const sound = (host: Host, when: string) => eventually(async () => assert.deepEqual(await faultsOf(host.daemon, host.known), [], when), { seconds: 3, every: 50 });

/** The step at which the daemon died, and whether the caller had its answer before; undefined: there are fewer steps. */
async function dieAt(host: Host, story: Story, step: number): Promise<{ readonly where: string; readonly answered: boolean } | undefined> {
  await writeFile(host.count, `${step}`);
  const answer = await story.call(host).catch(() => undefined);
  // Some of it comes after the answer.
  if (answer) await pause(20);
  const where = await readFile(host.count, 'utf8');
  await rm(host.count);
  if (/^\d+$/.test(where)) {
    assert.ok(answer && answer.status < 300, `step ${step}: ${answer?.status} ${answer?.text}`);
    return undefined;
  }
  await host.daemon.ended();
  return { where, answered: answer !== undefined };
}

async function walk(host: Host, story: Story): Promise<readonly string[]> {
  const steps: string[] = [];
  for (let step = 1; ; step += step === 1 || process.env['CRASH_STEPS'] === 'all' ? 1 : 2) {
    await story.prepare(host);
    const death = await dieAt(host, story, step);
    if (!death) {
      await story.undo(host);
      return steps;
    }
    steps.push(death.where);
    const when = `${story.title}, dead at step ${step}: ${death.where}`;
    await host.daemon.start();
    await sound(host, when);
    const done = await story.done(host).catch((error: Error) => assert.fail(`${when}: ${error.message}`));
    assert.ok(done || !death.answered || story.title === 'exec', `${when}: the answer was given, and the change is lost`);
    if (!done) {
      const { status, text } = await story.call(host);
      assert.ok(status < 300, `${when}: once more: ${status} ${text}`);
      if (story.title !== 'exec') assert.ok(await story.done(host), `${when}: once more`);
      await sound(host, `${when}, then once more`);
    }
    await story.undo(host);
  }
}

/** Two daemons side by side: most of the time is spent waiting for one to come back. */
const first = ['create', 'start', 'start again', 'stop'];
const halves = [stories.filter(({ title }) => first.includes(title)), stories.filter(({ title }) => !first.includes(title))];

void describe('killed at every step', { concurrency: 2 }, () => {
  for (const [index, part] of halves.entries()) {
    describe(part.map(({ title }) => title).join(', '), { concurrency: 1 }, () => {
      let host: Host;
      before(async () => { host = await createHost(`-crash-${index}`); });
      after(() => removeHost(host));
      for (const story of part) {
        test(story.title, async t => {
          const began = Date.now();
          const steps = await walk(host, story);
          t.diagnostic(`killed ${steps.length} times in ${Date.now() - began} ms: ${steps.join(', ')}`);
        });
      }
    });
  }
});

// Four clients at work, and a daemon that is killed whenever it pleases chance: what was answered holds.
void describe('killed at random', () => {
  const SECONDS = Number(process.env['SOAK_SECONDS'] ?? 15);
  const chance = randomFrom(Number(process.env['SOAK_SEED'] ?? 7));
  let host: Host;
  before(async () => { host = await createHost('-soak'); });
  after(() => removeHost(host));

  test('nothing that was acknowledged is lost, and nothing is left', async t => {
    const { daemon } = host;
    const end = Date.now() + SECONDS * 1000;
    let kills = 0;
    let calls = 0;
    /** What a client knows of its container; undefined: it has had no answer, and it may be either. */
    const expected = new Map<string, readonly string[]>();
    const client = async (name: string, port: number) => {
      expected.set(name, ['gone']);
      const attempt = async (method: string, path: string, becomes: string, body?: object) => {
        const was = expected.get(name)!;
        expected.set(name, [...new Set([...was, becomes])]);
        try {
          const { status, text } = await call(daemon.socket, method, path, body);
          calls += 1;
          // It may be so already, by a call whose answer was lost.
          assert.ok(status < 400 || status === 404 || status === 409, `${method} ${path}: ${status} ${text}`);
          if (status < 400) expected.set(name, [becomes]);
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error;
          await pause(50);
        }
      };
      while (Date.now() < end) {
        await attempt('POST', `/containers/create?name=${name}`, 'created', { Image: 'busybox', Cmd: ['sleep', '1000'], StopSignal: 'KILL', ExposedPorts: { '80/tcp': {} }, HostConfig: { Binds: [`${name}:/data`], PortBindings: { '80/tcp': [{ HostPort: `${port}` }] } } });
        for (let round = chance(3); round >= 0 && Date.now() < end; round--) {
          await attempt('POST', `/containers/${name}/start`, 'running');
          await pause(chance(50));
          if (chance(2) === 0) await attempt('POST', `/containers/${name}/stop`, 'exited');
        }
        if (Date.now() < end) await attempt('DELETE', `/containers/${name}?force=1&v=1`, 'gone');
      }
    };
    const killer = async () => {
      while (Date.now() < end) {
        await pause(100 + chance(900));
        await daemon.crash();
        kills += 1;
        await daemon.start();
      }
    };
    await Promise.all([killer(), ...[1, 2, 3, 4].map(n => client(`soak${n}`, 21410 + n))]);
    await daemon.crash();
    await daemon.start();
    await sound(host, 'after the soak');
    for (const [name, states] of expected) {
      const is = (await there(daemon, `/containers/${name}/json`))?.State.Status ?? 'gone';
      assert.ok(states.includes(is), `${name} is ${is}, and should be ${states.join(' or ')}`);
    }
    for (const name of expected.keys()) await gone(daemon, `/containers/${name}?force=1&v=1`);
    await sound(host, 'after all are removed');
    t.diagnostic(`${kills} kills, ${calls} calls answered`);
  });
});

/** Numbers below a bound, the same for the same seed. */
function randomFrom(seed: number): (bound: number) => number {
  let state = seed;
  return bound => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

// Containers, networks and volumes: the daemon dies at every step of a call (see support/crash.ts).

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { createHost, gone, must, oneOf, removeHost, there, walk, type Host, type Story } from './support/crash.ts';
import { eventually } from './support/eventually.ts';
import { call } from './support/http.ts';

const network = { Name: 'net', IPAM: { Config: [{ Subnet: '172.31.77.0/24' }] } };
const container = {
  Image: 'busybox',
  Cmd: ['sh', '-c', 'trap "exit 7" TERM; httpd -f -p 8080 -h /data & wait'],
  ExposedPorts: { '8080/tcp': {} },
  Volumes: { '/anonymous': {} },
  HostConfig: { Binds: ['data:/data'], PortBindings: { '8080/tcp': [{ HostPort: '21400' }] }, NetworkMode: 'net' },
  NetworkingConfig: { EndpointsConfig: { net: { IPAMConfig: { IPv4Address: '172.31.77.5' } } } },
};

const made = async ({ daemon }: Host) => {
  await must(daemon, 'POST', '/networks/create', network);
  await must(daemon, 'POST', '/containers/create?name=one', container);
};
const started = async (host: Host) => {
  await made(host);
  await must(host.daemon, 'POST', '/containers/one/start');
  // As the first process of a container, it hears TERM from its trap on, and not before.
  const { Pid } = (await there(host.daemon, '/containers/one/json')).State;
  await eventually(async () => assert.ok(BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(await readFile(`/proc/${Pid}/status`, 'utf8'))?.[1]}`) & (1n << 14n)), { seconds: 20 });
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
          const steps = await walk(host, story, stories.indexOf(story));
          t.diagnostic(`killed ${steps.length} times in ${Date.now() - began} ms: ${steps.join(', ')}`);
        });
      }
    });
  }
});

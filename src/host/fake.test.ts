import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Exit, LogQuery, ProcessListener } from '../engine/host.ts';
import type { HostObject, Operation } from '../operations/operation.ts';
import { fakeHost } from './fake.ts';

const directory = (path: string): HostObject => ({ kind: 'directory', path, mode: 0o755 });
const add = (path: string): Operation => ({ action: 'add', object: directory(path) });
const remove = (path: string): Operation => ({ action: 'remove', object: directory(path) });

test('all or nothing, and as much as possible', async () => {
  const host = fakeHost();
  await host.execute([add('/a'), add('/a'), remove('/gone')]);
  host.refuse((object) => (object.kind === 'directory' && object.path === '/full' ? 'no space left on device' : undefined));
  await assert.rejects(host.execute([add('/b'), remove('/a'), add('/full')]), /cannot add directory \/full: no space left on device/);
  assert.equal(host.render(), 'directory /a');
  assert.equal((await host.attempt([add('/full'), add('/b'), remove('/a')])).length, 1);
  assert.equal(host.render(), 'directory /b');
  assert.ok(host.has(directory('/b')) && !host.has(directory('/full')));
});

test('time goes on', () => {
  const host = fakeHost();
  const times = [host.now(), host.now(), host.now()];
  assert.deepEqual([...times].sort(), times);
});

const listener = () => {
  const seen: string[] = [];
  const exits: Exit[] = [];
  const listener: ProcessListener = { output: (stream, chunk) => (seen.push(`${stream} ${chunk.toString()}`), true), exited: (exit) => void exits.push(exit) };
  return { ...listener, seen, exits };
};
const request = { id: 'c1', run: { kind: 'container', spec: {}, runtime: 'crun' }, tty: false, stdin: true } as const;

test('a process: output, input, its end', async () => {
  const host = fakeHost();
  const client = listener();
  const process = await host.processes.start({ ...request, ...client });
  const fake = host.process('c1');
  process.write(Buffer.from('in'), () => {});
  process.endInput();
  process.write(Buffer.from('late'), () => {});
  process.resize(24, 80);
  fake.print('out');
  fake.print('err', 'stderr');
  assert.deepEqual([fake.input, fake.inputEnded, fake.size, await host.processes.pids('c1')], ['in', true, [24, 80], [process.pid]]);
  fake.end(3);
  fake.end(4);
  assert.deepEqual(client.seen, ['stdout out', 'stderr err']);
  assert.deepEqual(client.exits.map(({ code }) => code), [3]);
  host.processes.forget('c1');
  assert.throws(() => host.process('c1'), /no process of c1/);
});

test('signals: TERM ends it unless it is told otherwise, KILL always does', async () => {
  const host = fakeHost();
  const client = listener();
  const { pid, pidStart } = await host.processes.start({ ...request, ...client });
  host.process('c1').deadly = new Set();
  for (const signal of [1, 15, 9]) host.processes.signal(pid, pidStart, signal);
  assert.deepEqual([host.process('c1').signals, client.exits], [[1, 15, 9], []]);
  await turn();
  assert.deepEqual(client.exits.map(({ code }) => code), [137]);
});

test('the next daemon takes a process up, or hears how it ended', async () => {
  const host = fakeHost();
  const [first, second] = [listener(), listener()];
  const { pid, pidStart } = await host.processes.start({ ...request, ...first });
  const was = { pid, pidStart, tty: false, stdin: true };
  assert.ok('pid' in ((await host.processes.adopt('c1', was, second)) ?? {}));
  host.process('c1').print('hello');
  host.process('c1').end(0);
  assert.deepEqual([first.seen, second.seen, second.exits.length], [[], ['stdout hello'], 1]);
  assert.deepEqual(await host.processes.adopt('c1', was, second), { exit: second.exits[0] });
  assert.equal(await host.processes.adopt('nosuch', was, second), undefined);
});

test('a start that fails', async () => {
  const host = fakeHost();
  host.failStart(new Error('exec: "nosuch": executable file not found in $PATH'));
  await assert.rejects(host.processes.start({ ...request, ...listener() }), /executable file not found/);
  await host.processes.start({ ...request, ...listener() });
});

test('logs: lines, the last few, and what comes', async () => {
  const host = fakeHost();
  const all: LogQuery = { stdout: true, stderr: true, since: undefined, until: undefined, tail: undefined, follow: undefined };
  const read = async (query: Partial<LogQuery>): Promise<string[]> => {
    const texts: string[] = [];
    for await (const batch of host.logs.read('c1', { ...all, ...query })) texts.push(...batch.map(({ text }) => text));
    return texts;
  };
  const log = host.logs.open('c1', {});
  log.write('stdout', Buffer.from('a\nb\nhal'));
  log.write('stderr', Buffer.from('oops\n'));
  assert.deepEqual(await read({}), ['a\n', 'b\n', 'oops\n']);
  assert.deepEqual(await read({ tail: 1 }), ['oops\n']);
  assert.deepEqual(await read({ tail: 0 }), []);
  assert.deepEqual(await read({ stderr: false }), ['a\n', 'b\n']);
  const following = read({ tail: 0, follow: new AbortController().signal });
  await turn();
  log.write('stdout', Buffer.from('f\n'));
  await turn();
  log.close();
  assert.deepEqual(await following, ['half\n']);
  const stop = new AbortController();
  host.logs.open('c1', {});
  const stopped = read({ tail: 0, follow: stop.signal });
  await turn();
  stop.abort();
  assert.deepEqual(await stopped, []);
});

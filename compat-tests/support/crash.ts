// The daemon dies at every single step of a call, and comes back: the call has been made, or it has not, and nothing is left.
// Which step is the next is told by a file that the daemon counts down (src/fault.ts). CI tries the first step and every
// fourth after it, beginning elsewhere for each story; with CRASH_STEPS=all every one is tried.

import assert from 'node:assert/strict';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { faultsOf } from './audit.ts';
import { startDaemon, type Daemon } from './daemon.ts';
import { eventually } from './eventually.ts';
import { call, type Answer } from './http.ts';

export type Story = {
  readonly title: string;
  /** Brings about what the call needs; done once more after each step, when some of it may be there still. */
  readonly prepare: (host: Host) => Promise<unknown>;
  readonly call: (host: Host) => Promise<Answer>;
  /** True: it is as after the call; false: as before it. Throws for anything else. */
  readonly done: (host: Host) => Promise<boolean>;
  /** Takes away what the call has made, so that it can be made again. */
  readonly undo: (host: Host) => Promise<unknown>;
};

/** A call that must succeed. 304 and 409: it is so already. */
export const must = async ({ socket }: Daemon, method: string, path: string, body?: object): Promise<Answer> => {
  const answer = await call(socket, method, path, body);
  assert.ok(answer.status < 400 || answer.status === 409, `${method} ${path}: ${answer.status} ${answer.text}`);
  return answer;
};
export const gone = async ({ socket }: Daemon, path: string): Promise<void> => {
  const { status, text } = await call(socket, 'DELETE', path);
  assert.ok(status < 300 || status === 404, `DELETE ${path}: ${status} ${text}`);
};
export const there = async ({ socket }: Daemon, path: string): Promise<any> => {
  const { status, text, json } = await call(socket, 'GET', path);
  assert.ok(status === 200 || status === 404, `GET ${path}: ${status} ${text}`);
  return status === 200 ? json() : undefined;
};
export const oneOf = <T>(value: T, before: readonly T[], after: readonly T[]): boolean => {
  assert.ok([...before, ...after].includes(value), `neither as before nor as after: ${value}`);
  return after.includes(value);
};

/** A daemon with its own count of steps, and the containers it has ever had. */
export type Host = { readonly daemon: Daemon; readonly count: string; readonly known: Set<string> };

export async function createHost(name: string): Promise<Host> {
  const count = join(tmpdir(), `berth-fault-${process.pid}${name}`);
  return { daemon: await startDaemon(name, { BERTH_FAULT: count }), count, known: new Set() };
}

export async function removeHost(host: Host | undefined): Promise<void> {
  await host?.daemon.remove();
  if (host) await rm(host.count, { force: true });
}

/** What was asked to go may be going still. */
export const sound = (host: Host, when: string) => eventually(async () => assert.deepEqual(await faultsOf(host.daemon, host.known), [], when), { seconds: 10, every: 50 });

/** What the daemon has counted down to, or the step it died at. The file is taken away first: from then on nothing is counted. */
export async function taken(count: string): Promise<string> {
  await rename(count, `${count}.taken`);
  const text = (await readFile(`${count}.taken`, 'utf8')).trim();
  await rm(`${count}.taken`);
  return text;
}

/** The step at which the daemon died, and whether the caller had its answer before; undefined: there are fewer steps. */
export async function dieAt(host: Host, story: Story, step: number): Promise<{ readonly where: string; readonly answered: boolean } | undefined> {
  await writeFile(host.count, `${step}`);
  const answer = await story.call(host).catch(() => undefined);
  // Some of it comes after the answer.
  if (answer) await pause(20);
  const where = await taken(host.count);
  if (/^\d+$/.test(where)) {
    assert.ok(answer && answer.status < 300, `step ${step}: ${answer?.status} ${answer?.text}`);
    return undefined;
  }
  await host.daemon.ended();
  return { where, answered: answer !== undefined };
}

const STRIDE = process.env['CRASH_STEPS'] === 'all' ? 1 : 4;

/** `offset`: where among the first steps it begins, after the very first. */
export async function walk(host: Host, story: Story, offset: number): Promise<readonly string[]> {
  const steps: string[] = [];
  for (let step = 1; ; step += step === 1 ? 1 + (offset % STRIDE) : STRIDE) {
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

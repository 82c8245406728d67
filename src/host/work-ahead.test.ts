import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createWorkAhead } from './work-ahead.ts';

const MIB = 1024 * 1024;
const later = (): { readonly work: Promise<void>; readonly done: () => void; readonly fail: (error: Error) => void } => {
  let [done, fail]: [() => void, (error: Error) => void] = [() => {}, () => {}];
  const work = new Promise<void>((resolve, reject) => ([done, fail] = [resolve, reject]));
  return { work, done, fail };
};

test('there is room up to a limit, and again when some of it is done', async () => {
  const ahead = createWorkAhead();
  const [first, second] = [later(), later()];
  ahead.add(first.work, MIB);
  assert.equal(ahead.room(), undefined);
  ahead.add(second.work, MIB);
  let free = false;
  const room = ahead.room()?.then(() => (free = true));
  await turn();
  assert.equal(free, false);
  first.done();
  await room;
  assert.equal(ahead.room(), undefined);
  second.done();
  await ahead.settled();
});

test('a failure is told to whoever asks next, and nobody waits for what is over', async () => {
  const ahead = createWorkAhead();
  const [bad, good] = [later(), later()];
  ahead.add(bad.work, 1);
  ahead.add(good.work, 1);
  bad.fail(new Error('full'));
  await turn();
  await assert.rejects(ahead.room() ?? Promise.resolve(), /full/);
  good.done();
  await ahead.over();
  await assert.rejects(ahead.room() ?? Promise.resolve(), /full/);
  await assert.rejects(ahead.settled(), /full/);
});

// What waits for a container's end does not keep others from ending it.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dockerOut, inspect } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { http } from './support/http.ts';
import { scope } from './support/scope.ts';

const { name } = scope('stop');

// As pid 1 it hears no signal that it has not asked for.
const deaf = async (word: string) => {
  const box = name(word);
  await dockerOut('run', '-d', '--name', box, 'busybox', 'sleep', '1000');
  return box;
};

describe('stop', () => {
  test('of a paused container: it goes on, and ends', async () => {
    const box = name('paused');
    await dockerOut('run', '-d', '--name', box, 'busybox', 'sh', '-c', 'trap "exit 7" TERM; echo ready; while :; do sleep 0.05; done');
    await eventually(async () => assert.match(await dockerOut('logs', box), /ready/));
    await dockerOut('pause', box);
    assert.equal((await http('POST', `/containers/${box}/stop?t=60`)).status, 204);
    const { Status, ExitCode } = (await inspect(box)).State;
    assert.deepEqual([Status, ExitCode], ['exited', 7]);
  });

  test('that waits for ever: kill and rm -f end it', async () => {
    for (const [word, end] of [['kill', ['kill']], ['rm', ['rm', '-f']]] as const) {
      const box = await deaf(word);
      const stopped = http('POST', `/containers/${box}/stop?t=-1`);
      await eventually(async () => assert.equal((await http('GET', `/events?since=0&until=${Date.now() / 1000 | 0}.999999999&filters=${encodeURIComponent(JSON.stringify({ container: [box], event: ['kill'] }))}`)).text === '', false));
      await dockerOut(...end, box);
      assert.ok([204, 404].includes((await stopped).status));
    }
  });
});

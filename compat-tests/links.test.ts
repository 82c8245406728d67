// --link on the default bridge: where names lead when a linked container comes back elsewhere.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dockerOut, inspect } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { serve } from './support/reach.ts';
import { scope } from './support/scope.ts';

const { name } = scope('links');
const run = (word: string, options: readonly string[], ...command: readonly string[]) => dockerOut('run', '-d', '--name', name(word), ...options, 'busybox', ...command);
const addressOf = async (word: string): Promise<string> => (await inspect(name(word))).NetworkSettings.Networks.bridge.IPAddress;
const hostsOf = async (word: string): Promise<readonly string[]> => (await dockerOut('exec', name(word), 'cat', '/etc/hosts')).split('\n');

describe('docker run --link', () => {
  test('a linked container that comes back at another address is found there', async () => {
    await run('child', ['--stop-signal', 'KILL'], ...serve('child'));
    await run('parent', ['--link', `${name('child')}:db`], 'sleep', '1000');
    const line = async () => (await hostsOf('parent')).filter(each => /\tdb\s/.test(each)).map(each => each.split(/\s+/)[0]);
    assert.deepEqual(await line(), [await addressOf('child')]);

    await dockerOut('stop', name('child'));
    // Somebody else has its address by the time it is back.
    await run('squatter', [], 'sleep', '1000');
    await dockerOut('start', name('child'));
    assert.deepEqual(await line(), [await addressOf('child')]);
    await eventually(async () => assert.equal(await dockerOut('exec', name('parent'), 'wget', '-q', '-O', '-', 'http://db:8080/'), 'child'));
  });
});

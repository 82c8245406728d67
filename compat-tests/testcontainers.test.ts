// testcontainers for Node: the program beside this file. Without its reaper, whose image would have to come from a registry.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from './support/docker.ts';
import { engine } from './support/engine.ts';
import { enter } from './support/hosts.ts';
import { scope } from './support/scope.ts';

const { directory, name } = scope('tc');
const program = fileURLToPath(new URL('testcontainers.ts', import.meta.url));

test('testcontainers', async () => {
  const env = { PREFIX: name(''), HOME: await directory(), TESTCONTAINERS_RYUK_DISABLED: 'true', TESTCONTAINERS_REUSE_ENABLE: 'true' };
  const { stdout, stderr, exitCode } = await run(enter(engine.netns, [process.execPath, '--import', 'tsx', program]), { env, seconds: 110 });
  assert.equal(exitCode, 0, stdout + stderr);
  assert.match(stdout, /^8 of 8 cases$/m);
});

// docker-py, as Debian has it: the program beside this file, case by case.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from './support/docker.ts';
import { scope } from './support/scope.ts';

const { name } = scope('py');
const program = fileURLToPath(new URL('docker-py.py', import.meta.url));
const python = (args: readonly string[]) => run(['/usr/bin/python3', ...args], { env: { PREFIX: name('') }, seconds: 110 });
const there = (await python(['-c', 'import docker']).catch(() => undefined))?.exitCode === 0;

describe('docker-py', { skip: there ? false : 'there is no docker-py here' }, () => {
  for (const cases of ['Containers', 'Streams', 'Around'])
    test(cases, async () => {
      const { stderr, exitCode } = await python(['-W', 'ignore', program, cases]);
      assert.equal(exitCode, 0, stderr);
    });
});

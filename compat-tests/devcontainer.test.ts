// VS Code's devcontainer CLI on an image that is there: up, exec, up again.

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { dockerOut, inspect, run } from './support/docker.ts';
import { scope } from './support/scope.ts';

const { directory, name } = scope('dev');
const program = fileURLToPath(new URL('../node_modules/@devcontainers/cli/devcontainer.js', import.meta.url));

test('devcontainer', async () => {
  const [home, folder] = [await directory(), await directory()];
  const box = name('box');
  await mkdir(join(folder, '.devcontainer'));
  await writeFile(join(folder, 'code.txt'), 'the code\n');
  await writeFile(join(folder, '.devcontainer/devcontainer.json'), JSON.stringify({
    image: 'busybox', runArgs: ['--name', box], containerEnv: { INSIDE: 'yes' }, remoteEnv: { REMOTE: 'there' }, updateRemoteUserUID: false,
    mounts: [`source=${name('cache')},target=/cache,type=volume`], postCreateCommand: 'echo created >>/cache/created', forwardPorts: [8080],
  }));
  // In a network of its own, with nothing in it: it would ask the internet for a list that it can do without.
  const devcontainer = (command: string, ...args: readonly string[]) =>
    run(['unshare', '--net', process.execPath, program, command, '--workspace-folder', folder, '--user-data-folder', home, ...args], { env: { HOME: home } });
  const up = async () => {
    const { stdout, stderr, exitCode } = await devcontainer('up');
    assert.equal(exitCode, 0, stderr);
    return JSON.parse(stdout);
  };

  const { outcome, containerId, remoteUser, remoteWorkspaceFolder } = await up();
  assert.deepEqual([outcome, remoteUser], ['success', 'root']);
  assert.equal((await inspect(box)).Id, containerId);
  const { stdout, exitCode } = await devcontainer('exec', 'sh', '-c', 'pwd; cat code.txt /cache/created; echo $INSIDE $REMOTE; echo made >made; exit 3');
  assert.deepEqual([stdout.replaceAll('\r', ''), exitCode], [`${remoteWorkspaceFolder}\nthe code\ncreated\nyes there\n`, 3]);

  await dockerOut('stop', '-t', '0', box);
  assert.equal((await up()).containerId, containerId);
  assert.equal(await dockerOut('exec', '-w', remoteWorkspaceFolder, box, 'cat', 'made', '/cache/created'), 'made\ncreated');
});

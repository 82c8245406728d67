// berth's own program, against a real daemon.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { describeBerth } from './support/berth.ts';
import { docker, dockerOut, run } from './support/docker.ts';
import { scope } from './support/scope.ts';

const program = join(import.meta.dirname, '../dist/berth.js');
const { name, directory } = scope('cli');
let count = 0;
const berth = (...args: readonly string[]) => run([process.execPath, program, ...args]);
const look = (volume: string, script: string) => dockerOut('run', '--rm', '--name', name(`look${count++}`), '-v', `${volume}:/v`, 'busybox', 'sh', '-c', script);
const done = async (...args: readonly string[]) => {
  const { stdout, stderr, exitCode } = await berth(...args);
  assert.deepEqual([exitCode, stderr], [0, ''], args.join(' '));
  return stdout;
};

describeBerth('berth volume', () => {
  test('backup and restore, with the sha256 that sha256sum knows', async () => {
    const [volume, back] = [name('data'), name('back')];
    await look(volume, 'mkdir /v/d; echo one >/v/d/f; chown 12:34 /v/d; chmod 750 /v');
    const here = await directory();
    const file = join(here, 'data.tar');
    const sum = await done('volume', 'backup', '-o', file, volume);
    assert.equal(sum, `${createHash('sha256').update(await readFile(file)).digest('hex')}  ${file}\n`);
    await done('volume', 'restore', '-i', file, back);
    assert.equal(await look(back, 'cat /v/d/f; stat -c "%u:%g" /v/d; stat -c %a /v; touch /v/extra'), 'one\n12:34\n750');
    await done('volume', 'restore', '--merge', '-i', file, back);
    assert.equal(await look(back, 'ls /v'), 'd\nextra');
    await done('volume', 'restore', '-i', file, back);
    assert.equal(await look(back, 'ls /v'), 'd');
    const refused = await berth('volume', 'restore', '--sha256', '0'.repeat(64), '-i', file, name('never'));
    assert.equal(refused.exitCode, 1);
    assert.match(refused.stderr, /^berth: .*the archive's sha-256 is/);
    assert.equal((await docker('volume', 'inspect', name('never'))).exitCode, 1);
    // A tar reader that stops at the end of the archive breaks no pipe.
    assert.equal((await run(['bash', '-c', 'set -o pipefail; "$@" | tar t', 'bash', process.execPath, program, 'volume', 'backup', volume])).stdout, './\n./d/\n./d/f\n');
  });

  test('backup --all, and one of them damaged afterwards', async () => {
    const volume = name('all');
    await look(volume, 'echo precious >/v/f');
    const here = await directory();
    await done('volume', 'backup', '--all', here);
    assert.ok((await readdir(here)).includes(`${volume}.tar`));
    assert.equal((await run(['bash', '-c', 'cd "$1" && sha256sum --quiet -c SHA256SUMS', 'bash', here])).exitCode, 0);
    await look(volume, 'echo changed >/v/f');
    await truncate(join(here, `${volume}.tar`), 2048);
    assert.equal((await berth('volume', 'restore', '-i', join(here, `${volume}.tar`), volume)).exitCode, 1);
    assert.equal(await look(volume, 'cat /v/f'), 'changed');
  });

  test('clone and rename', async () => {
    const [volume, copy, other] = [name('one'), name('copy'), name('other')];
    await look(volume, 'echo x >/v/f');
    assert.equal(await done('volume', 'clone', '--pause', volume, copy), `${copy}\n`);
    await done('volume', 'rename', copy, other);
    assert.equal(await look(other, 'cat /v/f'), 'x');
    assert.deepEqual(await berth('volume', 'clone', volume, other), { stdout: '', stderr: `berth: volume name ${other} is already in use\n`, exitCode: 1 });
    assert.equal((await berth('volume', 'backup', name('nosuch'))).stderr, `berth: get ${name('nosuch')}: no such volume\n`);
  });

  test('a progress bar on a terminal', async () => {
    const volume = name('bar');
    await look(volume, 'dd if=/dev/zero of=/v/f bs=1M count=20 2>/dev/null');
    const file = join(await directory(), 'x.tar');
    const { stdout } = await run(['script', '-q', '-e', '-E', 'never', '-c', `'${process.execPath}' '${program}' volume backup -o '${file}' '${volume}'`, '/dev/null']);
    // How much there is may be known too late for a bar.
    assert.match(stdout, /\r.*20\.0 MiB.* \S+ [KMG]iB\/s/);
  });
});

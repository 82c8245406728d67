import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { launchOf } from './supervisor.ts';
import { makeFifo } from './syscalls.ts';

test('the end of the input that comes after the end of the process breaks nothing off', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-supervisor-'));
  for (const name of ['in', 'out', 'err', 'hold']) makeFifo(path.join(directory, name), 0o600);
  const ends = { pid: path.join(directory, 'x.pid'), exit: path.join(directory, 'x.exit'), shell: path.join(directory, 'x.shell') };
  const { argv, environment, stdio, close } = launchOf({
    kind: 'container', tty: false, stdin: true, consoleSocket: undefined, runtime: '/bin/true', runtimeRoot: directory, container: 'x', source: directory, directory, ends,
  });
  const [file, ...args] = argv;
  const shell = spawn(file!, args, { env: environment, stdio: [stdio[0]!, 'ignore', 'pipe', stdio[3]!] });
  close();
  const exited = once(shell, 'exit');
  const complaints = text(shell.stderr!);
  while (!fs.existsSync(ends.exit) || fs.readFileSync(ends.exit, 'utf8') === '') await pause(5);
  // It is opening the FIFO, or about to.
  for (let times = 0; times < 10; times++) {
    shell.kill('SIGUSR1');
    await pause(5);
  }
  const hold = fs.openSync(path.join(directory, 'hold'), 'r+');
  fs.writeSync(hold, '\n');
  assert.deepEqual(await exited, [0, null]);
  fs.closeSync(hold);
  assert.equal(await complaints, '');
  fs.rmSync(directory, { recursive: true });
});

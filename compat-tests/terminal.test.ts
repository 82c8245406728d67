// `docker run -it` as a person meets it: a real terminal, its size, the keys that leave a container, several who look on.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { clientVariables, dockerFails, dockerOut, inspect, run } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { scope } from './support/scope.ts';
import { terminal, type Terminal } from './support/terminal.ts';

const { directory, name } = scope('pty');
const CTRL_A = '\x01';
const CTRL_C = '\x03';
const CTRL_P = '\x10';
const CTRL_Q = '\x11';

const runs = async (box: string) => (await inspect(box)).State.Running;

/** What the program on it is told of its size; a resize takes a moment to get there. */
const hasSize = (shell: Terminal, size: string) => eventually(async () => {
  shell.type('stty size\n');
  const [, told] = await shell.sees(/\n(\d+ \d+)\r\n/);
  assert.equal(told, size);
});

describe('a shell on a terminal', () => {
  test('it has the terminal\'s size, also when that changes, and the shell\'s exit code', async () => {
    const shell = terminal(['run', '-it', '--rm', '--name', name('size'), 'busybox'], { rows: 33, columns: 111 });
    await shell.sees(/# /);
    await hasSize(shell, '33 111');
    shell.resize(50, 132);
    await hasSize(shell, '50 132');
    shell.type('exit 7\n');
    assert.equal(await shell.exit, 7);
  });

  test('an interrupt goes to the program in it, not to the client', async () => {
    const shell = terminal(['run', '-it', '--rm', '--name', name('interrupt'), 'busybox']);
    await shell.sees(/# /);
    shell.type('sleep 1000\n');
    await shell.sees(/sleep 1000\r\n/);
    // The shell has to have begun it, or it is the shell that is interrupted.
    await eventually(async () => assert.match(await dockerOut('top', name('interrupt')), /sleep 1000/));
    shell.type(CTRL_C);
    await shell.sees(/\^C\r\n.*# /);
    shell.type('echo $?; exit\n');
    await shell.sees(/\n130\r\n/);
    await shell.exit;
  });

  test('exec -it: a size of its own', async () => {
    const box = name('exec');
    await dockerOut('run', '-d', '--name', box, 'busybox', 'sleep', '1000');
    const shell = terminal(['exec', '-it', box, 'sh'], { rows: 21, columns: 90 });
    await shell.sees(/# /);
    await hasSize(shell, '21 90');
    shell.resize(22, 91);
    await hasSize(shell, '22 91');
    shell.type('exit 5\n');
    assert.equal(await shell.exit, 5);
  });
});

describe('leaving', () => {
  test('ctrl-p ctrl-q leaves it running; attach comes back to it', async () => {
    const box = name('leave');
    const first = terminal(['run', '-it', '--name', box, 'busybox']);
    await first.sees(/# /);
    first.type('word=kept\n');
    await first.sees(/# /);
    first.type(CTRL_P + CTRL_Q);
    assert.equal(await first.exit, 0);
    assert.equal(await runs(box), true);
    const again = terminal(['attach', box], { rows: 44, columns: 88 });
    await again.sees(/# /);
    again.type('echo "it is $word"\n');
    await again.sees(/\nit is kept\r\n/);
    await hasSize(again, '44 88');
    again.type('exit 3\n');
    assert.equal(await again.exit, 3);
    assert.equal(await runs(box), false);
  });

  test('keys of one\'s own; half of them are typed', async () => {
    const box = name('keys');
    const shell = terminal(['run', '-it', '--detach-keys', 'ctrl-a,d', '--name', box, 'busybox', 'cat']);
    await eventually(async () => assert.equal(await runs(box), true));
    shell.type(`${CTRL_A}x${CTRL_P}y\n`);
    await shell.sees(/\x01x\x10y\r\n/);
    shell.type(CTRL_A);
    shell.type('d');
    assert.equal(await shell.exit, 0);
    assert.equal(await runs(box), true);
  });

  test('an exec is left too', async () => {
    const box = name('leaveexec');
    await dockerOut('run', '-d', '--name', box, 'busybox', 'sleep', '1000');
    const shell = terminal(['exec', '-it', box, 'sh']);
    await shell.sees(/# /);
    shell.type(CTRL_P + CTRL_Q);
    await shell.exit;
    assert.match(shell.shown(), /read escape sequence/);
    assert.match(await dockerOut('top', box), / sh\n?$/m);
  });

  test('no such keys', async () => {
    const box = name('nokeys');
    await dockerOut('create', '-it', '--name', box, 'busybox');
    await dockerFails(1, 'unable to upgrade to tcp, received 400', 'start', '-ai', '--detach-keys', 'bogus', box);
  });

  test('a terminal that is taken away leaves the container running', async () => {
    const box = name('window');
    const shell = terminal(['run', '-it', '--name', box, 'busybox']);
    await shell.sees(/# /);
    shell.close();
    await shell.exit;
    assert.equal(await runs(box), true);
    const again = terminal(['attach', box]);
    again.type('echo still here\n');
    await again.sees(/\nstill here\r\n/);
    again.type('exit\n');
    assert.equal(await again.exit, 0);
  });
});

describe('several at once', () => {
  test('all see the same, and each may type', async () => {
    const box = name('several');
    const first = terminal(['run', '-it', '--name', box, 'busybox', 'sh', '-c', 'while read line; do echo "<$line>"; [ "$line" = end ] && exit 4; done']);
    await eventually(async () => assert.equal(await runs(box), true));
    first.type('one\n');
    await first.sees(/<one>/);
    const others = [terminal(['attach', box]), terminal(['attach', box])] as const;
    await eventually(async () => {
      first.type('hello\n');
      for (const other of others) assert.match(other.shown(), /<hello>/);
    }, { seconds: 20, every: 100 });
    others[0].type('two\n');
    await Promise.all([first, ...others].map(each => each.sees(/<two>/)));
    others[1].type(CTRL_P + CTRL_Q);
    await others[1].exit;
    others[0].type('end\n');
    assert.deepEqual(await Promise.all([first.exit, others[0].exit]), [4, 4]);
  });
});

describe('docker context', () => {
  test('create, use, and a command without DOCKER_HOST', async () => {
    const config = await directory();
    const out = async (...args: readonly string[]) => {
      const { stdout, stderr, exitCode } = await run(['docker', '--config', config, ...args], { env: { DOCKER_HOST: '' } });
      assert.equal(exitCode, 0, stderr);
      return stdout.trim();
    };
    await out('context', 'create', 'elsewhere', '--description', 'the one under test', '--docker', `host=${clientVariables.DOCKER_HOST}`);
    await out('context', 'use', 'elsewhere');
    assert.equal(await out('context', 'show'), 'elsewhere');
    assert.equal(await out('info', '-f', '{{.OSType}}'), 'linux');
    assert.equal(await out('run', '--rm', '--name', name('context'), 'busybox', 'echo', 'there'), 'there');
    assert.equal(await out('--context', 'elsewhere', 'version', '-f', '{{.Server.Os}}'), 'linux');
    await out('context', 'use', 'default');
    await out('context', 'rm', 'elsewhere');
  });
});

describe('signals to the client', () => {
  const trapping = ['busybox', 'sh', '-c', 'trap "echo told; exit 9" TERM; trap "echo one" USR1; echo ready; while :; do sleep 0.05; done'];
  const client = (...args: readonly string[]) => {
    const child = spawn('docker', args, { env: { ...process.env, ...clientVariables }, stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    return { child, exit: once(child, 'close'), sees: (what: string, seconds = 20) => eventually(() => assert.ok(text.includes(what), text), { seconds }) };
  };

  test('reach the container', async () => {
    const { child, exit, sees } = client('run', '--name', name('proxy'), ...trapping);
    await sees('ready');
    child.kill('SIGUSR1');
    await sees('one');
    child.kill('SIGTERM');
    await sees('told');
    assert.deepEqual(await exit, [9, null]);
  });

  test('or not, with --sig-proxy=false', async () => {
    const box = name('noproxy');
    await dockerOut('run', '-d', '--name', box, ...trapping);
    const { child, exit } = client('attach', '--sig-proxy=false', '--no-stdin', box);
    await eventually(() => assert.equal(child.exitCode, null));
    child.kill('SIGTERM');
    await exit;
    assert.equal(await runs(box), true);
    assert.equal(await dockerOut('logs', box), 'ready');
    await dockerOut('kill', '-s', 'USR1', box);
    await eventually(async () => assert.equal(await dockerOut('logs', box), 'ready\none'));
  });

  test('attach without a terminal passes them on too', async () => {
    const box = name('attachproxy');
    await dockerOut('run', '-d', '--name', box, ...trapping);
    const { child, exit, sees } = client('attach', box);
    await eventually(async () => {
      // What was said before the client was attached, it does not see.
      await dockerOut('kill', '-s', 'USR1', box);
      await sees('one', 0.5);
    }, { seconds: 20 });
    child.kill('SIGTERM');
    assert.deepEqual(await exit, [9, null]);
  });
});

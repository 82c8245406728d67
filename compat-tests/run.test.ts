// docker run: what goes in, what comes out, and how it ends.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readFile, writeFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { docker, dockerBytes, dockerFails, dockerOnTerminal, dockerOut, dockerWith, inspect } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { scope } from './support/scope.ts';

const { name, directory } = scope('run');
let count = 0;

// Every container gets a name, so that what stays behind can be told from what others have on the engine.
const once = (...args: string[]) => docker('run', '--rm', '--name', name(`once${count++}`), ...args);
const onceOut = async (...args: string[]) => {
  const { stdout, stderr, exitCode } = await once(...args);
  assert.equal(exitCode, 0, stderr);
  return stdout;
};

describe('exit codes', () => {
  for (const code of [0, 1, 42, 255]) test(`${code}`, async () => assert.equal((await once('busybox', 'sh', '-c', `exit ${code}`)).exitCode, code));

  test('137: killed', async () => {
    const box = name('killed');
    const running = docker('run', '--name', box, 'busybox', 'sleep', '1000');
    await eventually(() => dockerOut('kill', box));
    assert.equal((await running).exitCode, 137);
  });

  test('125: the engine refuses', async () => {
    await dockerFails(125, /invalid reference format/, 'run', '--rm', 'busybox:bad:tag');
    await dockerFails(125, /No such container: ct-nosuch/, 'run', '--rm', '--name', name('never'), '--volumes-from', 'ct-nosuch', 'busybox', 'true');
  });

  test('126: cannot be executed', async () => {
    await dockerFails(126, /exec: "\/etc": (is a directory|permission denied)/, 'run', '--rm', '--name', name('r126'), 'busybox', '/etc');
  });

  test('127: no such command', async () => {
    const box = name('r127');
    await dockerFails(127, 'exec: "nosuchcommand": executable file not found in $PATH', 'run', '--name', box, 'busybox', 'nosuchcommand');
    const { State } = await inspect(box);
    assert.deepEqual([State.Status, State.ExitCode, State.Running, State.Pid], ['created', 127, false, 0]);
    assert.match(State.Error, /exec: "nosuchcommand": executable file not found in \$PATH/);
  });

  test('127: no such file', () => dockerFails(127, /exec: "\/nosuch": stat \/nosuch: no such file or directory/, 'run', '--rm', '--name', name('r127f'), 'busybox', '/nosuch'));
});

describe('output', () => {
  test('stdout and stderr stay apart', async () => {
    assert.deepEqual(await once('busybox', 'sh', '-c', 'echo out; echo err >&2; exit 42'), { stdout: 'out\n', stderr: 'err\n', exitCode: 42 });
  });

  test('an unfinished last line arrives', async () => assert.equal(await onceOut('busybox', 'printf', 'no newline'), 'no newline'));

  test('a long line arrives whole', async () => {
    assert.equal(await onceOut('busybox', 'sh', '-c', 'head -c 300000 /dev/zero | tr "\\0" x'), 'x'.repeat(300_000));
  });

  test('a container that ends at once loses nothing', async () => {
    const outputs = await Promise.all(Array.from({ length: 6 }, (_, index) => onceOut('busybox', 'echo', `${index}`)));
    assert.deepEqual(outputs, outputs.map((_, index) => `${index}\n`));
  });

  test('more than a megabyte, byte by byte', async () => {
    const bytes = randomBytes(5 * 1024 * 1024 + 3);
    const shared = await directory();
    await writeFile(join(shared, 'blob'), bytes);
    const { stdout, exitCode } = await dockerBytes(undefined, 'run', '--rm', '--name', name('large'), '-v', `${shared}:/in:ro`, 'busybox', 'cat', '/in/blob');
    assert.equal(exitCode, 0);
    assert.ok(stdout.equals(bytes), `${stdout.length} of ${bytes.length} bytes`);
  });

  test('-d prints the id and nothing else', async () => {
    const { stdout, stderr } = await docker('run', '-d', '--name', name('detached'), 'busybox', 'echo', 'unseen');
    assert.match(stdout, /^[0-9a-f]{64}\n$/);
    assert.equal(stderr, '');
  });

  test('-a stdout shows only that', async () => {
    assert.deepEqual(await once('-a', 'stdout', 'busybox', 'sh', '-c', 'echo out; echo err >&2'), { stdout: 'out\n', stderr: '', exitCode: 0 });
  });
});

describe('input', () => {
  test('-i brings stdin, and its end', async () => {
    const { stdout, exitCode } = await dockerWith({ input: 'through stdin\n' }, 'run', '-i', '--rm', '--name', name('stdin'), 'busybox', 'cat');
    assert.deepEqual([stdout, exitCode], ['through stdin\n', 0]);
  });

  test('without -i stdin is empty', async () => {
    assert.equal((await dockerWith({ input: 'unseen\n' }, 'run', '--rm', '--name', name('nostdin'), 'busybox', 'cat')).stdout, '');
  });

  test('binary stdin to stdout, byte by byte', async () => {
    const bytes = randomBytes(2 * 1024 * 1024 + 5);
    const { stdout, exitCode } = await dockerBytes(bytes, 'run', '-i', '--rm', '--name', name('binary'), 'busybox', 'cat');
    assert.equal(exitCode, 0);
    assert.ok(stdout.equals(bytes), `${stdout.length} of ${bytes.length} bytes`);
  });

  test('stdin that the program does not read does not keep it', async () => {
    assert.equal((await dockerWith({ input: 'ignored\n' }, 'run', '-i', '--rm', '--name', name('unread'), 'busybox', 'echo', 'done')).stdout, 'done\n');
  });
});

describe('a terminal', () => {
  test('-t', async () => {
    const { stdout, exitCode } = await dockerOnTerminal('', 'run', '--rm', '-t', '--name', name('tty'), 'busybox', 'sh', '-c', 'tty; echo err >&2; exit 6');
    assert.deepEqual([stdout, exitCode], ['/dev/pts/0\nerr\n', 6]);
  });

  test('-it is a shell to talk to', async () => {
    const { stdout, exitCode } = await dockerOnTerminal('echo $((6*7))\nexit 3\n', 'run', '--rm', '-it', '--name', name('shell'), 'busybox');
    assert.match(stdout, /^42$/m);
    assert.equal(exitCode, 3);
  });

  test('the stream is raw: a newline is CR LF', async () => {
    assert.equal(await onceOut('-t', 'busybox', 'echo', 'hello'), 'hello\r\n');
  });

  test('-t sets TERM, and HOME, PATH and HOSTNAME are there', async () => {
    const lines = (await onceOut('-t', '-h', 'box', 'busybox', 'env')).split('\r\n').filter(line => line !== '').sort();
    assert.deepEqual(lines, ['HOME=/root', 'HOSTNAME=box', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm']);
  });
});

describe('options', () => {
  test('-e, with and without a value', async () => {
    const { stdout } = await dockerWith({ env: { FROM_CLIENT: 'there' } }, 'run', '--rm', '--name', name('env'), '-e', 'A=1', '-e', 'EMPTY=', '-e', 'FROM_CLIENT', '-e', 'MULTI=a b\nc', 'busybox', 'sh', '-c', 'echo "$A|$EMPTY|$FROM_CLIENT|$MULTI"');
    assert.equal(stdout, '1||there|a b\nc\n');
  });

  test('--env-file', async () => {
    const file = join(await directory(), 'env');
    await writeFile(file, '# a comment\nA=1\n\nB=two words\n');
    assert.equal(await onceOut('--env-file', file, 'busybox', 'sh', '-c', 'echo "$A|$B"'), '1|two words\n');
  });

  test('-w, which is made when missing', async () => assert.equal(await onceOut('-w', '/made/for/this', 'busybox', 'pwd'), '/made/for/this\n'));

  test('-w must be absolute', () => dockerFails(125, "the working directory 'relative' is invalid, it needs to be an absolute path", 'run', '--rm', '--name', name('relative'), '-w', 'relative', 'busybox', 'pwd'));

  test('-u by number', async () => assert.equal(await onceOut('-u', '5:6', 'busybox', 'id'), 'uid=5 gid=6 groups=6\n'));
  test('-u by name', async () => assert.equal(await onceOut('-u', 'root', 'busybox', 'id', '-u'), '0\n'));
  test('-u nobody knows', () => dockerFails(125, 'unable to find user nosuch: no matching entries in passwd file', 'run', '--rm', '--name', name('nouser'), '-u', 'nosuch', 'busybox', 'id'));
  test('--group-add', async () => assert.match(await onceOut('--group-add', '77', 'busybox', 'id', '-G'), /^0( 10)? 77\n$/));

  test('-h', async () => assert.equal(await onceOut('-h', 'somebody', 'busybox', 'hostname'), 'somebody\n'));

  test('--entrypoint replaces, and its arguments follow', async () => assert.equal(await onceOut('--entrypoint', 'echo', 'busybox', 'hello', 'you'), 'hello you\n'));
  test('--entrypoint drops the image\'s command', async () => assert.equal(await onceOut('--entrypoint', 'echo', 'busybox'), '\n'));

  test('-l and --label-file', async () => {
    const file = join(await directory(), 'labels');
    await writeFile(file, 'from=file\n');
    const box = name('labels');
    await dockerOut('create', '--name', box, '-l', 'k=v', '-l', 'bare', '--label-file', file, 'busybox');
    assert.deepEqual((await inspect(box)).Config.Labels, { k: 'v', bare: '', from: 'file' });
  });

  test('--cidfile', async () => {
    const file = join(await directory(), 'id');
    const id = await dockerOut('run', '-d', '--cidfile', file, '--name', name('cidfile'), 'busybox', 'true');
    assert.equal(await readFile(file, 'utf8'), id);
  });

  test('--read-only', async () => {
    const { stderr, exitCode } = await once('--read-only', 'busybox', 'touch', '/x');
    assert.deepEqual([stderr, exitCode], ['touch: /x: Read-only file system\n', 1]);
  });

  test('--stop-signal and --stop-timeout are kept', async () => {
    const box = name('stopsignal');
    await dockerOut('create', '--name', box, '--stop-signal', 'SIGUSR1', '--stop-timeout', '3', 'busybox');
    const { Config } = await inspect(box);
    assert.deepEqual([Config.StopSignal, Config.StopTimeout], ['SIGUSR1', 3]);
  });

  test('--ulimit, --sysctl, --shm-size', async () => {
    assert.equal(await onceOut('--ulimit', 'nofile=123:456', '--sysctl', 'net.ipv4.ip_forward=0', '--shm-size', '1m', 'busybox', 'sh', '-c', 'ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward; df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2'), '123\n456\n0\n1024\n');
  });
});

describe('--rm', () => {
  test('nothing is left, not even the anonymous volume', async () => {
    const box = name('rm');
    const volumeOf = dockerOut('run', '--rm', '--name', box, '-v', '/data', 'busybox', 'sh', '-c', 'grep " /data " /proc/self/mountinfo');
    const volume = /[0-9a-f]{64}/.exec((await volumeOf).split(' ')[3]!)![0];
    await eventually(async () => {
      assert.equal(await dockerOut('ps', '-aq', '--filter', `name=${box}`), '');
      assert.equal(await dockerOut('volume', 'ls', '-q', '--filter', `name=${volume}`), '');
    });
  });

  test('a named volume stays', async () => {
    const volume = name('stays');
    await onceOut('-v', `${volume}:/data`, 'busybox', 'touch', '/data/f');
    assert.equal(await dockerOut('volume', 'ls', '-q', '--filter', `name=${volume}`), volume);
  });

  test('with -d too', async () => {
    const box = name('rmd');
    await dockerOut('run', '-d', '--rm', '--name', box, 'busybox', 'true');
    await eventually(async () => assert.equal(await dockerOut('ps', '-aq', '--filter', `name=${box}`), ''));
  });

  test('the name is free when the client is back', async () => {
    const box = name('again');
    for (let round = 0; round < 4; round++) assert.equal((await docker('run', '--rm', '--name', box, 'busybox', 'true')).exitCode, 0);
  });

  test('not with --restart', () => dockerFails(125, /[Cc]onflicting options: (--restart and --rm|cannot specify both --restart and --rm)/, 'run', '--rm', '--restart', 'always', 'busybox'));
});

describe('--restart', () => {
  test('on-failure:2', async () => {
    const box = name('onfailure');
    await dockerOut('run', '-d', '--name', box, '--restart', 'on-failure:2', 'busybox', 'false');
    await eventually(async () => {
      const { RestartCount, State } = await inspect(box);
      assert.deepEqual([RestartCount, State.Status, State.ExitCode], [2, 'exited', 1]);
    });
  });

  test('always, until it is stopped', async () => {
    const box = name('always');
    await dockerOut('run', '-d', '--name', box, '--restart', 'always', 'busybox', 'sh', '-c', 'sleep 0.1');
    await eventually(async () => assert.ok((await inspect(box)).RestartCount >= 1));
    await dockerOut('stop', '-t', '1', box);
    const { State } = await inspect(box);
    assert.deepEqual([State.Running, State.Restarting], [false, false]);
  });

  test('not after a clean end with on-failure', async () => {
    const box = name('clean');
    await dockerOut('run', '-d', '--name', box, '--restart', 'on-failure', 'busybox', 'true');
    assert.equal(await dockerOut('wait', box), '0');
    assert.equal((await inspect(box)).RestartCount, 0);
  });
});

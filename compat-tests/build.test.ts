// docker build, by the classic builder.

import assert from 'node:assert/strict';
import { execa } from 'execa';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { after, describe, test } from 'node:test';
import { isBerth } from './support/berth.ts';
import { build, buildOf, remember } from './support/builds.ts';
import { docker, dockerode, dockerOut, dockerWith, inspect } from './support/docker.ts';
import { engine } from './support/engine.ts';
import { eventually } from './support/eventually.ts';
import { enter } from './support/hosts.ts';
import { http } from './support/http.ts';
import { scope } from './support/scope.ts';
import { tar } from './support/tars.ts';

const { name, directory } = scope('build');
const legacy = { env: { DOCKER_BUILDKIT: '0' } };
const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
let count = 0;
const once = (ref: string, ...args: string[]) => dockerOut('run', '--rm', '--name', name(`once${count++}`), ref, ...args);
const imageOf = async (ref: string) => (await http('GET', `/images/${ref}/json`)).json();
const historyOf = async (ref: string) => ((await http('GET', `/images/${ref}/history`)).json() as readonly any[]).map(({ CreatedBy }) => CreatedBy as string);

/** A directory with these files, and builds of it by the CLI. */
const cli = async (files: Readonly<Record<string, string>>) => {
  const path = await directory();
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text);
  return {
    path,
    build: async (...args: string[]) => {
      const result = await dockerWith(legacy, 'build', '--force-rm', ...args, path);
      remember(result.stdout);
      return { ...result, text: result.stdout.replace(/\b[0-9a-f]{12}\b/g, 'ID') };
    },
  };
};

describe('docker build', () => {
  test('says what it does, step by step, and the next time that it has done so', async () => {
    const mark = name('steps');
    const { build } = await cli({ Dockerfile: `FROM busybox\nENV MARK=${mark}\nRUN echo one; echo $MARK >/mark\nCOPY f /dir/\nCMD ["cat", "/mark", "/dir/f"]\n`, f: 'file\n' });
    const first = await build('-t', mark);
    assert.equal(first.exitCode, 0, first.stderr);
    const steps = (done: (container: string) => string) => [
      'Step 1/5 : FROM busybox', ' ---> ID',
      `Step 2/5 : ENV MARK=${mark}`, done(''), ' ---> ID',
      'Step 3/5 : RUN echo one; echo $MARK >/mark', done('one\n'), ' ---> ID',
      'Step 4/5 : COPY f /dir/', ...(done('') === ' ---> Using cache' ? [' ---> Using cache'] : []), ' ---> ID',
      'Step 5/5 : CMD ["cat", "/mark", "/dir/f"]', done(''), ' ---> ID',
      'Successfully built ID', `Successfully tagged ${mark}:latest`, '',
    ].join('\n');
    const withoutContext = (text: string) => text.replace(/^Sending build context[^\n]*\n/, '');
    assert.equal(withoutContext(first.text), steps(output => ` ---> Running in ID\n${output} ---> Removed intermediate container ID`));
    assert.equal(await once(mark), `${mark}\nfile`);

    const second = await build('-t', mark);
    assert.equal(withoutContext(second.text), steps(() => ' ---> Using cache'));
    const third = await build('--no-cache', '-q');
    assert.match(third.stdout, /^sha256:[0-9a-f]{64}\n$/);
    remember(` ---> ${third.stdout.slice(7, 19)}`);
  });

  test('what a changed file makes new, and what not', async () => {
    const dockerfile = `FROM busybox\nLABEL mark=${name('cache')}\nCOPY a /a\nCOPY d /d\nRUN cat /a\n`;
    const at = (a: string, mtime = new Date(0), mode = 0o644) => ({ a: { body: a, mtime }, 'd/f': { body: 'f', mtime, mode } });
    const cached = ({ text }: { text: string }) => text.match(/Using cache/g)?.length ?? 0;
    assert.equal(cached(await build(dockerfile, at('1'))), 0);
    assert.equal(cached(await build(dockerfile, at('1', new Date(1e12)))), 4, 'times do not count');
    assert.equal(cached(await build(dockerfile, at('2'))), 1, 'content does');
    assert.equal(cached(await build(dockerfile, at('1', undefined, 0o600))), 2, 'so does the mode');
    assert.equal(cached(await build(dockerfile, at('1'), { nocache: '1' })), 0);
    assert.equal(cached(await build(`${dockerfile}ARG x\nRUN true`, at('1'), { buildargs: '{"x":"1"}' })), 4);
    assert.equal(cached(await build(`${dockerfile}ARG x\nRUN true`, at('1'), { buildargs: '{"x":"2"}' })), 5, 'an argument makes another RUN');
  });

  test('a Dockerfile from elsewhere, which is not in the context', async () => {
    const { path } = await cli({ a: '1', b: '2', '.dockerignore': 'b\n' });
    const elsewhere = join(await directory(), 'Elsewhere');
    await writeFile(elsewhere, `FROM busybox\nCOPY . /t\nLABEL mark=${name('elsewhere')}\n`);
    const { stdout, exitCode, stderr } = await dockerWith(legacy, 'build', '-t', name('elsewhere'), '-f', elsewhere, path);
    remember(stdout);
    assert.equal(exitCode, 0, stderr);
    assert.equal(await once(name('elsewhere'), 'find', '/t', '-type', 'f'), '/t/.dockerignore\n/t/a');
  });

  test('a Dockerfile on standard input; a compressed context', async () => {
    const alone = await dockerWith({ ...legacy, input: `FROM busybox\nRUN echo ${name('alone')}\n` }, 'build', '-');
    remember(alone.stdout);
    assert.match(alone.stdout, /Successfully built/);
    const context = await tar([{ name: 'Dockerfile', body: 'FROM busybox\nCOPY a /a\n' }, { name: 'a', body: name('packed') }]);
    for (const packed of [gzipSync(context), await piped('xz', context), await piped('zstd', context), await piped('bzip2', context)]) {
      const { status, error, id } = await buildOf(packed);
      assert.deepEqual([status, error], [200, undefined]);
      assert.equal(await once(id, 'cat', '/a'), name('packed'));
    }
  });

  test('by dockerode, with everything that a container can be given', async () => {
    const dockerfile = 'FROM busybox\nRUN grep elsewhere /etc/hosts; df -k /dev/shm | tail -1; ulimit -n; ip link | grep -c :\n';
    const context = await tar([{ name: 'x/Df', body: dockerfile }]);
    // Its types know neither several names nor all of the parameters.
    const options: any = {
      t: [name('rode'), name('rode:2')], dockerfile: 'x/Df', nocache: true, rm: true, forcerm: true, networkmode: 'none', extrahosts: 'elsewhere:192.0.2.1', shmsize: 32 << 20,
      memory: 64 << 20, cpushares: 512, ulimits: JSON.stringify([{ Name: 'nofile', Soft: 500, Hard: 600 }]), labels: { from: 'rode' },
    };
    const stream = await (dockerode.buildImage as (context: Readable, options: any) => Promise<NodeJS.ReadableStream>).call(dockerode, Readable.from([context]), options);
    const messages = await new Promise<readonly any[]>((resolve, reject) => dockerode.modem.followProgress(stream, (error, all) => (error ? reject(error) : resolve(all))));
    const text = messages.map(message => message.stream ?? '').join('');
    remember(text);
    assert.match(text, /192\.0\.2\.1\s+elsewhere\nshm +32768 .*\n500\n\d+\n/);
    assert.match(text, new RegExp(`Successfully tagged ${name('rode')}:latest\nSuccessfully tagged ${name('rode')}:2\n`));
    assert.equal((await imageOf(name('rode:2'))).Config.Labels.from, 'rode');
  });

  test('a client that goes away ends the build, and nothing of it stays', async () => {
    const mark = name('gone');
    const context = await tar([{ name: 'Dockerfile', body: `FROM busybox\nRUN echo ${mark}; sleep 1000\n` }]);
    const client = request({ socketPath: engine.socket, method: 'POST', path: '/build?nocache=1', agent: false, headers: { 'content-type': 'application/x-tar' } });
    client.on('error', () => undefined).end(context);
    const running = () => dockerode.listContainers({ all: true }).then(all => all.filter(({ Command }) => Command.includes(mark.slice(0, 12))));
    await new Promise<void>(resolve => client.on('response', response => response.on('error', () => undefined).on('data', (chunk: Buffer) => chunk.includes(`${mark}\\n`) && resolve())));
    assert.equal((await running()).length, 1);
    client.destroy();
    await eventually(async () => assert.equal((await running()).length, 0), { seconds: 30 });
  });
});

describe('what the image is', () => {
  test('every instruction', async () => {
    const { id, error } = await build(`FROM busybox
MAINTAINER me <me@x>
ARG who=world
ENV A=1 B="two words" C=$who
ENV old form
LABEL a=b "c d"=e x='y z'
RUN echo hi $who > /a
RUN ["true", "exec form"]
WORKDIR /work
WORKDIR sub
USER 1000:1000
EXPOSE 80 53/udp 100-101
VOLUME /data
VOLUME ["/d2", "/d3"]
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=90s --timeout=3s --retries=2 CMD wget -q x
ONBUILD RUN echo onbuild
SHELL ["/bin/sh", "-ec"]
COPY f1 /f1
ADD f1 f2 /dir/
ENTRYPOINT ["sh", "-c"]
CMD echo hello
`, { f1: '1', f2: '2' }, { labels: '{"q":"$v","b":"w"}' });
    assert.equal(error, undefined);
    const { Config, Author, Parent } = await imageOf(id);
    const { User, ExposedPorts, Env, Cmd, Healthcheck, Volumes, WorkingDir, Entrypoint, OnBuild, Labels, StopSignal, Shell } = Config;
    assert.equal(Author, 'me <me@x>');
    assert.match(Parent, /^sha256:/);
    assert.deepEqual({ User, ExposedPorts, Env, Cmd, Healthcheck, Volumes, WorkingDir, Entrypoint, OnBuild, Labels, StopSignal, Shell }, {
      User: '1000:1000', ExposedPorts: { '100/tcp': {}, '101/tcp': {}, '53/udp': {}, '80/tcp': {} }, Env: [DEFAULT_PATH, 'A=1', 'B=two words', 'C=world', 'old=form'],
      Cmd: ['/bin/sh', '-ec', 'echo hello'], Healthcheck: { Test: ['CMD-SHELL', 'wget -q x'], Interval: 90e9, Timeout: 3e9, Retries: 2 },
      Volumes: { '/d2': {}, '/d3': {}, '/data': {} }, WorkingDir: '/work/sub', Entrypoint: ['sh', '-c'], OnBuild: ['RUN echo onbuild'],
      Labels: { a: 'b', b: 'w', 'c d': 'e', q: '$v', x: 'y z' }, StopSignal: 'SIGUSR1', Shell: ['/bin/sh', '-ec'],
    });
    assert.deepEqual((await historyOf(id)).map(line => line.replace(/:[0-9a-f]{64}/, ':DIGEST')).slice(0, -1).reverse(), [
      '/bin/sh -c #(nop)  MAINTAINER me <me@x>', '/bin/sh -c #(nop)  ARG who=world', '/bin/sh -c #(nop)  ENV A=1 B=two words C=world', '/bin/sh -c #(nop)  ENV old=form',
      '/bin/sh -c #(nop)  LABEL a=b c d=e x=y z', '|1 who=world /bin/sh -c echo hi $who > /a', '|1 who=world true exec form', '/bin/sh -c #(nop) WORKDIR /work',
      '/bin/sh -c #(nop) WORKDIR /work/sub', '/bin/sh -c #(nop)  USER 1000:1000', '/bin/sh -c #(nop)  EXPOSE 100-101 53/udp 80', '/bin/sh -c #(nop)  VOLUME [/data]',
      '/bin/sh -c #(nop)  VOLUME [/d2 /d3]', '/bin/sh -c #(nop)  STOPSIGNAL SIGUSR1', `/bin/sh -c #(nop)  HEALTHCHECK &{["CMD-SHELL" "wget -q x"] "1m30s" "3s" "0s" "0s" '\\x02'}`,
      '/bin/sh -c #(nop)  ONBUILD RUN echo onbuild', '/bin/sh -ec #(nop)  SHELL [/bin/sh -ec]', '/bin/sh -ec #(nop) COPY file:DIGEST in /f1 ', '/bin/sh -ec #(nop) ADD multi:DIGEST in /dir/ ',
      '/bin/sh -ec #(nop)  ENTRYPOINT ["sh" "-c"]', '/bin/sh -ec #(nop)  CMD ["/bin/sh" "-ec" "echo hello"]', '/bin/sh -ec #(nop)  LABEL b=w', '/bin/sh -ec #(nop)  LABEL q=$v',
    ]);
  });

  test('variables', async () => {
    const { text, id } = await build(`ARG v=latest
ARG w=\${v}
FROM busybox:\${w}
ENV x=X e=
ENV r="\${x:-d} \${n:-d} \${n:+p} \${x:+p} $x \\$x \${e:-d} \${e-d} \${x}y $xy \${n:-\${x}}" s='\${x}' t=$x/"$x"\\ z
RUN echo [$v] [$given] [$HTTP_PROXY]
ARG v
ARG given=default
ARG x=hidden
RUN echo [$v] [$given] [$x]
`, {}, { buildargs: JSON.stringify({ given: 'one', HTTP_PROXY: 'proxy', unused: '1' }), nocache: '1' });
    assert.deepEqual((await imageOf(id)).Config.Env, [DEFAULT_PATH, 'x=X', 'e=', 'r=X d  p X $x d  Xy  X', 's=${x}', 't=X/X z']);
    assert.match(text, /\n\[\] \[\] \[proxy\]\n/);
    assert.match(text, /\n\[latest\] \[one\] \[X\]\n/);
    assert.match(text, /\n\[Warning\] One or more build-args \[unused\] were not consumed\nSuccessfully built/);
    assert.equal((await historyOf(id))[0], '|2 given=one v=latest /bin/sh -c echo [$v] [$given] [$x]');
  });

  test('stages, and files of theirs and of images', async () => {
    const dockerfile = `FROM busybox AS one\nRUN echo ${name('stage')} > /x\nARG a=1\nENV b=$a\nFROM scratch AS two\nCOPY --from=One /x /y\nFROM one\nRUN echo [$a] [$b]\nCOPY --from=1 /y /z\nCOPY --from=busybox etc/passwd /\n`;
    const { text, id, messages } = await build(dockerfile, {}, { nocache: '1' });
    assert.match(text, /\n\[\] \[1\]\n/);
    assert.match(text, /\nStep 5\/10 : FROM scratch AS two\n ---> \nStep 6/);
    assert.equal(messages.filter(({ aux }) => aux !== undefined).length, 3, 'one image a stage');
    assert.equal(await once(id, 'cat', '/z', '/passwd'), `${name('stage')}\nroot:x:0:0:root:/root:/bin/sh`);
    const part = await build(dockerfile, {}, { target: 'TWO' });
    assert.match(part.text, /^Step 1\/6 /);
    assert.equal((await imageOf(part.id)).RootFS.Layers.length, 1);
  });

  test('triggers of an image that is built on', async () => {
    const base = await build(`FROM busybox\nONBUILD RUN echo ${name('trigger')} > /t\nONBUILD COPY f /f\n`, {}, { t: name('onbuild') });
    assert.equal(base.error, undefined);
    const { text, id } = await build(`FROM ${name('onbuild')}\nRUN cat /t /f\n`, { f: 'file' }, { nocache: '1' });
    assert.match(text, new RegExp(`^Step 1/2 : FROM .*\n# Executing 2 build triggers\n ---> Running in ID\n ---> Removed intermediate container ID\n ---> ID\nStep 2/2 .*\n ---> Running in ID\n${name('trigger')}\nfile`));
    assert.equal((await imageOf(id)).Config.OnBuild, null);
  });

  test('a cache from an image whose parents are not here', async () => {
    const dockerfile = `FROM busybox\nRUN echo ${name('pulled')} > /p\nENV a=b\n`;
    const first = await build(dockerfile, {}, { t: name('pulled') });
    const { stdout } = await execa('docker', ['save', name('pulled')], { env: { DOCKER_HOST: `unix://${engine.socket}` }, encoding: 'buffer' });
    await dockerOut('rmi', '-f', name('pulled'));
    await execa('docker', ['load'], { env: { DOCKER_HOST: `unix://${engine.socket}` }, input: stdout });
    const second = await build(dockerfile, {}, { cachefrom: JSON.stringify([name('pulled')]) });
    assert.equal(second.text.match(/Using cache/g)?.length, 2, second.text);
    assert.deepEqual((await imageOf(second.id)).RootFS, (await imageOf(first.id)).RootFS);
  });
});

describe('COPY and ADD', () => {
  const inner = tar([{ name: 'in/', type: 'directory', mode: 0o700, uid: 5, gid: 6 }, { name: 'in/f', mode: 0o640, uid: 5, gid: 6, body: 'f' }, { name: 'su', mode: 0o4755, uid: 7, gid: 7, body: 's' }, { name: '../../../out', body: 'o' }]);
  const files = async () => ({
    a: '1', 'b.txt': '22', x: { mode: 0o755, uid: 1000, gid: 1000, body: 'x' }, su: { mode: 0o4755, body: 's' }, 'sp ace': '3', '[x]': '4',
    'd/': { type: 'directory', mode: 0o750 }, 'd/f': 'df', 'd/sub/': { type: 'directory', mode: 0o711 }, 'd/sub/g': 'g', 'd/l': { type: 'symlink', linkname: 'f' },
    rel: { type: 'symlink', linkname: 'a' }, dl: { type: 'symlink', linkname: 'd' }, out: { type: 'symlink', linkname: '../../../etc/passwd' },
    't.tar': { body: await inner }, 't.tgz': { body: gzipSync(await inner) }, 'bad.tar': 'not a tar',
  } as const);
  const list = 'RUN cd /t && find . -exec stat -c "%n %a %u:%g %F" {} + | sort';
  const rows: [instructions: string, ...listed: string[]][] = [
    ['COPY a /t/', '. 755 0:0 directory', './a 644 0:0 regular file'],
    ['COPY a x /t/', '. 755 0:0 directory', './a 644 0:0 regular file', './x 755 0:0 regular file'],
    ['COPY su /t/', '. 755 0:0 directory', './su 755 0:0 regular file'],
    ['COPY d /t', '. 755 0:0 directory', './f 644 0:0 regular file', './l 777 0:0 symbolic link', './sub 711 0:0 directory', './sub/g 644 0:0 regular file'],
    ['COPY d/sub /t/new/', '. 755 0:0 directory', './new 755 0:0 directory', './new/g 644 0:0 regular file'],
    ['COPY *.txt a* /t/', '. 755 0:0 directory', './a 644 0:0 regular file', './b.txt 644 0:0 regular file'],
    ['COPY ["sp ace", "/t/"]', '. 755 0:0 directory', './sp ace 644 0:0 regular file'],
    ['COPY [[]x] /t/', '. 755 0:0 directory', './[x] 644 0:0 regular file'],
    ['COPY rel /t/', '. 755 0:0 directory', './rel 644 0:0 regular file'],
    ['COPY dl/sub /t/', '. 755 0:0 directory', './g 644 0:0 regular file'],
    ['COPY --chown=5:6 d/sub /t/n/', '. 755 0:0 directory', './n 755 5:6 directory', './n/g 644 5:6 regular file'],
    ['COPY --chown=5:6 a /t/n/', '. 755 5:6 directory', './n 755 5:6 directory', './n/a 644 5:6 regular file'],
    ['COPY --chown=root a /t/', '. 755 0:0 directory', './a 644 0:0 regular file'],
    ['WORKDIR /t\nUSER 5\nCOPY a .\nCOPY a ./b\nCOPY a ../t/c', '. 755 0:0 directory', './a 644 0:0 regular file', './b 644 0:0 regular file', './c 644 0:0 regular file'],
    ['RUN mkdir /o && ln -s ../../o /t\nCOPY a /t/\nCOPY a /t/b', '. 755 0:0 directory', './a 644 0:0 regular file', './b 644 0:0 regular file'],
    ['RUN mkdir /t && ln -s /etc/x /t/a\nCOPY a /t/', '. 755 0:0 directory', './a 644 0:0 regular file'],
    ['ADD t.tar /t', '. 755 0:0 directory', './in 700 5:6 directory', './in/f 640 5:6 regular file', './out 644 0:0 regular file', './su 4755 7:7 regular file'],
    ['ADD t.tgz bad.tar /t/', '. 755 0:0 directory', './bad.tar 644 0:0 regular file', './in 700 5:6 directory', './in/f 640 5:6 regular file', './out 644 0:0 regular file', './su 4755 7:7 regular file'],
    ['COPY t.tgz /t/', '. 755 0:0 directory', './t.tgz 644 0:0 regular file'],
  ];
  test('what comes where', async () => {
    for (const [instructions, ...listed] of rows) {
      const { text, error } = await build(`FROM busybox\n${instructions}\n${list}\n`, await files(), { nocache: '1' });
      assert.equal(error, undefined, instructions);
      const printed = text.split('\n').filter(line => line.startsWith('.'));
      assert.deepEqual(printed, listed, instructions);
    }
  });

  const failures: [instructions: string, error: string | RegExp][] = [
    ['COPY nosuch /t', 'COPY failed: file not found in build context or excluded by .dockerignore: stat nosuch: file does not exist'],
    ['ADD nosuch /t', 'ADD failed: file not found in build context or excluded by .dockerignore: stat nosuch: file does not exist'],
    ['COPY out /t', 'COPY failed: file not found in build context or excluded by .dockerignore: stat out: file does not exist'],
    ['COPY ../a /t', 'COPY failed: forbidden path outside the build context: ../a ()'],
    ['COPY nosuch* /t', 'COPY failed: no source files were specified'],
    ['COPY a x /t', 'When using COPY with more than one source file, the destination must be a directory and end with a /'],
    ['COPY http://192.0.2.1/x /t', "COPY failed: source can't be a URL for COPY"],
    ['ADD http://127.0.0.1:1/x /t', 'ADD failed: Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused'],
    ['COPY --chown=nobodyhere a /t', "unable to convert uid/gid chown string to host mapping: can't find uid for user nobodyhere: no such user: nobodyhere"],
    ['COPY --chmod=755 a /t', 'the --chmod option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled'],
    ['COPY --from=3 a /t', 'invalid from flag value 3: index out of bounds'],
    ['COPY --from=0 a /t', 'invalid from flag value 0: refers to current build stage'],
    ['COPY --from=busybox /nosuch /t', 'COPY failed: stat nosuch: file does not exist'],
    ['RUN echo x >/t\nCOPY a /t/', /^failed to copy files: .*not a directory$/],
    ['RUN echo x >/t\nWORKDIR /t', 'Cannot mkdir: /t is not a directory'],
  ];
  test('what can not be', async () => {
    for (const [instructions, expected] of failures) {
      const { status, error = '' } = await build(`FROM busybox\n${instructions}\n`, await files());
      assert.equal(status, 200, instructions);
      if (typeof expected === 'string') assert.equal(error, expected);
      else assert.match(error, expected);
    }
  });

  test('from a server', async () => {
    const path = await directory();
    await writeFile(join(path, 'file.tar'), await inner);
    const [file = '', ...args] = enter(engine.netns, ['busybox', 'httpd', '-f', '-p', '127.0.0.1:18099', '-h', path]);
    const server = execa(file, args, { reject: false });
    after(() => server.kill());
    const { text, error } = await eventually(async () => {
      const built = await build('FROM busybox\nADD http://127.0.0.1:18099/file.tar /t/\nRUN stat -c "%n %a %u:%g %s" /t/*\n', {}, { nocache: '1' });
      assert.doesNotMatch(built.error ?? '', /refused/);
      return built;
    });
    server.kill();
    assert.equal(error, undefined);
    assert.match(text, new RegExp(`\n/t/file.tar 600 0:0 ${(await inner).length}\n`), 'an archive from elsewhere is not unpacked');
  });
});

describe('what is no Dockerfile, and no build', () => {
  const refused: [dockerfile: string, message: string][] = [
    ['', 'the Dockerfile (Dockerfile) cannot be empty'],
    ['# x\n', 'failed to parse Dockerfile: file with no instructions'],
    ['FROM busybox\nFOO bar\n', 'dockerfile parse error on line 2: unknown instruction: FOO (did you mean FROM?)'],
    ['FROM busybox\nRUN a \\\n  b\n\nXYZZY\n', 'dockerfile parse error on line 5: unknown instruction: XYZZY'],
    ['RUN x\n', 'no build stage in current context'],
    ['FROM busybox x\n', 'dockerfile parse error on line 1: FROM requires either one or three arguments'],
    ['FROM busybox AS 9x\n', `dockerfile parse error on line 1: invalid name for build stage: "9x", name can't start with a number or contain symbols`],
    ['FROM busybox\nENV a\n', 'failed to parse Dockerfile: ENV must have two arguments'],
    ['FROM busybox\nENV =b\n', 'dockerfile parse error on line 2: ENV names can not be blank'],
    ['FROM busybox\nCOPY a\n', 'dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined'],
    ['FROM busybox\nCOPY --foo=1 a b\n', 'dockerfile parse error on line 2: unknown flag: foo (did you mean from?)'],
    ['FROM busybox\nCOPY --chown a b\n', 'dockerfile parse error on line 2: missing a value on flag: chown'],
    ['FROM busybox\nCMD ["a", 1]\n', 'failed to parse Dockerfile: when using JSON array syntax, arrays must be comprised of strings only'],
    ['FROM busybox\nHEALTHCHECK --interval=1us CMD a\n', 'dockerfile parse error on line 2: Interval "interval" cannot be less than 1ms'],
    ['FROM busybox\nONBUILD FROM x\n', "dockerfile parse error on line 2: FROM isn't allowed as an ONBUILD trigger"],
    ['FROM busybox\nSHELL sh\n', 'dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form'],
    ['# escape=x\nFROM busybox\n', "failed to parse Dockerfile: invalid escape token 'x' does not match ` or \\"],
  ];
  test('before the first step', async () => {
    for (const [dockerfile, message] of refused) assert.deepEqual([(await build(dockerfile)).messages, dockerfile], [[{ message }], dockerfile]);
  });

  const queries: [query: Record<string, string>, status: number, message: string][] = [
    [{ dockerfile: 'No' }, 500, 'Cannot locate specified Dockerfile: No'],
    [{ dockerfile: '../../etc/passwd' }, 500, 'forbidden path outside the build context: ../../etc/passwd ()'],
    [{ target: 'three' }, 400, 'target stage "three" could not be found'],
    [{ t: 'UPPER' }, 500, 'invalid reference format: repository name (library/UPPER) must be lowercase'],
    [{ t: `a@sha256:${'a'.repeat(64)}` }, 500, 'build tag cannot contain a digest'],
    [{ buildargs: '{"a"' }, 400, 'error reading build args: unexpected end of JSON input'],
    [{ labels: '[]' }, 400, 'error reading labels: json: cannot unmarshal array into Go value of type map[string]string'],
    [{ cachefrom: '{' }, 400, 'error reading cache-from: unexpected end of JSON input'],
    [{ squash: '1' }, 400, 'squash is only supported with experimental mode'],
    [{ version: '3' }, 400, 'invalid version "3"'],
    [{ isolation: 'hyperv' }, 400, 'unsupported isolation: "hyperv"'],
    [{ remote: 'ftp://192.0.2.1/x' }, 500, 'remoteURL (ftp://192.0.2.1/x) could not be recognized as URL'],
  ];
  test('by its query', async () => {
    for (const [query, status, message] of queries) {
      const built = await build('FROM busybox\n', {}, query);
      assert.deepEqual([built.status, built.error], [status, message]);
    }
    const nothing = await buildOf(await tar([{ name: 'f', body: '' }]));
    assert.deepEqual([nothing.status, nothing.error], [500, 'Cannot locate specified Dockerfile: Dockerfile']);
    const noTar = await buildOf(Buffer.from('this is no tar at all '.repeat(50)));
    assert.deepEqual([noTar.status, noTar.error], [500, 'archive/tar: invalid tar header']);
    assert.equal((await http('POST', '/build/cancel')).json().message, 'build ID not provided');
    assert.equal((await http('POST', '/build/prune?filters=%7B%22foo%22%3A%5B%22x%22%5D%7D')).json().message, "failed to prune build cache: invalid filter 'foo'");
  });

  const failed: [instructions: string, error: string | RegExp, code?: number][] = [
    ['RUN echo out; echo err >&2; exit 3', "The command '/bin/sh -c echo out; echo err >&2; exit 3' returned a non-zero code: 3", 3],
    ['RUN ["false", "a b"]', "The command 'false a b' returned a non-zero code: 1", 1],
    ['RUN ["nosuch"]', /exec: "nosuch": executable file not found in \$PATH/],
    ['RUN --mount=type=cache,target=/x true', 'the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled'],
    ['USER nobodyhere\nRUN id', 'unable to find user nobodyhere: no matching entries in passwd file'],
    ['EXPOSE x', 'Invalid containerPort: x'],
    ['STOPSIGNAL BAD', 'invalid signal: BAD'],
    ['WORKDIR $nope', 'cannot normalize nothing'],
    ['ENV x=${a:z}', 'failed to process "${a:z}": unsupported modifier (:z) in substitution'],
    ['FROM 127.0.0.1:1/nosuch', /connection refused/],
    ['FROM scratch', 'No image was generated. Is your Dockerfile empty?'],
  ];
  test('on the way', async () => {
    for (const [instructions, expected, code] of failed) {
      const { status, messages, error = '', text } = await build(`FROM busybox\n${instructions}\n`, {}, { nocache: '1' });
      assert.equal(status, 200, instructions);
      if (typeof expected === 'string') assert.equal(error, expected);
      else assert.match(error, expected);
      assert.deepEqual(messages.at(-1), { errorDetail: { ...(code === undefined ? {} : { code }), message: error }, error });
      if (code === 3) {
        assert.match(text, /\u001b\[91merr\n\u001b\[0m/);
        assert.match(text, /(\n|\u001b\[0m)out\n/);
      }
    }
  });

  test('a container that failed stays to be looked at, unless it is not to', async () => {
    const file = await cli({ Dockerfile: `FROM busybox\nRUN echo ${name('kept')}; exit 4\n` });
    const { stdout, stderr, exitCode } = await dockerWith(legacy, 'build', file.path);
    assert.equal(exitCode, 4);
    assert.match(stderr, /returned a non-zero code: 4/);
    const [, id = ''] = /Running in ([0-9a-f]{12})/.exec(stdout) ?? [];
    assert.match((await inspect(id)).Args.join(' '), new RegExp(`^-c echo ${name('kept')}`));
    await dockerOut('rm', id);
    const again = await file.build();
    assert.match(again.text, / ---> Removed intermediate container ID\n$/);
    const [, gone = ''] = /Running in ([0-9a-f]{12})/.exec(again.stdout) ?? [];
    assert.notEqual((await docker('inspect', gone)).exitCode, 0);
  });

  test('BuildKit', { skip: isBerth ? false : 'not on this engine' }, async () => {
    const answer = await build('FROM busybox\n', {}, { version: '2' });
    assert.deepEqual([answer.status, answer.error], [501, 'building with BuildKit is not implemented by berth: use the classic builder (DOCKER_BUILDKIT=0)']);
    assert.match((await build('FROM busybox\nRUN <<EOF\necho\nEOF\n')).error ?? '', /^dockerfile parse error on line 2: the heredoc syntax requires BuildKit/);
    assert.equal((await build('FROM busybox\n', {}, { remote: 'https://192.0.2.1/x.git' })).status, 501);
    assert.equal((await http('GET', '/_ping')).headers['builder-version'], '1');
  });
});

async function piped(command: string, input: Buffer): Promise<Buffer> {
  return Buffer.from((await execa(command, ['--stdout'], { input, encoding: 'buffer' })).stdout);
}

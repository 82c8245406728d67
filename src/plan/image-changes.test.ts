import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyChanges } from './image-changes.ts';
import { emptyConfig, imageJson, parseImageJson } from './image-config.ts';
import type { ImageConfig } from '../model/image.ts';

const changed = (...changes: string[]): Partial<ImageConfig> =>
  Object.fromEntries(Object.entries(applyChanges(emptyConfig, changes)).filter(([key, value]) => value !== emptyConfig[key as keyof ImageConfig]));

// Every row was tried on the reference engine (import --change).
const accepted: readonly (readonly [changes: string | readonly string[], config: Partial<ImageConfig>])[] = [
  ['CMD ["sh"]', { cmd: ['sh'] }],
  ['  cmd   ["a"] # c', { cmd: ['a'] }],
  ['CMD echo hi  there', { cmd: ['/bin/sh', '-c', 'echo hi  there'] }],
  ['CMD', { cmd: ['/bin/sh', '-c'] }],
  ['CMD []', { cmd: [] }],
  [`CMD [ "a" , 'b' ]`, { cmd: ['/bin/sh', '-c', `[ "a" , 'b' ]`] }],
  ['CMD ["sh"', { cmd: ['/bin/sh', '-c', '["sh"'] }],
  ['CMD ["a\\u0041"]', { cmd: ['aA'] }],
  ['CMD "a b"', { cmd: ['/bin/sh', '-c', '"a b"'] }],
  ['CMD a\\\n b', { cmd: ['/bin/sh', '-c', 'a b'] }],
  ['CMD a\nENV B=1', { cmd: ['/bin/sh', '-c', 'a'], env: ['B=1'] }],
  [['CMD a', '# hi', 'CMD b', ''], { cmd: ['/bin/sh', '-c', 'b'] }],
  ['ENTRYPOINT ["x","y"]', { entrypoint: ['x', 'y'] }],
  ['ENTRYPOINT foo bar', { entrypoint: ['/bin/sh', '-c', 'foo bar'] }],
  ['ENTRYPOINT []', {}],
  [['CMD ["a"]', 'ENTRYPOINT ["b"]'], { cmd: ['a'], entrypoint: ['b'] }],
  ['ENV A=1 B=2', { env: ['A=1', 'B=2'] }],
  ['ENV A 1 2  3', { env: ['A=1 2  3'] }],
  ['ENV A "x y"', { env: ['A=x y'] }],
  ['ENV a b=c', { env: ['a=b=c'] }],
  [`ENV A="x y" B='q r' C=a\\ b`, { env: ['A=x y', 'B=q r', 'C=a b'] }],
  ['ENV A="b\\"c\\n"', { env: ['A=b"c\\n'] }],
  [['ENV A=1', 'ENV A=2 B=$A'], { env: ['A=2', 'B=1'] }],
  ['ENV A=$HOME C=${A:-def} D=${X:+y} E=$$ F=$ G=a\\$b H=${x#y}', { env: ['A=', 'C=def', 'D=', 'E=', 'F=$', 'G=a$b', 'H='] }],
  ['ENV a=\\\nb', { env: ['a=b'] }],
  ['EXPOSE 80/udp 443 8000-8002 80/', { exposedPorts: ['443/tcp', '80/tcp', '80/udp', '8000/tcp', '8001/tcp', '8002/tcp'] }],
  ['EXPOSE 8080:80 1.2.3.4:80:81 :82 0 83/TCP 8000-8002:9000-9002', { exposedPorts: ['0/tcp', '80/tcp', '81/tcp', '82/tcp', '83/tcp', '9000/tcp', '9001/tcp', '9002/tcp'] }],
  ['EXPOSE -- 80', { exposedPorts: ['80/tcp'] }],
  ['EXPOSE $P', {}],
  [['ENV A 80 81', 'EXPOSE $A'], { env: ['A=80 81'], exposedPorts: ['80/tcp', '81/tcp'] }],
  ['LABEL a=b c="d e" "a b"=c', { labels: { a: 'b', c: 'd e', 'a b': 'c' } }],
  ['LABEL a b c', { labels: { a: 'b c' } }],
  [['ENV A=1', `LABEL x=$A y='$A' "$A"=z`], { env: ['A=1'], labels: { x: '1', y: '$A', '1': 'z' } }],
  ['USER a b', { user: 'a b' }],
  ['USER $U', {}],
  ['VOLUME /a /b', { volumes: ['/a', '/b'] }],
  ['VOLUME ["/a","/b c"]', { volumes: ['/a', '/b c'] }],
  [['WORKDIR /a', 'WORKDIR b'], { workingDir: '/a/b' }],
  ['WORKDIR /a/../b/', { workingDir: '/b' }],
  ['WORKDIR "/a b"', { workingDir: '/a b' }],
  ['ONBUILD nosuch x', { onBuild: ['nosuch x'] }],
  ['onbuild copy a b', { onBuild: ['copy a b'] }],
  ['STOPSIGNAL kill', { stopSignal: 'kill' }],
  ['STOPSIGNAL 100', { stopSignal: '100' }],
  ['STOPSIGNAL SIGRTMIN+3', { stopSignal: 'SIGRTMIN+3' }],
  ['HEALTHCHECK none', { healthcheck: { test: ['NONE'], interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 } }],
  ['HEALTHCHECK cmd x  y', { healthcheck: { test: ['CMD-SHELL', 'x  y'], interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 } }],
  ['HEALTHCHECK --interval=1h2m3.5s --timeout=2s --start-period=1m --start-interval= --retries=3 CMD ["foo","bar"]',
    { healthcheck: { test: ['CMD', 'foo', 'bar'], interval: 3_723_500_000_000, timeout: 2e9, startPeriod: 60e9, startInterval: 0, retries: 3 } }],
];

test('changes', () => {
  for (const [changes, config] of accepted) assert.deepEqual(changed(...[changes].flat()), config, String(changes));
});

const refused: readonly (readonly [changes: string, message: string])[] = [
  ['', 'file with no instructions'],
  ['# comment', 'file with no instructions'],
  ['NOSUCH', 'NOSUCH is not a valid change command'],
  ['nosuch a', 'nosuch is not a valid change command'],
  ['SHELL ["bash","-c"]', 'SHELL is not a valid change command'],
  ['MAINTAINER x', 'MAINTAINER is not a valid change command'],
  ['ENV A\nNOSUCH', 'ENV must have two arguments'],
  ['CMD ["a", 1]', 'when using JSON array syntax, arrays must be comprised of strings only'],
  ['CMD --foo x', 'unknown flag: foo'],
  ['ENV --x=1 A=b', 'unknown flag: x'],
  ['ENV', 'ENV requires at least one argument'],
  ['ENV A=1 B', `Syntax error - can't find = in "B". Must be of the form: name=value`],
  ['ENV =1', 'ENV names can not be blank'],
  ['ENV A="x', 'failed to process "\\"x": unexpected end of statement while looking for matching double-quote'],
  ["ENV A='x", `failed to process "'x": unexpected end of statement while looking for matching single-quote`],
  ['ENV A=${x!y}', 'failed to process "${x!y}": unsupported modifier (!) in substitution'],
  ['ENV A=${x:?err}', 'failed to process "${x:?err}": x: err'],
  ['ENV A=${}', 'failed to process "${}": syntax error: bad substitution'],
  ['EXPOSE', 'EXPOSE requires at least one argument'],
  ['EXPOSE 80/foo', 'Invalid proto: foo'],
  ['EXPOSE 70000', 'Invalid containerPort: 70000'],
  ['EXPOSE 80-70', 'Invalid containerPort: 80-70'],
  ['EXPOSE 80 --', 'Invalid containerPort: --'],
  ['EXPOSE /tcp', 'No port specified: /tcp<empty>'],
  ['EXPOSE 8000-8001:9000-9002', 'Invalid ranges specified for container and host Ports: 9000-9002 and 8000-8001'],
  ['LABEL a', 'LABEL must have two arguments'],
  ['LABEL =x', 'LABEL names can not be blank'],
  ['USER', 'USER requires exactly one argument'],
  ['VOLUME', 'VOLUME requires at least one argument'],
  ['VOLUME []', 'VOLUME requires at least one argument'],
  ['VOLUME [""]', 'VOLUME specified can not be an empty string'],
  ['VOLUME "/a b"', 'failed to process "\\"/a": unexpected end of statement while looking for matching double-quote'],
  ['WORKDIR', 'WORKDIR requires exactly one argument'],
  ['WORKDIR $A', 'cannot normalize nothing'],
  ['ONBUILD', 'ONBUILD requires at least one argument'],
  ['ONBUILD ONBUILD RUN x', "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
  ['ONBUILD FROM x', "FROM isn't allowed as an ONBUILD trigger"],
  ['ONBUILD ENV A', 'ENV must have two arguments'],
  ['STOPSIGNAL foo', 'invalid signal: foo'],
  ['STOPSIGNAL 0', 'invalid signal: 0'],
  ['HEALTHCHECK', 'HEALTHCHECK requires at least one argument'],
  ['HEALTHCHECK NONE x', 'HEALTHCHECK NONE takes no arguments'],
  ['HEALTHCHECK FOO x', 'Unknown type "FOO" in HEALTHCHECK (try CMD)'],
  ['HEALTHCHECK CMD', 'Missing command after HEALTHCHECK CMD'],
  ['HEALTHCHECK CMD []', 'Missing command after HEALTHCHECK CMD'],
  ['HEALTHCHECK --interval=5 CMD x', 'time: missing unit in duration "5"'],
  ['HEALTHCHECK --interval=5x CMD x', 'time: unknown unit "x" in duration "5x"'],
  ['HEALTHCHECK --interval=x CMD x', 'time: invalid duration "x"'],
  ['HEALTHCHECK --interval=1us CMD x', 'Interval "interval" cannot be less than 1ms'],
  ['HEALTHCHECK --interval=-5s CMD x', 'Interval "interval" cannot be less than 1ms'],
  ['HEALTHCHECK --interval CMD x', 'missing a value on flag: interval'],
  ['HEALTHCHECK --interval=1s --interval=2s CMD x', 'duplicate flag specified: interval'],
  ['HEALTHCHECK --retries=x CMD x', 'strconv.ParseInt: parsing "x": invalid syntax'],
  ['HEALTHCHECK --retries=-1 CMD x', '--retries cannot be negative (-1)'],
  ['HEALTHCHECK --nosuch=1 CMD x', 'unknown flag: nosuch'],
];

test('what is refused, in the words of the reference engine', () => {
  for (const [changes, message] of refused) assert.throws(() => applyChanges(emptyConfig, [changes]), { message, kind: 'invalid-parameter' }, changes);
});

test('an image and its JSON', () => {
  const config = applyChanges(emptyConfig, ['CMD ["a","<b>"]', 'EXPOSE 80', 'LABEL x=y', 'HEALTHCHECK CMD x', 'VOLUME /v', 'STOPSIGNAL 9', 'ONBUILD RUN x', 'USER u']);
  const image = {
    created: '2026-01-02T03:04:05.000000006Z',
    author: 'me',
    comment: 'Imported from -',
    architecture: 'amd64',
    os: 'linux',
    dockerVersion: '28.5.2',
    config,
    history: [{ created: '2026-01-02T03:04:05.000000006Z', createdBy: '', author: '', comment: 'Imported from -', emptyLayer: false }],
    diffIds: [`sha256:${'1'.repeat(64)}`],
  };
  const text = imageJson(image);
  assert.deepEqual(parseImageJson(text), image);
  assert.ok(text.includes('"\\u003cb\\u003e"'));
  assert.deepEqual(Object.keys(JSON.parse(text) as object), ['architecture', 'author', 'comment', 'config', 'created', 'docker_version', 'history', 'os', 'rootfs']);
  assert.throws(() => parseImageJson('{}'), { message: 'invalid image JSON, no RootFS key' });
  assert.throws(() => parseImageJson('x\n'), { message: "invalid character 'x' looking for beginning of value" });
});

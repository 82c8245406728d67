import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Image } from '../model/image.ts';
import { headValues, nextStage, noArgs, unusedArgs, withHead } from './build-args.ts';
import { childMadeBy, stepOf } from './build-cache.ts';
import { copyOwner, destinationPath, nameOf, planCopy, sourcePath } from './build-copy.ts';
import { contextOf, goDuration, planRun, planStep, withPath, type StepState } from './build-step.ts';
import { parseDockerfile } from './dockerfile.ts';
import { emptyConfig } from './image-config.ts';

const start = (given: Record<string, string> = {}): StepState => ({ config: withPath(emptyConfig), author: '', args: noArgs(new Map(Object.entries(given))), commandSet: false });
const instruction = (text: string) => parseDockerfile(text).instructions[0] ?? assert.fail(text);
/** The state after these lines, and how history tells the last. */
const after = (lines: readonly string[], state = start()) =>
  lines.reduce(({ next }, line) => planStep(next, instruction(line), '\\'), { next: state, createdBy: '' });

test('history', () => {
  const rows: [line: string, createdBy: string][] = [
    ['ENV a=1 b="x y"', '/bin/sh -c #(nop)  ENV a=1 b=x y'],
    ['CMD echo "a"', '/bin/sh -c #(nop)  CMD ["/bin/sh" "-c" "echo \\"a\\""]'],
    ['ENTRYPOINT []', '/bin/sh -c #(nop)  ENTRYPOINT []'],
    ['EXPOSE 9 80 7/udp', '/bin/sh -c #(nop)  EXPOSE 7/udp 80 9'],
    ['WORKDIR a/../b', '/bin/sh -c #(nop) WORKDIR /b'],
    ['SHELL ["sh", "-x"]', 'sh -x #(nop)  SHELL [sh -x]'],
    ['ARG a b=$PATH', '/bin/sh -c #(nop)  ARG a b=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    ['HEALTHCHECK --retries=39 --interval=1h1.5s CMD ["a"]', `/bin/sh -c #(nop)  HEALTHCHECK &{["CMD" "a"] "1h0m1.5s" "0s" "0s" "0s" '\\''}`],
    ['MAINTAINER a  b', '/bin/sh -c #(nop)  MAINTAINER a  b'],
    ['onbuild run  x', '/bin/sh -c #(nop)  ONBUILD run  x'],
  ];
  for (const [line, createdBy] of rows) assert.equal(after([line]).createdBy, createdBy);
  assert.deepEqual([0, 1500, 2e6, 90e9, 3.6e12].map(goDuration), ['0s', '1.5µs', '2ms', '1m30s', '1h0m0s']);
});

test('a command of its own outlives an entrypoint, the base image\'s does not', () => {
  const based = { ...start(), config: { ...emptyConfig, cmd: ['base'] } };
  assert.equal(after(['ENTRYPOINT ["a"]'], based).next.config.cmd, undefined);
  assert.deepEqual(after(['CMD ["b"]', 'ENTRYPOINT ["a"]'], based).next.config.cmd, ['b']);
});

test('arguments: given, by default, from before the first FROM; the environment hides them', () => {
  let args = withHead(noArgs(new Map([['given', 'g'], ['unused', 'u'], ['http_proxy', 'p']])), [['head', 'h'], ['given', 'default']]);
  assert.deepEqual([...headValues(args)], [['head', 'h'], ['given', 'g']]);
  args = nextStage(args);
  const state = after(['ARG head', 'ARG given=x', 'ARG hidden=1', 'ARG nothing', 'ENV hidden=env'], { ...start(), args }).next;
  const { command, env, createdBy } = planRun(state, instruction('RUN a'));
  assert.deepEqual(command, ['/bin/sh', '-c', 'a']);
  assert.deepEqual(env.slice(1), ['hidden=env', 'given=g', 'head=h', 'http_proxy=p']);
  assert.equal(createdBy, '|2 given=g head=h /bin/sh -c a', 'a proxy is no part of what was done');
  assert.deepEqual(unusedArgs(state.args), ['unused']);
  assert.equal(planRun({ ...state, args: nextStage(state.args) }, instruction('RUN ["a"]')).createdBy, 'a');
});

test('what a COPY says', () => {
  const context = contextOf(after(['ENV d=/to s=from']).next, '\\');
  const { sources, destination, from, chown } = planCopy(instruction('COPY --from=$s --chown=$s:1 $s x $d/'), context);
  assert.deepEqual({ sources, destination, from, chown }, { sources: ['from', 'x'], destination: '/to/', from: '$s', chown: 'from:1' });
  assert.throws(() => planCopy(instruction('COPY --chmod=1 a b'), context), /--chmod option requires BuildKit/);
  assert.throws(() => planCopy(instruction('ADD --checksum=x a b'), context), /--checksum option requires BuildKit/);
  assert.deepEqual(['/a', './b/../c', '/', 'd/'].map(sourcePath), ['a', 'c', '.', 'd']);
  for (const path of ['..', '../a', 'a/../../b']) assert.throws(() => sourcePath(path), /forbidden path outside the build context: /);
  const places: [destination: string, workingDir: string, path: string][] = [['a', '', '/a'], ['.', '/w', '/w/'], ['./', '/w', '/w/'], ['x/', '/w', '/w/x/'], ['../x', '/w', '/x'], ['/', '', '/'], ['/x/.', '', '/x/'], ['../../..', '/w', '/']];
  for (const [destination, workingDir, path] of places) assert.equal(destinationPath(destination, workingDir), path);
  assert.deepEqual([nameOf('http://h/a/b%20c?x', '/t/'), nameOf('http://h/a', '/t/b'), nameOf('http://h/a', '.'), nameOf('http://h/a', 'x/..')], ['b c', 'b', 'a', 'a']);
  for (const url of ['http://h/', 'http://h/a/%2e%2e', 'http://h/a%2F..']) assert.throws(() => nameOf(url, '/t/'), /cannot determine filename from url/);
});

test('whose a copy is', () => {
  const [passwd, group] = ['root:x:0:0::/:\nann:x:7:8::/:', 'root:x:0:\nann:x:9:'];
  const rows: [chown: string, uid: number, gid: number][] = [['', 0, 0], ['5', 5, 5], ['5:6', 5, 6], ['ann', 7, 9], ['ann:root', 7, 0]];
  for (const [chown, uid, gid] of rows) assert.deepEqual(copyOwner(chown, passwd, group), { uid, gid });
  assert.throws(() => copyOwner('bob', passwd, group), /can't find uid for user bob: no such user: bob/);
  assert.throws(() => copyOwner('ann:staff', passwd, group), /can't find gid for group staff: no such group: staff/);
  assert.throws(() => copyOwner('1:2:3', passwd, group), /invalid chown string format: 1:2:3/);
});

test('the cache', () => {
  const entry = (createdBy: string, emptyLayer = true) => ({ created: '2026-01-01T00:00:00Z', createdBy, author: '', comment: '', emptyLayer });
  const image = (id: string, parent: string, steps: readonly string[], more: Partial<Image> = {}) =>
    ({ id, parent, created: '2026-01-01T00:00:00Z', config: emptyConfig, history: steps.map((step) => entry(step, !step.startsWith('run'))), diffIds: steps.filter((step) => step.startsWith('run')), ...more }) as unknown as Image;
  const all = new Map([
    image('base', '', ['']),
    image('old', 'base', ['', 'run x']),
    image('new', 'base', ['', 'run x'], { created: '2026-01-02T00:00:00Z' }),
    image('other', 'base', ['', 'run x'], { created: '2026-01-03T00:00:00Z', config: { ...emptyConfig, user: 'ann' } }),
    image('pulled', '', ['', 'run x', 'env', 'run y']),
  ].map((each) => [each.id, each]));
  assert.equal(childMadeBy(all, 'base', 'run x', emptyConfig)?.id, 'new');
  assert.equal(childMadeBy(all, 'base', 'run x', { ...emptyConfig, env: [], labels: {} })?.id, 'new', 'nothing and an empty list say the same');
  assert.equal(childMadeBy(all, 'base', 'run y', emptyConfig), undefined);
  assert.equal(childMadeBy(all, '', 'run y', emptyConfig), undefined, 'an image that came from elsewhere is no first step');
  const [pulled, base] = [all.get('pulled') ?? assert.fail(), all.get('base')];
  assert.deepEqual(stepOf(pulled, base, 'run x'), { entries: 2, layers: 1 });
  assert.deepEqual(stepOf(pulled, image('two', 'base', ['', 'run x']), 'env'), { entries: 3, layers: 1 });
  assert.equal(stepOf(pulled, base, 'env'), undefined);
  assert.equal(stepOf(pulled, image('two', 'base', ['', 'run z']), 'env'), undefined);
  assert.equal(stepOf(pulled, pulled, 'env'), undefined);
});

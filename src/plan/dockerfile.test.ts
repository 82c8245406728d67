import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDockerfile } from './dockerfile.ts';
import { planBuild, triggersOf } from './build-stages.ts';
import { isIgnored } from './dockerignore.ts';
import { isPattern, pathPattern } from './path-pattern.ts';
import { suggestion } from './suggestion.ts';

const lines = (text: string) => parseDockerfile(text).instructions.map(({ line, original }) => `${line} ${original}`);

test('lines: comments, continuations, directives', () => {
  const rows: [text: string, ...expected: string[]][] = [
    ['FROM a\n\n# c\n  RUN b  \n', '1 FROM a', '4 RUN b'],
    ['RUN a \\\n  # c\n  && b\nCMD x', '1 RUN a   && b', '4 CMD x'],
    ['RUN a \\\n\n  b', '1 RUN a   b'],
    ['RUN a \\', '1 RUN a'],
    ['RUN a \\  \n b', '1 RUN a  b'],
    ['RUN a\\\\\nCMD b', '1 RUN a\\\\', '2 CMD b'],
    ['\ufeffFROM a\r\nRUN b \\\r\n c\r\n', '1 FROM a', '2 RUN b  c'],
    ['# escape=`\nRUN a `\n b\\\nCMD c', '2 RUN a  b\\', '4 CMD c'],
    ['# syntax=x\n# escape=`\nRUN a `\n b', '3 RUN a  b'],
    ['# no directive\n# escape=`\nRUN a `\nCMD b', '3 RUN a `', '4 CMD b'],
    ['\n# escape=`\nRUN a `\nCMD b', '3 RUN a `', '4 CMD b'],
  ];
  for (const [text, ...expected] of rows) assert.deepEqual(lines(text), expected, text);
  assert.deepEqual(parseDockerfile('RUN a \\\n\n b\nCMD c\n\n\n').gaps, ['RUN a  b']);
  assert.throws(() => parseDockerfile('# escape=x\n'), /invalid escape token 'x' does not match ` or \\/);
  assert.throws(() => parseDockerfile('# escape=`\n# escape=`\n'), /only one escape parser directive can be used/);
});

test('words, as each instruction has them', () => {
  const rows: [text: string, words: string[], json?: boolean][] = [
    ['RUN a  b', ['a  b']],
    ['RUN ["a", "b c"]', ['a', 'b c'], true],
    ['CMD ["a"] x', ['a'], true],
    ["CMD ['a']", ["['a']"]],
    ['CMD ["a",]', ['["a",]']],
    ['RUN', []],
    ['RUN -- --a', ['--a']],
    ['ENV a=1 b="x y" c=z\\ w', ['a=1', 'b="x y"', 'c=z\\ w']],
    ['ENV a x  y', ['a=x  y']],
    ['LABEL "a b"=c', ['"a b"=c']],
    ['ARG a b="c d"', ['a', 'b="c d"']],
    ['COPY --from=x a b c', ['a', 'b', 'c']],
    ['COPY ["a b", "c"]', ['a b', 'c'], true],
    ['VOLUME /a /b', ['/a', '/b']],
    ['HEALTHCHECK --retries=1 CMD a b', ['a b']],
  ];
  for (const [text, words, json = false] of rows) {
    const [instruction] = parseDockerfile(text).instructions;
    assert.deepEqual([instruction?.words, instruction?.json], [words, json], text);
  }
});

test('stages', () => {
  const plan = planBuild('ARG v=1\nFROM a:$v AS One\nRUN x\nFROM One\nCMD y\nFROM scratch as last\n', '', { z: '1', a: 'b c' });
  assert.deepEqual(plan.stages.map(({ base, name, steps }) => [base, name, steps.map(({ original }) => original)]), [
    ['a:$v', 'one', ['RUN x']],
    ['One', '', ['CMD y']],
    ['scratch', 'last', ['LABEL a=b c', 'LABEL z=1']],
  ]);
  assert.deepEqual([plan.head.length, plan.total], [1, 8]);
  assert.equal(planBuild('FROM a AS one\nRUN x\nFROM b\n', 'ONE', {}).total, 2);
  assert.throws(() => planBuild('FROM a\n', '0', {}), /target stage "0" could not be found/);
  assert.throws(() => planBuild('ARG a\n', '', {}), /no build stage in current context/);
  for (const text of ['RUN <<EOF\nx\nEOF', 'RUN cat <<-"E" >x', 'COPY <<E /x']) assert.throws(() => planBuild(`FROM a\n${text}\n`, '', {}), /dockerfile parse error on line 2: the heredoc syntax requires BuildKit/);
  for (const text of ['RUN cat <<<x', 'RUN echo $((1<<2))', 'RUN a <x']) assert.equal(planBuild(`FROM a\n${text}\n`, '', {}).total, 2);
  assert.deepEqual(triggersOf(['RUN a', 'copy b c']).map(({ instruction }) => instruction.keyword), ['run', 'copy']);
  assert.throws(() => triggersOf(['FOO']), /^EngineError: unknown instruction: FOO \(did you mean FROM\?\)$/);
});

test('what a word was meant to be', () => {
  assert.equal(suggestion('frm', ['from', 'run']), ' (did you mean from?)');
  assert.equal(suggestion('xyzzy', ['from', 'run']), '');
  assert.equal(suggestion('from', ['from']), '');
});

test('.dockerignore', () => {
  const rows: [lines: string[], ignored: string[], kept: string[]][] = [
    [['a'], ['a', 'a/b'], ['b/a', 'ab']],
    [['*'], ['a', 'a/b', '.x'], []],
    [['*', '!a/b'], ['a', 'a/c'], ['a/b']],
    [['**/x'], ['x', 'a/x', 'a/b/x/y'], ['ax']],
    [['a/**'], ['a/b', 'a/b/c'], ['a']],
    [['# a', '', '/b/', ' c '], ['b', 'c'], ['a']],
    [['a*', '!ab', 'abc'], ['a', 'abc'], ['ab']],
    [['['], [], ['[']],
  ];
  for (const [patterns, ignored, kept] of rows) {
    for (const path of ignored) assert.equal(isIgnored(patterns.join('\n'), path), true, `${patterns}: ${path}`);
    for (const path of kept) assert.equal(isIgnored(patterns.join('\n'), path), false, `${patterns}: ${path}`);
  }
});

test('patterns of sources', () => {
  const rows: [pattern: string, matching: string[], not: string[]][] = [
    ['*.txt', ['a.txt', '.txt'], ['d/a.txt', 'atxt']],
    ['a?', ['ab'], ['a', 'a/', 'abc']],
    ['[a-c]x', ['ax', 'cx'], ['dx', 'x']],
    ['[^a]x', ['bx'], ['ax']],
    ['[[]x]', ['[x]'], ['x']],
    ['d/*/f', ['d/e/f'], ['d/f', 'd/e/e/f']],
    ['a\\*', ['a*'], ['ab']],
    ['a.b+c(d)', ['a.b+c(d)'], ['aXb+c(d)']],
  ];
  for (const [pattern, matching, not] of rows) {
    for (const path of matching) assert.ok(pathPattern(pattern)?.test(path), `${pattern}: ${path}`);
    for (const path of not) assert.ok(!pathPattern(pattern)?.test(path), `${pattern}: ${path}`);
  }
  assert.deepEqual(['[', 'a\\', '[b-a]'].map(pathPattern), [undefined, undefined, undefined]);
  assert.deepEqual(['a', 'a*', 'a\\*', '?', '[', 'a\\\\*'].map(isPattern), [false, true, false, true, true, true]);
});

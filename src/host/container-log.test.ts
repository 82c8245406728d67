import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import { formatTime } from '../model/time.ts';
import { createLogs } from './container-log.ts';
import type { LogQuery } from '../model/log.ts';

const dataRoot = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-logs-'));
after(() => fs.rmSync(dataRoot, { recursive: true }));

const START = 1_795_455_945_000_000_000n;
const all: LogQuery = { stdout: true, stderr: true, since: undefined, until: undefined, tail: undefined, follow: undefined };
let container = 0;
let id = '';
let seconds = 0n;
/** A second later each time. */
const logs = createLogs({ dataRoot, now: () => formatTime(START + seconds++ * 1_000_000_000n) });
const at = (second: number): bigint => START + BigInt(second) * 1_000_000_000n;

beforeEach(() => {
  id = `c${(container += 1)}`;
  seconds = 0n;
});

const write = (chunks: readonly (string | Buffer)[], options = {}, stream: 'stdout' | 'stderr' = 'stdout'): void => {
  const writer = logs.open(id, options);
  for (const chunk of chunks) writer.write(stream, Buffer.from(chunk as string));
  writer.close();
};
const read = async (query: Partial<LogQuery> = {}): Promise<string[]> => {
  const lines: string[] = [];
  for await (const batch of logs.read(id, { ...all, ...query })) lines.push(...batch.map(({ text }) => text));
  return lines;
};
const file = (): string => fs.readFileSync(logs.path(id), 'utf8');

describe('the file', () => {
  test('one JSON object a line, escaped as the reference does', async () => {
    write(['a\nb\r\n\n <>&\t"\\ \u001b \u2028 \u007f \b\f x\ntail'], {});
    assert.equal(
      file(),
      String.raw`{"log":"a\n","stream":"stdout","time":"2026-11-23T17:45:45Z"}
{"log":"b\r\n","stream":"stdout","time":"2026-11-23T17:45:46Z"}
{"log":"\n","stream":"stdout","time":"2026-11-23T17:45:47Z"}
{"log":" \u003c\u003e\u0026\u0009\"\\ \u001b \u2028 ${'\u007f'} \u0008\u000c x\n","stream":"stdout","time":"2026-11-23T17:45:48Z"}
{"log":"tail","stream":"stdout","time":"2026-11-23T17:45:49Z"}
`,
    );
    assert.deepEqual(await read(), ['a\n', 'b\r\n', '\n', ' <>&\t"\\ \u001b \u2028 \u007f \b\f x\n', 'tail']);
    assert.equal(logs.path(id), `${dataRoot}/containers/${id}/${id}-json.log`);
  });

  test('a line waits for its end', async () => {
    const writer = logs.open(id, {});
    writer.write('stdout', Buffer.from('one'));
    writer.write('stderr', Buffer.from('err\n'));
    assert.deepEqual(await read(), ['err\n']);
    writer.write('stdout', Buffer.from(' line\ntw'));
    writer.close();
    assert.deepEqual(await read(), ['err\n', 'one line\n', 'tw']);
    assert.deepEqual(await read({ stdout: false }), ['err\n']);
  });

  test('characters cut by a chunk stay whole; what is not UTF-8 becomes U+FFFD, a byte at a time', async () => {
    const euro = Buffer.from('é€😀\n');
    write([...euro].map((byte) => Buffer.from([byte])));
    write([Buffer.from('b\xffc\n', 'latin1'), Buffer.from([0xc3, 0xa9, 0x20, 0xe2, 0x82, 0x0a])]);
    assert.deepEqual(await read(), ['é€😀\n', 'b\ufffdc\n', 'é \ufffd\ufffd\n']);
  });

  test('long lines in pieces of 16 KiB that share a time', async () => {
    write([`${'z'.repeat(40000)}\nshort\n`, 'partial', `${'y'.repeat(16384)}\n`, `${'y'.repeat(16383)}\n`, `${'x'.repeat(16384)}\n`]);
    const pieces: [number, string][] = [];
    for await (const batch of logs.read(id, all)) for (const { text, time } of batch) pieces.push([text.length, time.slice(17)]);
    assert.deepEqual(pieces, [
      [16384, '45Z'], [16384, '45Z'], [7233, '45Z'], [6, '46Z'], [16384, '47Z'], [8, '47Z'], [16384, '48Z'], [16384, '49Z'], [1, '49Z'],
    ]);
  });

  test('a long line is not cut within a character', async () => {
    write(['é'.repeat(20000), '\n', `a${'€'.repeat(10000)}\n`]);
    const lines = await read();
    assert.equal(lines.join(''), `${'é'.repeat(20000)}\na${'€'.repeat(10000)}\n`);
    assert.ok(lines.every((line) => Buffer.byteLength(line) <= 16385));
  });

  test('a later daemon appends, after ending the line that a crash cut off', async () => {
    write(['one\n']);
    fs.appendFileSync(logs.path(id), '{"log":"two\\n","stre');
    write(['three\n']);
    assert.deepEqual(await read(), ['one\n', 'three\n']);
    assert.deepEqual(await read({ tail: 1 }), ['three\n']);
  });

  test('lines of other writers', async () => {
    write(['one\n']);
    fs.appendFileSync(logs.path(id), '{"time":"2026-11-23T17:45:46Z","log":"two\\n","stream":"stderr","attrs":{"a":"b"}}\n');
    assert.deepEqual(await read({ stdout: false }), ['two\n']);
  });

  test('rotation', async () => {
    const writer = logs.open(id, { 'max-size': '1k', 'max-file': '3' });
    for (let number = 0; number < 100; number += 1) writer.write('stdout', Buffer.from(`line ${number}\n`));
    writer.close();
    assert.deepEqual(fs.readdirSync(path.dirname(logs.path(id))).sort(), [`${id}-json.log`, `${id}-json.log.1`, `${id}-json.log.2`]);
    const lines = await read();
    assert.equal(lines.at(-1), 'line 99\n');
    assert.deepEqual(lines, Array.from({ length: lines.length }, (_, index) => `line ${100 - lines.length + index}\n`));
    assert.deepEqual(await read({ tail: 30 }), lines.slice(-30));
  });
});

describe('reading', () => {
  const numbers = (first: number, last: number): string[] => Array.from({ length: last - first + 1 }, (_, index) => `${first + index}\n`);

  test('a log that is not there is empty', async () => {
    assert.deepEqual(await read(), []);
    assert.deepEqual(await read({ tail: 3 }), []);
  });

  test('since and until', async () => {
    write([numbers(0, 9).join('')]);
    assert.deepEqual(await read({ since: at(8) }), ['8\n', '9\n']);
    assert.deepEqual(await read({ since: at(8) + 1n }), ['9\n']);
    assert.deepEqual(await read({ until: at(1) }), ['0\n', '1\n']);
    assert.deepEqual(await read({ until: at(1) - 1n }), ['0\n']);
    assert.deepEqual(await read({ tail: 5, since: at(3), until: at(6) }), ['5\n', '6\n']);
  });

  test('the last lines, however many blocks they are in', async () => {
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index} ${'é'.repeat(20)}\n`);
    write([lines.join('')]);
    for (const tail of [0, 1, 2, 1999, 5000, 20_000, 30_000]) assert.deepEqual(await read({ tail }), tail === 0 ? [] : lines.slice(-tail));
    assert.deepEqual(await read(), lines);
  });
});

describe('following', () => {
  const follow = (query: Partial<LogQuery> = {}) => {
    const abort = new AbortController();
    const seen: string[] = [];
    const done = (async () => {
      for await (const batch of logs.read(id, { ...all, follow: abort.signal, ...query })) seen.push(...batch.map(({ text }) => text));
    })();
    return { seen, done, abort };
  };
  const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

  test('what is there, then what comes, until the writer closes', async () => {
    write(['old\n']);
    const writer = logs.open(id, {});
    writer.write('stdout', Buffer.from('before\n'));
    const { seen, done } = follow();
    await settle();
    assert.deepEqual(seen, ['old\n', 'before\n']);
    writer.write('stdout', Buffer.from('a\nb'));
    await settle();
    assert.deepEqual(seen.slice(2), ['a\n']);
    writer.write('stderr', Buffer.from('é\n'));
    writer.close();
    await done;
    assert.deepEqual(seen.slice(2), ['a\n', 'é\n', 'b']);
  });

  test('until the signal, and from the tail', async () => {
    const writer = logs.open(id, {});
    writer.write('stdout', Buffer.from('1\n2\n3\n'));
    const { seen, done, abort } = follow({ tail: 1 });
    await settle();
    writer.write('stdout', Buffer.from('4\n'));
    await settle();
    abort.abort();
    await done;
    writer.write('stdout', Buffer.from('5\n'));
    writer.close();
    assert.deepEqual(seen, ['3\n', '4\n']);
  });

  test('through rotations, and after the file was emptied', async () => {
    const writer = logs.open(id, { 'max-size': '200', 'max-file': '3' });
    const { seen, done } = follow();
    for (let number = 0; number < 20; number += 1) {
      writer.write('stdout', Buffer.from(`line ${number}\n`));
      await settle();
    }
    assert.deepEqual(seen, Array.from({ length: 20 }, (_, number) => `line ${number}\n`));
    fs.truncateSync(logs.path(id), 0);
    writer.write('stdout', Buffer.from('x\n'));
    writer.close();
    await done;
    assert.equal(seen.at(-1), 'x\n');
  });

  test('a container that does not run', async () => {
    write(['done\n']);
    const { seen, done } = follow();
    await done;
    assert.deepEqual(seen, ['done\n']);
  });
});

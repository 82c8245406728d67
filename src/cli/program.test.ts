import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import test from 'node:test';
import { program } from './program.ts';
import { progressLine, size } from './progress.ts';
import { formatSums, parseSums } from './sums.ts';
import { writeTextWhole, writeWhole } from './whole-file.ts';

type Sent = { readonly method: string; readonly url: string; readonly body: string; readonly headers: http.IncomingHttpHeaders };

/** A daemon that answers as it is told, and what it was asked. */
const daemon = async (t: { after(body: () => void): void }, answer: (sent: Sent, res: http.ServerResponse) => void) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-cli-'));
  const socket = path.join(directory, 's');
  const asked: Sent[] = [];
  const server = http.createServer(async (req, res) => {
    const sent = { method: req.method ?? '', url: req.url ?? '', body: await text(req), headers: req.headers };
    asked.push(sent);
    answer(sent, res);
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
    fs.rmSync(directory, { recursive: true });
  });
  return { directory, asked, host: `unix://${socket}` };
};

const run = async (argv: readonly string[], { host, input = '', signal = new AbortController().signal }: { readonly host?: string; readonly input?: string; readonly signal?: AbortSignal } = {}) => {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const [out, error] = [text(stdout), text(stderr)];
  const code = await program(argv, { stdin: Readable.from([Buffer.from(input)]), stdout, stderr, environment: host === undefined ? {} : { DOCKER_HOST: host }, interrupted: signal });
  stdout.end();
  stderr.end();
  return { code, out: await out, error: await error };
};

const json = (res: http.ServerResponse, status: number, body: object): void => void res.writeHead(status).end(JSON.stringify(body));
const archive = (res: http.ServerResponse, body: string, digest = createHash('sha256').update(body).digest('base64')): void => {
  res.writeHead(200, { Trailer: 'Content-Digest' });
  res.write(body);
  res.addTrailers({ 'Content-Digest': `sha-256=:${digest}:` });
  res.end();
};

test('help is on stdout, and exit 0', async () => {
  for (const argv of [[], ['--help'], ['volume'], ['volume', '--help'], ['volume', 'backup', '--help'], ['-H', 'unix:///x', 'volume', 'rename', '-h']]) {
    const { code, out, error } = await run(argv);
    assert.deepEqual([code, error], [0, ''], argv.join(' '));
    assert.match(out, /^Usage: berth /);
  }
  assert.match((await run(['volume', 'restore', '--help'])).out, /--replace[^]*--merge[^]*--sha256 HEX/);
});

test('a command line that is not understood: exit 2, and where to read on', async () => {
  for (const [argv, words] of [
    [['nosuch'], 'unknown command: nosuch'], [['volume', 'nosuch'], 'unknown command: volume nosuch'], [['--nosuch'], 'unknown option: --nosuch'],
    [['volume', 'backup'], 'one NAME is wanted, 0 given'], [['volume', 'backup', 'a', 'b'], 'one NAME is wanted, 2 given'], [['volume', 'backup', '--nosuch', 'a'], "'--nosuch'"],
    [['volume', 'backup', '--all', '-o', 'x', 'dir'], 'no -o'], [['volume', 'restore', '--merge', '--replace', 'a'], 'not both'], [['volume', 'restore', '--sha256', 'xyz', 'a'], 'no sha256: xyz'],
    [['volume', 'clone', 'a'], 'NAME and NEW are wanted'], [['volume', 'rename', 'a', 'b', 'c'], 'NAME and NEW are wanted'], [['-H', 'tcp://127.0.0.1:1', 'volume', 'rename', 'a', 'b'], 'unsupported host'],
  ] as const) {
    const { code, out, error } = await run(argv);
    assert.deepEqual([code, out], [2, ''], argv.join(' '));
    assert.ok(error.includes(words) && /see 'berth .*--help'/.test(error), error);
  }
});

test('no daemon, another engine, a refusal: exit 1 and a reason', async (t) => {
  assert.match((await run(['volume', 'backup', 'a'], { host: 'unix:///nonexistent/s' })).error, /cannot connect to unix:\/\/\/nonexistent\/s: is berthd running\?/);
  const other = await daemon(t, (_sent, res) => json(res, 404, { message: 'page not found' }));
  assert.match((await run(['volume', 'clone', 'a', 'b'], other)).error, /this engine has no POST \/volumes\/a\/clone: is it berth\?/);
  const busy = await daemon(t, (_sent, res) => json(res, 409, { message: 'volume is in use' }));
  assert.deepEqual(await run(['volume', 'rename', 'a', 'b'], busy), { code: 1, out: '', error: 'berth: volume is in use\n' });
});

test('backup: the bytes, with a sha256 that has to be right', async (t) => {
  let digest: string | undefined;
  const { host, directory, asked } = await daemon(t, (_sent, res) => archive(res, 'tar', digest));
  assert.deepEqual(await run(['volume', 'backup', '--pause', 'data'], { host }), { code: 0, out: 'tar', error: '' });
  assert.equal(asked[0]?.url, '/volumes/data/archive?pause=1');
  const file = path.join(directory, 'data.tar');
  assert.equal((await run(['-H', host, 'volume', 'backup', '-o', file, 'data'])).out, `${createHash('sha256').update('tar').digest('hex')}  ${file}\n`);
  digest = 'A'.repeat(43) + '=';
  const failed = await run(['volume', 'backup', '-o', file, 'data'], { host });
  assert.deepEqual([failed.code, failed.error], [1, 'berth: the archive of data was damaged on its way\n']);
  assert.equal(fs.readFileSync(file, 'utf8'), 'tar', 'the backup from before is still there');
  assert.deepEqual(fs.readdirSync(directory).sort(), ['data.tar', 's']);
});

test('backup: a daemon that goes away in between leaves no file', async (t) => {
  const { host, directory } = await daemon(t, (_sent, res) => {
    res.writeHead(200, { Trailer: 'Content-Digest' });
    res.write('half', () => res.destroy());
  });
  const { code, error } = await run(['volume', 'backup', '-o', path.join(directory, 'x'), 'data'], { host });
  assert.deepEqual([code, error], [1, 'berth: the archive of data broke off\n']);
  assert.deepEqual(fs.readdirSync(directory), ['s']);
});

test('backup --all: one that fails does not keep the others from it', async (t) => {
  let broken = '';
  const { host, directory } = await daemon(t, ({ url }, res) => {
    if (url === '/volumes') json(res, 200, { Volumes: [{ Name: 'one' }, { Name: 'two' }, { Name: 'three' }] });
    else if (url.includes(broken || '\0')) json(res, 500, { message: 'broken' });
    else archive(res, `${url}${broken}`);
  });
  const to = path.join(directory, 'all');
  assert.equal((await run(['volume', 'backup', '--all', to], { host })).error, '');
  const before = parseSums(fs.readFileSync(path.join(to, 'SHA256SUMS'), 'utf8'));
  assert.deepEqual([...before.keys()], ['one.tar', 'three.tar', 'two.tar']);
  broken = 'two';
  const { code, error } = await run(['volume', 'backup', '--all', to], { host });
  assert.deepEqual([code, error], [1, 'berth: two: broken\n']);
  const after = parseSums(fs.readFileSync(path.join(to, 'SHA256SUMS'), 'utf8'));
  for (const [name, hex] of after) assert.equal(createHash('sha256').update(fs.readFileSync(path.join(to, name))).digest('hex'), hex, name);
  assert.equal(after.get('two.tar'), before.get('two.tar'));
  assert.notEqual(after.get('one.tar'), before.get('one.tar'));
  assert.deepEqual(fs.readdirSync(to).sort(), ['SHA256SUMS', 'one.tar', 'three.tar', 'two.tar']);
});

test('restore: mode, sha256 from where it is written down, a volume made and taken back', async (t) => {
  let [there, refuse] = [true, false];
  const { host, directory, asked } = await daemon(t, ({ method, url }, res) => {
    if (method === 'GET') json(res, there ? 200 : 404, { message: 'no such volume' });
    else if (method === 'PUT' && refuse) json(res, 400, { message: 'another sha-256' });
    else json(res, method === 'POST' ? 201 : 200, {});
    void url;
  });
  const calls = (): string[] => asked.splice(0).map(({ method, url }) => `${method} ${url}`);
  assert.equal((await run(['volume', 'restore', '--merge', '--pause', 'data'], { host, input: 'tar' })).code, 0);
  const sent = asked.find(({ method }) => method === 'PUT');
  assert.deepEqual([sent?.url, sent?.body, sent?.headers['content-digest']], ['/volumes/data/archive?mode=merge&pause=1', 'tar', undefined]);
  calls();

  const file = path.join(directory, 'data.tar');
  fs.writeFileSync(file, 'from a file');
  const hex = createHash('sha256').update('from a file').digest('hex');
  const expected = `sha-256=:${Buffer.from(hex, 'hex').toString('base64')}:`;
  for (const list of ['SHA256SUMS', 'data.tar.sha256']) {
    fs.writeFileSync(path.join(directory, list), `${hex}  data.tar\n`);
    await run(['volume', 'restore', '-i', file, 'data'], { host });
    assert.equal(asked.find(({ method }) => method === 'PUT')?.headers['content-digest'], expected);
    assert.deepEqual(calls(), ['GET /volumes/data', 'PUT /volumes/data/archive?mode=replace']);
    fs.rmSync(path.join(directory, list));
  }
  [there, refuse] = [false, true];
  assert.deepEqual(await run(['volume', 'restore', '-i', file, 'data'], { host }), { code: 1, out: '', error: 'berth: another sha-256\n' });
  assert.deepEqual(calls(), ['GET /volumes/data', 'POST /volumes/create', 'PUT /volumes/data/archive?mode=replace', 'DELETE /volumes/data']);
  assert.equal((await run(['volume', 'restore', '-i', path.join(directory, 'nosuch'), 'data'], { host })).code, 1);
  assert.deepEqual(calls(), [], 'no volume is made for a file that is not there');
});

test('interrupted: 130, and nothing half made', async (t) => {
  const interruption = new AbortController();
  const { host, directory } = await daemon(t, (_sent, res) => {
    res.writeHead(200);
    res.write('half', () => interruption.abort(new Error('interrupted')));
  });
  assert.equal((await run(['volume', 'backup', '-o', path.join(directory, 'x'), 'data'], { host, signal: interruption.signal })).code, 130);
  assert.deepEqual(fs.readdirSync(directory), ['s']);
});

test('a file is whole or as it was; what is no file is written to', async (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-whole-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const [file, link] = [path.join(directory, 'f'), path.join(directory, 'l')];
  await writeTextWhole(file, 'first');
  fs.symlinkSync('f', link);
  await writeTextWhole(link, 'second');
  assert.deepEqual([fs.readFileSync(file, 'utf8'), fs.lstatSync(link).isSymbolicLink()], ['second', true]);
  await assert.rejects(writeWhole(file, async () => { throw new Error('no'); }), /no/);
  await assert.rejects(writeTextWhole(directory, 'x'), /is a directory/);
  await writeTextWhole('/dev/null', 'x');
  assert.ok(fs.lstatSync('/dev/null').isCharacterDevice());
  assert.deepEqual([fs.readFileSync(file, 'utf8'), fs.readdirSync(directory).sort()], ['second', ['f', 'l']]);
});

test('the progress line fits its terminal', () => {
  const line = (expected: number | undefined, width = 80) => progressLine({ title: 'data', bytes: 512 * 1024 * 1024, expected, seconds: 2 }, width);
  assert.equal(line(undefined), 'data  512 MiB  256 MiB/s');
  assert.equal(line(1024 * 1024 * 1024), 'data  [===============>                 ]   50%  512 MiB of 1.00 GiB  256 MiB/s');
  assert.match(line(100), /100%/);
  for (const width of [10, 40, 60, 200]) assert.ok(line(1e9, width).length < width);
  assert.deepEqual([0, 1, 1023, 1024, 1.5 * 1024 ** 2, 5e14].map(size), ['0 B', '1 B', '1023 B', '1.00 KiB', '1.50 MiB', '455 TiB']);
});

test('lists of sums are those of sha256sum', () => {
  const hex = 'ab'.repeat(32);
  assert.deepEqual([...parseSums(`${hex}  a b.tar\n${hex.toUpperCase()} *c.tar\nnonsense\n`)], [['a b.tar', hex], ['c.tar', hex]]);
  assert.equal(formatSums(new Map([['b', hex], ['a', hex]])), `${hex}  a\n${hex}  b\n`);
});

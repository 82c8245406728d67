import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { Peer } from '../engine/peer.ts';
import type { Exec } from '../model/container.ts';
import { conflict, notFound } from '../model/errors.ts';
import { createApp } from './app.ts';
import { fakeEngine, options } from './fake.ts';

/** A client that speaks bytes: what it sent and got, and whether the connection is over. */
const connect = async (t: TestContext, parts: Parameters<typeof fakeEngine>[0]) => {
  const server = createApp(fakeEngine(parts), options).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = net.connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  t.after(() => {
    socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  let got = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (got += chunk));
  const until = async (pattern: RegExp): Promise<string> => {
    while (!pattern.test(got)) await Promise.race([once(socket, 'data'), once(socket, 'end').then(() => assert.match(got, pattern))]);
    return got;
  };
  return { socket, until, ended: async () => (socket.readableEnded ? got : (await once(socket, 'end'), got)) };
};

const ask = (method: string, path: string, body = '', ...headers: string[]): string =>
  [`${method} ${path} HTTP/1.1`, 'Host: docker', ...headers, ...(body === '' ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`]), '', body].join('\r\n');

const UPGRADE = ['Connection: Upgrade', 'Upgrade: tcp'];

/** Answers what it is sent, in capitals, and ends with its input. */
const echo = async (peer: Peer): Promise<void> => {
  peer.write('stderr', Buffer.from('hi'));
  for await (const chunk of peer.input) peer.write('stdout', Buffer.from(String(chunk).toUpperCase()));
  peer.write('stdout', Buffer.from('bye'));
};

const container = (tty: boolean, run: (peer: Peer) => Promise<void> = echo) => ({ containers: { attach: () => ({ tty, run }) } });

const exec = { attachStdin: true, detachKeys: '' } as Exec;

test('attach: upgraded, framed, half closed', async (t) => {
  const { socket, until, ended } = await connect(t, container(false));
  socket.write(ask('POST', '/v1.50/containers/x/attach?stream=1&stdin=1&stdout=1&stderr=1', '', ...UPGRADE, 'Content-Type: text/plain', 'Content-Length: 0'));
  assert.equal(
    await until(/hi$/),
    'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n\x02\0\0\0\0\0\0\x02hi',
  );
  socket.write('abc');
  await until(/\x01\0\0\0\0\0\0\x03ABC$/);
  socket.end();
  assert.match(await ended(), /\x01\0\0\0\0\0\0\x03bye$/);
});

test('attach: bytes that come with the request are input', async (t) => {
  const { socket, ended } = await connect(t, container(true));
  socket.end(`${ask('POST', '/containers/x/attach?stream=1&stdin=1', '', ...UPGRADE)}early`);
  assert.match(await ended(), /^HTTP\/1.1 101 UPGRADED\r\nContent-Type: application\/vnd.docker.raw-stream\r\n[^]*\r\n\r\nhiEARLYbye$/);
});

test('attach: the empty chunked body that docker-modem sends is no input', async (t) => {
  const { socket, ended } = await connect(t, container(true));
  socket.end(`${ask('POST', '/containers/x/attach?stream=1&stdin=1', '', ...UPGRADE, 'Transfer-Encoding: chunked')}0\r\n\r\nabc`);
  assert.match(await ended(), /hiABCbye$/);
});

test('attach: no stdin, and the answer is not cut short by what is sent nevertheless', async (t) => {
  const { socket, ended } = await connect(t, container(false));
  socket.write(`${ask('POST', '/containers/x/attach?stream=1', '', ...UPGRADE)}ignored`);
  assert.match(await ended(), /\x03bye$/);
});

test('attach: the detach keys end the connection and are not passed on', async (t) => {
  let input = '';
  const { socket, until, ended } = await connect(
    t,
    container(true, async (peer) => {
      peer.input.on('data', (chunk) => {
        input += String(chunk);
        peer.write('stdout', Buffer.from(`got ${input.length}.`));
      });
      await new Promise<void>((resolve) => peer.closed(resolve));
    }),
  );
  socket.write(ask('POST', '/containers/x/attach?stream=1&stdin=1', '', ...UPGRADE));
  await until(/\r\n\r\n/);
  socket.write('a\x10b\x10');
  await until(/got 3\./);
  socket.write('\x11more');
  await ended();
  assert.equal(input, 'a\x10b');
});

test('attach: refused before the stream begins', async (t) => {
  const parts = { containers: { attach: (ref: string) => { throw notFound(`No such container: ${ref}`); } } };
  const { socket, ended } = await connect(t, parts);
  socket.write(ask('POST', '/v1.50/containers/a%20b/attach?stream=1', '', ...UPGRADE));
  assert.match(await ended(), /^HTTP\/1.1 404 Not Found\r\n[^]*Content-Type: application\/json\r\n[^]*\r\n\r\n\{"message":"No such container: a b"\}\n$/);

  const other = await connect(t, parts);
  other.socket.write(ask('POST', '/containers/x/attach?detachKeys=zzz', '', ...UPGRADE));
  assert.match(await other.ended(), /400 Bad Request[^]*\{"message":"Invalid detach keys \(zzz\) provided"\}/);

  const third = await connect(t, parts);
  third.socket.write(ask('POST', '/v1.99/containers/x/attach', '', ...UPGRADE));
  assert.match(await third.ended(), /400 Bad Request[^]*client version 1.99 is too new/);
});

test('attach: not upgraded, raw until the connection closes', async (t) => {
  const { socket, ended } = await connect(t, { containers: { attach: () => ({ tty: true, run: async (peer: Peer) => void peer.write('stdout', Buffer.from('out')) }) } });
  socket.write(ask('POST', '/containers/x/attach?stream=1&stdout=1'));
  assert.match(await ended(), /^HTTP\/1.1 200 OK\r\n[^]*Content-Type: application\/vnd.docker.raw-stream\r\n[^]*\r\n\r\nout$/);
});

test('exec start: the body comes before the stream, in pieces or chunks', async (t) => {
  const seen: unknown[] = [];
  const parts = { exec: { find: () => exec, start: (id: string, start: object) => (seen.push([id, start]), { tty: true, run: echo }) } };
  const body = '{"Detach":false,"Tty":true,"ConsoleSize":[24,80]}';
  const { socket, ended } = await connect(t, parts);
  const whole = ask('POST', '/v1.50/exec/e1/start', body, ...UPGRADE);
  socket.write(whole.slice(0, -20));
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.end(`${whole.slice(-20)}typed`);
  assert.equal(
    await ended(),
    'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n' +
      'Api-Version: 1.51\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Docker/28.5.2 (linux)\r\n\r\nhiTYPEDbye',
  );
  assert.deepEqual(seen, [['e1', { tty: true, consoleSize: [24, 80] }]]);

  const chunked = await connect(t, parts);
  chunked.socket.write(`${ask('POST', '/exec/e1/start', '', ...UPGRADE, 'Content-Type: application/json', 'Transfer-Encoding: chunked')}2\r\n{}\r\n`);
  await new Promise((resolve) => setTimeout(resolve, 20));
  chunked.socket.end('0\r\n\r\nx');
  assert.match(await chunked.ended(), /hiXbye$/);
});

test('exec start: detached, refused, and failing after the stream began', async (t) => {
  const started: string[] = [];
  const detached = await connect(t, { exec: { startDetached: async (id: string) => void started.push(id) } });
  detached.socket.write(ask('POST', '/exec/e1/start', '{"Detach":true}', ...UPGRADE));
  assert.match(await detached.ended(), /^HTTP\/1.1 200 OK\r\n/);
  assert.deepEqual(started, ['e1']);

  const refused = await connect(t, { exec: { find: () => exec, start: () => { throw conflict('has already run'); } } });
  refused.socket.write(ask('POST', '/exec/e1/start', '{}', ...UPGRADE));
  assert.match(await refused.ended(), /^HTTP\/1.1 409 Conflict[^]*\{"message":"has already run"\}/);

  const failing = await connect(t, { exec: { find: () => exec, start: () => ({ tty: false, run: async () => { throw new Error('OCI runtime exec failed'); } }) } });
  failing.socket.write(ask('POST', '/exec/e1/start', '{}', ...UPGRADE));
  assert.match(await failing.ended(), /\x01\0\0\0\0\0\0\x19OCI runtime exec failed\r\n$/);
});

test('an upgrade that is none of ours is served as a plain request, and the connection goes on', async (t) => {
  const { socket, until } = await connect(t, { volumes: { create: async ({ name }) => ({ name, created: '', driver: 'local', mountpoint: '' }) as never, list: () => [] } });
  const body = '{"Name":"a"}';
  const whole = ask('POST', '/v1.50/volumes/create', body, 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA');
  socket.write(whole.slice(0, -5));
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.write(whole.slice(-5));
  await until(/201 Created[^]*"Name":"a"/);
  socket.write(ask('GET', '/volumes', '', 'Connection: Upgrade', 'Upgrade: h2c'));
  await until(/200 OK[^]*"Volumes":\[\]/);
  socket.write(ask('GET', '/_ping'));
  await until(/200 OK[^]*OK$/);
});

test('a slow reader holds the writer back', async (t) => {
  const seen: { held?: boolean; drained?: boolean } = {};
  const { socket, ended } = await connect(
    t,
    container(false, async (peer) => {
      // More than the kernel takes into its buffers.
      const chunk = Buffer.alloc(32 << 20, 'x');
      while (peer.write('stdout', chunk));
      seen.held = true;
      await new Promise<void>((resolve) => peer.drained(resolve));
      seen.drained = true;
      peer.write('stdout', Buffer.from('end'));
    }),
  );
  socket.pause();
  socket.write(ask('POST', '/containers/x/attach?stream=1', '', ...UPGRADE));
  while (!seen.held) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(seen.drained, undefined);
  socket.resume();
  assert.ok((await ended()).endsWith('end'));
});

// HTTP itself, as clients of every kind speak it to the engine.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { dockerode } from './support/docker.ts';
import { engine } from './support/engine.ts';
import { eventually } from './support/eventually.ts';
import { http, opened } from './support/http.ts';
import { scope } from './support/scope.ts';

const { name } = scope('http');

type Line = { readonly socket: Socket; readonly says: (words: string | Buffer) => void; readonly hears: (what: RegExp) => Promise<string>; readonly close: () => void };

async function line(): Promise<Line> {
  const socket = connect(engine.socket);
  await once(socket, 'connect');
  let heard = '';
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')));
  return {
    socket,
    says: words => void socket.write(words),
    hears: what => eventually(() => (assert.match(heard, what), heard)),
    close: () => socket.destroy(),
  };
}

const request = (method: string, path: string, headers: readonly string[] = [], body = '') =>
  [`${method} ${path} HTTP/1.1`, 'Host: docker', ...headers, '', body].join('\r\n');

describe('a connection', () => {
  test('is kept, and takes requests one behind the other', async () => {
    const { says, hears, socket, close } = await line();
    says(request('GET', '/_ping') + request('GET', '/_ping'));
    await hears(/OK[^]*\r\n\r\nOK$/);
    says(request('GET', '/_ping', ['Connection: close']));
    await hears(/OK[^]*OK[^]*OK$/);
    await once(socket, 'end');
    close();
  });

  test('a body in chunks', async () => {
    const body = JSON.stringify({ Name: name('chunks') });
    const { says, hears, close } = await line();
    says(request('POST', '/volumes/create', ['Content-Type: application/json', 'Transfer-Encoding: chunked'], `4\r\n${body.slice(0, 4)}\r\n`));
    says(`${(body.length - 4).toString(16)}\r\n${body.slice(4)}\r\n0\r\n\r\n`);
    await hears(/^HTTP\/1\.1 201 Created\r\n[^]*-chunks/);
    close();
  });

  test('Expect: 100-continue', async () => {
    const body = JSON.stringify({ Name: name('expected') });
    const { says, hears, close } = await line();
    says(request('POST', '/volumes/create', ['Content-Type: application/json', `Content-Length: ${body.length}`, 'Expect: 100-continue']));
    await hears(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    says(body);
    await hears(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 Created\r\n[^]*-expected/);
    close();
  });

  test('h2c is not taken up: the answer is HTTP/1.1', async () => {
    const { says, hears, close } = await line();
    says(request('GET', '/_ping', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA']));
    await hears(/^HTTP\/1\.1 200 OK\r\n[^]*OK$/);
    close();
  });

  test('a path as it is told to a proxy', async () => {
    const { says, hears, close } = await line();
    says(request('GET', 'http://docker/v1.40/_ping'));
    await hears(/^HTTP\/1\.1 200 OK\r\n[^]*OK$/);
    close();
  });

  test('HEAD is answered without a body, where there is one', async () => {
    const { status, text, headers } = await http('HEAD', '/_ping');
    assert.deepEqual([status, text, headers['content-length']], [200, '', '0']);
    assert.equal((await http('HEAD', '/version')).status, 404);
  });

  test('a body that is compressed is not JSON', async () => {
    const { status, json } = await http('POST', '/volumes/create', Buffer.from('1f8b0800', 'hex'), { 'content-type': 'application/json', 'content-encoding': 'gzip' });
    assert.equal(status, 400);
    assert.match(json().message, /^invalid JSON: invalid character '\\(x1f|u001f)' looking for beginning of value$/);
  });
});

describe('a stream ends when its client goes', () => {
  test('events, logs, stats and waits', async () => {
    const container = await dockerode.createContainer({ name: name('streams'), Image: 'busybox', Cmd: ['sleep', '1000'] });
    await container.start();
    for (const [method, path] of [
      ['GET', '/events'], ['GET', `/containers/${container.id}/logs?follow=1&stdout=1`], ['GET', `/containers/${container.id}/stats`], ['POST', `/containers/${container.id}/attach?stream=1&stdout=1`],
    ] as const) {
      const { stream, status } = await opened(method, path);
      assert.equal(status, 200, path);
      stream.destroy();
    }
    // Nobody is left who would hold the container.
    await container.remove({ force: true });
    assert.equal((await http('GET', '/_ping')).text, 'OK');
  });
});

describe('platforms', () => {
  test('an image for another one counts as missing', async () => {
    const create = (platform: string) => http('POST', `/containers/create?name=${name('platform')}&platform=${platform}`, { Image: 'busybox' });
    const { status, json } = await create('linux/s390x');
    assert.equal(status, 404);
    assert.match(json().message, /^image with reference busybox was found but .*linux\/s390x/);
    assert.equal((await create('a/b/c/d')).status, 400);
    assert.equal((await create('linux')).status, 201);
  });
});

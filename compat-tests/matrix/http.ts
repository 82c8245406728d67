// How the engine speaks HTTP, byte by byte.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { tar } from '../support/tars.ts';
import { check, type Resource } from './check.ts';
import type { Lab } from './lab.ts';

/** A connection of one's own: what was written, and what came. */
const open = (lab: Lab) => {
  const socket = connect(lab.socket);
  let said = '';
  let over = false;
  socket.on('data', chunk => (said += chunk.toString('latin1'))).on('error', () => undefined).on('close', () => (over = true));
  return {
    write: (bytes: string | Buffer) => socket.write(bytes),
    says: (expected: RegExp) => lab.eventually(() => assert.match(said, expected)),
    said: () => said,
    over: () => over,
    close: () => socket.destroy(),
  };
};
const head = (line: string, ...headers: readonly string[]) => [`${line} HTTP/1.1`, 'Host: docker', ...headers, '', ''].join('\r\n');

export const http: Resource = {
  title: 'HTTP',
  about: 'keep-alive, chunked bodies, `Expect: 100-continue`, a refusal of HTTP/2 upgrades that leaves HTTP/1.1 usable',
  checks: [
    check('GET /_ping', 'several calls over one connection, sent at once', async lab => {
      const connection = open(lab);
      connection.write(head('GET /_ping') + head('GET /_ping') + head('GET /mx-nosuch'));
      await connection.says(/200 OK\r\n[^]*\r\n\r\nOKHTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nOKHTTP\/1\.1 404 Not Found/);
      assert.equal(connection.over(), false);
      connection.close();
    }),
    check('GET /_ping', 'the connection closes when asked', async lab => {
      const connection = open(lab);
      connection.write(head('GET /_ping', 'Connection: close'));
      await lab.eventually(() => assert.ok(connection.over()));
      assert.match(connection.said(), /\r\n\r\nOK$/);
    }),
    check('GET /_ping', 'HTTP/2 upgrades are passed over', async lab => {
      const connection = open(lab);
      connection.write(head('GET /_ping', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'));
      await connection.says(/^HTTP\/1\.1 200 OK[^]*OK$/);
      connection.close();
    }),
    check('GET /_ping', 'what is no HTTP', async lab => {
      const connection = open(lab);
      connection.write('nonsense\r\n\r\n');
      await connection.says(/^HTTP\/1\.1 400 Bad Request/);
      connection.close();
    }),
    check('POST /volumes/create', 'a body in chunks', async lab => {
      const volume = await lab.volume();
      const connection = open(lab);
      connection.write(head('POST /volumes/create', 'Content-Type: application/json', 'Transfer-Encoding: chunked', 'Connection: close'));
      const body = JSON.stringify({ Name: volume });
      for (const part of [body.slice(0, 5), body.slice(5)]) connection.write(`${part.length.toString(16)}\r\n${part}\r\n`);
      connection.write('0\r\n\r\n');
      await connection.says(/^HTTP\/1\.1 201 Created/);
      connection.close();
    }),
    check('PUT /containers/{id}/archive', 'a body that waits to be asked for', async lab => {
      const id = await lab.create();
      const body = await tar([{ name: 'f', body: 'asked\n' }]);
      const connection = open(lab);
      connection.write(head(`PUT /containers/${id}/archive?path=/tmp`, 'Content-Type: application/x-tar', `Content-Length: ${body.length}`, 'Expect: 100-continue'));
      await connection.says(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
      connection.write(body);
      await connection.says(/HTTP\/1\.1 200 OK/);
      connection.close();
    }),
    check('GET /containers/{id}/logs', 'a stream ends where its client goes away', async lab => {
      const id = await lab.start({ Cmd: ['sh', '-c', 'while :; do echo x; sleep 0.05; done'] });
      const connection = open(lab);
      connection.write(head(`GET /containers/${id}/logs?stdout=1&follow=1`));
      await connection.says(/200 OK[^]*x\n/);
      connection.close();
      await lab.ask(204, 'DELETE', `/containers/${id}?force=1`);
    }),
  ],
};

// Attaching over a WebSocket, as terminals in a browser do.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import WebSocket from 'ws';
import { docker, dockerOut } from './support/docker.ts';
import { engine } from './support/engine.ts';
import { eventually } from './support/eventually.ts';
import { http } from './support/http.ts';
import { scope } from './support/scope.ts';

const { name } = scope('ws');
const all = 'stream=1&stdin=1&stdout=1&stderr=1';

/** What comes, as text; `closed` when it is over. */
async function attach(container: string, query: string, version = '') {
  const socket = new WebSocket(`ws+unix://${engine.socket}:${version}/containers/${container}/attach/ws?${query}`);
  const closed = once(socket, 'close');
  let said = '';
  let binary = true;
  socket.on('message', (data: Buffer, isBinary) => {
    said += data.toString();
    binary &&= isBinary;
  });
  await once(socket, 'open');
  return { socket, closed, said: () => said, binary: () => binary };
}

const shows = (what: () => string, expected: string | RegExp) => eventually(() => (typeof expected === 'string' ? assert.equal(what(), expected) : assert.match(what(), expected)), { seconds: 10 });

describe('attach over a WebSocket', () => {
  test('input, both outputs, and the end', async () => {
    const container = name('both');
    await dockerOut('create', '-i', '--name', container, 'busybox', 'sh', '-c', 'read line; echo "got $line"; echo wrong >&2; exit 3');
    const { socket, closed, said, binary } = await attach(container, all);
    await dockerOut('start', container);
    socket.send('a line\n');
    await closed;
    assert.deepEqual(said().split('\n').sort(), ['', 'got a line', 'wrong']);
    assert.equal(binary(), true);
    assert.equal(await dockerOut('wait', container), '3');
  });

  test('a terminal; who detaches leaves it running', async () => {
    const container = name('terminal');
    await dockerOut('run', '-dit', '--name', container, 'busybox', 'cat');
    const { socket, closed, said } = await attach(container, `${all}&detachKeys=ctrl-x,x`);
    socket.send(Buffer.from('hello\n'));
    await shows(said, 'hello\r\nhello\r\n');
    socket.send('\x18x');
    await closed;
    assert.equal(await dockerOut('inspect', '-f', '{{.State.Running}}', container), 'true');
  });

  test('what was printed before, and several who listen', async () => {
    const container = name('several');
    await dockerOut('run', '-dit', '--name', container, 'busybox', 'sh', '-c', 'echo early; exec cat');
    await eventually(async () => assert.match(await dockerOut('logs', container), /early/));
    const [first, second] = [await attach(container, `logs=1&${all}`), await attach(container, 'stream=1&stdout=1')];
    await shows(first.said, 'early\r\n');
    first.socket.send('x\n');
    await shows(first.said, 'early\r\nx\r\nx\r\n');
    await shows(second.said, 'x\r\nx\r\n');
    first.socket.close();
    await first.closed;
    assert.equal(await dockerOut('inspect', '-f', '{{.State.Running}}', container), 'true');
    await dockerOut('rm', '-f', container);
    await second.closed;
  });

  test('streams are chosen since 1.42', async () => {
    const container = name('chosen');
    await dockerOut('run', '-dit', '--name', container, 'busybox', 'sh', '-c', 'echo early; exec cat');
    await eventually(async () => assert.match(await dockerOut('logs', container), /early/));
    const old = await attach(container, 'logs=1&stream=1', '/v1.41');
    await shows(old.said, 'early\r\n');
    old.socket.close();
    const none = await attach(container, 'stream=1', '/v1.42');
    await none.closed;
    assert.equal(none.said(), '');
  });

  test('no such container, none that runs its programs, no WebSocket', async () => {
    const refusal = async (container: string, query = all) => {
      const socket = new WebSocket(`ws+unix://${engine.socket}:/containers/${container}/attach/ws?${query}`);
      const [request, response] = await once(socket, 'unexpected-response');
      let body = '';
      for await (const chunk of response) body += chunk;
      request.destroy();
      return [response.statusCode, JSON.parse(body).message];
    };
    assert.deepEqual(await refusal(name('nosuch')), [404, `No such container: ${name('nosuch')}`]);
    const container = name('paused');
    await dockerOut('run', '-d', '--name', container, 'busybox', 'sleep', '1000');
    assert.deepEqual(await refusal(container, `${all}&detachKeys=zzz`), [400, 'Invalid detach keys (zzz) provided']);
    await dockerOut('pause', container);
    assert.deepEqual(await refusal(container), [409, `container ${container} is paused, unpause the container before attach`]);
    await docker('unpause', container);
    const plain = await http('GET', `/containers/${container}/attach/ws?${all}`);
    assert.deepEqual([plain.status, plain.text.trim()], [400, 'not websocket protocol']);
  });
});

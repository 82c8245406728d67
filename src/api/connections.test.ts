import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createApp } from './app.ts';
import type { Patience } from './connections.ts';
import { fakeEngine, options } from './fake.ts';

const engine = {
  images: {
    async *load(tar: Readable) {
      for await (const chunk of tar) if (String(chunk).includes('pause')) await pause(600);
      yield { stream: 'loaded' };
    },
  },
  volumes: { list: () => [] },
};

const connected = async (t: TestContext, patience: Partial<Patience> = {}): Promise<net.Socket & { heard(): string }> => {
  const server = createApp(fakeEngine(engine as never), { ...options, patience: { head: 60_000, upload: 200, rest: 200, idle: 60_000, ...patience } }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  let heard = '';
  socket.setEncoding('utf8').on('data', (text: string) => (heard += text));
  socket.on('error', () => {});
  t.after(() => {
    socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  return Object.assign(socket, { heard: () => heard });
};

const load = 'POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

test('an archive that no longer comes is given up', async (t) => {
  const socket = await connected(t);
  socket.write(load + chunk('some'));
  await once(socket, 'close');
});

test('one that comes slowly is not, nor one that we are slow to read', async (t) => {
  const socket = await connected(t);
  socket.write(load);
  for (let i = 0; i < 6; i++) {
    socket.write(chunk('bit'));
    await pause(80);
  }
  socket.write(chunk('pause') + chunk('x'.repeat(1_000_000)) + chunk('end') + '0\r\n\r\n');
  for (let i = 0; i < 100 && !socket.heard().includes('loaded'); i++) await pause(50);
  assert.match(socket.heard(), /loaded/);
});

test('a body too large is refused before it comes, and the refusal can be read', async (t) => {
  const socket = await connected(t);
  socket.write('POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4194305\r\n\r\n{');
  await once(socket, 'close');
  assert.match(socket.heard(), /^HTTP\/1.1 413 /);
  assert.match(socket.heard(), /http: request body too large/);
});

test('what follows an answer is read for a while only', async (t) => {
  const socket = await connected(t, { upload: 60_000 });
  socket.write('GET /volumes HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome');
  await once(socket, 'close');
  assert.match(socket.heard(), /^HTTP\/1.1 200 /);
});

test('a connection on which nothing is asked any more is closed', async (t) => {
  const socket = await connected(t, { idle: 200 });
  socket.write('GET /volumes HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'close');
  assert.match(socket.heard(), /^HTTP\/1.1 200 /);
  assert.doesNotMatch(socket.heard(), /keep-alive/i);
});

// Containers: what they print and what is typed.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import WebSocket from 'ws';
import { check, type Resource } from './check.ts';
import { frames, outputs, wholeOf, type Lab } from './lab.ts';

const printed = async (lab: Lab) => {
  const id = await lab.start({ Cmd: ['sh', '-c', 'echo wrong >&2; sleep 0.1; for i in 1 2 3 4 5; do echo line $i; done; printf partial'] });
  await lab.ask(200, 'POST', `/containers/${id}/wait`);
  return { id, logs: async (query: string) => (await lab.call('GET', `/containers/${id}/logs?${query}`)).bytes };
};

export const streams: Resource = {
  title: 'logs and attach',
  about: 'logs that follow, tail, since and until, timestamps; attach with several clients, detach keys, over the socket or a WebSocket',
  checks: [
    check('GET /containers/{id}/logs', 'both outputs, each in frames of its own', async lab => {
      const { logs } = await printed(lab);
      const { stdout, stderr } = outputs(await logs('stdout=1&stderr=1'));
      assert.deepEqual([stdout, stderr], ['line 1\nline 2\nline 3\nline 4\nline 5\npartial', 'wrong\n']);
      assert.deepEqual(outputs(await logs('stderr=1')), { stdout: '', stderr: 'wrong\n' });
    }),
    check('GET /containers/{id}/logs', 'the last lines', async lab => {
      const { logs } = await printed(lab);
      assert.equal(outputs(await logs('stdout=1&tail=2')).stdout, 'line 5\npartial');
      assert.equal(outputs(await logs('stdout=1&tail=0')).stdout, '');
    }),
    check('GET /containers/{id}/logs', 'timestamps; since and until', async lab => {
      const { logs } = await printed(lab);
      assert.match(outputs(await logs('stdout=1&timestamps=1')).stdout, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z line 1\n/);
      assert.equal(outputs(await logs('stdout=1&since=4000000000')).stdout, '');
      assert.equal(outputs(await logs('stdout=1&until=1000000000')).stdout, '');
    }),
    check('GET /containers/{id}/logs', 'follows until the end', async lab => {
      const id = await lab.start({ Cmd: ['sh', '-c', 'echo a; sleep 0.3; echo b'] });
      const { bytes } = await lab.call('GET', `/containers/${id}/logs?stdout=1&follow=1`);
      assert.equal(outputs(bytes).stdout, 'a\nb\n');
    }),
    check('GET /containers/{id}/logs', 'raw with a terminal', async lab => {
      const id = await lab.start({ Tty: true, Cmd: ['echo', 'raw'] });
      await lab.ask(200, 'POST', `/containers/${id}/wait`);
      const answer = await lab.call('GET', `/containers/${id}/logs?stdout=1`);
      assert.deepEqual([answer.text, answer.headers['content-type']], ['raw\r\n', 'application/vnd.docker.raw-stream']);
    }, { since: 42 }),
    check('GET /containers/{id}/logs', 'no stream, no container, no log', async lab => {
      const { id } = await printed(lab);
      await lab.refuses(400, 'Bad parameters: you must choose at least one stream', 'GET', `/containers/${id}/logs`);
      await lab.refuses(404, 'No such container: mx-nosuch', 'GET', '/containers/mx-nosuch/logs?stdout=1');
      const none = await lab.create({ HostConfig: { LogConfig: { Type: 'none' } } });
      await lab.refuses(501, 'configured logging driver does not support reading', 'GET', `/containers/${none}/logs?stdout=1`);
    }),
    check('POST /containers/{id}/attach', 'input, both outputs, the end', async lab => {
      const id = await lab.create({ OpenStdin: true, StdinOnce: true, AttachStdin: true, Cmd: ['sh', '-c', 'cat; echo wrong >&2'] });
      const stream = await lab.hijack(`/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1`);
      await lab.ask(204, 'POST', `/containers/${id}/start`);
      stream.end('typed\n');
      assert.deepEqual(outputs(await wholeOf(stream)), { stdout: 'typed\n', stderr: 'wrong\n' });
    }),
    check('POST /containers/{id}/attach', 'frames: a stream, a length, bytes', async lab => {
      const id = await lab.create({ Cmd: ['echo', 'x'] });
      const stream = await lab.hijack(`/containers/${id}/attach?stream=1&stdout=1`);
      await lab.ask(204, 'POST', `/containers/${id}/start`);
      assert.deepEqual(frames(await wholeOf(stream)).map(({ stream: from, bytes }) => [from, bytes.toString()]), [['stdout', 'x\n']]);
    }),
    check('POST /containers/{id}/attach', 'a terminal, and its detach keys', async lab => {
      const id = await lab.start({ Tty: true, OpenStdin: true, Cmd: ['cat'] });
      const stream = await lab.hijack(`/containers/${id}/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-x,x`);
      let said = '';
      stream.on('data', chunk => (said += chunk)).write('hello\n');
      await lab.eventually(() => assert.equal(said, 'hello\r\nhello\r\n'));
      const ended = once(stream, 'end');
      stream.write('\x18x');
      await ended;
      stream.destroy();
      assert.equal((await lab.inspect(id)).State.Running, true);
    }),
    check('POST /containers/{id}/attach', 'several clients; what was printed before', async lab => {
      const id = await lab.start({ OpenStdin: true, Cmd: ['sh', '-c', 'echo early; cat'] });
      await lab.eventually(async () => assert.match((await lab.call('GET', `/containers/${id}/logs?stdout=1`)).text, /early/));
      const [first, second] = [await lab.hijack(`/containers/${id}/attach?logs=1&stream=1&stdin=1&stdout=1`), await lab.hijack(`/containers/${id}/attach?stream=1&stdout=1`)];
      const said = ['', ''];
      first.on('data', chunk => (said[0] += chunk)).write('x\n');
      second.on('data', chunk => (said[1] += chunk));
      await lab.eventually(() => assert.deepEqual([/early\n[^]*x\n$/.test(said[0]!), /x\n$/.test(said[1]!), /early/.test(said[1]!)], [true, true, false]));
      first.destroy();
      second.destroy();
    }),
    check('POST /containers/{id}/attach', 'keys that are none, a container that is not there', async lab => {
      const id = await lab.start();
      const { status, text } = await lab.call('POST', `/containers/${id}/attach?stream=1&detachKeys=zzz`);
      assert.equal(status, 400);
      assert.match(text, /Invalid detach keys \(zzz\) provided/);
      const absent = await lab.call('POST', '/containers/mx-nosuch/attach?stream=1');
      assert.equal(absent.status, 404);
      assert.match(absent.text, /No such container: mx-nosuch/);
    }),
    check('GET /containers/{id}/attach/ws', 'input and output as messages', async lab => {
      const id = await lab.start({ Tty: true, OpenStdin: true, Cmd: ['cat'] });
      const socket = new WebSocket(`ws+unix://${lab.socket}:/containers/${id}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1`);
      let said = '';
      socket.on('message', (data: Buffer) => (said += data.toString()));
      await once(socket, 'open');
      socket.send('hello\n');
      await lab.eventually(() => assert.equal(said, 'hello\r\nhello\r\n'));
      const closed = once(socket, 'close');
      await lab.ask(204, 'POST', `/containers/${id}/kill`);
      await closed;
    }),
    check('GET /containers/{id}/attach/ws', 'not without a WebSocket', async lab => {
      const answer = await lab.call('GET', `/containers/${await lab.start()}/attach/ws?stream=1&stdout=1`);
      assert.deepEqual([answer.status, answer.text.trim()], [400, 'not websocket protocol']);
      await lab.refuses(404, 'No such container: mx-nosuch', 'GET', '/containers/mx-nosuch/attach/ws');
    }),
  ],
};

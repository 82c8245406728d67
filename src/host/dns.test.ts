import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { NameServer } from '../model/network.ts';
import { createResolvers, type Resolvers } from './dns.ts';
import { frame, framed } from './dns-forward.ts';
import { netlink, setUp } from './netlink.ts';
import { boundSocket, connectingSocket, type Transport } from './socket.ts';
import { createNetns, inNetns, unmount } from './syscalls.ts';

// A container's namespace, with its name servers on its own loopback: 127.0.0.53 answers, 127.0.0.54 fails, 127.0.0.55 is silent,
// at 127.0.0.56 nobody is.
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-dns-'));
const netns = path.join(root, 'netns');
const servers = (...last: number[]): NameServer[] => last.map((each) => ({ address: `127.0.0.${each}`, fromHost: false }));
const closing: (() => void)[] = [];
let resolvers: Resolvers;

const put = (list: readonly NameServer[]) => resolvers.put({ kind: 'resolver', netns, address: '127.0.0.11', containerId: 'c', servers: list });

before(async () => {
  createNetns(netns);
  await netlink(netns, () => [setUp('lo')]);
  serve('127.0.0.53', answerOf);
  serve('127.0.0.54', (question) => reply(question, { rcode: 2 }));
  serve('127.0.0.55', () => []);
  resolvers = createResolvers((_id, name, type) => {
    if (name === 'web') return type === 'A' ? ['10.0.0.1', '10.0.0.2'] : [];
    if (name === 'many') return Array.from({ length: 40 }, (_none, i) => `10.0.1.${i}`);
    return name === 'shut' ? 'fail' : 'forward';
  });
});

after(async () => {
  await resolvers.drop({ kind: 'resolver', netns, address: '', containerId: '', servers: [] });
  for (const close of closing) close();
  unmount(netns);
  fs.rmSync(root, { recursive: true });
});

const reply = (question: Buffer, { rcode = 0, addresses = 0, tc = false, id = question.readUInt16BE(0), name = '' }): Buffer[] => {
  const end = question.indexOf(0, 12) + 5;
  const head = Buffer.from(question.subarray(0, end));
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(0x8180 | (tc ? 0x0200 : 0) | rcode, 2);
  head.writeUInt32BE(0x00010000 | addresses, 4);
  head.writeUInt32BE(0, 8);
  if (name !== '') head.write(name, 13, 'latin1');
  return [Buffer.concat([head, ...Array.from({ length: addresses }, (_none, i) => Buffer.from(`c00c000100010000003c0004cb007100`.replace(/00$/, i.toString(16).padStart(2, '0')), 'hex'))])];
};

const answerOf = (question: Buffer, transport: Transport): Buffer[] => {
  const name = question.toString('latin1', 13, 13 + question[12]!);
  const right = reply(question, { addresses: 1 });
  if (name === 'nx') return reply(question, { rcode: 3 });
  if (name === 'long') return transport === 'udp' ? reply(question, { tc: true }) : reply(question, { addresses: 100 });
  if (name === 'fat') return reply(question, { addresses: 60 });
  // Forgeries come first: another id, another question.
  if (name === 'forged') return [...reply(question, { addresses: 2, id: question.readUInt16BE(0) ^ 1 }), ...reply(question, { addresses: 3, name: 'forget' }), ...right];
  return right;
};

const serve = (address: string, answers: (question: Buffer, transport: Transport) => readonly Buffer[]): void => {
  const [udpFd, tcpFd] = inNetns(netns, () => [boundSocket('udp', address, 53), boundSocket('tcp', address, 53)]);
  const udp = dgram.createSocket('udp4');
  udp.on('message', (question, { port, address: to }) => answers(question, 'udp').forEach((answer) => udp.send(answer, port, to)));
  udp.bind({ fd: udpFd });
  const tcp = net.createServer((socket) => socket.on('data', framed((question) => answers(question, 'tcp').forEach((answer) => socket.write(frame(answer))))));
  tcp.listen({ fd: tcpFd });
  closing.push(() => udp.close(), () => tcp.close());
};

const question = (name: string, { type = 1, edns = 0, id = 0x4321 } = {}): Buffer => {
  const labels = name.split('.').map((label) => `${String.fromCharCode(label.length)}${label}`).join('');
  const head = Buffer.from(`${id.toString(16).padStart(4, '0')}010000010000000000${edns > 0 ? '01' : '00'}`, 'hex');
  const opt = Buffer.from(edns > 0 ? `000029${edns.toString(16).padStart(4, '0')}000000000000` : '', 'hex');
  return Buffer.concat([head, Buffer.from(`${labels}\0\0${String.fromCharCode(type)}\0\x01`, 'latin1'), opt]);
};

const ask = (bytes: Buffer, transport: Transport = 'udp', patience = 15_000): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const fd = inNetns(netns, () => (transport === 'udp' ? boundSocket('udp', '0.0.0.0', 0) : connectingSocket('127.0.0.11', 53)));
    const timer = setTimeout(() => { close(); reject(new Error('no answer')); }, patience);
    let close: () => void;
    const done = (answer: Buffer) => { clearTimeout(timer); close(); resolve(answer); };
    if (transport === 'udp') {
      const socket = dgram.createSocket('udp4').on('message', done).on('error', reject);
      close = () => socket.close();
      socket.bind({ fd });
      socket.send(bytes, 53, '127.0.0.11');
    } else {
      const socket = new net.Socket({ fd, readable: true, writable: true }).on('data', framed(done)).on('error', reject);
      close = () => socket.destroy();
      socket.end(frame(bytes));
    }
  });

const summary = (answer: Buffer) => ({ rcode: answer.readUInt16BE(2) & 0xf, tc: (answer.readUInt16BE(2) & 0x0200) !== 0, answers: answer.readUInt16BE(6) });
const told = async (name: string, transport?: Transport, options = {}) => summary(await ask(question(name, options), transport));
const ok = (answers: number) => ({ rcode: 0, tc: false, answers });
const failed = { rcode: 2, tc: false, answers: 0 };

describe('a resolver in a namespace', () => {
  for (const transport of ['udp', 'tcp'] as const)
    test(`answers what it knows by ${transport}`, async () => {
      await put(servers(53));
      assert.deepEqual(await told('web', transport), ok(2));
      assert.deepEqual(await told('web', transport, { type: 28 }), ok(0));
      assert.deepEqual(await told('shut', transport), failed);
      assert.deepEqual(await told('many', transport), transport === 'udp' ? { rcode: 0, tc: true, answers: 30 } : ok(40));
      assert.deepEqual(await told('many', transport, { edns: 4096 }), ok(40));
    });

  test('takes turns with the addresses', async () => {
    const first = new Set<string>();
    for (let i = 0; i < 4; i++) first.add((await ask(question('web'))).subarray(-20, -16).join('.'));
    assert.deepEqual([...first].sort(), ['10.0.0.1', '10.0.0.2']);
  });

  test('asks others by the transport it was asked by, under the id it was asked with', async () => {
    await put(servers(53));
    assert.equal((await ask(question('elsewhere.test'))).readUInt16BE(0), 0x4321);
    assert.deepEqual(await told('elsewhere.test'), ok(1));
    assert.deepEqual(await told('elsewhere.test', 'tcp'), ok(1));
    assert.deepEqual(await told('nx.test'), { rcode: 3, tc: false, answers: 0 });
    assert.deepEqual(await told('long.test'), { rcode: 0, tc: true, answers: 0 });
    assert.deepEqual(await told('long.test', 'tcp'), ok(100));
    assert.deepEqual(await told('fat.test'), { rcode: 0, tc: true, answers: 30 });
    assert.deepEqual(await told('fat.test', 'udp', { edns: 1232 }), ok(60));
  });

  test('takes no answer to another question, nor under another id', async () => assert.deepEqual(await told('forged.test'), ok(1)));

  test('asks the next server when one fails, or is not there', async () => {
    await put(servers(54, 56, 53));
    assert.deepEqual(await told('elsewhere.test'), ok(1));
    assert.deepEqual(await told('elsewhere.test', 'tcp'), ok(1));
    await put(servers(54, 56));
    assert.deepEqual(await told('elsewhere.test'), failed);
    await put([]);
    assert.deepEqual(await told('elsewhere.test'), failed);
  });

  test('waits four seconds for a server that is silent', async () => {
    await put(servers(55, 53));
    const began = performance.now();
    assert.deepEqual(await Promise.all([told('elsewhere.test'), told('elsewhere.test', 'tcp')]), [ok(1), ok(1)]);
    assert.ok(Math.abs(performance.now() - began - 4000) < 500);
  });

  test('answers hundreds at once', async () => {
    await put(servers(53));
    const answers = await Promise.all(Array.from({ length: 400 }, (_none, i) => ask(question(i % 2 ? 'web' : 'elsewhere.test', { id: i }))));
    answers.forEach((answer, i) => assert.deepEqual([answer.readUInt16BE(0), summary(answer)], [i, ok(i % 2 ? 2 : 1)]));
  });

  test('leaves port 53 to name servers of the container', async () => {
    const bare = path.join(root, 'bare');
    createNetns(bare);
    await netlink(bare, () => [setUp('lo')]);
    const resolver = { kind: 'resolver', netns: bare, address: '127.0.0.11', containerId: 'c', servers: [] } as const;
    await resolvers.put(resolver);
    for (const transport of ['udp', 'tcp'] as const) fs.closeSync(inNetns(bare, () => boundSocket(transport, '0.0.0.0', 53)));
    await resolvers.drop(resolver);
    unmount(bare);
  });

  test('has no answer to noise, and lives on', async () => {
    await assert.rejects(ask(Buffer.from('12'), 'udp', 200), /no answer/);
    await assert.rejects(ask(Buffer.alloc(40, 0xff), 'udp', 200), /no answer/);
    assert.deepEqual(await told('web'), ok(2));
  });

  test('is gone when it is dropped', async () => {
    const before = fs.readdirSync('/proc/self/fd').length;
    await put(servers(53));
    await resolvers.drop({ kind: 'resolver', netns, address: '', containerId: '', servers: [] });
    await assert.rejects(ask(question('web'), 'udp', 300));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(fs.readdirSync('/proc/self/fd').length <= before);
  });
});

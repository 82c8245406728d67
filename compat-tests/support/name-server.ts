// A name server of the tests' own, on the client host: what containers ask others comes here. As a program it is that server.

import { execa } from 'execa';
import dgram from 'node:dgram';
import { engine } from './engine.ts';
import { clientAddress, enter } from './hosts.ts';
import { eventually } from './eventually.ts';

export type NameServer = {
  /** The names it was asked for, in order. */
  readonly asked: () => readonly string[];
  readonly close: () => Promise<void>;
};

/** Every name in .test has the address 203.0.113.7, but those in nx.test, which are not there. */
export async function startNameServer(): Promise<NameServer> {
  const [file, ...args] = enter(engine.clientNetns, [process.execPath, '--import', 'tsx', import.meta.filename, clientAddress]);
  const server = execa(file!, args, { reject: false, stdin: 'ignore', buffer: false, env: { NODE_TEST_CONTEXT: undefined } });
  let said = '';
  server.stdout.on('data', (chunk: Buffer) => (said += chunk));
  await eventually(async () => {
    if (!said.startsWith('ready\n')) throw new Error('no name server');
  });
  return {
    asked: () => said.split('\n').slice(1, -1),
    async close() {
      server.kill();
      await server;
    },
  };
}

function serve(address: string): void {
  const socket = dgram.createSocket('udp4');
  socket.on('message', (query, { port, address: client }) => {
    const end = query.indexOf(0, 12) + 5;
    const name = nameOf(query);
    console.log(name);
    const found = !name.endsWith('nx.test') && query.readUInt16BE(end - 4) === 1;
    const answer = Buffer.concat([query.subarray(0, end), ...(found ? [Buffer.from('c00c000100010000003c0004cb007107', 'hex')] : [])]);
    answer.writeUInt16BE(0x8180 | (name.endsWith('nx.test') ? 3 : 0), 2);
    answer.writeUInt32BE(0x00010000 | (found ? 1 : 0), 4);
    answer.writeUInt32BE(0, 8);
    socket.send(answer, port, client);
  });
  socket.bind(53, address, () => console.log('ready'));
}

function nameOf(query: Buffer): string {
  const labels: string[] = [];
  for (let at = 12; query[at]! > 0; at += 1 + query[at]!) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!));
  return labels.join('.');
}

if (process.argv[1] === import.meta.filename) serve(process.argv[2]!);

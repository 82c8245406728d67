// Somebody who talks to a server that says everything again: one TCP connection, or datagrams from one port, a line every 50 ms.

import { execa } from 'execa';
import { enter } from './hosts.ts';

export type Talk = {
  /** Answers so far. */
  readonly answers: () => readonly string[];
  /** Whether the connection was closed by the other side, or broke. */
  readonly over: () => boolean;
  readonly close: () => Promise<void>;
};

export function talk(netns: string, protocol: 'tcp' | 'udp', address: string, port: number): Talk {
  const script = protocol === 'tcp'
    ? `const s = require('net').connect(${port}, '${address}', () => setInterval(() => s.write('x\\n'), 50)); s.on('data', d => process.stdout.write(d)).on('close', () => process.exit(1)).on('error', () => {});`
    : `const s = require('dgram').createSocket('udp4').bind(45454, () => setInterval(() => s.send('x\\n', ${port}, '${address}'), 50)); s.on('message', d => process.stdout.write(d)).on('error', () => {});`;
  const [file, ...args] = enter(netns, [process.execPath, '-e', script]);
  const child = execa(file!, args, { reject: false, stdin: 'ignore', buffer: false, env: { NODE_TEST_CONTEXT: undefined } });
  let said = '';
  let over = false;
  child.stdout.on('data', (chunk: Buffer) => (said += chunk));
  void child.then(() => (over = true));
  return {
    answers: () => said.split('\n').slice(0, -1),
    over: () => over,
    async close() {
      child.kill();
      await child;
    },
  };
}

// The docker CLI on a real terminal that tests can type at, look at and resize.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after } from 'node:test';
import type { Writable } from 'node:stream';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { clientVariables } from './docker.ts';
import { eventually } from './eventually.ts';

const program = fileURLToPath(new URL('on-terminal.py', import.meta.url));

export type Terminal = {
  readonly type: (keys: string) => void;
  /** Waits for it to appear, after all that has been waited for before. Resolves to the match. */
  readonly sees: (what: RegExp) => Promise<RegExpExecArray>;
  /** All that was ever on it. */
  readonly shown: () => string;
  readonly resize: (rows: number, columns: number) => void;
  /** To the CLI itself. */
  readonly signal: (signal: NodeJS.Signals) => void;
  readonly exit: Promise<number>;
  /** Takes the terminal away, as closing a window does. */
  readonly close: () => void;
};

export function terminal(args: readonly string[], { rows = 24, columns = 80 } = {}): Terminal {
  const child = spawn('/usr/bin/python3', [program, `${rows}`, `${columns}`, 'docker', ...args], {
    stdio: ['pipe', 'pipe', 'inherit', 'pipe'], env: { ...process.env, ...clientVariables, TERM: 'xterm' },
  });
  const control = child.stdio[3] as Writable;
  let text = '';
  let seen = 0;
  child.stdout!.on('data', (chunk: Buffer) => (text += chunk.toString()));
  for (const stream of [child.stdin!, control]) stream.on('error', () => undefined);
  const exit = once(child, 'close').then(([code]) => code as number);
  const close = () => void child.kill('SIGKILL');
  // A test that fails leaves its terminal open, and the file's process would wait for it.
  after(close);
  return {
    type: keys => void child.stdin!.write(keys),
    sees: what => eventually(() => {
      const match = what.exec(text.slice(seen));
      assert.ok(match, `docker ${args.join(' ')}: waiting for ${what}, seeing ${JSON.stringify(text.slice(seen))}`);
      seen += match.index + match[0].length;
      return match;
    }, { seconds: 20 }),
    shown: () => text,
    resize: (height, width) => void control.write(`size ${height} ${width}\n`),
    signal: name => void control.write(`signal ${constants.signals[name]}\n`),
    exit,
    close,
  };
}

import { spawn as spawnProcess, type ChildProcess, type StdioOptions } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import type { Readable } from 'node:stream';
import { execa } from 'execa';
import { findProgram } from './program.ts';
import { spawnProgram, type Spawned } from './spawn.ts';
import { makePipe } from './syscalls.ts';

/** The one door to other programs: argv arrays, never a shell. A failure names the command, its exit code and its words. */

export type RunOptions = {
  readonly input?: string | Readable;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Ends the command when it fires. */
  readonly signal?: AbortSignal;
  /** Milliseconds after which the command is taken for hung, and killed. */
  readonly timeout?: number;
};

const [DEFAULT_TIMEOUT, OUTPUT_LIMIT] = [60_000, 64 * 1024 * 1024];

export type Child = Pick<Spawned, 'pid' | 'ended'>;

/** Runs to the end; resolves to what it printed. */
export const run = async (argv: readonly string[], options: RunOptions = {}): Promise<{ stdout: string; stderr: string }> => {
  const [file = '', ...args] = argv;
  const { input, cwd, env, signal, timeout = DEFAULT_TIMEOUT } = options;
  const { stdout, stderr } = await execa(file, args, {
    ...(input === undefined ? { stdin: 'ignore' } : { input }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env: { ...env } }),
    ...(signal === undefined ? {} : { cancelSignal: signal }),
    timeout,
    maxBuffer: OUTPUT_LIMIT,
    stripFinalNewline: false,
  });
  return { stdout, stderr };
};

/** A program that goes on beside us, bytes in and out. The caller sees to its end. */
export const stream = (
  argv: readonly string[],
  options: { readonly cwd?: string; readonly stdio: StdioOptions; readonly env?: Readonly<Record<string, string>> },
): ChildProcess => {
  const [file = '', ...args] = argv;
  return spawnProcess(file, args, {
    stdio: options.stdio,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } }),
  });
};

/**
 * A program that outlives us: a session of its own, nothing of ours held open but the descriptors given.
 * Not through execa, nor Node's own fork: they cost more than the program itself, on the way of every container's start.
 */
export const launch = (
  argv: readonly string[],
  options: { readonly cwd: string; readonly stdio: readonly number[]; readonly env: Readonly<Record<string, string>> },
): Spawned => spawnProgram(argv, { ...options, session: true });

/**
 * As `run`, for the few small commands on the way of every call (ip, iptables-restore): the same promise, without
 * the price of execa's comforts. Spawned at once, in the network namespace this thread is in. With `until`, it has done its
 * work when it prints that, and may take its time to end.
 */
export const runQuick = (argv: readonly string[], input: string, until?: string, began: (child: Child) => void = () => {}): Promise<string> => {
  const [name = '', ...args] = argv;
  const pipes = [makePipe(), makePipe(), makePipe()] as const;
  const [[theirIn, ourIn], [ourOut, theirOut], [ourErr, theirErr]] = pipes;
  let child: Spawned;
  try {
    child = spawnProgram([findProgram(name) ?? name, ...args], { env: process.env, stdio: [theirIn, theirOut, theirErr] });
  } catch (error) {
    for (const fd of [ourIn, ourOut, ourErr]) fs.closeSync(fd);
    return Promise.reject(error);
  } finally {
    for (const fd of [theirIn, theirOut, theirErr]) fs.closeSync(fd);
  }
  began(child);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => process.kill(child.pid, 'SIGKILL'), DEFAULT_TIMEOUT);
    const stdout = collect(ourOut, (text) => {
      if (until !== undefined && text.includes(until)) resolve(text);
    });
    const stderr = collect(ourErr);
    // A command that dies before it has read everything tells why on stderr; EPIPE would say less.
    new net.Socket({ fd: ourIn, readable: false, writable: true }).on('error', () => {}).end(input);
    void child.ended.then(() => clearTimeout(timer));
    void Promise.all([child.ended, stdout, stderr]).then(([code, out, words]) => {
      if (code === 0) resolve(out);
      else reject(Object.assign(new Error(`${argv.join(' ')}: exit code ${code}: ${words.trim()}`), { exitCode: code, stderr: words }));
    });
  });
};

/** All that comes from a pipe; `told` of what has come so far, whenever more comes. */
const collect = (fd: number, told: (soFar: string) => void = () => {}): Promise<string> =>
  new Promise((resolve) => {
    let text = '';
    new net.Socket({ fd, readable: true, writable: false })
      .setEncoding('utf8')
      .on('data', (more: string) => told((text += more)))
      .on('error', () => {})
      .on('close', () => resolve(text));
  });

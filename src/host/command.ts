import { spawn as spawnProcess, type ChildProcess, type StdioOptions } from 'node:child_process';
import type { Readable } from 'node:stream';
import { execa } from 'execa';
import { findProgram } from './program.ts';

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
 * Not through execa: it costs a third more than the fork itself, on the way of every container's start.
 */
export const launch = (
  argv: readonly string[],
  options: { readonly cwd: string; readonly stdio: readonly number[]; readonly env: Readonly<Record<string, string>> },
): ChildProcess => {
  const [file = '', ...args] = argv;
  const child = spawnProcess(file, args, { cwd: options.cwd, stdio: [...options.stdio], env: { ...options.env }, detached: true });
  child.unref();
  return child;
};

/**
 * As `run`, for the few small commands on the way of every call (ip, iptables-restore): the same promise, without
 * the price of execa's comforts. Spawned at once, in the network namespace this thread is in. With `until`, it has done its
 * work when it prints that, and may take its time to end.
 */
export const runQuick = (argv: readonly string[], input: string, until?: string): Promise<string> => {
  const [name = '', ...args] = argv;
  const child = spawnProcess(findProgram(name) ?? name, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let [stdout, stderr] = ['', ''];
    const timer = setTimeout(() => child.kill('SIGKILL'), DEFAULT_TIMEOUT);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (until !== undefined && stdout.includes(until)) resolve(stdout);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    // A command that dies before it has read everything tells why on stderr; EPIPE would say less.
    child.stdin.on('error', () => {});
    child.on('error', (error) => { clearTimeout(timer); reject(error); });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(stdout);
      else reject(Object.assign(new Error(`${argv.join(' ')}: ${signal ?? `exit code ${code}`}: ${stderr.trim()}`), { exitCode: code, stderr }));
    });
    child.stdin.end(input);
  });
};

// The clients: the stock docker CLI and dockerode, and commands on the two hosts. Arguments are arrays; no shell is involved.

import Docker from 'dockerode';
import { execa } from 'execa';
import assert from 'node:assert/strict';
import { engine } from './engine.ts';
import { enter } from './hosts.ts';

export type Result = { readonly stdout: string; readonly stderr: string; readonly exitCode: number };
export type Options = { readonly input?: string | Uint8Array; readonly env?: Record<string, string>; readonly seconds?: number };

// A configuration of nobody: neither credentials, nor contexts, nor proxies of whoever runs the tests.
export const clientVariables = {
  DOCKER_HOST: `unix://${engine.socket}`,
  DOCKER_CONFIG: '/nonexistent',
  DOCKER_CLI_HINTS: 'false',
  DOCKER_API_VERSION: undefined,
  DOCKER_CONTEXT: undefined,
};

export const dockerode = new Docker({ socketPath: engine.socket });

export const docker = (...args: readonly string[]) => dockerWith({}, ...args);

export const dockerWith = (options: Options, ...args: readonly string[]) => run(['docker', ...args], options);

/** What a docker command that must succeed prints, without the last newline. */
export async function dockerOut(...args: readonly string[]): Promise<string> {
  const { stdout, stderr, exitCode } = await docker(...args);
  assert.equal(exitCode, 0, `docker ${args.join(' ')} ended with ${exitCode}: ${stderr}`);
  return stdout.replace(/\n$/, '');
}

/** `docker inspect`, as data. */
export const inspect = async (ref: string): Promise<any> => JSON.parse(await dockerOut('container', 'inspect', ref))[0];

/** A docker command that must fail: its exit code and its words. */
export async function dockerFails(exitCode: number, message: RegExp | string, ...args: readonly string[]): Promise<void> {
  const result = await docker(...args);
  const said = result.stderr + result.stdout;
  if (typeof message === 'string') assert.ok(said.includes(message), `docker ${args.join(' ')}\nexpected: ${message}\nsaid: ${said}`);
  else assert.match(said, message);
  assert.equal(result.exitCode, exitCode, said);
}

/** Output byte by byte, for what is not text. */
export async function dockerBytes(input: Uint8Array | undefined, ...args: readonly string[]): Promise<{ stdout: Buffer; stderr: string; exitCode: number }> {
  const result = await execa('docker', args, {
    env: clientVariables, reject: false, stripFinalNewline: false, encoding: 'buffer', maxBuffer: 1e9, timeout: 60_000,
    ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
  });
  return { stdout: Buffer.from(result.stdout), stderr: Buffer.from(result.stderr).toString(), exitCode: result.exitCode ?? -1 };
}

/** The CLI on a real terminal; what comes back is what a person sees. Without -i the terminal stays cooked, and each line has one CR more. */
export async function dockerOnTerminal(input: string, ...args: readonly string[]): Promise<Result> {
  const result = await run(['script', '-q', '-e', '-E', 'never', '-c', ['docker', ...args].map(quote).join(' '), '/dev/null'], { input });
  return { ...result, stdout: result.stdout.replaceAll('\r', '') };
}

export const inHost = (...argv: readonly string[]) => run(enter(engine.netns, argv));
export const onClient = (...argv: readonly string[]) => run(enter(engine.clientNetns, argv));

export async function run(argv: readonly string[], { input, env, seconds = 60 }: Options = {}): Promise<Result> {
  const [file, ...args] = argv;
  const result = await execa(file!, args, {
    env: { ...clientVariables, ...env }, reject: false, stripFinalNewline: false, timeout: seconds * 1000, maxBuffer: 1e9,
    ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
  });
  if (result.exitCode === undefined) throw new Error(`${argv.join(' ')}: ${result.shortMessage}`);
  return { stdout: result.stdout, stderr: result.stderr, exitCode: result.exitCode };
}

// script(1) takes one line for a shell.
const quote = (argument: string) => `'${argument.replaceAll("'", `'\\''`)}'`;

// Runs the compatibility tests: node --import tsx compat-tests/run.ts [options] [FILE...]
//
//   --daemon COMMAND    start this daemon for the tests, on hosts of its own (without it: node dist/main.js)
//   --socket SOCKET     test the engine that answers here instead, with
//   --netns HOST          the network namespace it runs in, and
//   --client CLIENT       that of another host beside it
//   --log FILE          where the daemon's log goes
//
// COMPAT_TIMEOUT: how many seconds a file may take (120).
//
// FILE is the name of a test file, with or without .test.ts. Needs root, iproute2, iptables, docker (the CLI), busybox, curl.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { importFixtureImages } from '../fixtures/images.ts';
import { startDaemon, type Daemon } from './support/daemon.ts';
import { engineVariables, type Engine } from './support/engine.ts';
import { eventually } from './support/eventually.ts';
import { watchForLeaks, type LeakCheck } from './support/leaks.ts';

const options = { daemon: { type: 'string' }, socket: { type: 'string' }, netns: { type: 'string' }, client: { type: 'string' }, log: { type: 'string' } } as const;
const { values, positionals } = parseArgs({ options, allowPositionals: true });

// Ctrl-C reaches the tests too: they end, and then this ends in order instead of leaving namespaces behind.
process.on('SIGINT', () => {});

if (values.daemon !== undefined) process.env['COMPAT_DAEMON'] = values.daemon;
if (values.log !== undefined) process.env['COMPAT_LOG'] = values.log;
process.exitCode = await (values.socket === undefined ? withOwnDaemon(runTests) : withForeignEngine(values.socket, runTests));

async function withOwnDaemon(work: (engine: Engine) => Promise<number>): Promise<number> {
  const daemon: Daemon = await startDaemon('');
  try {
    return await work(daemon);
  } finally {
    await daemon.remove();
  }
}

async function withForeignEngine(socket: string, work: (engine: Engine) => Promise<number>): Promise<number> {
  const { netns, client: clientNetns } = values;
  if (netns === undefined || clientNetns === undefined) throw new Error('--socket needs --netns and --client: the tests look at the engine\'s host and call from another');
  await importFixtureImages(socket);
  return work({ socket, netns, clientNetns });
}

async function runTests(engine: Engine): Promise<number> {
  const check = await watchForLeaks(engine);
  const args = ['--import', 'tsx', '--test', '--test-concurrency=2', `--test-timeout=${Number(process.env['COMPAT_TIMEOUT'] ?? 240) * 1000}`, '--test-reporter=spec', ...testFiles()];
  const tests = spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...engineVariables(engine) } });
  const terminate = () => tests.kill();
  process.once('SIGTERM', terminate);
  const [code] = (await once(tests, 'exit')) as [number | null];
  process.off('SIGTERM', terminate);
  const leaks = await leftOver(check);
  for (const leak of leaks) console.error(`left behind: ${leak}`);
  // On an engine that somebody else runs, what is new may be theirs; there it is only said. (dockerd 26 keeps an exported container mounted at times.)
  const decisive = values.socket === undefined && leaks.length > 0;
  return code === 0 && !decisive ? 0 : 1;
}

function testFiles(): readonly string[] {
  const directory = import.meta.dirname;
  const wanted = positionals.map(name => `${basename(name, '.test.ts')}.test.ts`);
  for (const file of wanted) if (!existsSync(join(directory, file))) throw new Error(`no such test file: ${file}`);
  const files = wanted.length > 0 ? wanted : readdirSync(directory).filter(file => file.endsWith('.test.ts'));
  // Crashing the daemon is possible only with a daemon of one's own.
  const applicable = values.socket === undefined ? files : files.filter(file => !file.startsWith('restart'));
  return applicable.map(file => join(directory, file));
}

// What was asked to go may still be going: the last --rm, the last unmount.
async function leftOver(check: LeakCheck): Promise<readonly string[]> {
  let leaks: readonly string[] = [];
  await eventually(async () => {
    leaks = await check.leaks();
    if (leaks.length > 0) throw new Error('not yet');
  }, { seconds: 5, every: 200 }).catch(() => undefined);
  check.close();
  return leaks;
}

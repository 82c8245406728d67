// A daemon of one's own, on hosts of its own. dockerd takes the same flags, so it can stand in for berth (see run.ts --daemon).

import { execa } from 'execa';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Engine } from './engine.ts';
import { createHosts, enter, removeHosts } from './hosts.ts';
import { call } from './http.ts';
import { eventually } from './eventually.ts';
import { importFixtureImages } from '../../fixtures/images.ts';

export type Daemon = Engine & {
  readonly root: string;
  readonly pid: () => number;
  readonly start: () => Promise<void>;
  /** Ends it as a crash would: no signal handler runs. */
  readonly crash: () => Promise<void>;
  /** Resolves when it has ended by itself. */
  readonly ended: () => Promise<void>;
  /** Ends it as `systemctl stop` would. */
  readonly stop: () => Promise<void>;
  /** Removes its containers, stops it, and takes away its hosts and everything it wrote. */
  readonly remove: () => Promise<void>;
};

export async function startDaemon(name: string, environment: Readonly<Record<string, string>> = {}, ...more: readonly string[]): Promise<Daemon> {
  const root = await mkdtemp(join(tmpdir(), 'berth-ct-'));
  const hosts = await createHosts(`berth-ct-${process.pid}${name}`);
  const socket = join(root, 'berth.sock');
  const log = process.env['COMPAT_LOG'] ?? join(root, 'daemon.log');
  let child: ChildProcess | undefined;

  const start = async () => {
    const flags = ['-H', `unix://${socket}`, '--data-root', join(root, 'data'), '--exec-root', join(root, 'exec'), '--pidfile', join(root, 'pid'), ...more];
    const [file, ...args] = enter(hosts.netns, [...daemonCommand(), ...flags]);
    const output = openSync(log, 'a');
    // In a session of its own: Ctrl-C at the terminal ends the tests, which then end the daemon in order.
    child = spawn(file!, args, { stdio: ['ignore', output, output], detached: true, env: { ...process.env, ...environment } });
    closeSync(output);
    const answers = await eventually(async () => {
      if (child?.exitCode !== null || child.signalCode !== null) return false;
      await call(socket, 'GET', '/_ping');
      return true;
    }, { seconds: 20 });
    if (!answers) throw new Error(`the daemon ended at once:\n${await tail(log)}`);
  };
  const ended = async () => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await once(child, 'exit');
  };
  const end = async (signal: NodeJS.Signals) => {
    const over = ended();
    child?.kill(signal);
    await over;
  };
  const stop = async () => {
    const impatience = setTimeout(() => child?.kill('SIGKILL'), 20_000);
    await end('SIGTERM');
    clearTimeout(impatience);
  };
  const remove = async () => {
    if (child?.exitCode === null) await removeContainers(socket).catch((error: unknown) => console.error(`containers left behind: ${error}`));
    await stop();
    await unmountBelow(root);
    await removeHosts(hosts);
    await rm(root, { recursive: true, force: true });
  };

  const daemon = { ...hosts, socket, root, pid: () => child?.pid ?? 0, start, crash: () => end('SIGKILL'), ended, stop, remove };
  try {
    await start();
    await importFixtureImages(socket);
  } catch (error) {
    await remove();
    throw error;
  }
  return daemon;
}

// A command line split at blanks; without it, the berth that `npm run build` made.
const daemonCommand = () => process.env['COMPAT_DAEMON']?.split(' ') ?? ['node', fileURLToPath(new URL('../../dist/main.js', import.meta.url))];

async function removeContainers(socket: string): Promise<void> {
  const containers: readonly { Id: string }[] = (await call(socket, 'GET', '/containers/json?all=1')).json();
  for (const { Id } of containers) await call(socket, 'DELETE', `/containers/${Id}?force=1&v=1`);
}

const tail = async (log: string) => (await readFile(log, 'utf8')).split('\n').slice(-20).join('\n');

// What a daemon that was killed left mounted would keep its directory busy. Last mounted, first unmounted.
export async function unmountBelow(root: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map(line => line.split(' ')[4] ?? '');
  for (const mount of mounts.filter(path => path.startsWith(`${root}/`)).reverse()) await execa('umount', ['-l', mount], { reject: false });
}

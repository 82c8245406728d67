import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run } from './command.ts';
import { findInit } from './machine.ts';
import { findProgram } from './program.ts';

type Pool = { readonly base: string; readonly size: number };
type Runtime = { readonly path: string; readonly version: string; readonly commit: string };

const RUNTIMES = ['crun', 'runc'];
const CONTROLLERS = '/sys/fs/cgroup/cgroup.controllers';

/** What /info and /version tell of the machine. What can not change while the daemon runs is read once. */
export const createFacts = ({ dataRoot, defaultRuntime, addressPools, liveRestore }: { dataRoot: string; defaultRuntime: string; addressPools: readonly Pool[]; liveRestore: boolean }) => {
  const release = osRelease();
  const cgroupVersion: '1' | '2' = fs.existsSync(CONTROLLERS) ? '2' : '1';
  const fixed = {
    id: engineId(path.join(dataRoot, 'engine-id')),
    kernelVersion: os.release(),
    operatingSystem: release['PRETTY_NAME'] ?? release['NAME'] ?? 'Linux',
    osVersion: release['VERSION_ID'] ?? '',
    architecture: os.machine(),
    cgroupVersion,
    dataRoot,
    backingFilesystem: filesystemOf(dataRoot),
    defaultRuntime,
    liveRestore,
    addressPools,
  };
  const versions = createVersions();
  const versionOfInit = createInitVersion();
  return async () => ({
    ...fixed,
    hostname: os.hostname(),
    processors: os.availableParallelism(),
    memory: os.totalmem(),
    cgroupControllers: cgroupVersion === '2' ? textOf(CONTROLLERS).trim().split(' ') : controllersOf(textOf('/proc/cgroups')),
    runtimes: await versions([...new Set([defaultRuntime, ...RUNTIMES])]),
    init: await versionOfInit(findInit()),
    // Read by the thread that asks, in that thread's network namespace; see host-routes.ts.
    ipv4Forwarding: textOf('/proc/sys/net/ipv4/ip_forward').trim() === '1',
    // The directory is itself open while it is read.
    openFiles: fs.readdirSync('/proc/self/fd').length - 1,
  });
};

/** One for the life of DATA_ROOT. */
export const engineId = (file: string): string => {
  const known = textOf(file).trim();
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(known)) return known;
  const id = crypto.randomUUID();
  // Written aside and renamed: after a crash there is the whole of it, or nothing.
  fs.writeFileSync(`${file}.new`, `${id}\n`, { mode: 0o600 });
  fs.renameSync(`${file}.new`, file);
  return id;
};

const osRelease = (): Readonly<Record<string, string>> => parseOsRelease(textOf('/etc/os-release') || textOf('/usr/lib/os-release'));

/** KEY=value lines, quoted as for a shell. */
export const parseOsRelease = (text: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...text.matchAll(/^([A-Z][A-Z0-9_]*)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(.*))$/gm)].map(([, key = '', double, single, bare]) => [
      key,
      double?.replace(/\\(.)/g, '$1') ?? single ?? bare ?? '',
    ]),
  );

/** The controllers of /proc/cgroups that are on, and on a hierarchy of cgroup v1. */
export const controllersOf = (cgroups: string): string[] =>
  cgroups.split('\n').flatMap((line) => {
    const [name = '', hierarchy, , enabled] = line.split('\t');
    return enabled === '1' && hierarchy !== '0' ? [name] : [];
  });

/** By the numbers of <linux/magic.h>, in the reference engine's names. */
const FILESYSTEMS: Readonly<Record<number, string>> = {
  0xef53: 'extfs',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x01021994: 'tmpfs',
  0x2fc12fc1: 'zfs',
  0x794c7630: 'overlayfs',
  0xf2f52010: 'f2fs',
  0x6969: 'nfs',
  0x65735546: 'fuse',
  0x858458f6: 'ramfs',
  0x73717368: 'squashfs',
  0x00c36400: 'ceph',
};

export const filesystemOf = (directory: string): string => FILESYSTEMS[fs.statfsSync(directory).type] ?? '<unknown>';

/** Asks each installed runtime for its version, once for each program: an upgrade is another program. */
const createVersions = () => {
  const known = new Map<string, Promise<Pick<Runtime, 'version' | 'commit'>>>();
  const ask = async (program: string): Promise<Pick<Runtime, 'version' | 'commit'>> => {
    const { stdout } = await run([program, '--version'], { timeout: 10_000 });
    return parseVersion(stdout);
  };
  return async (names: readonly string[]): Promise<Readonly<Record<string, Runtime>>> => {
    const runtimes: Record<string, Runtime> = {};
    for (const name of names) {
      const program = name.startsWith('/') ? name : findProgram(name);
      const stat = program === undefined ? undefined : fs.statSync(program, { throwIfNoEntry: false });
      if (program === undefined || !stat) continue;
      const key = `${program} ${stat.ino} ${stat.mtimeMs}`;
      const version = known.get(key) ?? ask(program).catch(() => ({ version: '', commit: '' }));
      known.set(key, version);
      runtimes[name] = { path: name, ...(await version) };
    }
    return runtimes;
  };
};

/** `tini version 0.19.0`, and perhaps ` - git.de40ad0`; '' for one that does not say. */
export const parseInitVersion = (text: string): { readonly version: string; readonly commit: string } => ({
  version: /\bversion (\S+)/.exec(text)?.[1] ?? '',
  commit: / git\.(\S+)/.exec(text)?.[1] ?? '',
});

const createInitVersion = () => {
  let known: { readonly program: string; readonly version: ReturnType<typeof parseInitVersion> } | undefined;
  return async (program: string | undefined): Promise<ReturnType<typeof parseInitVersion> | undefined> => {
    if (program === undefined) return undefined;
    if (known?.program !== program) {
      const { stdout } = await run([program, '--version'], { timeout: 10_000 }).catch(() => ({ stdout: '' }));
      known = { program, version: parseInitVersion(stdout) };
    }
    return known.version;
  };
};

/** `crun version 1.8.1`, then `commit: ...`; runc the same. */
export const parseVersion = (text: string): { readonly version: string; readonly commit: string } => ({
  version: /^\S+ version (\S+)/.exec(text)?.[1] ?? '',
  commit: /^commit: (\S+)/m.exec(text)?.[1] ?? '',
});

const textOf = (file: string): string => {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

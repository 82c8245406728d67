import fs from 'node:fs';
import os from 'node:os';
import { findProgram } from './program.ts';

/** What the runtime spec has to know of the machine; read once. */
export type Machine = {
  readonly arch: 'amd64' | 'arm64';
  readonly kernel: readonly [major: number, minor: number];
  readonly cgroupVersion: '1' | '2';
  /** CapBnd of this process, in hexadecimal: what it has to give. */
  readonly capabilityMask: string;
  /** Hard limits of this process by OCI name. */
  readonly limits: Readonly<Record<string, number>>;
  readonly initPath: string | undefined;
  /** Processors and memory nodes there are, as the kernel lists them: `0-3`. */
  readonly cpus: string;
  readonly memoryNodes: string;
  /** Whether the kernel weighs block I/O (not every scheduler does). */
  readonly blkioWeight: boolean;
};

export const readMachine = (): Machine => {
  const [major = 0, minor = 0] = os.release().split('.').map(Number);
  return {
    arch: process.arch === 'arm64' ? 'arm64' : 'amd64',
    kernel: [major, minor],
    cgroupVersion: fs.existsSync('/sys/fs/cgroup/cgroup.controllers') ? '2' : '1',
    capabilityMask: /^CapBnd:\s*([0-9a-f]+)$/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0',
    limits: Object.fromEntries(
      fs
        .readFileSync('/proc/self/limits', 'utf8')
        .split('\n')
        .flatMap((line) => {
          const [, name = '', hard = ''] = /^(Max .+?)\s{2,}\S+\s+(\S+)/.exec(line) ?? [];
          const limit = LIMITS[name];
          return limit === undefined || hard === 'unlimited' ? [] : [[limit, Number(hard)]];
        }),
    ),
    cpus: lineOf('/sys/devices/system/cpu/online'),
    memoryNodes: lineOf('/sys/devices/system/node/online') || '0',
    blkioWeight: ['blkio/blkio.weight', 'blkio/blkio.bfq.weight', 'init.scope/io.weight'].some((file) => fs.existsSync(`/sys/fs/cgroup/${file}`)),
    initPath: findInit(),
  };
};

/** One that needs no libraries comes first: it is to run in any container. */
export const findInit = (): string | undefined => ['docker-init', 'tini-static', 'tini', 'catatonit'].map(findProgram).find((found) => found !== undefined);

const lineOf = (file: string): string => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim() : '');

const LIMITS: Readonly<Record<string, string>> = {
  'Max cpu time': 'RLIMIT_CPU',
  'Max file size': 'RLIMIT_FSIZE',
  'Max data size': 'RLIMIT_DATA',
  'Max stack size': 'RLIMIT_STACK',
  'Max core file size': 'RLIMIT_CORE',
  'Max resident set': 'RLIMIT_RSS',
  'Max processes': 'RLIMIT_NPROC',
  'Max open files': 'RLIMIT_NOFILE',
  'Max locked memory': 'RLIMIT_MEMLOCK',
  'Max address space': 'RLIMIT_AS',
  'Max file locks': 'RLIMIT_LOCKS',
  'Max pending signals': 'RLIMIT_SIGPENDING',
  'Max msgqueue size': 'RLIMIT_MSGQUEUE',
  'Max nice priority': 'RLIMIT_NICE',
  'Max realtime priority': 'RLIMIT_RTPRIO',
  'Max realtime timeout': 'RLIMIT_RTTIME',
};

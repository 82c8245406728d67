import os from 'node:os';
import type { IoCount, NetworkCount, Statistics, Traffic } from '../model/statistics.ts';
import { cgroupOf, keepFiles, parseNumber, parseTable, readText, type Cgroup, type KeptFiles } from './cgroup.ts';

export type Measured = {
  readonly id: string;
  readonly pid: number;
  /** Tells a process from a later one with its number. */
  readonly pidStart: number;
  /** Whether its network is its own, or another container's; not the host's. */
  readonly network: boolean;
};

/** Reads what containers use straight from the kernel's files: no command, no thread, a dozen small reads each. */
export const createStatistics = (now: () => string) => {
  // Where a container's cgroup is does not change while it runs.
  const known = new Map<string, { readonly pidStart: number; readonly cgroup: Cgroup; readonly files: KeptFiles }>();

  const forget = (id: string): void => {
    known.get(id)?.files.close();
    known.delete(id);
  };

  const knownFor = ({ id, pid, pidStart }: Measured) => {
    const found = known.get(id);
    if (found?.pidStart === pidStart) return found;
    forget(id);
    const cgroup = cgroupOf(id, pid);
    if (!cgroup) return undefined;
    const made = { pidStart, cgroup, files: keepFiles() };
    known.set(id, made);
    return made;
  };

  return {
    /** undefined: it runs no more. */
    read(container: Measured): Statistics | undefined {
      const found = knownFor(container);
      if (!found) return undefined;
      const { cgroup, files } = found;
      const read: Read = (controller, file) => files.read(`${cgroup.directory(controller) ?? '/nonexistent'}/${file}`);
      const measured = cgroup.version === '1' ? first(read) : second(read);
      if (!measured) {
        forget(container.id);
        return undefined;
      }
      // Not kept open: it would keep the network namespace, too.
      const networks = container.network ? networksOf(readText(`/proc/${container.pid}/net/dev`) ?? '') : undefined;
      return { at: now(), ...measured, networks };
    },
    /** Nobody asks after it for the time being. */
    forget,
  };
};

type Read = (controller: string, file: string) => string | undefined;
type Counts = Omit<Statistics, 'at' | 'networks'>;

const MACHINE_MEMORY = os.totalmem();
/** Processor time is counted in hundredths of a second where it is not counted in nanoseconds. */
const TICK = 10_000_000;

const limitOf = (limit: number): number => (limit === 0 || limit > MACHINE_MEMORY ? MACHINE_MEMORY : limit);

const first = (read: Read): Counts | undefined => {
  const perCpu = read('cpuacct', 'cpuacct.usage_percpu')?.trim().split(' ').map(Number);
  if (!perCpu) return undefined;
  const table = (controller: string, file: string) => parseTable(read(controller, file) ?? '');
  const number = (file: string): number => parseNumber(read('memory', file));
  const ticks = table('cpuacct', 'cpuacct.stat');
  const throttling = table('cpu', 'cpu.stat');
  const details = table('memory', 'memory.stat');
  return {
    pids: pidsOf(read),
    cpu: {
      total: perCpu.reduce((sum, usage) => sum + usage, 0),
      perCpu,
      kernel: (ticks['system'] ?? 0) * TICK,
      user: (ticks['user'] ?? 0) * TICK,
      system: systemTime(),
      online: ONLINE,
      periods: throttling['nr_periods'] ?? 0,
      throttledPeriods: throttling['nr_throttled'] ?? 0,
      throttledTime: throttling['throttled_time'] ?? 0,
    },
    memory: {
      usage: number('memory.usage_in_bytes'),
      peak: number('memory.max_usage_in_bytes'),
      failures: number('memory.failcnt'),
      limit: limitOf(details['hierarchical_memory_limit'] ?? 0),
      details: only(details, MEMORY_1),
    },
    io: { bytes: blkio(read, 'io_service_bytes'), operations: blkio(read, 'io_serviced') },
  };
};

const second = (read: Read): Counts | undefined => {
  const current = read('', 'memory.current');
  if (current === undefined) return undefined;
  const table = (file: string) => parseTable(read('', file) ?? '');
  const cpu = table('cpu.stat');
  return {
    pids: pidsOf(read),
    cpu: {
      total: (cpu['usage_usec'] ?? 0) * 1000,
      perCpu: undefined,
      kernel: (cpu['system_usec'] ?? 0) * 1000,
      user: (cpu['user_usec'] ?? 0) * 1000,
      system: systemTime(),
      online: ONLINE,
      periods: cpu['nr_periods'] ?? 0,
      throttledPeriods: cpu['nr_throttled'] ?? 0,
      throttledTime: (cpu['throttled_usec'] ?? 0) * 1000,
    },
    memory: {
      usage: Number(current),
      peak: undefined,
      failures: table('memory.events')['oom'] ?? 0,
      limit: limitOf(parseNumber(read('', 'memory.max'))),
      details: only(table('memory.stat'), MEMORY_2),
    },
    io: ioStat(read('', 'io.stat') ?? ''),
  };
};

const pidsOf = (read: Read): Statistics['pids'] => ({
  current: parseNumber(read('pids', 'pids.current')),
  limit: limited(parseNumber(read('pids', 'pids.max'))),
});

// As many as the kernel has numbers for is no limit either.
const limited = (pids: number): number | undefined => (pids > 0 && pids < 4_194_304 ? pids : undefined);

const ONLINE = os.availableParallelism();

let lastSystem = { at: -Infinity, time: 0 };
/** Time of all processors since boot; of many containers that are asked at once, the first one's will do. */
const systemTime = (): number => {
  const now = performance.now();
  if (now - lastSystem.at > 5) {
    const line = readText('/proc/stat')?.split('\n', 1)[0] ?? '';
    // user nice system idle iowait irq softirq steal; a guest's time is already in the user's.
    const ticks = line.split(/ +/).slice(1, 9).reduce((sum, field) => sum + Number(field), 0);
    lastSystem = { at: now, time: ticks * TICK };
  }
  return lastSystem.time;
};

const only = (table: Readonly<Record<string, number>>, names: readonly string[]): Readonly<Record<string, number>> => {
  const found: Record<string, number> = {};
  for (const name of names) {
    const value = table[name];
    if (value !== undefined) found[name] = value;
  }
  return found;
};

const OWN_1 = [
  'active_anon', 'active_file', 'cache', 'dirty', 'inactive_anon', 'inactive_file', 'mapped_file', 'pgfault', 'pgmajfault', 'pgpgin', 'pgpgout',
  'rss', 'rss_huge', 'unevictable', 'writeback',
];
const MEMORY_1 = [...OWN_1, ...OWN_1.map((name) => `total_${name}`), 'hierarchical_memory_limit', 'hierarchical_memsw_limit'].sort();
const MEMORY_2 = [
  'active_anon', 'active_file', 'anon', 'anon_thp', 'file', 'file_dirty', 'file_mapped', 'file_writeback', 'inactive_anon', 'inactive_file',
  'kernel_stack', 'pgactivate', 'pgdeactivate', 'pgfault', 'pglazyfree', 'pglazyfreed', 'pgmajfault', 'pgrefill', 'pgscan', 'pgsteal', 'shmem', 'slab',
  'slab_reclaimable', 'slab_unreclaimable', 'sock', 'thp_collapse_alloc', 'thp_fault_alloc', 'unevictable', 'workingset_activate',
  'workingset_nodereclaim', 'workingset_refault',
];

/** What the throttling layer counts, which all input and output passes; where there is none, the scheduler. */
const blkio = (read: Read, name: string): readonly IoCount[] =>
  parseBlkio(read('blkio', `blkio.throttle.${name}_recursive`) ?? read('blkio', `blkio.bfq.${name}_recursive`) ?? '');

/** `8:0 Read 4096` lines; `Total 4096` is of no device. */
export const parseBlkio = (text: string): readonly IoCount[] =>
  text.startsWith('Total') ? [] : [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major, minor, operation = '', value]) => ({
    major: Number(major),
    minor: Number(minor),
    operation,
    value: Number(value),
  }));

/** `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...` lines. */
export const ioStat = (text: string): Statistics['io'] => {
  const counts = [...text.matchAll(/^(\d+):(\d+) (.*)$/gm)].map(([, major, minor, fields = '']) => ({
    device: { major: Number(major), minor: Number(minor) },
    count: Object.fromEntries(fields.split(' ').map((field) => field.split('=', 2) as [string, string])),
  }));
  const each = (read: string, write: string): readonly IoCount[] =>
    counts.flatMap(({ device, count }) => [
      { ...device, operation: 'read', value: Number(count[read] ?? 0) },
      { ...device, operation: 'write', value: Number(count[write] ?? 0) },
    ]);
  return { bytes: each('rbytes', 'wbytes'), operations: each('rios', 'wios') };
};

/** /proc/PID/net/dev: two lines of titles, then `eth0: 8 numbers received, 8 sent`. Nobody asks for the loopback's. */
export const networksOf = (text: string): Readonly<Record<string, NetworkCount>> | undefined => {
  const found: Record<string, NetworkCount> = {};
  for (const line of text.split('\n').slice(2)) {
    const at = line.indexOf(':');
    const device = line.slice(0, at).trim();
    if (at < 0 || device === 'lo') continue;
    const numbers = line.slice(at + 1).trim().split(/ +/).map(Number);
    const traffic = (start: number): Traffic => {
      const [bytes = 0, packets = 0, errors = 0, dropped = 0] = numbers.slice(start, start + 4);
      return { bytes, packets, errors, dropped };
    };
    found[device] = { received: traffic(0), sent: traffic(8) };
  }
  return Object.keys(found).length === 0 ? undefined : found;
};

import os from 'node:os';
import type { IoCount, NetworkCount, Statistics, Traffic } from '../model/statistics.ts';
import { cgroupOf, readNumber, readTable, readText, type Cgroup } from './cgroup.ts';

export type Measured = {
  readonly id: string;
  readonly pid: number;
  /** Tells a process from a later one with its number. */
  readonly pidStart: number;
  /** Whether its network is its own, or another container's; not the host's. */
  readonly network: boolean;
};

/** Reads what containers use straight from the kernel's files: no command, no thread, some ten small reads each. */
export const createStatistics = (now: () => string) => {
  // Where a container's cgroup is does not change while it runs.
  const known = new Map<string, { readonly pidStart: number; readonly cgroup: Cgroup }>();

  const cgroupFor = ({ id, pid, pidStart }: Measured): Cgroup | undefined => {
    const found = known.get(id);
    if (found?.pidStart === pidStart) return found.cgroup;
    const cgroup = cgroupOf(id, pid);
    if (cgroup) known.set(id, { pidStart, cgroup });
    return cgroup;
  };

  return {
    /** undefined: it runs no more. */
    read(container: Measured): Statistics | undefined {
      const cgroup = cgroupFor(container);
      if (!cgroup) return undefined;
      const at = (controller: string, file: string): string => `${cgroup.directory(controller) ?? '/nonexistent'}/${file}`;
      const networks = container.network ? networksOf(readText(`/proc/${container.pid}/net/dev`) ?? '') : undefined;
      const measured = cgroup.version === '1' ? first(at) : second(at);
      if (!measured) {
        known.delete(container.id);
        return undefined;
      }
      return { at: now(), ...measured, networks };
    },
    forget: (id: string): void => void known.delete(id),
  };
};

type Place = (controller: string, file: string) => string;
type Counts = Omit<Statistics, 'at' | 'networks'>;

const MACHINE_MEMORY = os.totalmem();
/** Processor time is counted in hundredths of a second where it is not counted in nanoseconds. */
const TICK = 10_000_000;

const limitOf = (limit: number): number => (limit === 0 || limit > MACHINE_MEMORY ? MACHINE_MEMORY : limit);

const first = (at: Place): Counts | undefined => {
  const total = readText(at('cpuacct', 'cpuacct.usage'));
  if (total === undefined) return undefined;
  const ticks = readTable(at('cpuacct', 'cpuacct.stat'));
  const throttling = readTable(at('cpu', 'cpu.stat'));
  const details = readTable(at('memory', 'memory.stat'));
  return {
    pids: pidsOf(at),
    cpu: {
      total: Number(total),
      perCpu: (readText(at('cpuacct', 'cpuacct.usage_percpu')) ?? '').trim().split(' ').map(Number),
      kernel: (ticks['system'] ?? 0) * TICK,
      user: (ticks['user'] ?? 0) * TICK,
      system: systemTime(),
      online: ONLINE,
      periods: throttling['nr_periods'] ?? 0,
      throttledPeriods: throttling['nr_throttled'] ?? 0,
      throttledTime: throttling['throttled_time'] ?? 0,
    },
    memory: {
      usage: readNumber(at('memory', 'memory.usage_in_bytes')),
      peak: readNumber(at('memory', 'memory.max_usage_in_bytes')),
      failures: readNumber(at('memory', 'memory.failcnt')),
      limit: limitOf(readNumber(at('memory', 'memory.limit_in_bytes'))),
      details: only(details, MEMORY_1),
    },
    io: { bytes: blkio(at, 'io_service_bytes'), operations: blkio(at, 'io_serviced') },
  };
};

const second = (at: Place): Counts | undefined => {
  const current = readText(at('', 'memory.current'));
  if (current === undefined) return undefined;
  const cpu = readTable(at('', 'cpu.stat'));
  return {
    pids: pidsOf(at),
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
      failures: readTable(at('', 'memory.events'))['oom'] ?? 0,
      limit: limitOf(readNumber(at('', 'memory.max'))),
      details: only(readTable(at('', 'memory.stat')), MEMORY_2),
    },
    io: ioStat(readText(at('', 'io.stat')) ?? ''),
  };
};

const pidsOf = (at: Place): Statistics['pids'] => ({
  current: readNumber(at('pids', 'pids.current')),
  limit: readNumber(at('pids', 'pids.max')) || undefined,
});

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

/** The scheduler's own count where there is one, or that of the throttling layer. */
const blkio = (at: Place, name: string): readonly IoCount[] => {
  for (const layer of ['bfq', 'throttle']) {
    const found = parseBlkio(readText(at('blkio', `blkio.${layer}.${name}_recursive`)) ?? '');
    if (found.length > 0) return found;
  }
  return [];
};

/** `8:0 Read 4096` lines; `Total 4096` is of no device. */
export const parseBlkio = (text: string): readonly IoCount[] =>
  [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major, minor, operation = '', value]) => ({
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

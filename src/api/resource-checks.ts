import type { Resources } from '../model/container.ts';
import { invalid } from '../model/errors.ts';
import type { ContainerDefaults } from './container-create.ts';

/** What is wrong with limits, whatever else a request says, in the reference engine's words. */
export const checkResources = (resources: Resources, defaults: ContainerDefaults, call: 'create' | 'update'): void => {
  checkMemory(resources, call);
  checkProcessors(resources, defaults.processors);
  checkSet(resources.cpusetCpus, 'cpus', 'CPUs', defaults.cpus);
  checkSet(resources.cpusetMems, 'mems', 'memory nodes', defaults.memoryNodes);
};

const MiB = 1024 * 1024;

// Less, and the runtime itself does not come up in the container's cgroup.
const LEAST_MEMORY = 6 * MiB;

const checkMemory = ({ memory, memorySwap, memoryReservation, memorySwappiness }: Resources, call: 'create' | 'update'): void => {
  if (memory !== 0 && memory < LEAST_MEMORY) throw invalid('Minimum memory limit allowed is 6MB');
  if (memory > 0 && memorySwap > 0 && memorySwap < memory) throw invalid('Minimum memoryswap limit should be larger than memory limit, see usage');
  if (memory === 0 && memorySwap > 0 && call === 'create') throw invalid('You should always set the Memory limit when using Memoryswap limit, see usage');
  if (memorySwappiness !== undefined && (memorySwappiness < 0 || memorySwappiness > 100)) {
    throw invalid(`Invalid value: ${memorySwappiness}, valid memory swappiness range is 0-100`);
  }
  if (memoryReservation > 0 && memoryReservation < LEAST_MEMORY) throw invalid('Minimum memory reservation allowed is 6MB');
  if (memory > 0 && memoryReservation > 0 && memory < memoryReservation) {
    throw invalid('Minimum memory limit can not be less than memory reservation limit, see usage');
  }
};

const checkProcessors = ({ nanoCpus, cpuPeriod, cpuQuota }: Resources, processors: number): void => {
  if (nanoCpus > 0 && cpuPeriod > 0) throw invalid('Conflicting options: Nano CPUs and CPU Period cannot both be set');
  if (nanoCpus > 0 && cpuQuota > 0) throw invalid('Conflicting options: Nano CPUs and CPU Quota cannot both be set');
  if (nanoCpus < 0 || nanoCpus > processors * 1e9) {
    throw invalid(`Range of CPUs is from 0.01 to ${processors.toFixed(2)}, as there are only ${processors} CPUs available`);
  }
  if (cpuPeriod !== 0 && (cpuPeriod < 1000 || cpuPeriod > 1_000_000)) {
    throw invalid('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (cpuQuota > 0 && cpuQuota < 1000) throw invalid('CPU cfs quota can not be less than 1ms (i.e. 1000)');
};

const checkSet = (asked: string, name: string, what: string, available: string): void => {
  if (asked === '') return;
  const [wanted, there] = [parseSet(asked), parseSet(available) ?? new Set()];
  if (!wanted) throw invalid(`Invalid value ${asked} for cpuset ${name}: invalid format: ${asked}`);
  if ([...wanted].some((number) => !there.has(number))) throw invalid(`Requested ${what} are not available - requested ${asked}, available: ${available}`);
};

/** The kernel has no more processors than this: a range that is longer is none. */
const MOST = 8192;

/** `0-2,4` as numbers. */
const parseSet = (text: string): ReadonlySet<number> | undefined => {
  const numbers = new Set<number>();
  for (const part of text.split(',')) {
    const [, first = '', last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    if (first === '' || Number(last) < Number(first) || Number(last) > MOST) return undefined;
    for (let number = Number(first); number <= Number(last); number++) numbers.add(number);
  }
  return numbers;
};

type Limits = { readonly BlkioWeight: number; readonly OomKillDisable: boolean | null; readonly Memory: number };

/** A request without the limits that this kernel does not know; the client is told. */
export const withoutUnsupported = <W extends Limits>(wire: W, { blkioWeight }: ContainerDefaults): { readonly wire: W; readonly warnings: readonly string[] } => {
  const discarded = wire.BlkioWeight > 0 && !blkioWeight;
  return {
    wire: discarded ? { ...wire, BlkioWeight: 0 } : wire,
    warnings: [
      ...(wire.OomKillDisable === true && wire.Memory === 0
        ? ['OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.']
        : []),
      ...(discarded ? ['Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.'] : []),
    ],
  };
};

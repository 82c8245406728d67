import type { Container, Resources, UpdateRequest } from '../model/container.ts';
import { conflict, invalid } from '../model/errors.ts';
import type { JsonObject } from '../model/json.ts';
import { exposedPort, type ExposedPort, type PortRequest } from '../model/port.ts';
import { limits } from './oci-spec.ts';

/** The container with other limits, ports or another restart policy. Refuses what contradicts what it has. */
export const withUpdate = (container: Container, { resources, restart, ports, asked }: UpdateRequest): Container => {
  const { spec } = container;
  checkProcessors(spec.resources, resources);
  checkMemory(spec.resources, resources);
  if (restart && restart.name !== 'no' && spec.autoRemove) {
    throw conflict('Restart policy cannot be updated because AutoRemove is enabled for the container');
  }
  if (ports && ports.length > 0 && spec.networkMode.startsWith('container:')) throw invalid('conflicting options: port publishing and the container type network mode');
  return {
    ...container,
    spec: {
      ...spec,
      resources: { ...spec.resources, ...resources },
      restart: restart ?? spec.restart,
      ...(ports ? { portRequests: ports, exposedPorts: withExposed(spec.exposedPorts, ports) } : {}),
    },
    asked: { ...container.asked, hostConfig: { ...container.asked.hostConfig, ...asked } },
  };
};

/** What is published is exposed. */
const withExposed = (exposed: readonly ExposedPort[], ports: readonly PortRequest[]): readonly ExposedPort[] => {
  const all = new Map([...exposed, ...ports].map(({ port, protocol }) => [exposedPort({ port, protocol }), { port, protocol }]));
  return all.size === exposed.length ? exposed : [...all.values()];
};

/** `--cpus` is a period and a quota: who has set the one can not set the others. */
const checkProcessors = (has: Resources, asked: Partial<Resources>): void => {
  const clash = (what: string, with_: string): never => {
    throw conflict(`Conflicting options: ${what} cannot be updated as ${with_} has already been set`);
  };
  const { nanoCpus = 0, cpuPeriod = 0, cpuQuota = 0 } = asked;
  if (nanoCpus > 0 && has.cpuPeriod > 0) clash('Nano CPUs', 'CPU Period');
  if (nanoCpus > 0 && has.cpuQuota > 0) clash('Nano CPUs', 'CPU Quota');
  if (cpuPeriod > 0 && has.nanoCpus > 0) clash('CPU Period', 'NanoCPUs');
  if (cpuQuota > 0 && has.nanoCpus > 0) clash('CPU Quota', 'NanoCPUs');
};

const checkMemory = (has: Resources, { memory = 0, memorySwap = 0 }: Partial<Resources>): void => {
  if (memory > has.memorySwap && memorySwap === 0) {
    throw conflict('Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time');
  }
};

/** What the runtime is told: the limits that change, and no other. */
export const changedLimits = (after: Resources, change: Partial<Resources>): JsonObject => {
  const { memory } = change;
  // A limit without its swap would be given as much swap again.
  const changed = { ...NONE, ...change, ...(memory === undefined ? {} : { memorySwap: after.memorySwap }) };
  const { pidsLimit } = change;
  return { ...limits(changed), ...(pidsLimit === undefined ? {} : { pids: { limit: pidsLimit > 0 ? pidsLimit : ALL_PIDS } }) };
};

/** As many as the kernel has numbers for: crun can not take a limit away. */
const ALL_PIDS = 4_194_304;

const NONE: Resources = {
  memory: 0,
  memorySwap: 0,
  memoryReservation: 0,
  memorySwappiness: undefined,
  oomKillDisable: false,
  nanoCpus: 0,
  cpuShares: 0,
  cpuPeriod: 0,
  cpuQuota: 0,
  cpuRealtimePeriod: 0,
  cpuRealtimeRuntime: 0,
  cpusetCpus: '',
  cpusetMems: '',
  pidsLimit: undefined,
  blkioWeight: 0,
};

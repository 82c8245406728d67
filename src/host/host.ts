import { systemError } from '../model/errors.ts';
import fs from 'node:fs';
import path from 'node:path';
import type { Family, HostObject, KindOf, Operation } from '../operations/operation.ts';
import { OWN_TABLE } from '../operations/own-table.ts';
import { createBuildFiles } from './build-files.ts';
import { changesOf } from './changes.ts';
import { now, timeOfMilliseconds } from './clock.ts';
import { forgetFlows } from './conntrack.ts';
import { copyUp, isBeneath, mayBeIn } from './copy-up.ts';
import { createResolvers, type Lookup } from './dns.ts';
import { createExecutor, placeOf } from './executor.ts';
import { createHostPorts } from './host-port.ts';
import { hostLinks } from './host-links.ts';
import { createIptables } from './iptables.ts';
import { mendLinks } from './link.ts';
import { observe } from './observe.ts';
import { createOwnTable } from './own-table.ts';
import { isFrozen } from './freezer.ts';
import { createPlaces } from './places.ts';
import { createVolumeFiles } from './volume-files.ts';
import { hasDevice } from './netlink.ts';
import { hostRanges } from './host-routes.ts';
import { forwardPackets, isForwarding } from './prepare.ts';
import { findProgram } from './program.ts';
import { createMemoryWatches } from './oom.ts';
import { createProcesses } from './process.ts';
import { sweepTrash } from './remove-tree.ts';
import { sizeOf } from './disk-usage.ts';
import { deviceNodes, makeBeneath, readBeneath } from './rootfs.ts';
import { createSeccompCache } from './seccomp-cache.ts';
import { createStatistics } from './statistics.ts';
import { mountOf } from './host-mounts.ts';
import { mountWords } from './syscalls.ts';
import { plainly, type Step } from './step.ts';
import { openTree } from './tree.ts';
import { createWatch, type Watch } from './watch.ts';

/** The machine, as the engine knows it: one object that the composition root hands out in parts. */
export const createHost = ({ dataRoot, execRoot, lookup, step = plainly }: {
  dataRoot: string;
  execRoot: string;
  /** What containers are told of names. */
  lookup: Lookup;
  step?: Step;
}) => {
  const ownTable = createOwnTable(step);
  const watch: Watch = createWatch((family, table, chain) => table === OWN_TABLE || iptables.concerns(family, table, chain));
  const iptables = createIptables(step, watch.began);
  const places = createPlaces({ trash: path.join(dataRoot, 'tmp') });
  const volumeFiles = createVolumeFiles({ dataRoot, places });
  const executor = createExecutor({ iptables, ownTable, hostPorts: createHostPorts(), places, resolvers: createResolvers(lookup), step });
  const processes = createProcesses({
    execRoot,
    now: (milliseconds) => (milliseconds === undefined ? now() : timeOfMilliseconds(milliseconds)),
    runtimePath(name) {
      const found = findProgram(name);
      if (found === undefined) throw systemError(`cannot start a process: the OCI runtime ${name} is not installed`);
      return found;
    },
    seccomp: createSeccompCache(execRoot),
    step,
  });
  return {
    now,
    execute: (operations: readonly Operation[]) => executor.execute(operations),
    attempt: (operations: readonly Operation[]) => executor.attempt(operations),
    processes,
    memory: createMemoryWatches(),
    statistics: createStatistics(now),
    firewall: iptables,
    ownTable,
    watch: watch.start,
    hostLinks,
    // A bridge is let have 127.0.0.0/8 only where rules guard it.
    mendLinks: (objects: readonly HostObject[]) => mendLinks(objects.filter((object) => object.kind !== 'sysctl' || object.netns !== '' || ownTable.holds('ipv4')), step),
    leadFlows: (ports: readonly KindOf<'host-port'>[]) => forgetFlows(ports, 'elsewhere'),
    forgetFlows: (ports: readonly KindOf<'host-port'>[]) => forgetFlows(ports, 'here'),
    milliseconds: () => performance.now(),
    hostRanges,
    hasDevice,
    isForwarding,
    forwardPackets: (family: Family): void => void forwardPackets(family),
    observe: (keep: ReadonlySet<string>, keepVolumes: boolean) => observe({ dataRoot, execRoot, keep, keepVolumes }),
    sweepTrash: () => sweepTrash(path.join(dataRoot, 'tmp')),
    visit: (wishes: readonly KindOf<'overlay' | 'mount' | 'directory'>[]) =>
      places.visit(wishes.map((wish) => (wish.kind === 'directory' ? { directory: wish.path, mount: undefined } : placeOf(wish)))),
    pathExists: (at: string) => fs.existsSync(at),
    sizeOf,
    buildFiles: createBuildFiles({ dataRoot }),
    openTree,
    changesOf,
    copyUp,
    isBeneath,
    mayBeIn,
    mountWords,
    mountOf,
    isFrozen,
    volumeFiles,
    mendMoves: volumeFiles.mendMoves,
    readBeneath,
    makeBeneath,
    deviceNodes,
    writeFile: (at: string, text: string) => fs.writeFileSync(at, text, { mode: 0o644 }),
    makeMissingDirectory(at: string): void {
      if (!fs.existsSync(at)) fs.mkdirSync(at, { recursive: true, mode: 0o755 });
    },
    isDirectory: (at: string): boolean => fs.statSync(at, { throwIfNoEntry: false })?.isDirectory() ?? false,
    resolvConf: (): string => textOf('/etc/resolv.conf'),
    hostname: (): string => textOf('/proc/sys/kernel/hostname').trim(),
    /** The kernel's range for ports that nobody asked for by number, in the daemon's network namespace. */
    ephemeralPorts: (): { first: number; last: number } => {
      const [first = 32768, last = 60999] = textOf('/proc/sys/net/ipv4/ip_local_port_range').trim().split(/\s+/).map(Number);
      return { first, last };
    },
  };
};

const textOf = (file: string): string => {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};


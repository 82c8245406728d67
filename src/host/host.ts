import fs from 'node:fs';
import type { KindOf, Operation } from '../operations/operation.ts';
import { changesOf } from './changes.ts';
import { now, timeOfMilliseconds } from './clock.ts';
import { copyUp } from './copy-up.ts';
import { createExecutor, addOverlay } from './executor.ts';
import { createHostPorts } from './host-port.ts';
import { createIptables } from './iptables.ts';
import { observe } from './observe.ts';
import { findProgram } from './prepare.ts';
import { createProcesses } from './process.ts';
import { sizeOf } from './disk-usage.ts';
import { deviceNodes, makeBeneath, readBeneath } from './rootfs.ts';
import { createSeccompCache } from './seccomp-cache.ts';
import { createStatistics } from './statistics.ts';
import { unmountAside } from './syscalls.ts';
import { openTree } from './tree.ts';

/** The machine, as the engine knows it: one object that the composition root hands out in parts. */
export const createHost = ({ dataRoot, execRoot }: { dataRoot: string; execRoot: string }) => {
  const iptables = createIptables();
  const executor = createExecutor({ iptables, hostPorts: createHostPorts() });
  const processes = createProcesses({
    execRoot,
    now: (milliseconds) => (milliseconds === undefined ? now() : timeOfMilliseconds(milliseconds)),
    runtimePath: (name) => findProgram(name) ?? name,
    seccomp: createSeccompCache(execRoot),
  });
  return {
    now,
    execute: (operations: readonly Operation[]) => executor.execute(operations),
    attempt: (operations: readonly Operation[]) => executor.attempt(operations),
    processes,
    statistics: createStatistics(now),
    firewall: iptables,
    observe: (keep: ReadonlySet<string>) => observe({ dataRoot, execRoot, keep }),
    pathExists: (at: string) => fs.existsSync(at),
    sizeOf,
    openTree,
    changesOf,
    copyUp,
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
    mountOverlay: (object: KindOf<'overlay'>) => addOverlay(object),
    unmountOverlay: ({ merged }: KindOf<'overlay'>) => unmountAside(merged),
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


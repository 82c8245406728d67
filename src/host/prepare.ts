import fs from 'node:fs';
import path from 'node:path';
import { systemError } from '../model/errors.ts';
import type { Family } from '../model/network.ts';
import { libc, mountCgroup } from './syscalls.ts';

/** What has to be true of the machine before the first container. */

const flock = libc.func('int flock(int fd, int operation)');
const [LOCK_EX, LOCK_NB] = [2, 4];

/**
 * Keeps a second daemon off the same roots. The kernel lets go of the lock when this process ends, however it ends.
 */
export const lockRoot = (root: string): void => {
  fs.mkdirSync(root, { recursive: true, mode: 0o711 });
  const fd = fs.openSync(path.join(root, 'berth.lock'), 'w', 0o600);
  if (flock(fd, LOCK_EX | LOCK_NB) !== 0) throw systemError(`another berthd is running with ${root}`);
};

const FORWARDING = { ipv4: '/proc/sys/net/ipv4/ip_forward', ipv6: '/proc/sys/net/ipv6/conf/all/forwarding' } as const;

/** Whether the kernel forwards packets in the daemon's own network namespace. */
export const isForwarding = (family: Family): boolean => fs.readFileSync(FORWARDING[family], 'utf8').trim() === '1';

/** Turns that on. True when it was off. */
export const forwardPackets = (family: Family = 'ipv4'): boolean => {
  if (isForwarding(family)) return false;
  fs.writeFileSync(FORWARDING[family], '1');
  return true;
};

const CGROUPS = '/sys/fs/cgroup';
const UNIFIED = `${CGROUPS}/unified/cgroup.controllers`;

/**
 * On a hybrid host (cgroup v1, with an empty v2 beside it) crun wants every controller on v1, and some may never have been
 * mounted. Mounting one takes it from v2, wherever the mount is: ours are under EXEC_ROOT/cgroup.
 * Says whether crun will run.
 */
export const claimControllers = (execRoot: string): boolean => {
  if (!fs.existsSync(UNIFIED)) return true;
  const left = (): string[] => fs.readFileSync(UNIFIED, 'utf8').trim().split(' ').filter(Boolean);
  const own = path.join(execRoot, 'cgroup');
  for (const controller of [...left(), ...borrowedControllers(fs.readFileSync('/proc/self/mountinfo', 'utf8'), own)]) {
    const target = path.join(own, controller);
    try {
      fs.mkdirSync(target, { recursive: true });
      mountCgroup(controller, target);
    } catch {
      // A controller that v2 alone has (or another mount holds) stays there; then it is runc that runs containers.
    }
  }
  return left().length === 0;
};

/**
 * Controllers that are on v1 only for as long as some other daemon's mount of them is there: outside the machine's own
 * directory, and not in OWN. When that mount goes the kernel gives the controller back to v2, and crun would stop working here.
 */
export const borrowedControllers = (mountinfo: string, own: string): string[] => {
  const mounts = mountinfo.split('\n').flatMap((line) => {
    const [, target = '', controllers = ''] = /^(?:\S+ ){4}(\S+) .* - cgroup \S+ (\S+)$/.exec(line) ?? [];
    return controllers.split(',').filter((word) => word !== '' && word !== 'rw' && word !== 'ro' && !word.includes('=')).map((controller) => ({ controller, target }));
  });
  const safe = new Set(mounts.filter(({ target }) => target.startsWith(`${CGROUPS}/`) || target.startsWith(`${own}/`)).map(({ controller }) => controller));
  return [...new Set(mounts.map(({ controller }) => controller).filter((controller) => !safe.has(controller)))];
};

/** The layer beneath every container's own: the places where files and file systems of the engine's are mounted. */
export const makeInitLayer = (diff: string): void => {
  for (const name of ['dev/pts', 'dev/shm', 'proc', 'sys', 'etc']) fs.mkdirSync(path.join(diff, name), { recursive: true, mode: 0o755 });
  for (const name of ['etc/hostname', 'etc/hosts', 'etc/resolv.conf', 'dev/console', '.dockerenv']) {
    const file = path.join(diff, name);
    if (!fs.existsSync(file)) fs.writeFileSync(file, '', { mode: 0o755 });
  }
  const mtab = path.join(diff, 'etc/mtab');
  if (!fs.lstatSync(mtab, { throwIfNoEntry: false })) fs.symlinkSync('/proc/mounts', mtab);
};

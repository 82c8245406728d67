import fs from 'node:fs';
import path from 'node:path';

/** Where a container's limits and counts are in the file system, and quick ways to read them. */
export type Cgroup = {
  readonly version: '1' | '2';
  /** The directory for a controller; with version 2 it is the same for all. undefined: not mounted. */
  directory(controller: string): string | undefined;
};

const ROOT = '/sys/fs/cgroup';

/** The cgroup of a container's first process. The process may have gone deeper since: the container's is the one with its name. */
export const cgroupOf = (containerId: string, pid: number): Cgroup | undefined => {
  const lines = readText(`/proc/${pid}/cgroup`)?.split('\n') ?? [];
  const paths = new Map<string, string>();
  for (const line of lines) {
    const [, controllers, at] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || at === undefined) continue;
    const end = at.indexOf(`/${containerId}`);
    const own = end < 0 ? at : at.slice(0, end + 1 + containerId.length);
    for (const controller of controllers.split(',')) paths.set(controller, path.join(ROOT, controllers, own));
  }
  if (fs.existsSync(`${ROOT}/cgroup.controllers`)) {
    const unified = paths.get('');
    return unified === undefined ? undefined : { version: '2', directory: () => unified };
  }
  return paths.size === 0 ? undefined : { version: '1', directory: (controller) => paths.get(controller) };
};

// One for all: what is read is taken out of it before anything else is read.
const buffer = Buffer.allocUnsafe(64 * 1024);

/**
 * A small file of the kernel's, without asking for its size first; undefined when it is gone. Three system calls, a
 * third of what readFileSync costs: this is done for every container every second.
 */
export const readText = (file: string): string | undefined => {
  let fd: number;
  try {
    fd = fs.openSync(file, 'r');
  } catch {
    return undefined;
  }
  try {
    return buffer.toString('latin1', 0, fs.readSync(fd, buffer, 0, buffer.length, 0));
  } catch {
    // A cgroup that goes while it is read.
    return undefined;
  } finally {
    fs.closeSync(fd);
  }
};

export const readNumber = (file: string): number => {
  const number = Number(readText(file) ?? 0);
  // `max`: no limit.
  return Number.isNaN(number) ? 0 : number;
};

/** `name value` lines. */
export const readTable = (file: string): Readonly<Record<string, number>> => {
  const table: Record<string, number> = {};
  for (const line of (readText(file) ?? '').split('\n')) {
    const at = line.indexOf(' ');
    if (at > 0) table[line.slice(0, at)] = Number(line.slice(at + 1));
  }
  return table;
};

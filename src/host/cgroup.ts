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
  const fd = openQuietly(file);
  if (fd === undefined) return undefined;
  try {
    return readOpen(fd);
  } finally {
    fs.closeSync(fd);
  }
};

const openQuietly = (file: string): number | undefined => {
  try {
    return fs.openSync(file, 'r');
  } catch {
    return undefined;
  }
};

const readOpen = (fd: number): string | undefined => {
  try {
    return buffer.toString('latin1', 0, fs.readSync(fd, buffer, 0, buffer.length, 0));
  } catch {
    // A cgroup that goes while it is read.
    return undefined;
  }
};

/** `max` is no limit, as 0 is. */
export const parseNumber = (text: string | undefined): number => {
  const number = Number(text ?? 0);
  return Number.isNaN(number) ? 0 : number;
};

/** `name value` lines. */
export const parseTable = (text: string): Readonly<Record<string, number>> => {
  const table: Record<string, number> = {};
  let start = 0;
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
    const blank = text.indexOf(' ', start);
    if (blank > start && blank < end) table[text.slice(start, blank)] = Number(text.slice(blank + 1, end));
    start = end + 1;
  }
  return table;
};

export const readTable = (file: string): Readonly<Record<string, number>> => parseTable(readText(file) ?? '');

/** Files that are read again and again, kept open in between: half the price. */
export type KeptFiles = {
  /** undefined: there is none, or no more. */
  read(file: string): string | undefined;
  close(): void;
};

export const keepFiles = (): KeptFiles => {
  const kept = new Map<string, number | undefined>();
  const open = (file: string): number | undefined => {
    if (kept.has(file)) return kept.get(file);
    const fd = openQuietly(file);
    kept.set(file, fd);
    return fd;
  };
  return {
    read(file) {
      const fd = open(file);
      return fd === undefined ? undefined : readOpen(fd);
    },
    close() {
      for (const fd of kept.values()) if (fd !== undefined) fs.closeSync(fd);
      kept.clear();
    },
  };
};

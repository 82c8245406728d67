import fs from 'node:fs';
import path from 'node:path';
import { systemError } from '../model/errors.ts';

/** What /proc and the cgroups say of processes. */

/** Ticks since boot at which a process began; undefined when there is none of that number, or only its remains. */
export const startTimeOf = (pid: number): number | undefined => {
  if (pid <= 0) return undefined;
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
};

/** A number may have been given to another process since: the supervisor names the id it works for. */
export const isOurShell = (pid: number, id: string): boolean => {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(id);
  } catch {
    return false;
  }
};

export const allPids = (): number[] => fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);

/** The runtime, which is the parent of a container's process. */
export const parentOf = (pid: number): number | undefined => {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    return parent > 1 ? parent : undefined;
  } catch {
    return undefined;
  }
};

/** The descriptor by which the runtime holds the container's terminal. */
export const masterOf = (runtime: number): number | undefined => {
  try {
    const found = fs.readdirSync(`/proc/${runtime}/fd`).find((fd) => fs.readlinkSync(`/proc/${runtime}/fd/${fd}`).endsWith('/ptmx'));
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
};

/** The processes in a process's cgroup and below it, as the host numbers them. */
export const cgroupPids = (pid: number): number[] => {
  const lines = fs.readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
  const line = lines.find((text) => /^\d+:(pids|memory):/.test(text)) ?? lines.find((text) => text.startsWith('0::'));
  const [, controllers = '', at = '/'] = line?.split(':') ?? [];
  const root = path.join('/sys/fs/cgroup', controllers, at);
  return fs
    .readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => path.basename(name) === 'cgroup.procs')
    .flatMap((name) => fs.readFileSync(path.join(root, name), 'utf8').split('\n').filter(Boolean).map(Number));
};

/** The rows of `ps` whose PID is one of these. The last column takes the rest of its line. */
export const parseProcessList = (text: string, pids: ReadonlySet<number>): { titles: string[]; rows: string[][] } => {
  const [head = '', ...lines] = text.split('\n');
  const titles = head.trim().split(/\s+/);
  const column = titles.indexOf('PID');
  if (column < 0) throw systemError("Couldn't find PID field in ps output");
  const rows = lines
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const words = line.trim().split(/\s+/);
      return [...words.slice(0, titles.length - 1), words.slice(titles.length - 1).join(' ')];
    })
    .filter((row) => pids.has(Number(row[column])));
  return { titles, rows };
};

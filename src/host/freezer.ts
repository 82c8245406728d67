import fs from 'node:fs';
import path from 'node:path';

/** Whether the cgroup freezer holds a process. */
export const isFrozen = (pid: number): boolean => {
  try {
    const lines = fs.readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
    const first = lines.find((line) => /^\d+:freezer:/.test(line));
    if (first !== undefined) return fs.readFileSync(path.join('/sys/fs/cgroup/freezer', pathOf(first), 'freezer.state'), 'utf8').trim() !== 'THAWED';
    const unified = lines.find((line) => line.startsWith('0::'));
    return unified !== undefined && fs.readFileSync(path.join('/sys/fs/cgroup', pathOf(unified), 'cgroup.freeze'), 'utf8').trim() === '1';
  } catch {
    return false;
  }
};

const pathOf = (line: string): string => line.split(':').slice(2).join(':');

import fs from 'node:fs/promises';
import path from 'node:path';

/** Bytes of all that is below a directory and not a directory, a file of several names once. 0 when it is not there. */
export const sizeOf = async (directory: string): Promise<number> => {
  const seen = new Set<string>();
  const walk = async (at: string): Promise<number> => {
    const entries = await fs.readdir(at, { withFileTypes: true, encoding: 'buffer' }).catch(() => []);
    let sum = 0;
    for (const entry of entries) {
      const child = Buffer.concat([Buffer.from(`${at}${path.sep}`, 'latin1'), entry.name as unknown as Buffer]);
      if (entry.isDirectory()) sum += await walk(child.toString('latin1'));
      else {
        // Gone since it was listed: not on the disk any more.
        const stat = await fs.lstat(child).catch(() => undefined);
        if (!stat || (stat.nlink > 1 && seen.has(`${stat.dev}:${stat.ino}`))) continue;
        if (stat.nlink > 1) seen.add(`${stat.dev}:${stat.ino}`);
        sum += stat.size;
      }
    }
    return sum;
  };
  return walk(directory);
};

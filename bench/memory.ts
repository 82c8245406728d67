import { readdir, readFile, stat } from 'node:fs/promises';

/**
 * MiB held by all processes in a host's network namespace: an engine's daemon and helpers, and no container.
 *
 * This is their PSS, with one difference: a file's pages shared with processes of others count whole. Otherwise an engine
 * written for Node would look smaller beside any other Node process, the bench's own among them.
 */
export async function memoryOf(netns: string): Promise<number> {
  const { ino } = await stat(netns);
  const shared = new Map<string, number>();
  let kib = 0;
  for (const pid of await pidsIn(ino)) {
    for (const mapping of parseSmaps(await read(`/proc/${pid}/smaps`))) {
      kib += mapping.private;
      if (mapping.file) shared.set(mapping.file, Math.max(mapping.shared, shared.get(mapping.file) ?? 0));
      else kib += Math.max(0, mapping.pss - mapping.private);
    }
  }
  for (const size of shared.values()) kib += size;
  if (kib === 0) throw new Error(`no process runs in ${netns}`);
  return kib / 1024;
}

async function pidsIn(inode: number): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const inodes = await Promise.all(pids.map((pid) => stat(`/proc/${pid}/ns/net`).then(({ ino }) => ino, () => undefined)));
  return pids.filter((_, index) => inodes[index] === inode);
}

type Mapping = { readonly file: string | undefined; readonly private: number; readonly shared: number; readonly pss: number };

function parseSmaps(text: string): Mapping[] {
  // Each mapping starts with a line like: 7f60-7f80 r-xp 00001000 fe:00 1234   /usr/lib/libc.so.6
  return text.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).filter(Boolean).map((block) => {
    const [, offset, device, inode] = /^\S+ \S+ (\S+) (\S+) (\d+)/.exec(block) ?? [];
    const field = (name: string) => Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(block)?.[1] ?? 0);
    return {
      file: inode === '0' ? undefined : `${device} ${inode} ${offset}`,
      private: field('Private_Clean') + field('Private_Dirty'),
      shared: field('Shared_Clean') + field('Shared_Dirty'),
      pss: field('Pss'),
    };
  });
}

/** A process that has ended since it was listed holds nothing. */
const read = (path: string) => readFile(path, 'utf8').catch(() => '');

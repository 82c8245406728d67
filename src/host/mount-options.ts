/** The words of `mount -o`, as the kernel takes them. */
export type MountOptions = { readonly flags: number; readonly data: string };

export const MS = {
  RDONLY: 1, NOSUID: 2, NODEV: 4, NOEXEC: 8, SYNCHRONOUS: 16, REMOUNT: 32, MANDLOCK: 64, DIRSYNC: 128, NOATIME: 1024, NODIRATIME: 2048,
  BIND: 4096, REC: 16384, SILENT: 32768, UNBINDABLE: 1 << 17, PRIVATE: 1 << 18, SLAVE: 1 << 19, SHARED: 1 << 20, RELATIME: 1 << 21, STRICTATIME: 1 << 24,
} as const;

/** A word sets a flag, or takes one away. */
const WORDS: Readonly<Record<string, readonly ['set' | 'clear', number]>> = {
  ro: ['set', MS.RDONLY],
  rw: ['clear', MS.RDONLY],
  nosuid: ['set', MS.NOSUID],
  suid: ['clear', MS.NOSUID],
  nodev: ['set', MS.NODEV],
  dev: ['clear', MS.NODEV],
  noexec: ['set', MS.NOEXEC],
  exec: ['clear', MS.NOEXEC],
  sync: ['set', MS.SYNCHRONOUS],
  async: ['clear', MS.SYNCHRONOUS],
  dirsync: ['set', MS.DIRSYNC],
  remount: ['set', MS.REMOUNT],
  mand: ['set', MS.MANDLOCK],
  nomand: ['clear', MS.MANDLOCK],
  noatime: ['set', MS.NOATIME],
  atime: ['clear', MS.NOATIME],
  nodiratime: ['set', MS.NODIRATIME],
  diratime: ['clear', MS.NODIRATIME],
  relatime: ['set', MS.RELATIME],
  norelatime: ['clear', MS.RELATIME],
  strictatime: ['set', MS.STRICTATIME],
  nostrictatime: ['clear', MS.STRICTATIME],
  bind: ['set', MS.BIND],
  rbind: ['set', MS.BIND | MS.REC],
  unbindable: ['set', MS.UNBINDABLE],
  runbindable: ['set', MS.UNBINDABLE | MS.REC],
  private: ['set', MS.PRIVATE],
  rprivate: ['set', MS.PRIVATE | MS.REC],
  shared: ['set', MS.SHARED],
  rshared: ['set', MS.SHARED | MS.REC],
  slave: ['set', MS.SLAVE],
  rslave: ['set', MS.SLAVE | MS.REC],
};

export const PROPAGATION = MS.UNBINDABLE | MS.PRIVATE | MS.SLAVE | MS.SHARED;

/** What is no flag is for the file system, in the order it came. `defaults` says nothing. */
export const parseMountOptions = (options: string): MountOptions => {
  let flags = 0;
  const data: string[] = [];
  for (const word of options.split(',')) {
    const known = Object.hasOwn(WORDS, word) ? WORDS[word] : undefined;
    if (known) flags = known[0] === 'set' ? flags | known[1] : flags & ~known[1];
    else if (word !== 'defaults') data.push(word);
  }
  return { flags, data: data.join(',') };
};

import fs from 'node:fs';
import path from 'node:path';

/** Where programs are looked for: PATH, and where Debian has those that root runs. */
const directories = (): string[] =>
  [...(process.env['PATH'] ?? '').split(':'), '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].filter((directory) => directory.startsWith('/'));

const found = new Map<string, string>();

/** A program's path. Remembered: the way of every container would pay for the search. One that is absent, or gone, is looked for again. */
export const findProgram = (name: string): string | undefined => {
  const known = found.get(name);
  if (known !== undefined && isExecutable(known)) return known;
  const file = directories().map((directory) => path.join(directory, name)).find(isExecutable);
  if (file !== undefined) found.set(name, file);
  return file;
};

const isExecutable = (file: string): boolean => {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

import fs from 'node:fs';
import path from 'node:path';
import type { Writable } from 'node:stream';

/**
 * Writes a file that is whole or not there: under another name beside its own, then renamed. What is there already and
 * is no file (a pipe, /dev/null) is written to as it is.
 */
export const writeWhole = async <T>(file: string, write: (to: Writable) => Promise<T>): Promise<T> => {
  const there = fs.statSync(file, { throwIfNoEntry: false });
  if (there?.isDirectory()) throw new Error(`${file} is a directory`);
  if (there && !there.isFile()) return write(fs.createWriteStream(file));
  const target = there ? fs.realpathSync(file) : file;
  const temporary = path.join(path.dirname(target), `.${path.basename(target)}.${process.pid}.part`);
  const to = fs.createWriteStream(temporary, { fd: fs.openSync(temporary, 'w', 0o600) });
  try {
    const result = await write(to);
    syncFile(temporary);
    fs.renameSync(temporary, target);
    return result;
  } catch (error) {
    to.destroy();
    fs.rmSync(temporary, { force: true });
    throw error;
  }
};

export const writeTextWhole = (file: string, text: string): Promise<void> =>
  writeWhole(file, (to) => new Promise((resolve, reject) => to.on('error', reject).end(text, () => resolve())));

const syncFile = (file: string): void => {
  const fd = fs.openSync(file, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
};

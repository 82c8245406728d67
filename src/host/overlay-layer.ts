import fs from 'node:fs';
import { O_DIRECTORY, O_PATH, openPlain } from './open-beneath.ts';

/**
 * A directory of an overlay, opened where it lies, if one layer alone has it: what is below it is then the same here
 * and there, and the overlay asks nothing twice. Half of the time that thousands of small files take is the overlay's.
 * undefined: it is put together from several, or it is better not to know.
 */
export const openInLayer = (directory: number, path: string, layers: readonly string[]): number | undefined => {
  if (!isPlain()) return undefined;
  const found: number[] = [];
  try {
    for (const layer of layers) {
      const fd = openDirectory(layer, path);
      if (fd !== undefined) found.push(fd);
    }
    const [only] = found;
    // The same number, too: or it was renamed between the two looks.
    if (only === undefined || found.length > 1 || fs.fstatSync(only).ino !== fs.fstatSync(directory).ino) return undefined;
    found.pop();
    return only;
  } finally {
    for (const fd of found) fs.closeSync(fd);
  }
};

const openDirectory = (layer: string, path: string): number | undefined => {
  const root = fs.openSync(layer, O_PATH | O_DIRECTORY);
  try {
    return openPlain(root, path.replace(/^\/+/, '') || '.', O_PATH | O_DIRECTORY);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  } finally {
    fs.closeSync(root);
  }
};

let plain: boolean | undefined;

/** With these two a directory or file of one layer may go on in another that has no such name. */
const isPlain = (): boolean =>
  (plain ??= ['redirect_dir', 'metacopy'].every((name) => {
    try {
      return fs.readFileSync(`/sys/module/overlay/parameters/${name}`, 'utf8').trim() === 'N';
    } catch {
      return false;
    }
  }));


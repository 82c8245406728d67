import fs from 'node:fs';
import type { Readable } from 'node:stream';
import { cleanPath } from '../model/path.ts';
import { openView, type ContainerView, type ViewMount } from './container-view.ts';
import { fdPath, hasAttributes, leafPath, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY, withOpen } from './open-beneath.ts';
import { openInLayer } from './overlay-layer.ts';
import { tarOf, tarOfFile, type Packed } from './tar.ts';
import { untar, type UntarOptions } from './untar.ts';

/** A container's files, for archives. Paths are as clients write them, in UTF-8. `layers`: those of which `rootfs` is an overlay. */
export const openTree = (rootfs: string, mounts: readonly ViewMount[], layers: readonly string[] = []) => {
  const view = openView(rootfs, mounts);
  const { root } = view;

  const packDirectory = (fd: number, name: string): Packed => {
    const path = view.pathOf(fd);
    const inLayer = layers.length === 0 || view.hasMounts(path) ? undefined : openInLayer(fd, path, layers);
    try {
      return tarOf(inLayer ?? fd, { kind: 'directory', name });
    } finally {
      if (inLayer !== undefined) fs.closeSync(inLayer);
    }
  };

  return {
    stat(path: string) {
      const name = binary(path);
      return withOpen(root, name, O_PATH | O_NOFOLLOW, (fd) => {
        const stat = fs.fstatSync(fd, { bigint: true });
        const linkTarget = stat.isSymbolicLink() ? text(targetOf(view, name, fd)) : '';
        return { size: Number(stat.size), mode: Number(stat.mode), mtime: timeText(stat.mtimeNs), linkTarget };
      });
    },
    resolve: (path: string) =>
      withOpen(root, binary(path), O_PATH, (fd) => ({ path: text(view.pathOf(fd)), mode: fs.fstatSync(fd).mode })),
    pack(path: string, name: string): Packed {
      const [asked, title] = [binary(path), binary(name)];
      const leaf = asked.slice(asked.lastIndexOf('/') + 1);
      return withOpen(root, asked, O_PATH | O_NOFOLLOW, (fd) => {
        const stat = fs.fstatSync(fd);
        if (stat.isDirectory()) return packDirectory(fd, title);
        if (stat.isFile() && !hasAttributes(fdPath(fd))) return tarOfFile(fs.openSync(fdPath(fd), 'r'), leaf);
        return withOpen(root, asked.slice(0, -leaf.length), O_PATH | O_DIRECTORY, (above) => tarOf(above, { kind: 'leaf', name: leaf }));
      });
    },
    packAll: (): Packed =>
      withOpen(root, '/', O_RDONLY | O_DIRECTORY, (fd) => tarOf(fd, { kind: 'entries', names: fs.readdirSync(fdPath(fd), { encoding: 'latin1' }).sort() })),
    unpack: (directory: string, tar: Readable, options: UntarOptions) => untar(root, binary(directory), tar, options),
    text(path: string): string {
      try {
        // Opened to be read only once it is known to be a file: to open a device can mean to use it.
        return withOpen(root, binary(path), O_PATH, (fd) => (fs.fstatSync(fd).isFile() ? startOf(fdPath(fd)) : ''));
      } catch (error) {
        if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
        throw error;
      }
    },
    close: () => view.close(),
  };
};

const TEXT_LIMIT = 1024 * 1024;

const startOf = (path: string): string => {
  const fd = fs.openSync(path, 'r');
  try {
    const start = Buffer.alloc(TEXT_LIMIT);
    return start.toString('utf8', 0, fs.readSync(fd, start, 0, TEXT_LIMIT, 0));
  } finally {
    fs.closeSync(fd);
  }
};

/** Where a link leads in the end: as far as there is something, then by its words. */
const targetOf = (view: ContainerView, path: string, link: number): string => {
  try {
    return withOpen(view.root, path, O_PATH, view.pathOf);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const here = view.pathOf(link);
  const [above, leaf] = [here.slice(0, here.lastIndexOf('/') + 1), here.slice(here.lastIndexOf('/') + 1)];
  const words = withOpen(view.root, above, O_PATH | O_DIRECTORY, (fd) => fs.readlinkSync(leafPath(fd, leaf), { encoding: 'latin1' }));
  const whole = cleanPath(words.startsWith('/') ? words : `${above}${words}`);
  for (let end = whole.length; end > 0; end = whole.lastIndexOf('/', end - 1)) {
    try {
      const there = withOpen(view.root, whole.slice(0, end), O_PATH, view.pathOf);
      return (there === '/' ? '' : there) + whole.slice(end);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return whole;
};

const binary = (path: string): string => Buffer.from(path).toString('latin1');
const text = (path: string): string => Buffer.from(path, 'latin1').toString('utf8');

/** RFC 3339 with as many decimals as it takes. */
const timeText = (nanoseconds: bigint): string => {
  const seconds = nanoseconds / 1_000_000_000n - (nanoseconds % 1_000_000_000n < 0n ? 1n : 0n);
  const rest = String(nanoseconds - seconds * 1_000_000_000n).padStart(9, '0').replace(/0+$/, '');
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}${rest === '' ? '' : `.${rest}`}Z`;
};

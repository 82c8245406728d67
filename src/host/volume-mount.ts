import dns from 'node:dns/promises';
import fs from 'node:fs';
import { isIP } from 'node:net';
import path from 'node:path';
import { EngineError, invalid, messageOf, notFound, systemError } from '../model/errors.ts';
import type { KindOf } from '../operations/operation.ts';
import { MS, parseMountOptions, PROPAGATION } from './mount-options.ts';
import { fdPath, leafPath, O_DIRECTORY, O_PATH, openWithin } from './open-beneath.ts';
import { mountAside, mountNow, unmount, unmountAside, type MountCall } from './syscalls.ts';

/** Mounts what a volume's options say, off this thread: a server may not answer for long. */
export const mountVolume = async (object: KindOf<'mount'>): Promise<void> => {
  try {
    await mountLocal(object);
  } catch (error) {
    const words = error instanceof EngineError ? error.message : `failed to mount local volume: ${withoutPassword(messageOf(error), object.options)}`;
    throw systemError(`error while mounting volume '${object.target}': ${words}`, error);
  }
};

const mountLocal = async ({ type, source, target, options }: KindOf<'mount'>): Promise<void> => {
  const network = type === 'nfs' || type === 'cifs' ? await withAddress({ type, source, options }) : { source, options };
  const { flags, data } = parseMountOptions(network.options);
  const plain = flags & ~PROPAGATION;
  await perform('mount', { source: network.source, target, type, flags: plain, data });
  try {
    // On this mount, and on none of those it is a copy of: what is unmounted here is not to be unmounted there.
    const propagation = flags & PROPAGATION ? flags & (PROPAGATION | MS.REC | MS.SILENT) : MS.SLAVE | MS.REC;
    await perform('remount', { source: '', target, type: '', flags: propagation, data: '' });
    const readonlyBind = MS.BIND | MS.RDONLY;
    if ((plain & readonlyBind) === readonlyBind) await perform('remount-ro', { source: '', target, type: '', flags: plain | MS.REMOUNT, data: '' });
  } catch (error) {
    unmount(target);
    throw error;
  }
};

/** Its failure says the call, as the reference engine does: `mount SOURCE:TARGET, flags: 0x1, data: size=x: invalid argument`. */
const perform = async (verb: string, call: MountCall): Promise<void> => {
  const words = await mountAside(call);
  if (words === undefined) return;
  const { source, target, flags, data } = call;
  throw new Error(
    `${verb} ${source === '' ? '' : `${source}:`}${target}${flags === 0 ? '' : `, flags: 0x${flags.toString(16)}`}${data === '' ? '' : `, data: ${data}`}: ${words}`,
  );
};

/** The kernel wants a server's address where a client may have given its name: in `addr=`, or (cifs) in the device. */
const withAddress = async ({ type, source, options }: { type: string; source: string; options: string }): Promise<{ source: string; options: string }> => {
  const name = valueOf(options, 'addr');
  if (name !== '' && isIP(name) !== 4) return { source, options: options.replace(`addr=${name}`, `addr=${await addressOf(name)}`) };
  const [, before = '', host = '', after = ''] = (type === 'cifs' && /^((?:cifs:)?\/\/)([^/]+)(.*)$/s.exec(source)) || [];
  if (host === '' || isIP(host) !== 0) return { source, options };
  return { source: `${before.replace(/^cifs:/, '')}${await addressOf(host)}${after}`, options };
};

const addressOf = async (name: string): Promise<string> => {
  try {
    return (await dns.lookup(name, { verbatim: false })).address;
  } catch (error) {
    throw systemError(`error resolving passed in network volume address: lookup ${name}: no such host`, error);
  }
};

const valueOf = (options: string, key: string): string => options.split(',').find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1) ?? '';

const withoutPassword = (words: string, options: string): string => {
  const password = valueOf(options, 'password');
  return password === '' ? words : words.replace(`password=${password}`, 'password=********');
};

/**
 * Mounts what a path of a volume leads to at a place that is ours alone. It is looked up by the kernel and held open
 * meanwhile, so that what a container changes in the volume can not lead anywhere else.
 */
export const mountSubpath = ({ volume, path: subpath, target }: KindOf<'subpath'>): void => {
  const fd = openSubpath(volume, subpath);
  try {
    fs.mkdirSync(path.dirname(target), { recursive: true, mode: 0o700 });
    if (fs.lstatSync(target, { throwIfNoEntry: false })) {
      unmount(target);
      removePoint(target);
    }
    if (fs.fstatSync(fd).isDirectory()) fs.mkdirSync(target, { mode: 0o700 });
    else fs.closeSync(fs.openSync(target, 'wx', 0o600));
    const words = mountNow({ source: fdPath(fd), target, type: 'none', flags: MS.BIND | MS.REC, data: '' }) ?? mountNow({ source: '', target, type: '', flags: MS.PRIVATE | MS.REC, data: '' });
    if (words !== undefined) {
      unmount(target);
      removePoint(target);
      throw systemError(`failed to mount the subpath ${subpath} of ${volume}: ${words}`);
    }
  } finally {
    fs.closeSync(fd);
  }
};

export const unmountSubpath = async ({ target }: { readonly target: string }): Promise<void> => {
  if (!fs.lstatSync(target, { throwIfNoEntry: false })) return;
  await unmountAside(target);
  removePoint(target);
};

const removePoint = (target: string): void => {
  if (fs.lstatSync(target).isDirectory()) fs.rmdirSync(target);
  else fs.unlinkSync(target);
};

/** In the words of the reference engine, which says how far it got. */
const openSubpath = (volume: string, subpath: string): number => {
  const root = fs.openSync(volume, O_PATH | O_DIRECTORY);
  const open = (name: string): number => openWithin(root, Buffer.from(name).toString('latin1'), O_PATH);
  const whole = `${volume}/${subpath}`;
  try {
    return open(subpath);
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
        throw notFound(`cannot access path ${whole}: lstat ${volume}/${missingPart(subpath, open)}: no such file or directory`);
      case 'EXDEV':
        throw invalid(`path concatenation escapes the base directory, base: ${volume}, subpath: ${subpath}`);
      case 'ELOOP':
        throw systemError(`error while resolving symlinks in combined path ${JSON.stringify(whole)}: EvalSymlinks: too many links`, error);
      case 'ENOTDIR':
        throw systemError(`error while resolving symlinks in combined path ${JSON.stringify(whole)}: not a directory`, error);
      default:
        throw error;
    }
  } finally {
    fs.closeSync(root);
  }
};

/** The first part of a path that is not there; of a link, what it says. */
const missingPart = (subpath: string, open: (name: string) => number): string => {
  const parts = subpath.split('/').filter((part) => part !== '' && part !== '.');
  for (let count = 1; count <= parts.length; count++) {
    const name = parts.slice(0, count).join('/');
    try {
      fs.closeSync(open(name));
    } catch {
      const above = parts.slice(0, count - 1).join('/');
      const directory = open(above || '.');
      try {
        const words = fs.readlinkSync(leafPath(directory, parts[count - 1] ?? ''), 'utf8');
        return above === '' ? words : `${above}/${words}`;
      } catch {
        return name;
      } finally {
        fs.closeSync(directory);
      }
    }
  }
  return subpath;
};

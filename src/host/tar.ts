import type { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { stream } from './command.ts';
import { fdPath } from './open-beneath.ts';
import { untilEnd } from './tar-end.ts';
import { encodeHeader, endOfTar, padding, plainHeader } from './tar-format.ts';

/** What of a directory goes into a tar, and by which name. Names are binary strings. */
export type TarRequest =
  /** The directory itself with all below it, as NAME/, NAME/file... */
  | { readonly kind: 'directory'; readonly name: string }
  /** Something in it that is no directory. */
  | { readonly kind: 'leaf'; readonly name: string }
  /** These of its entries, with all below them. */
  | { readonly kind: 'entries'; readonly names: readonly string[] };

/** Small headers: whole seconds, numbers for owners; attributes that mean something elsewhere. */
const ARGUMENTS = [
  'tar', '--create', '--file=-', '--blocking-factor=128', '--sort=name', '--numeric-owner', '--absolute-names',
  '--format=posix', '--pax-option=delete=atime,delete=ctime,delete=mtime',
  '--xattrs', '--xattrs-include=user.*', '--xattrs-include=security.capability',
  '--warning=none', '--quoting-style=escape',
] as const;

/** `done` resolves when nothing holds on to the files any more, however it ended. */
export type Packed = { readonly tar: Readable; readonly done: Promise<void> };

/**
 * A tar of what an open directory has, by GNU tar, which follows no link below it. The stream fails when tar does;
 * destroyed early, it takes tar with it.
 */
export const tarOf = (directory: number, request: TarRequest): Packed => {
  const child = stream([...ARGUMENTS, ...membersOf(request)], {
    cwd: fdPath(directory),
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { LC_ALL: 'C', TAR_OPTIONS: '' },
  });
  child.stdin?.on('error', () => {});
  const names = request.kind === 'directory' ? [] : request.kind === 'leaf' ? [request.name] : request.names;
  child.stdin?.end(Buffer.from(names.map((name) => `./${name}\0`).join(''), 'latin1'));
  return collected(child);
};

const membersOf = (request: TarRequest): string[] => {
  switch (request.kind) {
    case 'directory':
      return request.name === '.' ? ['.'] : [transform(request.name), '.'];
    case 'leaf':
    case 'entries':
      // With `./` before them no name can be an option; it comes off again.
      return ['--transform=s,^\\./,,S', '--null', '--verbatim-files-from', '--files-from=-'];
  }
};

/** Puts NAME in the place of the dot. A name has no slash in it, and so nothing that ends the expression; `/` itself is the root. */
const transform = (name: string): string =>
  name === '/' ? '--transform=s,^\\./*,/,S' : `--transform=s/^\\./${Buffer.from(name, 'latin1').toString('utf8').replace(/[\\&]/g, '\\$&')}/S`;

const collected = (child: ChildProcess): Packed => {
  const { stdout } = child;
  // Ends with the program, not with its output: only then is it known whether that was all.
  const tar = new Readable({ read: () => void stdout?.resume(), highWaterMark: BUFFER });
  let [failure, line] = ['', ''];
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (line + text).split('\n');
    line = (lines.pop() ?? '').slice(0, 2048);
    failure ||= lines.find((words) => !CHANGED.test(words)) ?? '';
  });
  const cut = untilEnd();
  stdout?.on('data', (chunk: Buffer) => {
    // What comes after the reader has gone is let go by, or the program would not end.
    const part = tar.destroyed ? NOTHING : cut(chunk);
    if (part.length > 0 && !tar.push(part)) stdout.pause();
  });
  const done = new Promise<void>((resolve) => {
    child.on('error', (error) => {
      tar.destroy(error);
      resolve();
    });
    child.on('close', (code) => {
      // 1: a file changed while it was read, which is the container's right; 2: or was no longer there.
      if (code === 0 || code === 1 || (code === 2 && failure === '')) tar.push(null);
      else tar.destroy(new Error(failure || line || 'tar: killed'));
      resolve();
    });
  });
  tar.on('close', () => {
    child.kill('SIGKILL');
    stdout?.resume();
  });
  return { tar, done };
};

const NOTHING = Buffer.alloc(0);

/** What tar says of a name under which there is suddenly nothing, or something else; and its last words after that. */
const CHANGED = /: (No such file or directory|Not a directory|Too many levels of symbolic links|No such device or address|File removed before we read it)$|: Exiting with failure status due to previous errors$/;

const BUFFER = 1024 * 1024;

/**
 * A tar of one open file, whose descriptor it closes. No program is worth starting for that, nor the way of every
 * byte through one. A file that shrinks meanwhile is filled up with zeros, as its header has promised its size.
 */
export const tarOfFile = (fd: number, name: string): Packed => {
  const tar = Readable.from(fileBytes(fd, name), { objectMode: false, highWaterMark: 2 * BUFFER });
  const done = new Promise<void>((resolve) => {
    tar.on('close', () => {
      fs.closeSync(fd);
      resolve();
    });
  });
  return { tar, done };
};

async function* fileBytes(fd: number, name: string): AsyncGenerator<Buffer> {
  const { size, mode, uid, gid, mtimeMs } = fs.fstatSync(fd);
  yield encodeHeader(plainHeader(name, '0', { size, mode: mode & 0o7777, uid, gid, mtime: Math.floor(mtimeMs / 1000) }));
  for (let at = 0; at < size; ) {
    const wanted = Math.min(BUFFER, size - at);
    const { bytesRead, buffer } = await read(fd, { buffer: Buffer.allocUnsafe(wanted), position: at });
    yield bytesRead > 0 ? buffer.subarray(0, bytesRead) : Buffer.alloc(wanted);
    at += bytesRead || wanted;
  }
  yield Buffer.alloc(padding(size));
  yield endOfTar;
}

const read = promisify(fs.read) as (fd: number, options: { buffer: Buffer; position: number }) => Promise<{ bytesRead: number; buffer: Buffer }>;

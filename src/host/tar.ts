import type { ChildProcess } from 'node:child_process';
import { PassThrough, type Readable } from 'node:stream';
import { stream } from './command.ts';
import { fdPath } from './open-beneath.ts';

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

/**
 * A tar of what an open directory has, by GNU tar, which follows no link below it. The stream fails when tar does;
 * destroyed early, it takes tar with it. `done` resolves when tar is gone, whichever way.
 */
export const tarOf = (directory: number, request: TarRequest): { readonly tar: Readable; readonly done: Promise<void> } => {
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

const collected = (child: ChildProcess): { tar: Readable; done: Promise<void> } => {
  const tar = new PassThrough({ highWaterMark: 1024 * 1024 });
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(0, 2048)));
  child.stdout?.pipe(tar, { end: false });
  const done = new Promise<void>((resolve) => {
    child.on('error', (error) => {
      tar.destroy(error);
      resolve();
    });
    child.on('close', (code) => {
      // 1: a file changed while it was read, which is the container's right.
      if (code === 0 || code === 1) tar.end();
      else tar.destroy(new Error(`tar: ${words.trim() || 'killed'}`));
      resolve();
    });
  });
  tar.on('close', () => child.kill('SIGKILL'));
  return { tar, done };
};

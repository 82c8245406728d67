import { invalid, systemError } from '../model/errors.ts';
import { cleanPath } from '../model/path.ts';
import { needsBuildKit } from './build-stages.ts';
import { flagOf, type Instruction } from './dockerfile.ts';
import type { ChangeContext } from './image-changes.ts';
import { expand } from './shell-words.ts';

/** A COPY or an ADD with its variables filled in. */
export type Copy = {
  readonly name: 'COPY' | 'ADD';
  /** A stage, its number or an image; '': the context. */
  readonly from: string;
  readonly chown: string;
  readonly sources: readonly string[];
  /** As written. */
  readonly destination: string;
};

export const planCopy = (instruction: Instruction, { variables, escape }: Pick<ChangeContext, 'variables' | 'escape'>): Copy => {
  const name = instruction.keyword === 'add' ? 'ADD' : 'COPY';
  for (const flag of ['chmod', 'checksum']) if (flagOf(instruction, flag) !== '') throw invalid(needsBuildKit(`--${flag} option`));
  const words = instruction.words.map((word) => expand(word, variables, escape));
  const copy = { name, from: flagOf(instruction, 'from'), chown: expand(flagOf(instruction, 'chown'), variables, escape), sources: words.slice(0, -1), destination: words.at(-1) ?? '' } as const;
  if (copy.sources.includes('')) throw invalid(`${name} failed: no source files were specified`);
  return copy;
};

export const isUrl = (source: string): boolean => /^https?:\/\//.test(source);

/** Where it is in its tree: relative, clean, `.` for all of it. */
export const sourcePath = (source: string): string => {
  const path = cleanPath(source.replace(/^\/+/, '') || '.');
  if (path === '..' || path.startsWith('../')) throw systemError(`forbidden path outside the build context: ${source} ()`);
  return path;
};

/** Absolute; with a slash at its end when only a directory will do. */
export const destinationPath = (destination: string, workingDir: string): string => {
  const path = cleanPath(destination.startsWith('/') ? destination : `/${workingDir}/${destination}`);
  return /(?:^|\/)\.?$/.test(destination) && path !== '/' ? `${path}/` : path;
};

/** The name that a file from a URL gets: the destination's, or the URL's own. */
export const nameOf = (url: string, destination: string): string => {
  if (!/(?:^|\/)\.{0,2}$/.test(destination)) return cleanPath(destination).split('/').at(-1) || 'file';
  const name = decoded(new URL(url).pathname).split('/').at(-1) ?? '';
  if (name === '' || name === '.' || name === '..') throw invalid(`cannot determine filename from url: ${url}`);
  return name;
};

const decoded = (path: string): string => {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
};

/** `USER[:GROUP]` of --chown, by number or by the image's own /etc/passwd and /etc/group. */
export const copyOwner = (chown: string, passwd: string, group: string): { readonly uid: number; readonly gid: number } => {
  if (chown === '') return { uid: 0, gid: 0 };
  const [user = '', groupName = user, ...more] = chown.split(':');
  const failed = (words: string) => systemError(`unable to convert uid/gid chown string to host mapping: ${words}`);
  if (more.length > 0) throw failed(`invalid chown string format: ${chown}`);
  const uid = numberIn(passwd, user);
  if (uid === undefined) throw failed(`can't find uid for user ${user}: no such user: ${user}`);
  const gid = numberIn(group, groupName);
  if (gid === undefined) throw failed(`can't find gid for group ${groupName}: no such group: ${groupName}`);
  return { uid, gid };
};

/** Of a line NAME:PASSWORD:NUMBER:..., unless it is a number already. */
const numberIn = (text: string, name: string): number | undefined => {
  if (/^\d{1,10}$/.test(name)) return Number(name) < 2 ** 32 - 1 ? Number(name) : undefined;
  const line = text.split('\n').map((each) => each.split(':')).find(([title]) => title === name && name !== '');
  return line && /^\d{1,10}$/.test(line[2] ?? '') ? Number(line[2]) : undefined;
};

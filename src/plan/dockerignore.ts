import { cleanPath } from '../model/path.ts';
import { treePattern } from './path-pattern.ts';

/** Whether the .dockerignore leaves a path out: the last line that speaks of it, or of a directory above it, decides. */
export const isIgnored = (dockerignore: string, path: string): boolean => {
  let ignored = false;
  for (const { pattern, keeps } of linesOf(dockerignore)) {
    const expression = treePattern(pattern);
    if (expression && ancestry(path).some((part) => expression.test(part))) ignored = !keeps;
  }
  return ignored;
};

const linesOf = (text: string): { readonly pattern: string; readonly keeps: boolean }[] =>
  text.replace(/^\ufeff/, '').split(/\r?\n/).flatMap((line) => {
    if (line.startsWith('#') || line.trim() === '') return [];
    const keeps = line.trim().startsWith('!');
    const pattern = cleanPath((keeps ? line.trim().slice(1) : line).trim()).replace(/^\/(?=.)/, '');
    return [{ pattern, keeps }];
  });

/** A path, and each directory that it is in. */
const ancestry = (path: string): string[] => {
  const parts = path.split('/');
  return parts.map((_, at) => parts.slice(0, at + 1).join('/'));
};

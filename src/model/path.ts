/** Paths as the kernel and Go's `path` package see them; nothing is looked up. */

/** The shortest equal path: no `.`, no `//`, no `..` that something precedes. '' becomes '.'. */
export const cleanPath = (path: string): string => {
  const rooted = path.startsWith('/');
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (!rooted) parts.push('..');
  }
  const joined = parts.join('/');
  if (rooted) return `/${joined}`;
  return joined === '' ? '.' : joined;
};

/** Relative, and stays below where it starts. */
export const isLocalPath = (path: string): boolean =>
  path !== '' && !path.startsWith('/') && cleanPath(path) !== '..' && !cleanPath(path).startsWith('../');

/** Whether `path` is `root` or lies below it (both clean). */
export const isWithin = (root: string, path: string): boolean =>
  root === path || path.startsWith(root.endsWith('/') ? root : `${root}/`);

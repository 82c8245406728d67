/** Whether a path may be many: as Go's filepath.Match reads it. */
export const isPattern = (path: string): boolean => /(?:^|[^\\])(?:\\\\)*[*?[]/.test(path);

/** `*`, `?` and `[a-z]` within one name of a path; undefined when the pattern is none. */
export const pathPattern = (pattern: string): RegExp | undefined => compile(pattern, false);

/** The same with `**` for any number of names, as .dockerignore has it. */
export const treePattern = (pattern: string): RegExp | undefined => compile(pattern, true);

const compile = (pattern: string, deep: boolean): RegExp | undefined => {
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (deep && pattern.startsWith('**', at)) {
      at += 1;
      // `**/` also means here.
      if (pattern[at + 1] === '/') {
        at += 1;
        source += '(?:.*/)?';
      } else source += '.*';
    } else if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '[') {
      const [whole, not = '', inside = ''] = /^\[(\^?)((?:\\.|[^\]\\])+)\]/s.exec(pattern.slice(at)) ?? [];
      if (whole === undefined) return undefined;
      source += `[${not}${inside.replace(/[[&|]/g, '\\$&')}]`;
      at += whole.length - 1;
    } else if (char === '\\') {
      at += 1;
      if (at >= pattern.length) return undefined;
      source += literal(pattern.charAt(at));
    } else source += literal(char);
  }
  try {
    return new RegExp(`^${source}$`, 's');
  } catch {
    return undefined;
  }
};

const literal = (char: string): string => char.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

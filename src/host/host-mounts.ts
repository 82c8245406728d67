import fs from 'node:fs';

/** The mount that a path lies on, and whether it shares what is mounted below it with others, or hears of theirs. */
export const mountOf = (path: string): { readonly at: string; readonly shared: boolean; readonly slave: boolean } => {
  const real = fs.realpathSync(path);
  let found = { at: '/', shared: false, slave: false };
  for (const line of fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [, , , , where, , ...rest] = line.split(' ');
    if (where === undefined) continue;
    const at = where.replace(/\\(\d{3})/g, (_all, octal: string) => String.fromCharCode(parseInt(octal, 8)));
    // Of two at one place the later hides the other.
    if ((real !== at && !real.startsWith(at === '/' ? at : `${at}/`)) || at.length < found.at.length) continue;
    const tags = rest.slice(0, rest.indexOf('-'));
    found = { at, shared: tags.some((tag) => tag.startsWith('shared:')), slave: tags.some((tag) => tag.startsWith('master:')) };
  }
  return found;
};

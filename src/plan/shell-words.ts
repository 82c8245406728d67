import { invalid } from '../model/errors.ts';

/**
 * A word of a Dockerfile as the shell would read it: quotes off, escapes undone, variables filled in. `$name`,
 * `${name}`, and with a colon or without `${name:-other}`, `${name:+other}`, `${name:?message}`, and the patterns
 * `${name#start}`, `${name%end}`.
 */
export const expand = (word: string, variables: ReadonlyMap<string, string>, escape = '\\'): string => read(word, variables, escape).text;

/** The same, split where blanks come from outside quotes: a variable may bring several words. */
export const expandWords = (word: string, variables: ReadonlyMap<string, string>, escape = '\\'): string[] => read(word, variables, escape).words;

const read = (word: string, variables: ReadonlyMap<string, string>, escape: string): { text: string; words: string[] } => {
  const fail = (problem: string) => invalid(`failed to process ${JSON.stringify(word)}: ${problem}`);
  let at = 0;
  let text = '';
  const words: string[] = [];
  let current: string | undefined;
  const add = (piece: string, splits: boolean): void => {
    text += piece;
    if (!splits) {
      current = (current ?? '') + piece;
      return;
    }
    for (const char of piece) {
      if (!/\s/.test(char)) current = (current ?? '') + char;
      else if (current !== undefined) {
        words.push(current);
        current = undefined;
      }
    }
  };

  const singleQuoted = (): string => {
    const end = word.indexOf("'", at + 1);
    if (end < 0) throw fail('unexpected end of statement while looking for matching single-quote');
    const piece = word.slice(at + 1, end);
    at = end + 1;
    return piece;
  };

  const doubleQuoted = (): string => {
    let piece = '';
    for (at += 1; ; ) {
      const char = word[at];
      if (char === undefined) throw fail('unexpected end of statement while looking for matching double-quote');
      if (char === '"') {
        at += 1;
        return piece;
      }
      const next = word[at + 1];
      if (char === '$') piece += variable();
      else if (char === escape && next !== undefined && `"$${escape}`.includes(next)) {
        piece += next;
        at += 2;
      } else {
        piece += char;
        at += 1;
      }
    }
  };

  const variable = (): string => {
    at += 1;
    if (word[at] !== '{') {
      const name = nameHere();
      return name === '' ? '$' : (variables.get(name) ?? '');
    }
    at += 1;
    if (word[at] === undefined) throw fail(`syntax error: missing '}'`);
    if (word[at] === '}') throw fail('syntax error: bad substitution');
    const name = nameHere();
    const value = variables.get(name);
    if (word[at] === '}') {
      at += 1;
      return value ?? '';
    }
    const colon = word[at] === ':';
    if (colon) at += 1;
    const modifier = word[at] ?? '\0';
    at += 1;
    if (!'-+?'.includes(modifier) && (colon || !'#%'.includes(modifier))) throw fail(`unsupported modifier (${colon ? ':' : ''}${modifier}) in substitution`);
    const other = untilBrace();
    const isSet = value !== undefined && !(colon && value === '');
    if (modifier === '-') return isSet ? value : other;
    if (modifier === '+') return isSet ? other : '';
    if (modifier === '?') {
      if (isSet) return value;
      throw fail(`${name}: ${other === '' ? 'is not allowed to be unset' : other}`);
    }
    return without(value ?? '', modifier, other);
  };

  const untilBrace = (): string => {
    let piece = '';
    for (;;) {
      const char = word[at];
      if (char === undefined) throw fail('syntax error: missing \'}\'');
      if (char === '}') {
        at += 1;
        return piece;
      }
      piece += anywhere(char);
    }
  };

  const nameHere = (): string => {
    const [name = ''] = /^(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?\-$!])/.exec(word.slice(at)) ?? [];
    at += name.length;
    return name;
  };

  const anywhere = (char: string): string => {
    if (char === "'") return singleQuoted();
    if (char === '"') return doubleQuoted();
    if (char === '$') return variable();
    at += 1;
    if (char !== escape) return char;
    const next = word[at] ?? '';
    at += 1;
    return next;
  };

  while (at < word.length) {
    const char = word.charAt(at);
    add(anywhere(char), char === '$' || /\s/.test(char));
  }
  if (current !== undefined) words.push(current);
  return { text, words };
};

/** `#` takes the shortest start that matches off, `##` the longest; `%` and `%%` the end. */
const without = (value: string, modifier: string, rest: string): string => {
  const longest = rest.startsWith(modifier);
  const pattern = longest ? rest.slice(1) : rest;
  const source = pattern.replace(/[\\^$.+()[\]{}|]/g, '\\$&').replace(/\*/g, longest ? '.*' : '.*?').replace(/\?/g, '.');
  if (modifier === '#') return value.replace(new RegExp(`^(?:${source})`, 's'), '');
  const expression = new RegExp(`^(?:${source})$`, 's');
  const starts = [...Array(value.length + 1).keys()];
  const start = (longest ? starts : starts.reverse()).find((at) => expression.test(value.slice(at)));
  return start === undefined ? value : value.slice(0, start);
};

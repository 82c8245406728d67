import { invalid } from '../model/errors.ts';

/** One instruction of a Dockerfile, taken apart as far as its keyword tells how. */
export type Instruction = {
  /** As it was written; `keyword` is the same in lower case. */
  readonly name: string;
  readonly keyword: string;
  /** Leading `--name=value`s, as written. */
  readonly flags: readonly string[];
  /** The rest of the line. */
  readonly text: string;
  /** The rest in words, as this instruction reads them. */
  readonly words: readonly string[];
  /** It was written as a JSON array. */
  readonly json: boolean;
  /** On which line of the file it begins, from 1. */
  readonly line: number;
  /** All of it on one line. */
  readonly original: string;
  /** Its words mean what they say: no quotes, no variables. */
  readonly literal?: boolean;
};

export type Dockerfile = {
  readonly instructions: readonly Instruction[];
  /** Instructions that go on after an empty line. */
  readonly gaps: readonly string[];
  readonly escape: string;
};

/** Comments and empty lines gone, continued lines joined; the `escape` directive is heeded, others are nobody's here. */
export const parseDockerfile = (text: string): Dockerfile => {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  const escape = escapeOf(lines);
  const end = escape === '`' ? /([^`])`[ \t]*$|^`[ \t]*$/ : /([^\\])\\[ \t]*$|^\\[ \t]*$/;
  const instructions: Instruction[] = [];
  const gaps: string[] = [];
  let [line, from, gap] = ['', 0, false];
  const finish = (): void => {
    if (line.trim() !== '') instructions.push(parseInstruction(line, from, escape));
    if (gap && line.trim() !== '') gaps.push(line.trim());
    [line, from, gap] = ['', 0, false];
  };
  for (const [at, raw] of lines.entries()) {
    if (raw.trim() === '') {
      // What comes after the last line is no gap.
      gap ||= from > 0 && lines.slice(at).some((later) => later.trim() !== '');
      continue;
    }
    if (raw.trimStart().startsWith('#')) continue;
    from ||= at + 1;
    line += (line === '' ? raw.trimStart() : raw).replace(end, '$1');
    if (!end.test(raw)) finish();
  }
  finish();
  return { instructions, gaps, escape };
};

/** Directives stand before all else; the first line that is none ends them. */
const escapeOf = (lines: readonly string[]): string => {
  let escape: string | undefined;
  for (const line of lines) {
    const [, name = '', value = ''] = /^\s*#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/.exec(line) ?? [];
    if (!['escape', 'syntax', 'check'].includes(name.toLowerCase())) break;
    if (name.toLowerCase() !== 'escape') continue;
    if (escape !== undefined) throw invalid('only one escape parser directive can be used');
    if (value !== '`' && value !== '\\') throw invalid(`invalid escape token '${value}' does not match \` or \\`);
    escape = value;
  }
  return escape ?? '\\';
};

const parseInstruction = (text: string, line: number, escape: string): Instruction => {
  const original = text.trim();
  const [, name = '', rest = ''] = /^(\S+)(.*)$/s.exec(original) ?? [];
  const keyword = name.toLowerCase();
  const split = splitFlags(rest.trim());
  // The trigger is not carried out here, but it must be one.
  if (keyword === 'onbuild' && split.text !== '') parseInstruction(split.text, line, escape);
  return { name, keyword, ...split, ...splitWords(keyword, split.text, escape), line, original };
};

/** Leading `--name=value`s; `--` alone ends them. */
const splitFlags = (rest: string): { flags: string[]; text: string } => {
  const flags: string[] = [];
  let text = rest;
  for (;;) {
    const [word] = /^--\S*/.exec(text) ?? [];
    if (word === undefined) return { flags, text };
    text = text.slice(word.length).trimStart();
    if (word === '--') return { flags, text };
    flags.push(word);
  }
};

type Words = Pick<Instruction, 'words' | 'json'>;

const plain = (words: readonly string[]): Words => ({ words, json: false });
const listOr = (text: string, words: readonly string[]): Words => {
  const list = jsonList(text);
  return list ? { words: list, json: true } : plain(words);
};

const splitWords = (keyword: string, text: string, escape: string): Words => {
  switch (keyword) {
    case 'env':
    case 'label':
      return plain(nameValues(keyword.toUpperCase(), text, escape));
    case 'arg':
      return plain(quotedWords(text, escape));
    case 'cmd':
    case 'entrypoint':
    case 'run':
    case 'shell':
      return listOr(text, text === '' ? [] : [text]);
    case 'add':
    case 'copy':
    case 'volume':
      return listOr(text, byWhitespace(text));
    case 'healthcheck': {
      const command = text.replace(/^\S+\s*/, '');
      return listOr(command, command === '' ? [] : [command]);
    }
    default:
      return plain(byWhitespace(text));
  }
};

const byWhitespace = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** A JSON array of strings; undefined when the text is no JSON array at all. */
const jsonList = (text: string): string[] | undefined => {
  if (!text.startsWith('[')) return undefined;
  // What follows the array is not read.
  for (let end = text.indexOf(']'); end >= 0; end = text.indexOf(']', end + 1)) {
    let list: unknown;
    try {
      list = JSON.parse(text.slice(0, end + 1));
    } catch {
      continue;
    }
    if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
    throw invalid('when using JSON array syntax, arrays must be comprised of strings only');
  }
  return undefined;
};

/** `a=1 b="2 3"`, or the old form `a 1 2 3`, as words with an equals sign. */
const nameValues = (name: string, text: string, escape: string): string[] => {
  const words = quotedWords(text, escape);
  const [first] = words;
  if (first === undefined) return [];
  if (!first.includes('=')) {
    const [, key = '', value = ''] = /^(\S+)\s+(.*)$/s.exec(text) ?? [];
    if (key === '') throw invalid(`${name} must have two arguments`);
    return [`${key}=${value}`];
  }
  for (const word of words)
    if (!word.includes('=')) throw invalid(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
  return words;
};

/** Words, of which quotes and escapes keep blanks together; they stay in the words for `expand` to take off. */
const quotedWords = (text: string, escape: string): string[] => text.match(escape === '`' ? WORDS_BACKTICK : WORDS_BACKSLASH) ?? [];
const WORDS_BACKSLASH = /(?:\\.|'[^']*(?:'|$)|"(?:\\.|[^"\\])*(?:"|$)|[^\s\\'"]|\\$)+/gs;
const WORDS_BACKTICK = /(?:`.|'[^']*(?:'|$)|"(?:`.|[^"`])*(?:"|$)|[^\s`'"]|`$)+/gs;

/** `NAME` and `VALUE` of `--NAME=VALUE`; without a value: undefined. */
export const splitFlag = (flag: string): { readonly name: string; readonly value: string | undefined } => {
  const [, name = '', value] = /^--([^=]*)(?:=(.*))?$/s.exec(flag) ?? [];
  return { name, value };
};

/** The value of a flag; '' when it was not given. */
export const flagOf = ({ flags }: Instruction, name: string): string => flags.map(splitFlag).find((flag) => flag.name === name)?.value ?? '';

import { invalid } from '../model/errors.ts';
import type { Healthcheck, ImageConfig } from '../model/image.ts';
import { cleanPath } from '../model/path.ts';
import { parseSignal } from '../model/signal.ts';
import { parseDuration } from './duration.ts';
import { exposedPorts } from './expose.ts';
import { expand, expandWords } from './shell-words.ts';

/**
 * What `--change` says: lines of a Dockerfile, of which only those count that say how to run an image.
 *
 *     text -> instructions (each line read, or refused) -> are all of them allowed? -> config, one after the other
 */
export const applyChanges = (config: ImageConfig, changes: readonly string[]): ImageConfig => {
  if (changes.length === 0) return config;
  const instructions = parseInstructions(changes.join('\n'));
  if (instructions.length === 0) throw invalid('file with no instructions');
  for (const { name } of instructions) if (!(name.toLowerCase() in apply)) throw invalid(`${name} is not a valid change command`);
  let next = config;
  let commandSet = false;
  for (const instruction of instructions) {
    const keyword = instruction.name.toLowerCase() as Keyword;
    if (keyword !== 'healthcheck' && instruction.flags[0] !== undefined) throw invalid(`unknown flag: ${flagName(instruction.flags[0])}`);
    // An entrypoint of its own makes the base image's command meaningless, but not one of these changes'.
    if (keyword === 'entrypoint' && !commandSet) next = { ...next, cmd: undefined };
    commandSet ||= keyword === 'cmd' && instruction.words.length > 0;
    next = apply[keyword](next, instruction);
  }
  return next;
};

type Instruction = {
  readonly name: string;
  readonly flags: readonly string[];
  /** The rest of the line. */
  readonly text: string;
  /** The rest in words, as this instruction reads them. */
  readonly words: readonly string[];
  /** It was written as a JSON array. */
  readonly json: boolean;
};

type Keyword = 'cmd' | 'entrypoint' | 'env' | 'expose' | 'healthcheck' | 'label' | 'onbuild' | 'stopsignal' | 'user' | 'volume' | 'workdir';

const apply: Readonly<Record<Keyword, (config: ImageConfig, instruction: Instruction) => ImageConfig>> = {
  cmd: (config, { words, json }) => ({ ...config, cmd: json ? words : [...shell(config), ...words], argsEscaped: false }),

  entrypoint: (config, { words, json }) => {
    if (words.length === 0) return { ...config, entrypoint: undefined };
    return { ...config, entrypoint: json ? words : [...shell(config), ...words] };
  },

  env: (config, { words }) => {
    const known = environment(config);
    let env = config.env ?? [];
    for (const [name, value] of pairs('ENV', words)) {
      const key = expand(name, known);
      const variable = `${key}=${expand(value, known)}`;
      const at = env.findIndex((old) => old.split('=', 1)[0] === key);
      env = at < 0 ? [...env, variable] : env.with(at, variable);
    }
    return { ...config, env };
  },

  expose: (config, { words }) => {
    if (words.length === 0) throw invalid('EXPOSE requires at least one argument');
    const ports = words.flatMap((word) => expandWords(word, environment(config))).flatMap(exposedPorts);
    return { ...config, exposedPorts: ports.length === 0 ? config.exposedPorts : sorted([...(config.exposedPorts ?? []), ...ports]) };
  },

  healthcheck: (config, instruction) => ({ ...config, healthcheck: healthcheck(instruction) }),

  label: (config, { words }) => {
    const known = environment(config);
    const labels = pairs('LABEL', words).map(([name, value]) => [expand(name, known), expand(value, known)]);
    return { ...config, labels: { ...config.labels, ...(Object.fromEntries(labels) as Record<string, string>) } };
  },

  onbuild: (config, { text }) => {
    const trigger = text.split(/\s/, 1)[0]?.toUpperCase() ?? '';
    if (trigger === '') throw invalid('ONBUILD requires at least one argument');
    if (trigger === 'ONBUILD') throw invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (trigger === 'MAINTAINER' || trigger === 'FROM') throw invalid(`${trigger} isn't allowed as an ONBUILD trigger`);
    return { ...config, onBuild: [...(config.onBuild ?? []), text] };
  },

  stopsignal: (config, { text }) => {
    const signal = expand(one('STOPSIGNAL', text), environment(config));
    // Any number will do, for the machine that runs it.
    if (!/^[+-]?[0-9]+$/.test(signal) || Number(signal) === 0) parseSignal(signal);
    return { ...config, stopSignal: signal };
  },

  user: (config, { text }) => ({ ...config, user: expand(one('USER', text), environment(config)) }),

  volume: (config, { words }) => {
    if (words.length === 0) throw invalid('VOLUME requires at least one argument');
    const volumes = words.map((word) => expand(word, environment(config)).trim());
    if (volumes.includes('')) throw invalid('VOLUME specified can not be an empty string');
    return { ...config, volumes: sorted([...(config.volumes ?? []), ...volumes]) };
  },

  workdir: (config, { text }) => {
    const directory = expand(one('WORKDIR', text), environment(config));
    if (directory === '') throw invalid('cannot normalize nothing');
    return { ...config, workingDir: cleanPath(directory.startsWith('/') ? directory : `/${config.workingDir}/${directory}`) };
  },
};

const DEFAULT_SHELL = ['/bin/sh', '-c'];
const shell = (config: ImageConfig): readonly string[] => config.shell ?? DEFAULT_SHELL;

const environment = (config: ImageConfig): ReadonlyMap<string, string> =>
  new Map((config.env ?? []).map((variable) => {
    const [name = '', ...value] = variable.split('=');
    return [name, value.join('=')];
  }));

const sorted = (values: readonly string[]): string[] => [...new Set(values)].sort();

const one = (name: string, text: string): string => {
  if (text === '') throw invalid(`${name} requires exactly one argument`);
  return text;
};

/** `name=value` as words; the name comes first, the value after it. */
const pairs = (name: string, words: readonly string[]): (readonly [string, string])[] => {
  if (words.length === 0) throw invalid(`${name} requires at least one argument`);
  return words.map((word) => {
    const at = word.indexOf('=');
    if (at === 0) throw invalid(`${name} names can not be blank`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
};

const healthcheckFlags = ['interval', 'timeout', 'start-period', 'start-interval', 'retries'];

const healthcheck = ({ flags, text, words, json }: Instruction): Healthcheck => {
  const [type = ''] = text.split(/\s/, 1);
  const none = { test: ['NONE'], interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 };
  if (type === '') throw invalid('HEALTHCHECK requires at least one argument');
  if (type.toUpperCase() === 'NONE') {
    if (words.length > 0) throw invalid('HEALTHCHECK NONE takes no arguments');
    return none;
  }
  const given = new Map<string, string>();
  for (const flag of flags) {
    const name = flagName(flag);
    if (!healthcheckFlags.includes(name)) throw invalid(`unknown flag: ${name}`);
    if (given.has(name)) throw invalid(`duplicate flag specified: ${name}`);
    if (!flag.includes('=')) throw invalid(`missing a value on flag: ${name}`);
    given.set(name, flag.slice(flag.indexOf('=') + 1));
  }
  if (type.toUpperCase() !== 'CMD') throw invalid(`Unknown type "${type.toUpperCase()}" in HEALTHCHECK (try CMD)`);
  if (words.length === 0) throw invalid('Missing command after HEALTHCHECK CMD');
  return {
    test: [json ? 'CMD' : 'CMD-SHELL', ...words],
    interval: interval('interval', given),
    timeout: interval('timeout', given),
    startPeriod: interval('start-period', given),
    startInterval: interval('start-interval', given),
    retries: retries(given.get('retries') ?? ''),
  };
};

const MILLISECOND = 1_000_000;

const interval = (name: string, given: ReadonlyMap<string, string>): number => {
  const text = given.get(name) ?? '';
  const duration = text === '' ? 0 : parseDuration(text);
  if (duration !== 0 && duration < MILLISECOND) throw invalid(`Interval "${name}" cannot be less than 1ms`);
  return duration;
};

const retries = (text: string): number => {
  if (text === '') return 0;
  if (!/^[+-]?[0-9]+$/.test(text)) throw invalid(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  const count = Number(text);
  if (count > 2 ** 31 - 1 || count < -(2 ** 31)) throw invalid(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`);
  if (count < 0) throw invalid(`--retries cannot be negative (${count})`);
  return count;
};

const flagName = (flag: string): string => flag.slice(2).split('=', 1)[0] ?? '';

/** The lines that are instructions: comments and empty lines gone, continued lines joined. */
const parseInstructions = (text: string): Instruction[] => {
  const escape = /^\s*#\s*escape\s*=\s*`\s*(?:\n|$)/i.test(text) ? '`' : '\\';
  const continues = escape === '`' ? /`[ \t]*$/ : /\\[ \t]*$/;
  const instructions: Instruction[] = [];
  let line = '';
  let open = false;
  for (const raw of text.split('\n')) {
    if (raw.trim() === '' || raw.trimStart().startsWith('#')) continue;
    open = continues.test(raw);
    line += (line === '' ? raw.trimStart() : raw).replace(continues, '');
    if (open) continue;
    instructions.push(parseInstruction(line));
    line = '';
  }
  if (open && line.trim() !== '') instructions.push(parseInstruction(line));
  return instructions;
};

const parseInstruction = (line: string): Instruction => {
  const [, name = '', rest = ''] = /^(\S+)(.*)$/s.exec(line.trim()) ?? [];
  const { flags, text } = splitFlags(rest.trim());
  return { name, flags, text, ...splitWords(name.toLowerCase(), text) };
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

const splitWords = (name: string, text: string): { words: readonly string[]; json: boolean } => {
  if (name === 'env' || name === 'label') return { words: nameValues(name.toUpperCase(), text), json: false };
  if (name === 'cmd' || name === 'entrypoint' || name === 'volume') {
    const list = jsonList(text);
    if (list) return { words: list, json: true };
    if (name === 'volume') return { words: byWhitespace(text), json: false };
    return { words: text === '' ? [] : [text], json: false };
  }
  if (name === 'healthcheck') {
    const command = text.replace(/^\S+\s*/, '');
    const list = jsonList(command);
    return list ? { words: list, json: true } : { words: command === '' ? [] : [command], json: false };
  }
  // The trigger is not carried out here, but it must be one.
  if (name === 'onbuild' && text !== '') parseInstruction(text);
  return { words: byWhitespace(text), json: false };
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
const nameValues = (name: string, text: string): string[] => {
  const words = quotedWords(text);
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

/** Words, of which quotes and backslashes keep blanks together; they stay in the words for `expand` to take off. */
const quotedWords = (text: string): string[] =>
  text.match(/(?:\\.|'[^']*(?:'|$)|"(?:\\.|[^"\\])*(?:"|$)|[^\s\\'"]|\\$)+/gs) ?? [];

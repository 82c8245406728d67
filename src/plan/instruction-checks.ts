import { invalid } from '../model/errors.ts';
import type { Healthcheck } from '../model/image.ts';
import { splitFlag, type Instruction } from './dockerfile.ts';
import { parseDuration } from './duration.ts';
import { suggestion } from './suggestion.ts';

/** Refuses an instruction that can not mean anything, whatever the image and the variables are. */
export const checkInstruction = (instruction: Instruction): void => {
  const { keyword, name, text } = instruction;
  if (!isKeyword(keyword)) throw invalid(`unknown instruction: ${name}${suggestion(keyword, KEYWORDS, (word) => word.toUpperCase())}`);
  checkFlags(instruction);
  checks[keyword]?.(instruction, text);
};

/** What may stand before an instruction's words. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  from: ['platform'],
  run: ['mount', 'network'],
  copy: ['chmod', 'chown', 'from', 'link'],
  add: ['checksum', 'chmod', 'chown', 'keep-git-dir', 'link'],
  healthcheck: ['interval', 'timeout', 'start-period', 'start-interval', 'retries'],
};
const SWITCHES = ['link', 'keep-git-dir'];
const REPEATED = ['mount'];

const KEYWORDS = ['add', 'arg', 'cmd', 'copy', 'entrypoint', 'env', 'expose', 'from', 'healthcheck', 'label', 'maintainer', 'onbuild', 'run', 'shell', 'stopsignal', 'user', 'volume', 'workdir'] as const;
type Keyword = (typeof KEYWORDS)[number];
const isKeyword = (word: string): word is Keyword => (KEYWORDS as readonly string[]).includes(word);

const checkFlags = ({ keyword, flags }: Instruction): void => {
  const allowed = FLAGS[keyword] ?? [];
  const given = new Set<string>();
  for (const flag of flags) {
    const { name, value } = splitFlag(flag);
    if (!allowed.includes(name)) throw invalid(`unknown flag: ${name}${suggestion(name, allowed)}`);
    if (given.has(name) && !REPEATED.includes(name)) throw invalid(`duplicate flag specified: ${name}`);
    if (value === undefined && !SWITCHES.includes(name)) throw invalid(`missing a value on flag: ${name}`);
    given.add(name);
  }
};

type Check = (instruction: Instruction, text: string) => void;

const some: Check = ({ keyword, words }) => {
  if (words.length === 0) throw invalid(`${keyword.toUpperCase()} requires at least one argument`);
};
const one: Check = ({ keyword }, text) => {
  if (text === '') throw invalid(`${keyword.toUpperCase()} requires exactly one argument`);
};
const named: Check = (instruction, text) => {
  some(instruction, text);
  if (instruction.words.some((word) => word.startsWith('='))) throw invalid(`${instruction.keyword.toUpperCase()} names can not be blank`);
};
const sources: Check = ({ keyword, words }) => {
  if (words.length < 2) throw invalid(`${keyword.toUpperCase()} requires at least two arguments, but only one was provided. Destination could not be determined`);
};

const checks: Readonly<Partial<Record<Keyword, Check>>> = {
  add: sources,
  arg: named,
  copy: sources,
  env: named,
  expose: some,
  label: named,
  maintainer: one,
  stopsignal: one,
  user: one,
  workdir: one,
  from({ words }) {
    if (words.length !== 1 && !(words.length === 3 && words[1]?.toUpperCase() === 'AS')) throw invalid('FROM requires either one or three arguments');
    const stage = words[2];
    if (stage !== undefined && !/^[a-z][a-z0-9-_.]*$/i.test(stage)) throw invalid(`invalid name for build stage: ${JSON.stringify(stage)}, name can't start with a number or contain symbols`);
  },
  healthcheck: (instruction) => void healthcheckOf(instruction),
  onbuild(_, text) {
    const trigger = text.split(/\s/, 1)[0]?.toUpperCase() ?? '';
    if (trigger === '') throw invalid('ONBUILD requires at least one argument');
    if (trigger === 'ONBUILD') throw invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (trigger === 'MAINTAINER' || trigger === 'FROM') throw invalid(`${trigger} isn't allowed as an ONBUILD trigger`);
  },
  shell(instruction, text) {
    some(instruction, text);
    if (!instruction.json) throw invalid('SHELL requires the arguments to be in JSON form');
  },
  volume(instruction, text) {
    some(instruction, text);
    if (instruction.words.includes('')) throw invalid('VOLUME specified can not be an empty string');
  },
};

/** What a HEALTHCHECK says, or why it says nothing. */
export const healthcheckOf = (instruction: Instruction): Healthcheck => {
  const { flags, text, words, json } = instruction;
  const [type = ''] = text.split(/\s/, 1);
  if (type === '') throw invalid('HEALTHCHECK requires at least one argument');
  if (type.toUpperCase() === 'NONE') {
    if (words.length > 0) throw invalid('HEALTHCHECK NONE takes no arguments');
    return { test: ['NONE'], interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 };
  }
  checkFlags(instruction);
  const given = new Map(flags.map(splitFlag).map(({ name, value }) => [name, value ?? '']));
  if (type.toUpperCase() !== 'CMD') throw invalid(`Unknown type ${JSON.stringify(type.toUpperCase())} in HEALTHCHECK (try CMD)`);
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

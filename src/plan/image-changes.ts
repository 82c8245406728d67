import { invalid } from '../model/errors.ts';
import type { ImageConfig } from '../model/image.ts';
import { cleanPath } from '../model/path.ts';
import { parseSignal } from '../model/signal.ts';
import { parseDockerfile, type Instruction } from './dockerfile.ts';
import { exposedPorts } from './expose.ts';
import { checkInstruction, healthcheckOf } from './instruction-checks.ts';
import { expand, expandWords } from './shell-words.ts';

/**
 * What `--change` says: lines of a Dockerfile, of which only those count that say how to run an image.
 *
 *     text -> instructions (each line read, or refused) -> are all of them allowed? -> config, one after the other
 */
export const applyChanges = (config: ImageConfig, changes: readonly string[]): ImageConfig => {
  if (changes.length === 0) return config;
  const { instructions, escape } = parseDockerfile(changes.join('\n'));
  if (instructions.length === 0) throw invalid('file with no instructions');
  for (const { name, keyword } of instructions) if (!isChange(keyword)) throw invalid(`${name} is not a valid change command`);
  for (const instruction of instructions) checkInstruction(instruction);
  let next = config;
  let commandSet = false;
  for (const instruction of instructions) {
    next = applyChange(next, instruction, { variables: environmentOf(next), escape, commandSet });
    commandSet ||= setsCommand(instruction);
  }
  return next;
};

export type ChangeContext = {
  /** What `$name` stands for. */
  readonly variables: ReadonlyMap<string, string>;
  readonly escape: string;
  /** A CMD came before, among these same instructions. */
  readonly commandSet: boolean;
};

/** One checked instruction that says how to run an image. */
export const applyChange = (config: ImageConfig, instruction: Instruction, context: ChangeContext): ImageConfig => {
  if (!isChange(instruction.keyword)) throw invalid(`${instruction.name} is not a valid change command`);
  return apply[instruction.keyword](config, instruction, context);
};

export const setsCommand = ({ keyword, words }: Instruction): boolean => keyword === 'cmd' && words.length > 0;

type Change = 'cmd' | 'entrypoint' | 'env' | 'expose' | 'healthcheck' | 'label' | 'onbuild' | 'stopsignal' | 'user' | 'volume' | 'workdir';

const isChange = (keyword: string): keyword is Change => Object.hasOwn(apply, keyword);

const apply: Readonly<Record<Change, (config: ImageConfig, instruction: Instruction, context: ChangeContext) => ImageConfig>> = {
  cmd: (config, { words, json }) => ({ ...config, cmd: json ? words : [...shellOf(config), ...words], argsEscaped: false }),

  entrypoint: (config, { words, json }, { commandSet }) => {
    // An entrypoint of its own makes the base image's command meaningless, but not one of these instructions'.
    const kept = commandSet ? config : { ...config, cmd: undefined };
    if (words.length === 0) return { ...kept, entrypoint: undefined };
    return { ...kept, entrypoint: json ? words : [...shellOf(config), ...words] };
  },

  env: (config, instruction, context) => {
    let env = config.env ?? [];
    for (const [key, value] of pairsOf(instruction, context)) {
      const variable = `${key}=${value}`;
      const at = env.findIndex((old) => old.split('=', 1)[0] === key);
      env = at < 0 ? [...env, variable] : env.with(at, variable);
    }
    return { ...config, env };
  },

  expose: (config, instruction, context) => {
    const ports = exposeWords(instruction, context).flatMap(exposedPorts);
    return { ...config, exposedPorts: ports.length === 0 ? config.exposedPorts : sorted([...(config.exposedPorts ?? []), ...ports]) };
  },

  healthcheck: (config, instruction) => ({ ...config, healthcheck: healthcheckOf(instruction) }),

  label: (config, instruction, context) => ({ ...config, labels: { ...config.labels, ...Object.fromEntries(pairsOf(instruction, context)) } }),

  onbuild: (config, { text }) => ({ ...config, onBuild: [...(config.onBuild ?? []), text] }),

  stopsignal: (config, { text }, { variables, escape }) => {
    const signal = expand(text, variables, escape);
    // Any number will do, for the machine that runs it.
    if (!/^[+-]?[0-9]+$/.test(signal) || Number(signal) === 0) parseSignal(signal);
    return { ...config, stopSignal: signal };
  },

  user: (config, { text }, { variables, escape }) => ({ ...config, user: expand(text, variables, escape) }),

  volume: (config, instruction, context) => {
    const volumes = volumeWords(instruction, context);
    if (volumes.includes('')) throw invalid('VOLUME specified can not be an empty string');
    return { ...config, volumes: sorted([...(config.volumes ?? []), ...volumes]) };
  },

  workdir: (config, { text }, { variables, escape }) => {
    const directory = expand(text, variables, escape);
    if (directory === '') throw invalid('cannot normalize nothing');
    return { ...config, workingDir: cleanPath(directory.startsWith('/') ? directory : `/${config.workingDir}/${directory}`) };
  },
};

const DEFAULT_SHELL = ['/bin/sh', '-c'];
export const shellOf = (config: ImageConfig): readonly string[] => ((config.shell ?? []).length > 0 ? (config.shell ?? []) : DEFAULT_SHELL);

export const environmentOf = (config: ImageConfig): ReadonlyMap<string, string> =>
  new Map((config.env ?? []).map((variable) => {
    const [name = '', ...value] = variable.split('=');
    return [name, value.join('=')];
  }));

/** `name=value` as words, the name first, with what their variables stand for. */
export const pairsOf = ({ words, literal }: Instruction, { variables, escape }: Pick<ChangeContext, 'variables' | 'escape'>): (readonly [string, string])[] =>
  words.map((word) => {
    const at = word.indexOf('=');
    const pair = [word.slice(0, at), word.slice(at + 1)] as const;
    return literal ? pair : [expand(pair[0], variables, escape), expand(pair[1], variables, escape)];
  });

export const exposeWords = ({ words }: Instruction, { variables, escape }: ChangeContext): string[] => words.flatMap((word) => expandWords(word, variables, escape));

export const volumeWords = ({ words }: Instruction, { variables, escape }: ChangeContext): string[] => words.map((word) => expand(word, variables, escape).trim());

const sorted = (values: readonly string[]): string[] => [...new Set(values)].sort();

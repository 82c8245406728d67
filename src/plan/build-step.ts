import type { Healthcheck, ImageConfig } from '../model/image.ts';
import { isRecorded, stageValues, withStage, type BuildArgs } from './build-args.ts';
import type { Instruction } from './dockerfile.ts';
import { applyChange, environmentOf, exposeWords, pairsOf, setsCommand, shellOf, volumeWords, type ChangeContext } from './image-changes.ts';
import { expand } from './shell-words.ts';

/** Where a stage is: what the next image would say, and what instructions may use. */
export type StepState = {
  readonly config: ImageConfig;
  readonly author: string;
  readonly args: BuildArgs;
  readonly commandSet: boolean;
};

/** What an instruction makes of it. `createdBy` is its line in the image's history. */
export type Step = { readonly next: StepState; readonly createdBy: string };

export const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export const withPath = (config: ImageConfig): ImageConfig =>
  (config.env ?? []).some((variable) => variable.startsWith('PATH=')) ? config : { ...config, env: [...(config.env ?? []), DEFAULT_PATH] };

export const contextOf = ({ config, args, commandSet }: StepState, escape: string): ChangeContext => {
  const environment = environmentOf(config);
  return { variables: new Map([...stageValues(args, environment), ...environment]), escape, commandSet };
};

/** An instruction that changes what the image says, and none of its files (WORKDIR also makes its directory). */
export const planStep = (state: StepState, instruction: Instruction, escape: string): Step => {
  const context = contextOf(state, escape);
  const { keyword, text, words } = instruction;
  if (keyword === 'maintainer') return { next: { ...state, author: text }, createdBy: nop(state.config, ` MAINTAINER ${text}`) };
  if (keyword === 'arg') {
    const declared = declaredBy(instruction, context);
    const said = declared.map(([name, value]) => (value === undefined ? name : `${name}=${value}`)).join(' ');
    return { next: { ...state, args: withStage(state.args, declared) }, createdBy: nop(state.config, ` ARG ${said}`) };
  }
  const config = keyword === 'shell' ? { ...state.config, shell: words } : applyChange(state.config, instruction, context);
  return { next: { ...state, config, commandSet: state.commandSet || setsCommand(instruction) }, createdBy: nop(config, commentOf(instruction, config, context)) };
};

/** `NAME`, `NAME=value` of an ARG. */
export const declaredBy = ({ words }: Instruction, { variables, escape }: Pick<ChangeContext, 'variables' | 'escape'>): (readonly [name: string, value: string | undefined])[] =>
  words.map((word) => {
    const at = word.indexOf('=');
    if (at < 0) return [expand(word, variables, escape), undefined];
    return [expand(word.slice(0, at), variables, escape), expand(word.slice(at + 1), variables, escape)];
  });

/** A RUN: what to start, with which variables, and how history tells it. */
export const planRun = ({ config, args }: StepState, { words, json }: Instruction): { readonly command: readonly string[]; readonly env: readonly string[]; readonly createdBy: string } => {
  const command = json ? words : [...shellOf(config), ...words];
  const values = stageValues(args, environmentOf(config));
  const told = [...values].filter(([name]) => isRecorded(args, name)).map(([name, value]) => `${name}=${value}`);
  return {
    command,
    env: [...(config.env ?? []), ...[...values].map(([name, value]) => `${name}=${value}`)],
    createdBy: [...(told.length === 0 ? [] : [`|${told.length}`, ...told]), ...command].join(' '),
  };
};

/** An instruction's line in the history, where there was no command. */
export const nop = (config: ImageConfig, comment: string): string => [...shellOf(config), `#(nop) ${comment}`].join(' ');

const commentOf = (instruction: Instruction, config: ImageConfig, context: ChangeContext): string => {
  const { keyword, words, text } = instruction;
  switch (keyword) {
    case 'env':
    case 'label':
      return ` ${keyword.toUpperCase()} ${pairsOf(instruction, context).map(([name, value]) => `${name}=${value}`).join(' ')}`;
    case 'cmd':
      return ` CMD ${quotedList(config.cmd ?? [])}`;
    case 'entrypoint':
      return ` ENTRYPOINT ${quotedList(config.entrypoint ?? [])}`;
    case 'expose':
      return ` EXPOSE ${[...exposeWords(instruction, context)].sort().join(' ')}`;
    case 'healthcheck':
      return ` HEALTHCHECK ${healthcheckText(config.healthcheck)}`;
    case 'shell':
      return ` SHELL [${words.join(' ')}]`;
    case 'stopsignal':
      return ` STOPSIGNAL ${config.stopSignal ?? ''}`;
    case 'user':
      return ` USER ${config.user}`;
    case 'volume':
      return ` VOLUME [${volumeWords(instruction, context).join(' ')}]`;
    // Without the blank that all others have.
    case 'workdir':
      return `WORKDIR ${config.workingDir}`;
    default:
      return ` ${keyword.toUpperCase()} ${text}`;
  }
};

/** As Go prints a list of quoted words. */
const quotedList = (words: readonly string[]): string => `[${words.map((word) => JSON.stringify(word)).join(' ')}]`;

/** As Go prints its struct, the number of retries as the letter of that number. */
const healthcheckText = (healthcheck: Healthcheck | undefined): string => {
  if (!healthcheck) return '';
  const { test, interval, timeout, startPeriod, startInterval, retries } = healthcheck;
  const times = [interval, timeout, startPeriod, startInterval].map((time) => JSON.stringify(goDuration(time)));
  return `&{${quotedList(test)} ${times.join(' ')} '${goLetter(retries)}'}`;
};

const ESCAPES: Readonly<Record<number, string>> = { 7: '\\a', 8: '\\b', 9: '\\t', 10: '\\n', 11: '\\v', 12: '\\f', 13: '\\r', 39: "\\'", 92: '\\\\' };

const goLetter = (code: number): string => {
  const known = ESCAPES[code];
  if (known !== undefined) return known;
  return code < 32 || code === 127 ? `\\x${code.toString(16).padStart(2, '0')}` : String.fromCodePoint(Math.min(code, 0x10ffff));
};

/** Nanoseconds as Go writes them: `1m30s`, `1.5s`, `10ms`. */
export const goDuration = (nanoseconds: number): string => {
  if (nanoseconds === 0) return '0s';
  if (nanoseconds < 1e3) return `${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${nanoseconds / 1e3}µs`;
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`;
  const seconds = nanoseconds / 1e9;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  const rest = `${Number((seconds % 60).toFixed(9))}s`;
  return hours > 0 ? `${hours}h${minutes}m${rest}` : minutes > 0 ? `${minutes}m${rest}` : rest;
};

import { EngineError, invalid, messageOf } from '../model/errors.ts';
import { parseDockerfile, type Instruction } from './dockerfile.ts';
import { checkInstruction } from './instruction-checks.ts';

export type Stage = {
  readonly from: Instruction;
  /** As written, variables and all. */
  readonly base: string;
  /** '' when it has none; in lower case. */
  readonly name: string;
  readonly steps: readonly Instruction[];
};

export type BuildPlan = {
  /** ARGs before the first FROM. */
  readonly head: readonly Instruction[];
  readonly stages: readonly Stage[];
  readonly warnings: readonly string[];
  readonly escape: string;
  /** Instructions in all, as they are counted for those who watch. */
  readonly total: number;
};

/** A Dockerfile as the stages that lead to `target` ('': to the last), each instruction checked; `labels` come at the end. */
export const planBuild = (text: string, target: string, labels: Readonly<Record<string, string>>): BuildPlan => {
  const { instructions, gaps, escape } = inWords('failed to parse Dockerfile', () => parseDockerfile(text));
  if (instructions.length === 0) throw invalid('failed to parse Dockerfile: file with no instructions');
  const head: Instruction[] = [];
  const stages: { from: Instruction; base: string; name: string; steps: Instruction[] }[] = [];
  for (const instruction of instructions) {
    inWords(`dockerfile parse error on line ${instruction.line}`, () => checkBuild(instruction));
    const stage = stages.at(-1);
    if (instruction.keyword === 'from') stages.push({ from: instruction, base: instruction.words[0] ?? '', name: (instruction.words[2] ?? '').toLowerCase(), steps: [] });
    else if (stage) stage.steps.push(instruction);
    else if (instruction.keyword === 'arg') head.push(instruction);
    else throw invalid('no build stage in current context');
  }
  if (stages.length === 0) throw invalid('no build stage in current context');
  const last = target === '' ? stages.length - 1 : stages.findIndex(({ name }) => name === target.toLowerCase());
  if (last < 0) throw invalid(`target stage ${JSON.stringify(target)} could not be found`);
  const wanted = stages.slice(0, last + 1);
  wanted.at(-1)?.steps.push(...Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)).map(labelStep));
  return {
    head,
    stages: wanted,
    warnings: gaps.length === 0 ? [] : [...gaps.map((gap) => `[WARNING]: Empty continuation line found in: ${gap}\n`), '[WARNING]: Empty continuation lines will become errors in a future release.\n'],
    escape,
    total: head.length + wanted.reduce((sum, { steps }) => sum + 1 + steps.length, 0),
  };
};

/** What an image has for those who build on it. */
export const triggersOf = (onBuild: readonly string[]): { readonly instruction: Instruction; readonly escape: string }[] =>
  onBuild.flatMap((text) => {
    const { instructions, escape } = parseDockerfile(text);
    for (const instruction of instructions) {
      if (['onbuild', 'from', 'maintainer'].includes(instruction.keyword)) throw invalid(`${instruction.keyword.toUpperCase()} isn't allowed as an ONBUILD trigger`);
      checkBuild(instruction);
    }
    return instructions.map((instruction) => ({ instruction, escape }));
  });

const checkBuild = (instruction: Instruction): void => {
  checkInstruction(instruction);
  // Its lines would be taken for instructions.
  if (['run', 'copy', 'add'].includes(instruction.keyword) && !instruction.json && HEREDOC.test(instruction.text)) throw invalid(needsBuildKit('heredoc syntax'));
};

const HEREDOC = /(?:^|\s)\d*<<-?(?:"[A-Za-z_]\w*"|'[A-Za-z_]\w*'|[A-Za-z_]\w*)(?=\s|$)/;

export const needsBuildKit = (what: string): string =>
  `the ${what} requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled`;

const labelStep = ([name, value]: readonly [string, string]): Instruction => ({
  name: 'LABEL',
  keyword: 'label',
  flags: [],
  text: `${name}=${value}`,
  words: [`${name}=${value}`],
  json: false,
  line: 0,
  original: `LABEL ${name}=${value}`,
  literal: true,
});

const inWords = <T>(prefix: string, body: () => T): T => {
  try {
    return body();
  } catch (error) {
    throw error instanceof EngineError ? invalid(`${prefix}: ${messageOf(error)}`) : error;
  }
};

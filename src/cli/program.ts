import { parseArgs } from 'node:util';
import { UsageError, type Command, type Option } from './command.ts';
import { connect, DEFAULT_HOST } from './connection.ts';
import type { Terminal } from './terminal.ts';
import { explainCommands } from './explain.ts';
import { doctorCommands } from './doctor.ts';
import { volumeCommands } from './volume.ts';

/** Every command there is, in the order of the help. */
export const COMMANDS: readonly Command[] = [...volumeCommands, ...explainCommands, ...doctorCommands];

const COMMON: Readonly<Record<string, Option>> = {
  host: { short: 'H', value: 'unix://PATH', about: `where the daemon listens (default $DOCKER_HOST, or ${DEFAULT_HOST})` },
  help: { short: 'h', about: 'print this' },
};

/** Runs one command line; resolves to the exit code: 0, 1 (it failed), 2 (it was not understood) or 130 (interrupted). */
export const program = async (argv: readonly string[], terminal: Terminal, commands: readonly Command[] = COMMANDS): Promise<number> => {
  const complain = (text: string): void => void terminal.stderr.write(`berth: ${text}\n`);
  try {
    const found = commandOf(argv, commands);
    if (found === undefined) return overview(argv, terminal, commands);
    const { command, args } = found;
    const { values, positionals } = parse(args, { ...command.options, ...COMMON });
    if (values['help'] === true) {
      terminal.stdout.write(help(command));
      return 0;
    }
    const text = (option: string): string | undefined => (typeof values[option] === 'string' ? values[option] : undefined);
    const host = text('host') ?? (terminal.environment['DOCKER_HOST'] || DEFAULT_HOST);
    await command.run({ words: positionals, text, flag: (option) => values[option] === true, connection: connect(host, terminal.interrupted), terminal });
    return 0;
  } catch (error) {
    if (terminal.interrupted.aborted) return 130;
    complain(error instanceof Error ? error.message : String(error));
    if (!(error instanceof UsageError)) return 1;
    complain(`see 'berth ${commandOf(argv, commands)?.command.words ?? ''} --help'`.replace('  ', ' '));
    return 2;
  }
};

/** Options may stand before a command's words, as docker has it. */
const commandOf = (argv: readonly string[], commands: readonly Command[]): { readonly command: Command; readonly args: readonly string[] } | undefined => {
  const start = commonOptions(argv);
  for (const command of commands) {
    const words = command.words.split(' ');
    if (words.every((word, at) => argv[start + at] === word)) return { command, args: [...argv.slice(0, start), ...argv.slice(start + words.length)] };
  }
  return undefined;
};

const commonOptions = (argv: readonly string[]): number => {
  let at = 0;
  while (argv[at]?.startsWith('-')) at += argv[at] === '-H' || argv[at] === '--host' ? 2 : 1;
  return at;
};

const parse = (args: readonly string[], options: Readonly<Record<string, Option>>) => {
  const config = Object.fromEntries(
    Object.entries(options).map(([name, { short, value }]) => [name, { type: value === undefined ? ('boolean' as const) : ('string' as const), ...(short === undefined ? {} : { short }) }]),
  );
  try {
    return parseArgs({ args: [...args], options: config, strict: true, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
};

/** No command, a part of one (`berth volume`), or none of ours. */
const overview = (argv: readonly string[], terminal: Terminal, commands: readonly Command[]): number => {
  const start = commonOptions(argv);
  const [word] = argv.slice(start);
  const shown = word === undefined ? commands : commands.filter(({ words }) => words.startsWith(`${word} `));
  const rest = argv.slice(start + 1).filter((arg) => !arg.startsWith('-'));
  if (shown.length === 0 || rest.length > 0) throw new UsageError(`unknown command: ${argv.slice(start).join(' ')}`);
  if (word === undefined) for (const option of argv.slice(0, start)) if (!/^(-h|--help|-H.*|--host.*)$/.test(option)) throw new UsageError(`unknown option: ${option}`);
  terminal.stdout.write(`Usage: berth [-H unix://PATH] ${word ?? 'COMMAND'} ...\n\n${columns(shown.map(({ words, summary }) => [words, summary]))}\n'berth COMMAND --help' says more about one.\n`);
  return 0;
};

const help = ({ words, forms, summary, options, details }: Command): string =>
  [
    ...forms.map((form, at) => `${at === 0 ? 'Usage:' : '      '} berth ${words} [OPTIONS] ${form}`.trimEnd()),
    '',
    summary.charAt(0).toUpperCase() + summary.slice(1),
    '',
    columns(Object.entries({ ...options, ...COMMON }).map(([name, { short, value, about }]) => [`${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`, about])),
    ...(details === undefined ? [] : [`${details}\n`]),
  ].join('\n');

const columns = (rows: readonly (readonly [string, string])[]): string => {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
};

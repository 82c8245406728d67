import { UsageError, type Command } from './command.ts';

type Answer = { readonly Fixed?: readonly string[]; readonly Leaked: readonly string[]; readonly Missing: readonly string[] };

export const doctorCommands: readonly Command[] = [
  {
    words: 'doctor',
    forms: [''],
    summary: 'what is on the host that nobody owns, and what should be and is not',
    options: { fix: { about: 'remove the one, make the other' } },
    details: `
Prints, a line each, what is left over (leaked), what is not there (missing), and with --fix what was set right (fixed).
Exits with 1 while something is wrong. Volumes that nobody knows are told of, never removed.`,
    async run({ words, flag, connection, terminal }) {
      if (words.length > 0) throw new UsageError('doctor takes no arguments');
      const { Fixed = [], Leaked, Missing } = (await (flag('fix') ? connection.json('POST', '/berth/leaks/fix') : connection.json('GET', '/berth/leaks'))) as Answer;
      for (const [what, lines] of [['fixed', Fixed], ['leaked', Leaked], ['missing', Missing]] as const) for (const line of lines) terminal.stdout.write(`${what.padEnd(8)}${line}\n`);
      const wrong = Leaked.length + Missing.length;
      if (wrong > 0) throw new Error(`${wrong} ${wrong === 1 ? 'thing is' : 'things are'} not as they should be${flag('fix') ? '' : ': berth doctor --fix sets them right'}`);
      if (Fixed.length === 0) terminal.stdout.write('all is as it should be\n');
    },
  },
];

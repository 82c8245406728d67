import type { Connection } from './connection.ts';
import type { Terminal } from './terminal.ts';

/** One command. Its help is made from what is said here. */
export type Command = {
  /** As it is typed: `volume backup`. */
  readonly words: string;
  /** What comes after the options; a command that takes several forms has one for each. */
  readonly forms: readonly string[];
  readonly summary: string;
  readonly options: Readonly<Record<string, Option>>;
  /** Whatever else there is to know. */
  readonly details?: string;
  readonly run: (call: Call) => Promise<void>;
};

export type Option = {
  readonly short?: string;
  /** The word that stands for its value in the help; without it the option is a flag. */
  readonly value?: string;
  readonly about: string;
};

export type Call = {
  readonly words: readonly string[];
  readonly text: (option: string) => string | undefined;
  readonly flag: (option: string) => boolean;
  readonly connection: Connection;
  readonly terminal: Terminal;
};

/** The command line is wrong: exit 2. Everything else that fails is exit 1. */
export class UsageError extends Error {}

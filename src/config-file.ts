import fs from 'node:fs';
import { messageOf } from './model/errors.ts';
import { UsageError } from './usage-error.ts';

/** Flags that may be given several times have names of their own in the file. */
const PLURALS: Readonly<Record<string, string>> = {
  hosts: 'host',
  labels: 'label',
  'dns-opts': 'dns-opt',
  'default-address-pools': 'default-address-pool',
  'default-network-opts': 'default-network-opt',
  'host-gateway-ips': 'host-gateway-ip',
};

/**
 * A file of flags in JSON, as dockerd's daemon.json, as a command line would have them. What the command line has already may not be
 * in the file too, and what berth does not know is refused: a setting that does nothing would be believed.
 */
export const flagsOfFile = (file: string, given: ReadonlySet<string>, known: ReadonlySet<string>): string[] => {
  const refuse = (why: string): never => {
    throw new UsageError(`unable to configure the daemon with file ${file}: ${why}`);
  };
  const keys = new Set([...Object.keys(PLURALS), ...[...known].filter((flag) => flag !== 'config-file' && !Object.values(PLURALS).includes(flag))]);
  const settings = Object.entries(read(file, refuse)).map(([key, value]) => ({ key, flag: PLURALS[key] ?? key, value }));
  const unknown = settings.filter(({ key }) => !keys.has(key));
  if (unknown.length > 0) refuse(`the following directives don't match any configuration option: ${unknown.map(({ key }) => key).join(', ')}`);
  const twice = settings.filter(({ flag }) => given.has(flag));
  if (twice.length > 0) refuse(`the following directives are specified both as a flag and in the configuration file: ${twice.map(({ key }) => key).join(', ')}`);
  // --debug alone takes no value.
  return settings.flatMap(({ key, flag, value }) => wordsOf(key, value, refuse).flatMap((word) => (flag !== 'debug' ? [`--${flag}=${word}`] : word === 'true' ? ['--debug'] : [])));
};

const read = (file: string, refuse: (why: string) => never): Record<string, unknown> => {
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    return refuse(messageOf(error));
  }
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return refuse(messageOf(error));
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : refuse('an object expected');
};

const wordsOf = (key: string, value: unknown, refuse: (why: string) => never): string[] => {
  const plain = (one: unknown): string => (['string', 'number', 'boolean'].includes(typeof one) ? String(one) : refuse(`${key}: a string, a number or a boolean expected`));
  if (key === 'default-network-opts') return Object.entries(objectOf(value)).flatMap(([driver, options]) => Object.entries(objectOf(options)).map(([name, one]) => `${driver}=${name}=${plain(one)}`));
  if (!Array.isArray(value)) return [plain(value)];
  return value.map((one) => (key === 'default-address-pools' ? Object.entries(objectOf(one)).map(([name, part]) => `${name}=${plain(part)}`).join(',') : plain(one)));
};

const objectOf = (value: unknown): object => (typeof value === 'object' && value !== null ? value : {});

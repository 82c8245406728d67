import type { Container, ContainerSpec } from '../model/container.ts';
import { invalid } from '../model/errors.ts';

/** What `--log-driver` and `--log-opt` may say, in the reference engine's words. */

const OPTIONS: Readonly<Record<string, readonly string[] | undefined>> = {
  'json-file': ['max-file', 'max-size', 'compress', 'labels', 'labels-regex', 'env', 'env-regex', 'tag'],
  local: ['max-file', 'max-size', 'compress'],
  none: undefined,
};
/** Known for every driver. */
const COMMON = ['mode', 'max-buffer-size'];
const MODES = ['', 'blocking', 'non-blocking'];

type Log = ContainerSpec['log'];

/** Refused when a container is made. */
export const checkLog = ({ driver, options }: Log): void => {
  if (!Object.hasOwn(OPTIONS, driver)) throw invalid(`error looking up logging plugin ${driver}: plugin "${driver}" not found`);
  const mode = options['mode'] ?? '';
  if (!MODES.includes(mode)) throw invalid(`logger: logging mode not supported: ${mode}`);
  if (mode !== 'non-blocking' && options['max-buffer-size'] !== undefined) throw invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
  const known = OPTIONS[driver];
  const strange = known && Object.keys(options).find((name) => !known.includes(name) && !COMMON.includes(name));
  if (strange === undefined) return;
  throw invalid(driver === 'local' ? `unknown log opt '${strange}' for log driver local` : `unknown log opt '${strange}' for ${driver} log driver`);
};

/** What is wrong only when the log is opened; undefined: nothing. */
export const logFault = ({ driver, options }: Log): string | undefined => {
  if (driver === 'none') return undefined;
  const [size, files = driver === 'local' ? '5' : '1'] = [options['max-size'], options['max-file']];
  if (size !== undefined && size !== '-1' && !/^\d+(\.\d+)? ?[kmgtp]?i?b?$/i.test(size)) return `invalid size: '${size}'`;
  if (!/^[+-]?\d+$/.test(files)) return `strconv.Atoi: parsing ${JSON.stringify(files)}: invalid syntax`;
  if (Number(files) < 1) return 'max-file cannot be less than 1';
  const { compress } = options;
  if (compress === undefined) return undefined;
  const misread = /^(1|0|t|f|true|false)$/i.test(compress) ? undefined : `strconv.ParseBool: parsing ${JSON.stringify(compress)}: invalid syntax`;
  if (driver === 'local') return misread && `error reading compress log option: ${misread}`;
  if (misread) return misread;
  return /^(1|t|true)$/i.test(compress) && (Number(files) < 2 || size === undefined)
    ? 'compress cannot be true when max-file is less than 2 or max-size is not set'
    : undefined;
};

/** `docker logs --details`: what `--log-opt labels=`, `env=` and `tag=` say of the container, before each line. */
export const logDetails = (container: Pick<Container, 'id' | 'name' | 'imageId' | 'spec'>): string => {
  const { spec } = container;
  const { labels, env, tag, ...rest } = spec.log.options;
  const variables = Object.fromEntries((spec.env ?? []).map((entry) => entry.split(/=(.*)/s, 2) as [string, string]));
  const chosen = (from: Readonly<Record<string, string>>, names: string | undefined, pattern: string | undefined): [string, string][] =>
    Object.entries(from).filter(([name]) => (names ?? '').split(',').includes(name) || (pattern !== undefined && matches(pattern, name)));
  const details = new Map([
    ...chosen(spec.labels, labels, rest['labels-regex']),
    ...chosen(variables, env, rest['env-regex']),
    ...(tag === undefined || tag === '' ? [] : [['tag', tagOf(tag, container)] as const]),
  ]);
  const escape = (text: string): string => encodeURIComponent(text).replaceAll('%20', '+');
  return [...details].map(([name, value]) => `${escape(name)}=${escape(value)}`).sort().join(',');
};

const matches = (pattern: string, name: string): boolean => {
  try {
    return new RegExp(pattern).test(name);
  } catch {
    return false;
  }
};

/** A Go template of the container's names. */
const tagOf = (tag: string, { id, name, imageId, spec }: Pick<Container, 'id' | 'name' | 'imageId' | 'spec'>): string => {
  const fields: Readonly<Record<string, string>> = {
    ID: id.slice(0, 12),
    FullID: id,
    Name: name,
    ImageName: spec.image,
    ImageID: imageId.replace('sha256:', '').slice(0, 12),
    ImageFullID: imageId,
    DaemonName: 'docker',
  };
  return tag.replace(/\{\{\s*\.(\w+)\s*\}\}/g, (written, field: string) => fields[field] ?? written);
};

import { invalid } from './errors.ts';

/**
 * What a client may call an image. In full a name is `docker.io/library/busybox:latest`; people write the
 * familiar form, `busybox`. A 64-digit hexadecimal number is an id, never a name.
 */
export type NamedReference = {
  readonly domain: string;
  readonly path: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
};

export type ImageReference = { readonly id: string } | NamedReference;

const DEFAULT_DOMAIN = 'docker.io';
const NAME_LENGTH = 255;

const domainComponent = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const domain = `(?:${domainComponent}(?:\\.${domainComponent})*|\\[(?:[a-fA-F0-9:]+)\\])(?::[0-9]+)?`;
const pathComponent = '[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*';
const path = `${pathComponent}(?:/${pathComponent})*`;
const tag = '[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}';
const digest = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}';

const referencePattern = new RegExp(`^(?:(${domain})/)?(${path})(?::(${tag}))?(?:@(${digest}))?$`);
const tagPattern = new RegExp(`^${tag}$`);
const idPattern = /^[0-9a-f]{64}$/;
const digestLengths: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/** A name, or an id in full (with or without `sha256:`). The start of an id reads as a name: ask for both. */
export const parseReference = (text: string): ImageReference => {
  if (idPattern.test(text)) return { id: `sha256:${text}` };
  if (digestProblem(text) === undefined) return { id: text };
  return parseName(text);
};

/** A name, with or without a tag and a digest. */
export const parseName = (text: string): NamedReference => {
  if (idPattern.test(text)) throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  const full = withDomain(text);
  const [repository = ''] = full.rest.split(':');
  if (repository.toLowerCase() !== repository)
    throw invalid(`invalid reference format: repository name (${repository}) must be lowercase`);
  const match = referencePattern.exec(`${full.domain}/${full.rest}`);
  if (!match || match[1] === undefined || match[2] === undefined) throw invalid('invalid reference format');
  const named = { domain: match[1], path: match[2], tag: match[3], digest: match[4] };
  if (named.path.length > NAME_LENGTH) throw invalid(`repository name must not be more than ${NAME_LENGTH} characters`);
  const problem = named.digest === undefined ? undefined : digestProblem(named.digest);
  if (problem !== undefined) throw invalid(problem);
  return named;
};

/** The name a client gives an image: `repo` may bring its own tag, which `tag` (unless empty) replaces. */
export const parseNewName = (repo: string, newTag: string): NamedReference => {
  const named = parseName(repo);
  if (named.digest !== undefined) throw invalid('cannot import digest reference');
  const tagged = newTag === '' ? named : withTag(named, newTag);
  if (familiarName(tagged) === 'sha256') throw invalid('refusing to create an ambiguous tag using digest algorithm as name');
  return withDefaultTag(tagged);
};

export const withTag = (named: NamedReference, newTag: string): NamedReference => {
  if (!tagPattern.test(newTag)) throw invalid('invalid tag format');
  return { ...named, tag: newTag, digest: undefined };
};

/** A name alone means its tag `latest`. */
export const withDefaultTag = (named: NamedReference): NamedReference =>
  named.tag === undefined && named.digest === undefined ? { ...named, tag: 'latest' } : named;

/** The repository as people write it: `busybox`, `my/bb`, `localhost:5000/x`. */
export const familiarName = ({ domain, path }: NamedReference): string => {
  if (domain !== DEFAULT_DOMAIN) return `${domain}/${path}`;
  const [first, second, ...more] = path.split('/');
  return first === 'library' && second !== undefined && more.length === 0 ? second : path;
};

/** The whole reference as people write it. */
export const familiar = (reference: ImageReference): string =>
  'id' in reference ? reference.id : familiarName(reference) + suffix(reference);

/** The whole reference in full, by which the reference engine sorts. */
export const canonical = (named: NamedReference): string => `${named.domain}/${named.path}${suffix(named)}`;

/** Familiar names, sorted as the reference engine sorts them. */
export const sortedNames = (names: Iterable<string>): string[] =>
  [...new Set(names)]
    .map((name) => ({ name, key: canonical(parseName(name)) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ name }) => name);

/** Does a `reference=` filter mean this image? Matches the name, or the name with its tag; `*` stops at slashes. */
export const familiarMatch = (pattern: string, name: string): boolean => {
  const expression = globExpression(pattern);
  return expression.test(name) || expression.test(familiarName(parseName(name)));
};

const suffix = ({ tag, digest }: NamedReference): string =>
  (tag === undefined ? '' : `:${tag}`) + (digest === undefined ? '' : `@${digest}`);

/** What comes before the first slash is a domain if it looks like one: a dot, a port, a capital, or localhost. */
const withDomain = (text: string): { domain: string; rest: string } => {
  const at = text.indexOf('/');
  const first = text.slice(0, Math.max(at, 0));
  const isDomain = at >= 0 && (/[.:]/.test(first) || first === 'localhost' || first.toLowerCase() !== first);
  const [domain, rest] = isDomain ? [first === `index.${DEFAULT_DOMAIN}` ? DEFAULT_DOMAIN : first, text.slice(at + 1)] : [DEFAULT_DOMAIN, text];
  return { domain, rest: domain === DEFAULT_DOMAIN && !rest.includes('/') ? `library/${rest}` : rest };
};

const digestProblem = (text: string): string | undefined => {
  const [algorithm = '', hex, ...more] = text.split(':');
  if (hex === undefined || more.length > 0) return 'invalid checksum digest format';
  const length = Object.hasOwn(digestLengths, algorithm) ? digestLengths[algorithm] : undefined;
  if (length === undefined) return 'unsupported digest algorithm';
  if (hex.length !== length) return 'invalid checksum digest length';
  return /^[0-9a-f]*$/.test(hex) ? undefined : 'invalid checksum digest format';
};

/** A shell pattern as Go's path.Match reads it. */
const globExpression = (pattern: string): RegExp => {
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '[') {
      const list = /^\[(\^?)((?:\\.|[^\]\\])+)\]/s.exec(pattern.slice(at));
      if (!list) throw invalid('syntax error in pattern');
      source += `[${list[1]}${list[2]?.replace(/[[&~^]/g, '\\$&')}]`;
      at += list[0].length - 1;
    } else if (char === '\\') {
      at += 1;
      if (at >= pattern.length) throw invalid('syntax error in pattern');
      source += escaped(pattern.charAt(at));
    } else source += escaped(char);
  }
  try {
    return new RegExp(`^${source}$`, 's');
  } catch {
    throw invalid('syntax error in pattern');
  }
};

const escaped = (char: string): string => char.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

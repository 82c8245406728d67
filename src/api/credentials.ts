import type { IncomingMessage } from 'node:http';
import { invalid } from '../model/errors.ts';
import type { Credentials } from '../model/registry.ts';
import { hasBody, readJson } from './body.ts';

/** Of the X-Registry-Auth header: JSON in base64, in either alphabet. What can not be read is nobody's. */
export const credentialsOf = ({ headers }: IncomingMessage): Credentials | undefined => {
  const header = headers['x-registry-auth'];
  if (typeof header !== 'string' || header === '') return undefined;
  try {
    return parseCredentials(JSON.parse(Buffer.from(header, 'base64url').toString()));
  } catch {
    return undefined;
  }
};

/** For a push, clients once sent them as the body, and one of both must be there. */
export const pushCredentials = async (req: IncomingMessage): Promise<Credentials | undefined> => {
  if (req.headers['x-registry-auth'] !== undefined) return credentialsOf(req);
  if (!hasBody(req)) throw invalid('bad parameters and missing X-Registry-Auth: invalid X-Registry-Auth header: EOF');
  return parseCredentials(await readJson(req));
};

/** Of a build's X-Registry-Config header: those of every registry that the client knows, by its address. */
export const buildCredentials = ({ headers }: IncomingMessage): ((domain: string) => Credentials | undefined) => {
  const header = headers['x-registry-config'];
  let known: Readonly<Record<string, unknown>> = {};
  try {
    known = JSON.parse(Buffer.from(typeof header === 'string' ? header : '', 'base64url').toString()) as typeof known;
  } catch {
    // What can not be read is nobody's.
  }
  return (domain) => {
    const names = domain === 'docker.io' ? ['https://index.docker.io/v1/', 'docker.io'] : [domain, `https://${domain}`, `http://${domain}`];
    const found = names.map((name) => known?.[name]).find((value) => value !== undefined);
    return found === undefined ? undefined : parseCredentials(found);
  };
};

/** The body of `docker login`: who, and where. */
export const parseLogin = (body: unknown): { readonly server: string; readonly credentials: Credentials } => ({
  server: textOf(body, 'serveraddress'),
  credentials: parseCredentials(body) ?? { username: '', password: '', identityToken: '' },
});

const parseCredentials = (value: unknown): Credentials | undefined => {
  // `auth` is both in one: NAME:PASSWORD in base64.
  const [username = '', ...rest] = Buffer.from(textOf(value, 'auth'), 'base64').toString().split(':');
  const found = {
    username: textOf(value, 'username') || username,
    password: textOf(value, 'password') || rest.join(':'),
    identityToken: textOf(value, 'identitytoken'),
  };
  return found.username === '' && found.identityToken === '' ? undefined : found;
};

const textOf = (value: unknown, name: string): string => {
  const found = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
  return typeof found === 'string' ? found : '';
};

import type { IncomingMessage, ServerResponse } from 'node:http';
import { invalid } from '../model/errors.ts';
import { sendError } from './errors.ts';

export const API_VERSION = '1.51';
export const MIN_API_VERSION = '1.24';
export const SERVER = 'Docker/28.5.2 (linux)';

const NEWEST = 51;
const OLDEST = 24;

/** What every answer of a known path says. */
export const standardHeaders: readonly (readonly [name: string, value: string])[] = [
  ['Api-Version', API_VERSION],
  ['Docker-Experimental', 'false'],
  ['Ostype', 'linux'],
  ['Server', SERVER],
];

/** The minor number of the API version a request asked for: 51 for one without. */
export const versionOf = (req: IncomingMessage): number => asked.get(req) ?? NEWEST;

// Only requests that asked for another version than the newest are in it.
const asked = new WeakMap<IncomingMessage, number>();

/**
 * Takes `/v1.NN` off the request's path and remembers it. A regular expression, because a route of `/v:version` would
 * also take `/volumes`. False: the version is not served, and the answer has gone out.
 */
export const takeVersion = (req: IncomingMessage, refuse: (refusal: VersionRefusal) => void): boolean => {
  // Who speaks as to a proxy names the host too.
  const url = (req.url ?? '/').replace(/^https?:\/\/[^/?]*(?=\/)/i, '');
  req.url = url;
  const match = PREFIX.exec(url);
  if (match?.[1] !== undefined) {
    const minor = minorOf(match[1]);
    if (minor < OLDEST || minor > NEWEST) {
      refuse({ version: match[1], tooOld: minor < OLDEST });
      return false;
    }
    if (minor !== NEWEST) asked.set(req, minor);
    req.url = url.slice(match[0].length);
  }
  // Clients put names with a leading slash in paths; the reference engine redirects them here.
  if (req.url?.includes('//')) req.url = cleanPath(req.url);
  return true;
};

export type VersionRefusal = { readonly version: string; readonly tooOld: boolean };

export const refusalText = ({ version, tooOld }: VersionRefusal): string =>
  tooOld
    ? `client version ${version} is too old. Minimum supported API version is ${MIN_API_VERSION}, please upgrade your client to a newer version`
    : `client version ${version} is too new. Maximum supported API version is ${API_VERSION}`;

/** Too old is told in plain text: clients of that age did not read JSON errors. */
export const refuseVersion = (res: ServerResponse, refusal: VersionRefusal): void => {
  res.setHeader('Api-Version', API_VERSION);
  res.setHeader('Ostype', 'linux');
  res.setHeader('Server', SERVER);
  if (!refusal.tooOld) return sendError(res, invalid(refusalText(refusal)));
  const body = `${refusalText(refusal)}\n`;
  res
    .writeHead(400, {
      'Content-Type': 'text/plain; charset=utf-8',
      'X-Content-Type-Options': 'nosniff',
      'Content-Length': Buffer.byteLength(body),
    })
    .end(body);
};

const PREFIX = /^\/v([0-9.]+)(?=\/)/;

/** `1.50` -> 50; other majors end up before or after everything served. */
const minorOf = (version: string): number => {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (Number.isNaN(major) || Number.isNaN(minor)) return 0;
  return major === 1 ? minor : major < 1 ? 0 : Infinity;
};

const cleanPath = (url: string): string => {
  const at = url.indexOf('?');
  const path = at < 0 ? url : url.slice(0, at);
  return path.replace(/\/{2,}/g, '/') + (at < 0 ? '' : url.slice(at));
};

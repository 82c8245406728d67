// A check's hands: calls to the engine, and what it made there, which goes when the check is over.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { call, frames, only, type Answer, type Body } from '../support/http.ts';
import { eventually } from '../support/eventually.ts';

export type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string };
export type Spec = Readonly<Record<string, unknown>>;

export type Lab = {
  readonly socket: string;
  /** `HOST:PORT` of a registry that the engine reaches; '' without one. */
  readonly registry: string;
  /** The engine's API version, the number behind `1.`. */
  readonly version: number;
  /** A name of this check's own. */
  name(word: string): string;
  call(method: string, path: string, body?: Body, headers?: Record<string, string>): Promise<Answer>;
  /** The answer's JSON (or text, where it is none), once its status is as expected. */
  ask(status: number, method: string, path: string, body?: Body, headers?: Record<string, string>): Promise<any>;
  refuses(status: number, message: RegExp | string, method: string, path: string, body?: Body, headers?: Record<string, string>): Promise<void>;
  /** A container that does nothing for a while, unless told otherwise. Its id. */
  create(spec?: Spec, name?: string): Promise<string>;
  start(spec?: Spec, name?: string): Promise<string>;
  /** Starts it, and waits for its end. */
  run(cmd: readonly string[], spec?: Spec): Promise<Ran>;
  exec(container: string, cmd: readonly string[], options?: Spec): Promise<Ran>;
  hijack(path: string, body?: object): Promise<Duplex>;
  inspect(container: string): Promise<any>;
  network(spec?: Spec, name?: string): Promise<{ readonly id: string; readonly name: string }>;
  volume(spec?: Spec, name?: string): Promise<string>;
  /** An image's name that goes at the end. */
  image(word: string): string;
  /** What happened to a thing since the check began: `type action`. */
  events(filters: Readonly<Record<string, readonly string[]>>): Promise<readonly any[]>;
  eventually<T>(attempt: () => T | Promise<T>): Promise<T>;
  /** Statuses of what was asked, for telling what is missing from what is different. */
  readonly answers: readonly Answer[];
  close(): Promise<void>;
};

export const PREFIX = 'mx-';
let labs = 0;

export function openLab({ socket, registry, version }: Pick<Lab, 'socket' | 'registry' | 'version'>): Lab {
  const prefix = `${PREFIX}${process.pid}-${++labs}-`;
  const began = Date.now() / 1000;
  const answers: Answer[] = [];
  const [containers, networks, volumes, images] = [new Set<string>(), new Set<string>(), new Set<string>(), new Set<string>()];
  let made = 0;
  const name = (word: string) => `${prefix}${word}`;
  const nameOf = (given: string | undefined) => given ?? name(`${++made}`);

  const ask: Lab['ask'] = async (status, method, path, body, headers) => {
    const answer = await lab.call(method, path, body, headers);
    if (answer.status !== status) assert.fail(`${method} ${path.slice(0, 100)}: ${answer.status}${answer.text === '' ? '' : ` ${said(answer)}`} instead of ${status}`);
    return /^application\/json/.test(answer.headers['content-type'] ?? '') && answer.text !== '' && !answer.text.trim().includes('\n') ? answer.json() : answer.text;
  };

  const lab: Lab = {
    socket,
    registry,
    version,
    answers,
    name,
    async call(method, path, body, headers) {
      const answer = await call(socket, method, path, body, headers);
      answers.push(answer);
      return answer;
    },
    ask,
    async refuses(status, message, method, path, body, headers) {
      const { message: words } = await ask(status, method, path, body, headers);
      if (typeof message === 'string') assert.equal(words, message);
      else assert.match(words, message);
    },
    async create(spec = {}, given) {
      const own = nameOf(given);
      containers.add(own);
      const { Id } = await ask(201, 'POST', `/containers/create?name=${own}`, { Image: 'busybox', Cmd: ['sleep', '1000'], StopTimeout: 0, ...spec });
      return Id;
    },
    async start(spec, given) {
      const id = await lab.create(spec, given);
      await ask(204, 'POST', `/containers/${id}/start`);
      return id;
    },
    async run(cmd, spec = {}) {
      const id = await lab.start({ Cmd: cmd, ...spec });
      const { StatusCode } = await ask(200, 'POST', `/containers/${id}/wait`);
      const { bytes } = await lab.call('GET', `/containers/${id}/logs?stdout=1&stderr=1`);
      return { code: StatusCode, ...(spec['Tty'] === true ? { stdout: bytes.toString(), stderr: '' } : outputs(bytes)) };
    },
    async exec(container, cmd, options = {}) {
      const { Id } = await ask(201, 'POST', `/containers/${container}/exec`, { Cmd: cmd, AttachStdout: true, AttachStderr: true, ...options });
      const { bytes } = await lab.call('POST', `/exec/${Id}/start`, { Detach: false, Tty: options['Tty'] === true });
      const { ExitCode } = await ask(200, 'GET', `/exec/${Id}/json`);
      return { code: ExitCode, ...(options['Tty'] === true ? { stdout: bytes.toString(), stderr: '' } : outputs(bytes)) };
    },
    hijack(path, body) {
      const payload = body === undefined ? '' : JSON.stringify(body);
      const headers = { 'content-type': 'application/json', 'content-length': `${Buffer.byteLength(payload)}`, connection: 'Upgrade', upgrade: 'tcp' };
      return new Promise((resolve, reject) => {
        request({ socketPath: socket, method: 'POST', path, agent: false, headers })
          .on('upgrade', (_incoming, stream: Duplex, early: Buffer) => {
            if (early.length > 0) stream.unshift(early);
            resolve(stream);
          })
          .on('response', incoming => reject(new Error(`${path}: not taken over: ${incoming.statusCode}`)))
          .on('error', reject)
          .end(payload);
      });
    },
    inspect: container => ask(200, 'GET', `/containers/${container}/json`),
    async network(spec = {}, given) {
      const own = nameOf(given);
      const { Id } = await ask(201, 'POST', '/networks/create', { Name: own, ...spec });
      networks.add(Id);
      return { id: Id, name: own };
    },
    async volume(spec = {}, given) {
      const own = nameOf(given);
      volumes.add(own);
      await ask(201, 'POST', '/volumes/create', { Name: own, ...spec });
      return own;
    },
    image(word) {
      const own = `${word.includes('/') ? '' : prefix}${word}`;
      images.add(own);
      return own;
    },
    async events(filters) {
      const query = new URLSearchParams({ since: `${began}`, until: `${Date.now() / 1000}`, filters: JSON.stringify(filters) });
      const text: string = await ask(200, 'GET', `/events?${query}`).then(found => (typeof found === 'string' ? found : JSON.stringify(found)));
      return text.split('\n').filter(line => line.trim() !== '').map(line => JSON.parse(line));
    },
    eventually: attempt => eventually(attempt, { seconds: 20, every: 50 }),
    async close() {
      for (const each of containers) await call(socket, 'DELETE', `/containers/${each}?force=1&v=1`);
      for (const each of images) await call(socket, 'DELETE', `/images/${each}?force=1`);
      for (const each of networks) await call(socket, 'DELETE', `/networks/${each}`);
      for (const each of volumes) await call(socket, 'DELETE', `/volumes/${each}?force=1`);
    },
  };
  return lab;
}

export const outputs = (bytes: Buffer) => ({ stdout: only('stdout', bytes), stderr: only('stderr', bytes) });
export { frames };

/** All that comes until the other side ends. */
export const wholeOf = (stream: Duplex): Promise<Buffer> => buffer(stream);

const said = ({ text }: Answer): string => {
  try {
    return JSON.stringify(JSON.parse(text).message ?? text);
  } catch {
    return JSON.stringify(text.slice(0, 200));
  }
};

// Runs the checks on an engine and says what came of each.

import { busyboxRootfs } from '../../fixtures/busybox-rootfs.ts';
import { call } from '../support/http.ts';
import type { Check, Resource } from './check.ts';
import { openLab, PREFIX, type Lab } from './lab.ts';

export type Outcome = 'supported' | 'differs' | 'missing' | 'not in its API version' | 'not checked';

export type Result = { readonly resource: string; readonly own: boolean; readonly endpoint: string; readonly behaviour: string; readonly outcome: Outcome; readonly how: string; readonly milliseconds: number };

export type Report = {
  readonly engine: { readonly name: string; readonly version: string; readonly apiVersion: string; readonly kernel: string };
  readonly seconds: number;
  readonly results: readonly Result[];
};

export type Subject = { readonly socket: string; readonly registry: string };

// Most of a check is waiting: for a container, for the kernel.
const AT_ONCE = 6;

export async function runMatrix(subject: Subject, resources: readonly Resource[], told: (result: Result) => void = () => {}, stop?: AbortSignal): Promise<Report> {
  const began = Date.now();
  const version = (await call(subject.socket, 'GET', '/version')).json();
  const minor = Number(version.ApiVersion.split('.')[1]);
  const imported = await importBusybox(subject.socket);
  const waiting = resources.flatMap(resource => resource.checks.map(each => ({ resource, each })));
  const results = new Map<Check, Result>();
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined && !stop?.aborted; next = waiting.shift()) {
      const { resource, each } = next;
      const result = await runCheck({ ...subject, version: minor }, resource, each);
      results.set(each, result);
      told(result);
    }
  };
  const order = [...waiting];
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } finally {
    if (imported) await call(subject.socket, 'DELETE', '/images/busybox:latest?force=1');
  }
  return {
    engine: { name: version.Platform?.Name || version.Components?.[0]?.Name || 'Engine', version: version.Version, apiVersion: version.ApiVersion, kernel: version.KernelVersion ?? '' },
    seconds: (Date.now() - began) / 1000,
    results: order.flatMap(({ each }) => results.get(each) ?? []),
  };
}

async function runCheck(subject: Subject & { readonly version: number }, resource: Resource, { endpoint, behaviour, since, needs, run }: Check): Promise<Result> {
  const began = Date.now();
  const result = (outcome: Outcome, how = ''): Result => ({ resource: resource.title, own: resource.own ?? false, endpoint, behaviour, outcome, how, milliseconds: Date.now() - began });
  if (subject.version < since) return result('not in its API version', `since 1.${since}`);
  if (needs === 'registry' && subject.registry === '') return result('not checked', 'needs --registry');
  const lab = openLab(subject);
  try {
    await Promise.race([run(lab), late()]);
    return result('supported');
  } catch (error) {
    return result(isMissing(lab, resource.own === true) ? 'missing' : 'differs', String((error as Error).message).split('\n').filter(line => line.trim() !== '').slice(0, 12).join(' | '));
  } finally {
    await lab.close();
  }
}

/** An engine that does not answer must not keep the others' answers from being heard. */
const late = (): Promise<never> => new Promise((_resolve, reject) => setTimeout(() => reject(new Error(`nothing came of it in ${PATIENCE / 1000} s`)), PATIENCE).unref());
const PATIENCE = 60_000;

/** The last thing it was told is that there is no such thing. Other engines take what is berth's own for something else. */
const isMissing = ({ answers }: Lab, own: boolean): boolean => {
  const last = answers.at(-1);
  return own || (last !== undefined && (last.status === 501 || (last.status === 404 && /page not found/.test(last.text))));
};

async function importBusybox(socket: string): Promise<boolean> {
  if ((await call(socket, 'GET', '/images/busybox:latest/json')).status === 200) return false;
  const changes = encodeURIComponent('CMD ["sh"]');
  const { status, text } = await call(socket, 'POST', `/images/create?fromSrc=-&repo=busybox&tag=latest&changes=${changes}`, await busyboxRootfs(), { 'content-type': 'application/x-tar' });
  if (status !== 200 || text.includes('"error"')) throw new Error(`import of busybox: ${status} ${text}`);
  return true;
}

export { PREFIX };

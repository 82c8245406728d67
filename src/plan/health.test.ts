import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Health, ProbeResult } from '../model/container.ts';
import type { Healthcheck } from '../model/image.ts';
import { begunHealth, healthAfter, mergeHealthcheck, probeDelay, probeOf } from './health.ts';

const SECOND = 1_000_000_000;
const check: Healthcheck = { test: ['CMD', 'true'], interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 };
const container = (test: readonly string[] | undefined, shell?: readonly string[]) =>
  ({ spec: { healthcheck: test && { ...check, test } }, asked: { config: shell ? { Shell: shell } : {}, hostConfig: {} } }) as unknown as Container;

test('what is run', () => {
  const cmd = (test: readonly string[] | undefined, shell?: readonly string[]) => probeOf(container(test, shell))?.cmd;
  assert.deepEqual(cmd(['CMD', 'a', 'b']), ['a', 'b']);
  assert.deepEqual(cmd(['CMD-SHELL', 'a b']), ['/bin/sh', '-c', 'a b']);
  assert.deepEqual(cmd(['CMD-SHELL', 'a b'], ['/bin/ash', '-ec']), ['/bin/ash', '-ec', 'a b']);
  for (const none of [['NONE'], [], ['FOO'], [''], undefined]) assert.equal(cmd(none), undefined);
  assert.equal(probeOf(container(['CMD', 'a']))?.timeout, 30 * SECOND);
});

test('an image\'s check, and a request\'s beside it', () => {
  const image = { ...check, test: ['CMD', 'i'], interval: 5, retries: 7 };
  assert.equal(mergeHealthcheck(undefined, image), image);
  assert.equal(mergeHealthcheck(check, undefined), check);
  assert.deepEqual(mergeHealthcheck({ ...check, test: [], interval: 9 }, image), { ...image, interval: 9 });
  assert.deepEqual(mergeHealthcheck({ ...check, test: ['NONE'] }, image)?.test, ['NONE']);
});

const result = (exitCode: number): ProbeResult => ({ start: 's', end: 'e', exitCode, output: '' });
const after = (health: Health, codes: readonly number[], sinceStart = 100 * SECOND, healthcheck = check) =>
  codes.reduce((now, code) => healthAfter(now, result(code), { healthcheck, sinceStart }), health);
const said = ({ status, failingStreak }: Health) => `${status} ${failingStreak}`;

test('three failures in a row are bad health', () => {
  const begun = begunHealth(undefined);
  assert.equal(said(begun), 'starting 0');
  assert.equal(said(after(begun, [1, 1])), 'starting 2');
  assert.equal(said(after(begun, [1, 1, -1])), 'unhealthy 3');
  assert.equal(said(after(begun, [0, 1, 1, 0])), 'healthy 0');
  assert.equal(said(after(begun, [0, 1, 1])), 'healthy 2');
  assert.equal(said(after(begun, [1], 0, { ...check, retries: 1 })), 'unhealthy 1');
});

test('the start period forgives, until the first success', () => {
  const patient = { ...check, startPeriod: 10 * SECOND };
  assert.equal(said(after(begunHealth(undefined), [1, 1, 1, 1], 9 * SECOND, patient)), 'starting 0');
  assert.equal(said(after(begunHealth(undefined), [0, 1, 1, 1], 9 * SECOND, patient)), 'unhealthy 3');
  assert.equal(said(after(begunHealth(undefined), [1, 1, 1], 10 * SECOND, patient)), 'unhealthy 3');
});

test('five results are remembered', () => {
  const { log } = after(begunHealth(undefined), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(log.map(({ exitCode }) => exitCode), [3, 4, 5, 6, 7]);
});

test('how long to wait', () => {
  const patient = { ...check, interval: 20 * SECOND, startPeriod: 10 * SECOND };
  const [starting, healthy] = [begunHealth(undefined), { ...begunHealth(undefined), status: 'healthy' } as const];
  assert.equal(probeDelay(starting, patient, SECOND), 5 * SECOND);
  assert.equal(probeDelay(starting, { ...patient, startInterval: SECOND }, SECOND), SECOND);
  assert.equal(probeDelay(healthy, patient, SECOND), 20 * SECOND);
  assert.equal(probeDelay(starting, patient, 11 * SECOND), 20 * SECOND);
  assert.equal(probeDelay(starting, check, SECOND), 30 * SECOND);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Resources, UpdateRequest } from '../model/container.ts';
import { changedLimits, withUpdate } from './update.ts';

const MiB = 1024 * 1024;
const none: Resources = {
  memory: 0, memorySwap: 0, memoryReservation: 0, memorySwappiness: undefined, oomKillDisable: false, nanoCpus: 0, cpuShares: 0, cpuPeriod: 0,
  cpuQuota: 0, cpuRealtimePeriod: 0, cpuRealtimeRuntime: 0, cpusetCpus: '', cpusetMems: '', pidsLimit: undefined, blkioWeight: 0,
};
const container = (resources: Partial<Resources> = {}, autoRemove = false) =>
  ({ spec: { resources: { ...none, ...resources }, autoRemove, restart: { name: 'no', maximum: 0 } }, asked: { config: {}, hostConfig: { CpuShares: 7, Memory: 0 } } }) as unknown as Container;
const update = (resources: Partial<Resources>, more: Partial<UpdateRequest> = {}): UpdateRequest => ({ resources, restart: undefined, ports: undefined, asked: {}, ...more });

test('what is not said stays', () => {
  const after = withUpdate(container({ cpuShares: 7 }), update({ memory: 8 * MiB, memorySwap: 8 * MiB }, { asked: { Memory: 8 * MiB } }));
  assert.deepEqual(after.spec.resources, { ...none, cpuShares: 7, memory: 8 * MiB, memorySwap: 8 * MiB });
  assert.deepEqual(after.asked.hostConfig, { CpuShares: 7, Memory: 8 * MiB });
  assert.equal(after.spec.restart.name, 'no');
});

test('ports that are published are exposed; silence leaves all as it is', () => {
  const ports = [{ port: 80, protocol: 'tcp', hostAddress: '', hostPorts: { first: 8080, last: 8080 } }] as const;
  const has = { ...container(), spec: { ...container().spec, networkMode: 'bridge', portRequests: [], exposedPorts: [{ port: 53, protocol: 'udp' }] } } as unknown as Container;
  const after = withUpdate(has, update({}, { ports }));
  assert.deepEqual([after.spec.portRequests, after.spec.exposedPorts], [ports, [{ port: 53, protocol: 'udp' }, { port: 80, protocol: 'tcp' }]]);
  assert.equal(withUpdate(has, update({})).spec.portRequests, has.spec.portRequests);
  const borrower = { ...has, spec: { ...has.spec, networkMode: 'container:x' } };
  assert.throws(() => withUpdate(borrower, update({}, { ports })), { message: 'conflicting options: port publishing and the container type network mode', kind: 'invalid-parameter' });
});

const refused: readonly (readonly [has: Partial<Resources>, asked: Partial<Resources>, message: string])[] = [
  [{ memory: 8, memorySwap: 16 }, { memory: 17 }, 'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time'],
  [{ nanoCpus: 1 }, { cpuQuota: 1 }, 'Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set'],
  [{ nanoCpus: 1 }, { cpuPeriod: 1 }, 'Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set'],
  [{ cpuQuota: 1 }, { nanoCpus: 1 }, 'Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set'],
  [{ cpuPeriod: 1 }, { nanoCpus: 1 }, 'Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set'],
];
for (const [has, asked, message] of refused) test(message, () => assert.throws(() => withUpdate(container(has), update(asked)), { message, kind: 'conflict' }));

test('a container that is removed at its end does not begin again', () => {
  assert.throws(() => withUpdate(container({}, true), update({}, { restart: { name: 'always', maximum: 0 } })), /AutoRemove is enabled/);
  assert.equal(withUpdate(container({}, true), update({}, { restart: { name: 'no', maximum: 0 } })).spec.restart.name, 'no');
});

test('the runtime is told what changes, and nothing else', () => {
  assert.deepEqual(changedLimits({ ...none, cpuShares: 5, memory: 8 }, { cpuShares: 5 }), { cpu: { shares: 5 } });
  assert.deepEqual(changedLimits({ ...none, memory: 8, memorySwap: 20 }, { memory: 8 }), { memory: { limit: 8, swap: 20 } });
  assert.deepEqual(changedLimits({ ...none, pidsLimit: -1 }, { pidsLimit: -1 }), { pids: { limit: 4_194_304 } });
  assert.deepEqual(changedLimits(none, {}), {});
});

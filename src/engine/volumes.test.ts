import assert from 'node:assert/strict';
import test from 'node:test';
import { EngineError } from '../model/errors.ts';
import type { Container } from '../model/container.ts';
import { emptyState, withChanges, type RecordChange } from '../model/state.ts';
import { createEvents } from './events.ts';
import type { Filters } from './filters.ts';
import { createLedger } from './ledger.ts';
import { createVolumes } from './volumes.ts';

const engine = (containers: Record<string, readonly string[]> = {}) => {
  const records = Object.entries(containers).map(
    ([key, names]): RecordChange => ({ collection: 'containers', key, record: { id: key, mounts: names.map((name) => ({ type: 'volume', name })) } as unknown as Container }),
  );
  const ledger = createLedger({
    store: { load: () => withChanges(emptyState, records), commit: async () => {}, close: async () => {} },
    execute: async () => {},
    attempt: async () => [],
    diff: () => [],
  });
  const events = createEvents(() => 0n);
  let ids = 0;
  const volumes = createVolumes({ ledger, events, host: { now: () => '2026-11-23T17:44:37.5Z', sizeOf: async () => 10 }, id: () => `id${++ids}`, dataRoot: '/d' });
  return { volumes, ledger, happened: () => events.recent().map(({ action, id }) => `${action} ${id}`.trim()) };
};

const none: Filters = new Map();
const filters = (...entries: [string, string[]][]): Filters => new Map(entries);
const plain = { name: '', driver: '', labels: undefined, options: undefined };
const refused = (kind: string, message: string) => (error: unknown) => {
  assert.ok(error instanceof EngineError);
  assert.equal(`${error.kind}: ${error.message}`, `${kind}: ${message}`);
  return true;
};

test('create: once for a name, whatever else is asked', async () => {
  const { volumes, happened } = engine();
  const first = await volumes.create({ ...plain, name: 'plain', labels: { k: 'v' } });
  assert.deepEqual(await volumes.create({ ...plain, name: 'plain', options: { type: 'tmpfs', device: 'tmpfs' } }), first);
  assert.deepEqual(first, { name: 'plain', created: '2026-11-23T17:44:37Z', driver: 'local', mountpoint: '/d/volumes/plain/_data', labels: { k: 'v' }, options: undefined, anonymous: false });
  assert.deepEqual((await volumes.create(plain)).labels, { 'com.docker.volume.anonymous': '' });
  assert.deepEqual(happened(), ['create plain', 'create id1']);
});

test('create: refusals', async () => {
  const { volumes } = engine();
  const create = (fields: Partial<typeof plain> | { options: Record<string, string> }) => () => volumes.create({ ...plain, name: 'xx', ...fields });
  await assert.rejects(create({ driver: 'nosuch' }), refused('not-found', 'create xx: error looking up volume plugin nosuch: plugin "nosuch" not found'));
  await assert.rejects(create({ name: 'x' }), refused('invalid-parameter', 'create x: volume name is too short, names should be at least two alphanumeric characters'));
  await assert.rejects(create({ name: '..' }), /includes invalid characters/);
  await assert.rejects(create({ name: 'aa\n' }), /includes invalid characters/);
  await assert.rejects(create({ name: 'a'.repeat(256) }), /too long/);
  await assert.rejects(create({ options: { bad: '1' } }), refused('invalid-parameter', 'create xx: invalid option: "bad"'));
  await assert.rejects(create({ options: { type: 'tmpfs' } }), refused('invalid-parameter', 'create xx: missing required option: "device"'));
  await assert.rejects(create({ options: { device: '/x' } }), refused('invalid-parameter', 'create xx: missing required option: "type"'));
  await assert.rejects(create({ options: { size: '10m' } }), refused('invalid-parameter', 'create xx: quota size requested but no quota support'));
  await create({ options: { type: 'nfs', device: ':/x', o: 'addr=127.0.0.1' } })();
});

test('list, with filters', async () => {
  const { volumes } = engine({ user: ['used'] });
  await volumes.create({ ...plain, name: 'used' });
  await volumes.create({ ...plain, name: 'data', labels: { k: 'v' } });
  const names = (asked: Filters) => volumes.list(asked).map(({ name }) => name);
  assert.deepEqual(names(none), ['used', 'data']);
  assert.deepEqual(names(filters(['dangling', ['true']])), ['data']);
  assert.deepEqual(names(filters(['dangling', ['0']])), ['used']);
  assert.deepEqual(names(filters(['name', ['^us', 'nothing']])), ['used']);
  assert.deepEqual(names(filters(['name', ['da[']])), []);
  assert.deepEqual(names(filters(['label', ['k=v']])), ['data']);
  assert.deepEqual(names(filters(['label', ['k=other']])), []);
  assert.deepEqual(names(filters(['driver', ['loc']])), []);
  assert.throws(() => names(filters(['nosuch', ['1']])), refused('invalid-parameter', "invalid filter 'nosuch'"));
});

test('find and remove', async () => {
  const { volumes, happened, ledger } = engine({ abc: ['plain'], def: ['plain'] });
  assert.throws(() => volumes.find('nosuch'), refused('not-found', 'get nosuch: no such volume'));
  await assert.rejects(volumes.remove('nosuch', false), refused('not-found', 'get nosuch: no such volume'));
  await volumes.remove('nosuch', true);
  await volumes.create({ ...plain, name: 'plain' });
  for (const force of [false, true]) await assert.rejects(volumes.remove('plain', force), refused('conflict', 'remove plain: volume is in use - [abc, def]'));
  await volumes.create({ ...plain, name: 'free' });
  await volumes.remove('free', false);
  assert.deepEqual([...ledger.state.volumes.keys()], ['plain']);
  assert.deepEqual(happened(), ['create plain', 'create free', 'destroy free']);
});

test('prune: the anonymous ones, or all', async () => {
  const { volumes, happened } = engine({ abc: ['used'] });
  for (const name of ['used', 'free', 'kept']) await volumes.create({ ...plain, name, labels: name === 'kept' ? { keep: 'me' } : undefined });
  await volumes.create(plain);
  assert.deepEqual(await volumes.prune(none), { deleted: ['id1'], reclaimed: 10 });
  assert.deepEqual(await volumes.prune(filters(['all', ['true']], ['label!', ['keep']])), { deleted: ['free'], reclaimed: 10 });
  assert.deepEqual(await volumes.prune(filters(['all', ['1']], ['label', ['keep=me']])), { deleted: ['kept'], reclaimed: 10 });
  assert.deepEqual(happened().slice(4, 6), ['destroy id1', 'prune']);
  await assert.rejects(volumes.prune(filters(['all', ['bad']])), refused('invalid-parameter', `invalid filter 'all': strconv.ParseBool: parsing "bad": invalid syntax`));
  await assert.rejects(volumes.prune(filters(['dangling', ['1']])), refused('invalid-parameter', "invalid filter 'dangling'"));
});

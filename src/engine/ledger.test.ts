import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecordChange, State } from '../model/state.ts';
import { emptyState } from '../model/state.ts';
import type { Volume } from '../model/volume.ts';
import type { Operation } from '../operations/operation.ts';
import { createLedger } from './ledger.ts';

const volume = (name: string): Volume => ({ name, created: '', driver: 'local', mountpoint: `/${name}`, labels: undefined, options: undefined, anonymous: false });
const put = (name: string): RecordChange => ({ collection: 'volumes', key: name, record: volume(name) });
const take = (name: string): RecordChange => ({ collection: 'volumes', key: name, record: undefined });

const ledgerOf = (work: (text: string) => Promise<void>) => {
  const diff = (_before: State, _after: State, changes: readonly RecordChange[]): Operation[] =>
    changes.map(({ key, record }) => ({ action: record ? 'add' : 'remove', object: { kind: 'directory', path: key, mode: 0 } }));
  const host = async (operations: readonly Operation[]) => {
    for (const { action, object } of operations) await work(`${action} ${object.kind === 'directory' ? object.path : ''}`);
  };
  return createLedger({ store: { load: () => emptyState, commit: async () => {}, close: async () => {} }, execute: host, attempt: host, diff });
};
const only = (...changes: RecordChange[]) => () => ({ changes, result: undefined });

test('what is made again under an old name is made after the old is gone; other records do not wait', async () => {
  const log: string[] = [];
  let letGo = (): void => {};
  const held = new Promise<void>((resolve) => (letGo = resolve));
  const ledger = ledgerOf(async (text) => {
    log.push(`begin ${text}`);
    if (text === 'remove data') await held;
    log.push(`end ${text}`);
  });
  await ledger.change(only(put('data')));
  const removal = ledger.settle(only(take('data')));
  const again = ledger.change(only(put('data')));
  await ledger.change(only(put('other')));
  assert.deepEqual(log.slice(2), ['begin remove data', 'begin add other', 'end add other']);
  letGo();
  await Promise.all([removal, again]);
  assert.deepEqual(log.slice(5), ['end remove data', 'begin add data', 'end add data']);
});

test('a failure takes the records back, and lets the next one work', async () => {
  let fail = true;
  const ledger = ledgerOf(async () => {
    if (fail) throw new Error('no space left on device');
  });
  await assert.rejects(ledger.change(only(put('data'))), /no space/);
  assert.equal(ledger.state.volumes.size, 0);
  fail = false;
  await ledger.change(only(put('data')));
  assert.equal(ledger.state.volumes.size, 1);
});

test('work on a record as it is: not while it is being changed, and changes wait for it', async () => {
  const log: string[] = [];
  let letGo = (): void => {};
  let held = new Promise<void>((resolve) => (letGo = resolve));
  const ledger = ledgerOf(async (text) => {
    await held;
    log.push(text);
  });
  const making = ledger.change(only(put('data')));
  assert.equal(ledger.still('volumes', 'data', async () => assert.fail('it is being made')), undefined);
  letGo();
  await making;
  held = new Promise<void>((resolve) => (letGo = resolve));
  const mending = ledger.still('volumes', 'data', async () => {
    await held;
    log.push('mended');
  });
  const removal = ledger.settle(only(take('data')));
  letGo();
  await Promise.all([mending, removal]);
  assert.deepEqual(log, ['add data', 'mended', 'remove data']);
});

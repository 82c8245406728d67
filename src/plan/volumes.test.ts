import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import type { Volume } from '../model/volume.ts';
import { emptyState, withChanges, type RecordChange } from '../model/state.ts';
import { renderAll } from '../operations/render.ts';
import { diff } from './diff.ts';
import { volumesTakenAlong } from './volumes.ts';

const container = (id: string, mounts: readonly { name: string; anonymous: boolean }[]): Container =>
  ({ id, mounts: mounts.map((mount) => ({ type: 'volume', ...mount })) }) as unknown as Container;

test('rm -v takes the anonymous volumes nobody else uses', () => {
  const one = container('one', [
    { name: 'named', anonymous: false },
    { name: 'aaaa', anonymous: true },
    { name: 'bbbb', anonymous: true },
    { name: 'cccc', anonymous: true },
  ]);
  const from = container('from', [{ name: 'aaaa', anonymous: true }]);
  const byName = container('byName', [{ name: 'bbbb', anonymous: false }]);
  assert.deepEqual(volumesTakenAlong(one, [one, from, byName]), ['cccc']);
  assert.deepEqual(volumesTakenAlong(from, [from, byName]), ['aaaa'], 'the last of them takes it');
  assert.deepEqual(volumesTakenAlong(byName, [byName]), [], 'who named it keeps it');
});

const layout = { dataRoot: '/data', execRoot: '/run/berth', iptables: false, ip6tables: false };
const volume = (name: string, options?: Record<string, string>): Volume => ({
  name, created: '', driver: 'local', mountpoint: `/data/volumes/${name}/_data`, labels: undefined, options, anonymous: false,
});
const user = (id: string, mounts: readonly object[], running: boolean): RecordChange => ({
  collection: 'containers',
  key: id,
  record: { id, chainIds: [], mounts, sandbox: running ? { netns: '', endpoints: [], ports: [] } : undefined, spec: {} } as unknown as Container,
});
const mount = (name: string, subpath = '') => ({ type: 'volume', name, source: `/data/volumes/${name}/_data`, subpath });

test('what is mounted for a container that starts, and goes when it stops', () => {
  const volumes = [volume('mem', { type: 'tmpfs', device: 'tmpfs', o: 'size=1m' }), volume('plain')].map((record): RecordChange => ({ collection: 'volumes', key: record.name, record }));
  const mounts = [mount('mem'), mount('mem'), mount('plain', 'a/b')];
  const stopped = withChanges(emptyState, [...volumes, user('one', mounts, false)]);
  const start = [user('one', mounts, true)];
  assert.equal(renderAll(diff(layout, stopped, start)), `
+ overlay /data/overlay2/one/merged of 1 layers
+ mount tmpfs tmpfs at /data/volumes/mem/_data (size=1m) for one
+ subpath a/b of /data/volumes/plain/_data at /run/berth/subpaths/one-2`.trim());
  const running = withChanges(stopped, start);
  assert.equal(renderAll(diff(layout, running, [user('two', [mount('mem')], true)])).split('\n').at(-1), '+ mount tmpfs tmpfs at /data/volumes/mem/_data (size=1m) for two');
  assert.equal(renderAll(diff(layout, running, [user('one', mounts, false)])), `
- subpath a/b of /data/volumes/plain/_data at /run/berth/subpaths/one-2
- mount tmpfs tmpfs at /data/volumes/mem/_data (size=1m) for one
- overlay /data/overlay2/one/merged of 1 layers`.trim());
});

test('the container and its volume in one change', () => {
  const record = volume('mem', { type: 'tmpfs', device: 'tmpfs' });
  const state = withChanges(emptyState, [{ collection: 'volumes', key: 'mem', record }, user('one', [mount('mem')], true)]);
  const gone: RecordChange[] = [{ collection: 'containers', key: 'one', record: undefined }, { collection: 'volumes', key: 'mem', record: undefined }];
  assert.match(renderAll(diff(layout, state, gone)), /^- mount tmpfs tmpfs at \/data\/volumes\/mem\/_data for one$/m);
});

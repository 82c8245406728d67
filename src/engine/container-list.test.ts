import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container, ContainerState } from '../model/container.ts';
import type { Image } from '../model/image.ts';
import type { Network, Sandbox } from '../model/network.ts';
import type { MountPoint } from '../model/volume.ts';
import { emptyState, type State } from '../model/state.ts';
import { listContainers } from './container-list.ts';

type Sketch = {
  readonly id: string;
  readonly created: string;
  readonly status: ContainerState['status'];
  readonly exitCode?: number;
  readonly labels?: Record<string, string>;
  readonly image?: string;
  readonly mounts?: readonly Partial<MountPoint>[];
  readonly network?: string;
  readonly exposed?: readonly number[];
  readonly ports?: Sandbox['ports'];
};

const container = (name: string, sketch: Sketch): Container => {
  const { id, created, status, exitCode = 0, labels = {}, image = 'sha256:aa', mounts = [], network = 'bridge', exposed = [], ports } = sketch;
  return {
    id: id.padEnd(64, '0'),
    name,
    created,
    imageId: image,
    mounts,
    spec: { labels, networkMode: network, endpoints: [{ network }], exposedPorts: exposed.map((port) => ({ port, protocol: 'tcp' })) },
    sandbox: ports && { id: '', netns: '/n', endpoints: [{ networkId: 'n1' }], ports },
    state: { status, exitCode, startedAt: status === 'created' ? undefined : created },
  } as unknown as Container;
};

const containers = [
  container('old', { id: 'ab1', created: '2026-11-23T10:00:00Z', status: 'exited', exitCode: 3, labels: { k: 'v' }, image: 'sha256:bb' }),
  container('web', {
    id: 'ab2',
    created: '2026-11-23T10:00:00.1Z',
    status: 'running',
    labels: { k: 'w' },
    mounts: [{ type: 'volume', name: 'data', source: '/v/data/_data', destination: '/data' }],
    exposed: [80, 90],
    ports: [{ port: 80, protocol: 'tcp', hostAddress: '0.0.0.0', hostPort: 32768 }],
  }),
  container('made', { id: 'cd1', created: '2026-11-23T10:00:00.15Z', status: 'created', network: 'front', mounts: [{ type: 'bind', name: '', source: '/src', destination: '/dst' }] }),
  container('napping', { id: 'ef1', created: '2026-11-23T10:00:01Z', status: 'paused', network: 'f2' }),
];
const record = (id: string, fields: object) => [id, { id, ...fields }] as const;
const state: State = {
  ...emptyState,
  // Not in the order they were made in.
  containers: new Map([...containers].reverse().map((one) => [one.id, one])),
  networks: new Map([record('n1', { name: 'bridge' }), record('f2', { name: 'front' })]) as unknown as ReadonlyMap<string, Network>,
  images: new Map([
    record('sha256:aa', { tags: ['busybox:latest'], digests: [], parent: '' }),
    record('sha256:bb', { tags: ['my/bb:v1'], digests: [], parent: 'sha256:aa' }),
  ]) as unknown as ReadonlyMap<string, Image>,
};

const list = (filters: Record<string, string[]> = {}, { all = true, limit }: { all?: boolean; limit?: number } = {}): string =>
  listContainers(state, { all, limit, filters: new Map(Object.entries(filters)) }).map(({ name }) => name).join(' ');

test('what runs, newest first; all; the last few', () => {
  assert.equal(list({}, { all: false }), 'napping web');
  assert.equal(list(), 'napping made web old');
  assert.equal(list({}, { all: false, limit: 2 }), 'napping made');
  assert.equal(list({ status: ['exited'] }, { all: false }), 'old');
  assert.equal(list({ exited: ['3'] }, { all: false }), '');
});

const cases: readonly [filters: Record<string, string[]>, names: string][] = [
  [{ name: ['^/we', 'na'] }, 'napping web'],
  [{ name: ['WEB'] }, ''],
  [{ name: ['['] }, ''],
  [{ id: ['ab1'] }, 'old'],
  [{ id: ['ab'] }, ''],
  [{ id: ['ab1', 'ef'] }, 'napping old'],
  [{ id: ['ab1'], name: ['web'] }, ''],
  [{ label: ['k'] }, 'web old'],
  [{ label: ['k=v'] }, 'old'],
  [{ label: ['k', 'k=v'] }, 'old'],
  [{ label: [] }, 'napping made web old'],
  [{ status: ['created', 'paused'] }, 'napping made'],
  [{ exited: ['3'] }, 'old'],
  [{ exited: ['0'] }, ''],
  [{ exited: ['+3', '4'] }, 'old'],
  [{ health: ['none'] }, 'napping made web old'],
  [{ health: ['healthy'] }, ''],
  [{ before: ['made'] }, 'web old'],
  [{ since: ['web'] }, 'napping made'],
  [{ before: ['napping'], since: ['old'] }, 'made web'],
  [{ ancestor: ['busybox'] }, 'napping made web old'],
  [{ ancestor: ['my/bb:v1'] }, 'old'],
  [{ ancestor: ['sha256:bb'] }, 'old'],
  [{ ancestor: ['nosuch'] }, ''],
  [{ ancestor: ['nosuch', 'my/bb:v1'] }, 'old'],
  [{ volume: ['data'] }, 'web'],
  [{ volume: ['/data', '/src'] }, 'made web'],
  [{ volume: ['/dst'] }, 'made'],
  [{ volume: ['/v/data/_data'] }, ''],
  [{ network: ['front'] }, 'napping made'],
  [{ network: ['n1'] }, 'web old'],
  [{ network: ['nosuch'] }, ''],
  [{ publish: ['32768'] }, 'web'],
  [{ publish: ['32000-33000/tcp'] }, 'web'],
  [{ publish: ['32768/udp'] }, ''],
  [{ publish: ['90'] }, ''],
  [{ expose: ['85-95'] }, 'web'],
  [{ expose: ['80/tcp'] }, 'web'],
  [{ publish: ['1'], expose: ['90'] }, 'web'],
  [{ 'is-task': ['true'] }, ''],
  [{ 'is-task': ['0'] }, 'napping made web old'],
  [{ isolation: ['default'] }, 'napping made web old'],
];
for (const [filters, names] of cases) test(`filter ${JSON.stringify(filters)}`, () => assert.equal(list(filters), names));

const refusals: readonly [filters: Record<string, string[]>, kind: string, message: string][] = [
  [{ nosuch: ['x'] }, 'invalid-parameter', "invalid filter 'nosuch'"],
  [
    { status: ['nosuch'] },
    'invalid-parameter',
    "invalid filter 'status=nosuch': invalid value for state (nosuch): must be one of created, running, paused, restarting, removing, exited, dead",
  ],
  [{ health: ['x'] }, 'invalid-parameter', "invalid filter 'health=x': invalid value for health (x): must be one of none, starting, healthy, unhealthy"],
  [{ exited: ['3.5'] }, 'invalid-parameter', `invalid filter 'exited=3.5': strconv.Atoi: parsing "3.5": invalid syntax`],
  [{ before: ['nosuch'] }, 'not-found', 'No such container: nosuch'],
  [{ since: [''] }, 'not-found', 'No such container: '],
  [{ 'is-task': ['x'] }, 'invalid-parameter', "invalid filter 'is-task=[x]'"],
  [{ publish: ['x'] }, 'system', 'error while looking up for publish x: strconv.ParseUint: parsing "x": invalid syntax'],
  [{ publish: ['90-80'] }, 'system', 'error while looking up for publish 90-80: Invalid range specified for the Port: 90-80'],
  [{ expose: ['1-70000'] }, 'system', 'error while looking up for expose 1-70000: strconv.ParseUint: parsing "70000": value out of range'],
  [{ publish: ['/tcp'] }, 'system', 'error while looking up for publish /tcp: Empty string specified for ports.'],
  [{ publish: ['127.0.0.1:80'] }, 'system', "filter for 'publish' should not contain ':': 127.0.0.1:80"],
];
for (const [filters, kind, message] of refusals) test(`refused: ${JSON.stringify(filters)}`, () => assert.throws(() => list(filters), { kind, message }));

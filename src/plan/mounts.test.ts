import assert from 'node:assert/strict';
import test from 'node:test';
import type { MountRequest, MountRequests } from '../model/container.ts';
import { EngineError, notFound } from '../model/errors.ts';
import type { MountPoint, Volume } from '../model/volume.ts';
import { requiredSources, resolveMounts } from './mounts.ts';

const root = '/var/lib/berth';
const nothing: MountRequests = { binds: [], volumes: [], volumesFrom: [], mounts: [], tmpfs: {}, volumeDriver: '' };

const mount = (fields: Partial<MountRequest>): MountRequest => ({
  type: 'volume',
  source: '',
  target: '',
  readonly: false,
  propagation: '',
  createMountpoint: false,
  nonRecursive: false,
  noCopy: false,
  subpath: '',
  labels: undefined,
  driver: '',
  driverOptions: undefined,
  tmpfsSize: 0,
  tmpfsMode: undefined,
  ...fields,
});

const resolve = (requests: Partial<MountRequests>, { others = {}, volumes = [] }: { others?: Record<string, readonly MountPoint[]>; volumes?: readonly Volume[] } = {}) => {
  let names = 0;
  return resolveMounts(
    { ...nothing, ...requests },
    {
      dataRoot: root,
      volumes: new Map(volumes.map((volume) => [volume.name, volume])),
      mountsOf(ref) {
        const mounts = others[ref];
        if (!mounts) throw notFound(`No such container: ${ref}`);
        return mounts;
      },
      volumeName: () => `anonymous${++names}`,
      now: '2026-11-23T17:44:37.123456789Z',
    },
  );
};

/** As `docker inspect` shows it, on a line. */
const shown = ({ type, name, source, destination, mode, readonly, propagation }: MountPoint): string =>
  [type, name || source.replace(root, 'ROOT') || '-', destination, mode || '-', readonly ? 'ro' : 'rw', propagation || '-'].join(' ');

const resolved = (requests: Partial<MountRequests>, others: Record<string, readonly MountPoint[]> = {}): string[] => resolve(requests, { others }).mounts.map(shown);

const failure = (requests: Partial<MountRequests>): string => {
  try {
    resolve(requests);
  } catch (error) {
    assert.ok(error instanceof EngineError);
    return `${error.kind}: ${error.message}`;
  }
  return 'no error';
};

test('-v, every form', () => {
  const rows: [string, string][] = [
    ['plain:/p', 'volume plain /p z rw -'],
    ['plain:/p:', 'volume plain /p z rw -'],
    ['data:/d:ro', 'volume data /d ro ro -'],
    ['data:/d:z,ro', 'volume data /d z,ro ro -'],
    ['data:/d:nocopy', 'volume data /d nocopy rw -'],
    ['ro:/a', 'volume ro /a z rw -'],
    ['/a', 'volume anonymous1 /a z rw -'],
    ['/host:/h', 'bind /host /h - rw rprivate'],
    ['/host/../tmp/:/a/../b/', 'bind /tmp /b - rw rprivate'],
    ['/host:/h:ro', 'bind /host /h ro ro rprivate'],
    ['/host:/h:ro,rslave', 'bind /host /h ro,rslave ro rslave'],
    ['/host:/h:shared', 'bind /host /h shared rw shared'],
    ['/host:/h:Z,consistent', 'bind /host /h Z,consistent rw rprivate'],
    ['/:/host', 'bind / /host - rw rslave'],
    [`${root}:/d`, 'bind ROOT /d - rw rslave'],
    [`${root}:/d:rshared`, 'bind ROOT /d rshared rw rshared'],
  ];
  for (const [bind, line] of rows) assert.deepEqual(resolved({ binds: [bind] }), [line], bind);
});

test('-v, what is wrong and whose fault it is', () => {
  const local = 'includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path';
  const rows: [string, string][] = [
    ['', "system: invalid volume specification: ''"],
    [':/a', "system: invalid volume specification: ':/a'"],
    ['/a:', "system: invalid volume specification: '/a:'"],
    ['/a:rw', "system: invalid volume specification: '/a:rw'"],
    ['a:b:c:d', "system: invalid volume specification: 'a:b:c:d'"],
    ['plain:/a:bad', 'system: invalid mode: bad'],
    ['plain:/a:ro,rw', 'system: invalid mode: ro,rw'],
    ['plain:/a:Z,z', 'system: invalid mode: Z,z'],
    ['plain:relative', `system: invalid volume specification: 'plain:relative': invalid mount config for type "volume": invalid mount path: 'relative' mount path must be absolute`],
    ['plain:/', `system: invalid volume specification: 'plain:/': invalid mount config for type "volume": invalid specification: destination can't be '/'`],
    ['/tmp::ro', `system: invalid volume specification: '/tmp::ro': invalid mount config for type "bind": field Target must not be empty`],
    ['plain:/a:rslave', `system: invalid volume specification: 'plain:/a:rslave': invalid mount config for type "volume": field BindOptions must not be specified`],
    ['/tmp:/a:nocopy', `system: invalid volume specification: '/tmp:/a:nocopy': invalid mount config for type "bind": field VolumeOptions must not be specified`],
    ['relative/path:/x', `invalid-parameter: create relative/path: "relative/path" ${local}`],
    ['../up:/x', `invalid-parameter: create ../up: "../up" ${local}`],
    ['m:/x', 'invalid-parameter: create m: volume name is too short, names should be at least two alphanumeric characters'],
    [`${root}/x:/x:private`, `invalid-parameter: invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root, daemon root: "${root}", bind mount source: "${root}/x", propagation: "private"`],
  ];
  for (const [bind, message] of rows) assert.equal(failure({ binds: [bind] }), message, bind);
  assert.equal(failure({ binds: ['aa:/a', 'bb:/a/'] }), 'invalid-parameter: Duplicate mount point: /a');
  assert.equal(failure({ binds: ['aa:/a'], tmpfs: { '/a': '' } }), 'invalid-parameter: Duplicate mount point: /a');
  assert.equal(failure({ binds: ['aa:/a'], volumeDriver: 'nosuch' }), 'not-found: create aa: error looking up volume plugin nosuch: plugin "nosuch" not found');
  assert.equal(failure({ volumes: ['/a'], volumeDriver: 'nosuch' }), 'not-found: create anonymous1: error looking up volume plugin nosuch: plugin "nosuch" not found');
});

test('--mount', () => {
  const rows: [Partial<MountRequest>, string][] = [
    [{ target: '/a' }, 'volume anonymous1 /a z rw -'],
    [{ source: 'plain', target: '/a/', readonly: true }, 'volume plain /a z ro -'],
    [{ source: 'plain', target: '/a', subpath: 'x/y' }, 'volume plain /a z rw -'],
    [{ type: 'bind', source: '/tmp/', target: '/a', readonly: true }, 'bind /tmp /a - ro rprivate'],
    [{ type: 'bind', source: '/tmp', target: '/a', propagation: 'shared' }, 'bind /tmp /a - rw shared'],
    [{ type: 'tmpfs', target: '/t', tmpfsSize: 65536 }, 'tmpfs - /t - rw -'],
  ];
  for (const [request, line] of rows) assert.deepEqual(resolved({ mounts: [mount(request)] }), [line], line);
  assert.deepEqual(resolve({ mounts: [mount({ type: 'tmpfs', target: '/t', tmpfsSize: 3 * 2 ** 20, tmpfsMode: 0o1700, readonly: true })] }).mounts[0]?.options, ['ro', 'mode=1700', 'size=3m']);
  assert.deepEqual(requiredSources({ ...nothing, mounts: [mount({ type: 'bind', source: '/x', target: '/a' }), mount({ type: 'bind', source: '/y', target: '/b', createMountpoint: true })] }), ['/x']);
});

test('--mount, what is wrong', () => {
  const rows: [Partial<MountRequest>, string][] = [
    [{ target: '/a', readonly: true }, 'invalid mount config for type "volume": must not set ReadOnly mode when using anonymous volumes'],
    [{ source: 'plain', target: '/a', subpath: 'a/../../y' }, 'invalid mount config for type "volume": subpath must be a relative path within the volume'],
    [{ target: '/a', subpath: 'y' }, 'invalid mount config for type "volume": must not set Subpath when using anonymous volumes'],
    [{ source: 'plain', target: '/a', propagation: 'rslave' }, 'BindOptions must not be specified on mount type "volume"'],
    [{ type: 'bind', source: 'rel', target: '/a' }, `invalid mount config for type "bind": invalid mount path: 'rel' mount path must be absolute`],
    [{ type: 'bind', target: '/a' }, 'invalid mount config for type "bind": field Source must not be empty'],
    [{ type: 'bind', source: '/tmp' }, 'invalid mount config for type "bind": field Target must not be empty'],
    [{ type: 'bind', source: '/tmp', target: '/.' }, `invalid mount config for type "bind": invalid specification: destination can't be '/'`],
    [{ type: 'tmpfs', target: '/a', source: 'x' }, 'invalid mount config for type "tmpfs": field Source must not be specified'],
    [{ type: 'npipe', target: '/a', source: 'x' }, 'invalid mount config for type "npipe": mount type unknown'],
  ];
  for (const [request, message] of rows) assert.equal(failure({ mounts: [mount(request)] }), `invalid-parameter: ${message}`);
  assert.equal(failure({ binds: ['aa:/a'], mounts: [mount({ source: 'bb', target: '/a/' })] }), 'invalid-parameter: Duplicate mount point: /a/');
  assert.equal(failure({ tmpfs: { rel: '' } }), "invalid-parameter: invalid mount path: 'rel' mount path must be absolute");
  assert.equal(failure({ tmpfs: { '/': '' } }), "invalid-parameter: invalid specification: destination can't be '/'");
});

test('--volumes-from copies what the other container has, and -v and --tmpfs win over it', () => {
  const { mounts } = resolve({ binds: ['plain:/p', 'data:/d:ro', '/tmp:/b:rslave', 'quiet:/q:nocopy'], volumes: ['/anon'], tmpfs: { '/t': '' }, mounts: [mount({ type: 'tmpfs', target: '/tm' })] });
  const others = { ww: mounts };
  assert.deepEqual(resolved({ volumesFrom: ['ww'] }, others), [
    'volume plain /p - rw -',
    'volume data /d - ro -',
    'bind /tmp /b - rw rslave',
    'volume quiet /q - rw -',
    'volume anonymous1 /anon - rw -',
  ]);
  const second = resolve({ volumesFrom: ['ww:ro'] }, { others }).mounts;
  assert.ok(second.every(({ readonly, copyUp }) => readonly && !copyUp));
  assert.deepEqual(second.filter(({ anonymous }) => anonymous).map(({ name }) => name), ['anonymous1']);
  assert.deepEqual(resolved({ volumesFrom: ['second:rw'] }, { second })[0], 'volume plain /p - ro -');

  assert.deepEqual(resolved({ volumesFrom: ['ww'], binds: ['other:/p'], volumes: ['/anon', '/mine'], tmpfs: { '/d': 'size=1m' } }, others), [
    'volume other /p z rw -',
    'volume data /d - ro -',
    'bind /tmp /b - rw rslave',
    'volume quiet /q - rw -',
    'volume anonymous1 /anon - rw -',
    'volume anonymous1 /mine - rw -',
    'tmpfs - /d - rw -',
  ]);
  for (const [spec, message] of [
    ['nosuch', 'No such container: nosuch'],
    ['nosuch:z', 'No such container: nosuch'],
    ['ww:bad', 'invalid mode: bad'],
    ['ww:rslave', 'invalid mode: rslave'],
    ['ww:nocopy', 'invalid mode: nocopy'],
    ['', 'volumes-from specification cannot be an empty string'],
  ] as const)
    assert.equal(failure({ volumesFrom: [spec] }), `invalid-parameter: ${message}`);
});

test('image volumes give way to everything, and to a tmpfs', () => {
  assert.deepEqual(resolved({ volumes: ['/a', '/b/', '/t'], binds: ['plain:/a'], tmpfs: { '/t/': 'size=64k,noexec' } }), [
    'volume plain /a z rw -',
    'volume anonymous1 /b - rw -',
    'tmpfs - /t - rw -',
  ]);
});

test('parents first', () => {
  assert.deepEqual(resolved({ binds: ['log:/data/log', 'data:/data', 'deep:/x/y/z'] }).map((line) => line.split(' ')[2]), ['/data', '/data/log', '/x/y/z']);
});

test('volumes that are not there yet', () => {
  const there: Volume = { name: 'there', created: '', driver: 'local', mountpoint: '/elsewhere', labels: undefined, options: undefined, anonymous: false };
  const { mounts, newVolumes } = resolve(
    { binds: ['there:/a', 'fresh:/b', 'fresh:/c'], volumes: ['/d'], mounts: [mount({ source: 'made', target: '/e', labels: { k: 'v' }, driverOptions: { type: 'tmpfs', device: 'tmpfs' } })] },
    { volumes: [there] },
  );
  assert.equal(mounts[0]?.source, '/elsewhere');
  assert.deepEqual(newVolumes, [
    { name: 'fresh', created: '2026-11-23T17:44:37Z', driver: 'local', mountpoint: `${root}/volumes/fresh/_data`, labels: undefined, options: undefined, anonymous: false },
    { name: 'made', created: '2026-11-23T17:44:37Z', driver: 'local', mountpoint: `${root}/volumes/made/_data`, labels: { k: 'v' }, options: { type: 'tmpfs', device: 'tmpfs' }, anonymous: false },
    { name: 'anonymous1', created: '2026-11-23T17:44:37Z', driver: 'local', mountpoint: `${root}/volumes/anonymous1/_data`, labels: { 'com.docker.volume.anonymous': '' }, options: undefined, anonymous: true },
  ]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerSpec, Exec } from '../model/container.ts';
import type { JsonObject } from '../model/json.ts';
import type { MountPoint } from '../model/volume.ts';
import { ALL_CAPABILITIES } from './capabilities.ts';
import { containerSpec, execProcess } from './oci-spec.ts';
import type { Machine, SpecInput } from './oci-spec.ts';

const ID = '46ceaaaf5fec8697411401f89bdbbeb97f24fad929c8f38bcacab2df98584ffa';

const plain: ContainerSpec = {
  image: 'busybox', hostname: '', domainname: '', user: '', tty: false, openStdin: false, consoleSize: [0, 0], stdinOnce: false, env: undefined, cmd: ['sleep', '100'],
  entrypoint: undefined, workingDir: '', labels: {}, stopSignal: undefined, stopTimeout: undefined, healthcheck: undefined, exposedPorts: [],
  networkMode: 'bridge', endpoints: [], portRequests: [], publishAll: false, dns: [], dnsSearch: [], dnsOptions: [], extraHosts: [], links: [],
  autoRemove: false, restart: { name: 'no', maximum: 0 }, log: { driver: 'json-file', options: {} }, init: false, runtime: 'crun',
  readonlyRootfs: false, privileged: false, capAdd: [], capDrop: [], securityOpt: [], groupAdd: [], maskedPaths: undefined, readonlyPaths: undefined,
  sysctls: {}, ulimits: [], devices: [], deviceCgroupRules: [], ipcMode: 'private', pidMode: '', utsMode: '', cgroupnsMode: 'host', cgroupParent: '',
  oomScoreAdj: 0, shmSize: 67108864,
  resources: {
    memory: 0, memorySwap: 0, memoryReservation: 0, memorySwappiness: undefined, oomKillDisable: false, nanoCpus: 0, cpuShares: 0, cpuPeriod: 0,
    cpuQuota: 0, cpuRealtimePeriod: 0, cpuRealtimeRuntime: 0, cpusetCpus: '', cpusetMems: '', pidsLimit: undefined, blkioWeight: 0,
  },
};

const machine: Machine = {
  arch: 'amd64',
  kernel: [6, 18],
  cgroupVersion: '1',
  capabilities: ALL_CAPABILITIES.filter((name) => name !== 'CAP_SYS_RESOURCE'),
  limits: { RLIMIT_NOFILE: 20000 },
  initPath: '/usr/bin/docker-init',
  seccompProfile: undefined,
};

const spec = (asked: Partial<ContainerSpec> = {}, more: Partial<Omit<SpecInput, 'container'>> & { mounts?: readonly MountPoint[] } = {}): JsonObject => {
  const { mounts = [], ...rest } = more;
  return containerSpec({
    container: { id: ID, spec: { ...plain, ...asked }, mounts },
    machine,
    rootfs: '/data/overlay2/x/merged',
    files: { resolvConf: '/c/resolv.conf', hostname: '/c/hostname', hosts: '/c/hosts' },
    hostname: '46ceaaaf5fec',
    netnsPath: '/run/netns/x',
    user: { uid: 0, gid: 0, additionalGids: [0], home: '/root' },
    ...rest,
  });
};

const mount = (asked: Partial<MountPoint>): MountPoint => ({
  type: 'bind', name: '', source: '/src', destination: '/dst', driver: '', mode: '', readonly: false, propagation: 'rprivate', copyUp: false, options: [],
  subpath: '', createSource: false, nonRecursive: false, anonymous: false, asked: 'bind', ...asked,
});

const at = (value: unknown, path: string): any => path.split('.').reduce<any>((found, key) => found?.[key], value);
const mountsOf = (value: JsonObject): string[] =>
  at(value, 'mounts').map((each: JsonObject) => `${each['destination']} ${each['type']} ${each['source']} ${(each['options'] as string[]).join(',')}`);

const DEFAULT_MOUNTS = [
  '/proc proc proc nosuid,noexec,nodev',
  '/dev tmpfs tmpfs nosuid,strictatime,mode=755,size=65536k',
  '/dev/pts devpts devpts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5',
  '/sys sysfs sysfs nosuid,noexec,nodev,ro',
  '/sys/fs/cgroup cgroup cgroup ro,nosuid,noexec,nodev',
  '/dev/mqueue mqueue mqueue nosuid,noexec,nodev',
  '/dev/shm tmpfs shm nosuid,noexec,nodev,mode=1777,size=67108864',
];
const ETC_MOUNTS = [
  '/etc/resolv.conf bind /c/resolv.conf rbind,rprivate',
  '/etc/hostname bind /c/hostname rbind,rprivate',
  '/etc/hosts bind /c/hosts rbind,rprivate',
];

test('a container that asks for nothing', () => {
  const { linux, process, mounts, ...rest } = spec();
  const { seccomp, ...isolation } = linux as JsonObject;
  const { capabilities, ...first } = process as JsonObject;
  assert.deepEqual(rest, { ociVersion: '1.0.2', root: { path: '/data/overlay2/x/merged' }, hostname: '46ceaaaf5fec' });
  assert.deepEqual(first, {
    user: { uid: 0, gid: 0, additionalGids: [0] },
    args: ['sleep', '100'],
    env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOSTNAME=46ceaaaf5fec', 'HOME=/root'],
    cwd: '/',
    rlimits: [],
    noNewPrivileges: false,
  });
  assert.equal(at(capabilities, 'bounding').length, 14);
  assert.deepEqual(mountsOf({ mounts: mounts ?? [] }), [...DEFAULT_MOUNTS, ...ETC_MOUNTS]);
  assert.equal(at(seccomp, 'syscalls').length, 13);
  const rule = (allow: boolean, major: number, minor: number): JsonObject => ({ allow, type: 'c', major, minor, access: 'rwm' });
  assert.deepEqual(isolation, {
    sysctl: { 'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '0 2147483647' },
    resources: {
      devices: [{ allow: false, access: 'rwm' }, rule(true, 1, 5), rule(true, 1, 3), rule(true, 1, 9), rule(true, 1, 8), rule(true, 5, 0), rule(true, 5, 1), rule(false, 10, 229)],
    },
    cgroupsPath: `/docker/${ID}`,
    namespaces: [{ type: 'mount' }, { type: 'network', path: '/run/netns/x' }, { type: 'uts' }, { type: 'pid' }, { type: 'ipc' }],
    maskedPaths: ['/proc/asound', '/proc/acpi', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/timer_stats',
      '/proc/sched_debug', '/proc/scsi', '/sys/firmware', '/sys/devices/virtual/powercap'],
    readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
  });
});

test('never an annotation, whatever the labels say', () => {
  assert.equal('annotations' in spec({ labels: { 'run.oci.hooks.stdout': '/etc/passwd' } }), false);
});

test('command, environment and directory', () => {
  const first = spec(
    { entrypoint: ['sh', '-c'], cmd: ['env'], tty: true, workingDir: '/a/b', env: ['PATH=/x', 'A=1', 'TERM=foo', 'HOSTNAME', 'A=2', 'E='] },
    { consoleSize: [24, 80], linkEnv: ['DB_NAME=/web/db'] },
  )['process'];
  assert.deepEqual(at(first, 'args'), ['sh', '-c', 'env']);
  assert.deepEqual(at(first, 'env'), ['PATH=/x', 'TERM=foo', 'DB_NAME=/web/db', 'A=2', 'E=', 'HOME=/root']);
  assert.equal(at(first, 'cwd'), '/a/b');
  assert.equal(at(first, 'terminal'), true);
  assert.deepEqual(at(first, 'consoleSize'), { height: 24, width: 80 });
  assert.deepEqual(at(spec({ env: ['HOME=/zz'] }), 'process.env').slice(2), ['HOME=/zz']);
});

test('privileged: everything the daemon has, nothing hidden', () => {
  const all = spec({ privileged: true }, { devices: [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229, mode: 0o20600, uid: 0, gid: 0, permissions: 'rwm' }] });
  assert.equal(at(all, 'process.capabilities.effective').length, 40);
  assert.deepEqual(Object.keys(at(all, 'linux')), ['sysctl', 'resources', 'cgroupsPath', 'namespaces', 'devices']);
  assert.deepEqual(at(all, 'linux.resources.devices'), [{ allow: true, access: 'rwm' }]);
  assert.deepEqual(at(all, 'linux.devices'), [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 0o600, uid: 0, gid: 0 }]);
  assert.deepEqual(mountsOf(all).slice(3, 5), ['/sys sysfs sysfs nosuid,noexec,nodev', '/sys/fs/cgroup cgroup cgroup nosuid,noexec,nodev']);
});

test('namespaces of the host and of other containers', () => {
  const types = (value: JsonObject): string[] => at(value, 'linux.namespaces').map(({ type, path }: { type: string; path?: string }) => (path ? `${type}=${path}` : type));
  const host = spec({ networkMode: 'host', pidMode: 'host', ipcMode: 'host', utsMode: 'host' }, { netnsPath: '', shmPath: '/dev/shm' });
  assert.deepEqual(types(host), ['mount']);
  assert.equal('hostname' in host, false);
  assert.deepEqual(at(host, 'linux.sysctl'), {});
  assert.equal(mountsOf(host)[6], '/dev/shm bind /dev/shm rbind,rprivate');
  assert.deepEqual(
    types(spec({ networkMode: 'container:x', pidMode: 'container:x', ipcMode: 'container:x' }, { netnsPath: '/proc/7/ns/net', joins: { pid: '/proc/7/ns/pid', ipc: '/proc/7/ns/ipc' } })),
    ['mount', 'network=/proc/7/ns/net', 'uts', 'pid=/proc/7/ns/pid', 'ipc=/proc/7/ns/ipc'],
  );
  assert.deepEqual(types(spec({ cgroupnsMode: '' }, { machine: { ...machine, cgroupVersion: '2' } })).at(-1), 'cgroup');
  assert.equal(mountsOf(spec({ ipcMode: 'none' })).some((each) => each.startsWith('/dev/shm')), false);
});

test('mounts: parents first, the client\'s instead of the defaults', () => {
  const mounts = [
    mount({ destination: '/etc', source: '/tmp/etc', readonly: true }),
    mount({ type: 'tmpfs', source: '', destination: '/run', options: ['size=64k', 'exec', 'rw'] }),
    mount({ type: 'volume', name: 'v', source: '/vol/v/_data', destination: '/data', propagation: '', subpath: 'logs' }),
    mount({ destination: '/data/deep', nonRecursive: true, propagation: 'rslave' }),
    mount({ destination: '/dev/shm', source: '/tmp/shm' }),
  ];
  const mixed = spec({}, { mounts, directorySources: new Set(['/tmp/etc']), subpaths: new Map([['/data', '/run/berth/subpaths/c-2']]) });
  assert.deepEqual(mountsOf(mixed), [
    ...DEFAULT_MOUNTS.slice(0, 6),
    '/etc bind /tmp/etc rbind,rro,rprivate',
    '/run tmpfs tmpfs exec,nosuid,nodev,rprivate,size=64k,rw',
    '/data bind /run/berth/subpaths/c-2 rbind,rprivate',
    '/data/deep bind /src bind,rslave',
    '/dev/shm bind /tmp/shm rbind,rprivate',
    ...ETC_MOUNTS,
  ]);
  assert.equal(at(mixed, 'linux.rootfsPropagation'), 'rslave');
  assert.deepEqual(mountsOf(spec({}, { mounts: [mount({ destination: '/dev', source: '/dev' })] })), [DEFAULT_MOUNTS[0], DEFAULT_MOUNTS[3], DEFAULT_MOUNTS[4], '/dev bind /dev rbind,rprivate', ...ETC_MOUNTS]);
  const readonly = spec({ readonlyRootfs: true }, { mounts: [mount({ destination: '/etc/hosts', readonly: true })] });
  assert.deepEqual(at(readonly, 'root.readonly'), true);
  assert.deepEqual(mountsOf(readonly).slice(7), ['/etc/hosts bind /src rbind,ro,rprivate', '/etc/resolv.conf bind /c/resolv.conf rbind,ro,rprivate', '/etc/hostname bind /c/hostname rbind,ro,rprivate']);
});

test('--init goes before the command, in a PID namespace of its own', () => {
  const own = spec({ init: true });
  assert.deepEqual(at(own, 'process.args'), ['/sbin/docker-init', '--', 'sleep', '100']);
  assert.equal(mountsOf(own).find((each) => each.startsWith('/sbin')), '/sbin/docker-init bind /usr/bin/docker-init bind,ro');
  assert.deepEqual(at(spec({ init: true, pidMode: 'host' }), 'process.args'), ['sleep', '100']);
  assert.throws(() => spec({ init: true }, { machine: { ...machine, initPath: undefined } }), { message: 'exec: "docker-init": executable file not found in $PATH' });
});

test('limits', () => {
  const resources = { ...plain.resources, memory: 67108864, nanoCpus: 500_000_000, pidsLimit: 20, memorySwappiness: 0, cpusetCpus: '0' };
  assert.deepEqual({ ...at(spec({ resources }), 'linux.resources'), devices: [] }, {
    devices: [],
    memory: { limit: 67108864, swap: 134217728, swappiness: 0 },
    cpu: { quota: 50000, period: 100000, cpus: '0' },
    pids: { limit: 20 },
  });
  const ulimits = [{ name: 'nofile', soft: 1024, hard: 1_000_000 }, { name: 'core', soft: 0, hard: -1 }, { name: 'memlock', soft: -1, hard: -1 }];
  assert.deepEqual(at(spec({ ulimits }), 'process.rlimits'), [
    { type: 'RLIMIT_CORE', hard: -1, soft: 0 },
    { type: 'RLIMIT_MEMLOCK', hard: -1, soft: -1 },
    { type: 'RLIMIT_NOFILE', hard: 20000, soft: 1024 },
  ]);
  assert.match(JSON.stringify(at(spec({ ulimits, runtime: 'runc' }), 'process.rlimits')), /"RLIMIT_CORE","hard":18446744073709550000/);
  assert.equal(at(spec({ oomScoreAdj: 500 }), 'process.oomScoreAdj'), 500);
  assert.equal(at(spec({ cgroupParent: 'foo' }), 'linux.cgroupsPath'), `foo/${ID}`);
});

test('devices and their rules', () => {
  const withDevice = spec(
    { deviceCgroupRules: ['c 1:3 mr', 'a *:* rwm'] },
    { devices: [{ path: '/dev/zap', type: 'c', major: 1, minor: 3, mode: 0o20666, uid: 0, gid: 0, permissions: 'r' }] },
  );
  assert.deepEqual(at(withDevice, 'linux.devices'), [{ path: '/dev/zap', type: 'c', major: 1, minor: 3, fileMode: 438, uid: 0, gid: 0 }]);
  assert.deepEqual(at(withDevice, 'linux.resources.devices').slice(8), [
    { allow: true, type: 'c', major: 1, minor: 3, access: 'r' },
    { allow: true, type: 'c', major: 1, minor: 3, access: 'mr' },
    { allow: true, type: 'a', access: 'rwm' },
  ]);
  assert.throws(() => spec({ deviceCgroupRules: ['foo'] }), { message: "invalid device cgroup rule format: 'foo'" });
});

test('security options', () => {
  assert.equal(at(spec({ securityOpt: ['no-new-privileges'] }), 'process.noNewPrivileges'), true);
  assert.equal(at(spec({ securityOpt: ['no-new-privileges:false', 'label=disable', 'apparmor=x'] }), 'process.noNewPrivileges'), false);
  assert.equal(at(spec({ securityOpt: ['seccomp=unconfined'] }), 'linux.seccomp'), undefined);
  assert.deepEqual(at(spec({ securityOpt: ['seccomp={"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"name":"mkdir","action":"SCMP_ACT_ERRNO"}]}'] }), 'linux.seccomp'), {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: ['SCMP_ARCH_X86_64'],
    syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO' }],
  });
  assert.throws(() => spec({ securityOpt: ['foo=bar'] }), { message: 'invalid --security-opt 2: "foo=bar"' });
  assert.throws(() => spec({ securityOpt: ['foo'] }), { message: 'invalid --security-opt 1: "foo"' });
  assert.deepEqual(at(spec({ maskedPaths: [], readonlyPaths: [] }), 'linux.maskedPaths'), []);
});

test('the default seccomp profile is one object for containers alike', () => {
  assert.equal(at(spec(), 'linux.seccomp'), at(spec({ tty: true }), 'linux.seccomp'));
  assert.notEqual(at(spec(), 'linux.seccomp'), at(spec({ capAdd: ['SYS_ADMIN'] }), 'linux.seccomp'));
});

test('an exec: the container\'s environment, then its own', () => {
  const exec: Pick<Exec, 'cmd' | 'env' | 'workingDir' | 'privileged' | 'tty'> = { cmd: ['env'], env: ['B=2', 'A=5'], workingDir: '', privileged: false, tty: true };
  const user = { uid: 7, gid: 8, additionalGids: [8], home: '/' };
  const container = { spec: { ...plain, env: ['A=1'], workingDir: '/tmp', securityOpt: ['no-new-privileges'] } };
  const { capabilities, ...process } = execProcess({ container, exec, machine, user, hostname: 'h' });
  assert.deepEqual(process, {
    terminal: true,
    user: { uid: 7, gid: 8, additionalGids: [8] },
    args: ['env'],
    env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOSTNAME=h', 'TERM=xterm', 'A=5', 'B=2', 'HOME=/'],
    cwd: '/tmp',
    rlimits: [],
    noNewPrivileges: true,
  });
  assert.equal(at(capabilities, 'bounding').length, 14);
  assert.equal(at(execProcess({ container, exec: { ...exec, privileged: true }, machine, user, hostname: 'h' }), 'capabilities.bounding').length, 40);
});

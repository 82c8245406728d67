import { systemError } from '../model/errors.ts';
import type { Container, ContainerSpec, Exec, Resources } from '../model/container.ts';
import type { DeviceNode } from '../model/device.ts';
import type { Json, JsonObject } from '../model/json.ts';
import { MASKED_PATHS, READONLY_PATHS } from '../model/masks.ts';
import type { MountPoint } from '../model/volume.ts';
import { ALL_CAPABILITIES, resolveCapabilities } from './capabilities.ts';
import { DEFAULT_SECCOMP_PROFILE } from './seccomp-profile.ts';
import { resolveSeccomp } from './seccomp.ts';
import type { Arch, KernelVersion, SeccompProfile } from './seccomp.ts';
import { securityOptions } from './security-options.ts';
import type { User } from './users.ts';

/** What is the same for every container: the machine, and what the daemon itself may do. */
export type Machine = {
  readonly arch: Arch;
  readonly kernel: KernelVersion;
  readonly cgroupVersion: '1' | '2';
  /** Those the daemon has to give (`capabilitiesOfMask` of its own CapBnd). */
  readonly capabilities: readonly string[];
  /** The daemon's own hard limits, by OCI name (RLIMIT_NOFILE); absent or Infinity: none. */
  readonly limits: Readonly<Record<string, number>>;
  /** The host's docker-init or tini. */
  readonly initPath: string | undefined;
  /** --seccomp-profile; undefined: the default profile. */
  readonly seccompProfile: SeccompProfile | 'unconfined' | undefined;
};

export type SpecInput = {
  readonly container: Pick<Container, 'id' | 'spec' | 'mounts'>;
  readonly machine: Machine;
  readonly rootfs: string;
  readonly files: { readonly resolvConf: string; readonly hostname: string; readonly hosts: string };
  /** What it calls itself; '' with a UTS namespace that is not its own. */
  readonly hostname: string;
  /** The network namespace's path; '': the host's. */
  readonly netnsPath: string;
  /** Of the container whose namespaces it joins (`--pid container:REF`, `--ipc container:REF`). */
  readonly joins?: { readonly pid?: string; readonly ipc?: string };
  /** Where /dev/shm is on the host when it is shared (`--ipc shareable`, `container:REF`); '/dev/shm' with the host's. */
  readonly shmPath?: string | undefined;
  readonly user: User;
  /** Of `--device`; with `--privileged`, all the host has. */
  readonly devices?: readonly DeviceNode[];
  /** What links say: NAME=value. */
  readonly linkEnv?: readonly string[];
  /** Those sources of binds that are directories: read-only reaches what is mounted below them (crun can not do that to a file). */
  readonly directorySources?: ReadonlySet<string>;
  /** What is forbidden (nosuid, noexec...) where a source lies, by source: not every runtime lets a bind inherit it. */
  readonly mountWords?: ReadonlyMap<string, readonly string[]>;
  /** Where parts of volumes are held fast, by destination: their paths may lead elsewhere by now. */
  readonly subpaths?: ReadonlyMap<string, string>;
  readonly consoleSize?: readonly [rows: number, columns: number] | undefined;
};

/** The OCI runtime's config.json of a container. Debian bookworm's crun and runc take no newer version of it than this. */
export const containerSpec = (input: SpecInput): JsonObject => {
  const { container, machine, rootfs, hostname, netnsPath, devices = [] } = input;
  const { spec } = container;
  const security = securityOptions(spec.securityOpt);
  const capabilities = resolveCapabilities(spec, machine.capabilities);
  const ownUts = spec.utsMode !== 'host';
  const seccomp = spec.privileged ? undefined : seccompOf(security.seccomp, capabilities, machine);
  return {
    ociVersion: '1.0.2',
    process: firstProcess(input, capabilities, security.noNewPrivileges),
    root: { path: rootfs, ...(spec.readonlyRootfs ? { readonly: true } : {}) },
    ...(ownUts ? { hostname } : {}),
    mounts: mountList(input, security.writableCgroups),
    linux: {
      sysctl: {
        ...(netnsPath === '' || spec.networkMode.startsWith('container:') ? {} : OWN_NETWORK_SYSCTLS),
        ...(ownUts && spec.domainname !== '' ? { 'kernel.domainname': spec.domainname } : {}),
        ...spec.sysctls,
      },
      resources: { devices: deviceRules(spec, devices), ...limits(spec.resources) },
      cgroupsPath: cgroupsPath(container),
      namespaces: namespaces(input),
      ...(devices.length > 0 ? { devices: devices.map(deviceNode) } : {}),
      ...(spec.privileged ? {} : { maskedPaths: spec.maskedPaths ?? MASKED_PATHS, readonlyPaths: spec.readonlyPaths ?? READONLY_PATHS }),
      ...(seccomp ? { seccomp } : {}),
      ...rootPropagation(container.mounts),
    },
  };
};

/** Below the root of every controller's hierarchy. */
export const cgroupsPath = ({ id, spec }: Pick<Container, 'id' | 'spec'>): string => `${spec.cgroupParent === '' ? '/docker' : spec.cgroupParent}/${id}`;

/** The OCI process of an exec: in the container's namespaces and limits, with its environment before the exec's own. */
export const execProcess = ({
  container,
  exec,
  machine,
  user,
  hostname,
  linkEnv = [],
  consoleSize,
}: Pick<SpecInput, 'machine' | 'user' | 'hostname' | 'linkEnv' | 'consoleSize'> & {
  readonly container: Pick<Container, 'spec'>;
  readonly exec: Pick<Exec, 'cmd' | 'env' | 'workingDir' | 'privileged' | 'tty'>;
}): JsonObject => {
  const { spec } = container;
  const capabilities = resolveCapabilities({ ...spec, privileged: spec.privileged || exec.privileged }, machine.capabilities);
  return {
    ...terminal(exec.tty, consoleSize),
    user: ociUser(user),
    args: exec.cmd,
    env: environment({ own: daemonEnv(hostname, exec.tty, linkEnv), asked: [...(spec.env ?? []), ...exec.env], home: user.home }),
    cwd: exec.workingDir || spec.workingDir || '/',
    capabilities: capabilitySets(capabilities),
    rlimits: rlimits(spec, machine.limits),
    noNewPrivileges: securityOptions(spec.securityOpt).noNewPrivileges,
  };
};

/** Where the container sees the init that `--init` puts before its command. */
export const INIT_PATH = '/sbin/docker-init';

const firstProcess = ({ container, machine, user, hostname, linkEnv = [], consoleSize }: SpecInput, capabilities: readonly string[], noNewPrivileges: boolean): JsonObject => {
  const { spec } = container;
  const command = [...(spec.entrypoint ?? []), ...(spec.cmd ?? [])];
  return {
    ...terminal(spec.tty, consoleSize),
    user: ociUser(user),
    args: withInit(spec) ? [INIT_PATH, '--', ...command] : command,
    env: environment({ own: daemonEnv(hostname, spec.tty, linkEnv), asked: spec.env ?? [], home: user.home }),
    cwd: spec.workingDir || '/',
    capabilities: capabilitySets(capabilities),
    rlimits: rlimits(spec, machine.limits),
    noNewPrivileges,
    // Even writing what is there already can fail without CAP_SYS_RESOURCE, when the daemon's own is higher.
    ...(spec.oomScoreAdj === 0 ? {} : { oomScoreAdj: spec.oomScoreAdj }),
  };
};

/** An init is for a PID namespace of one's own. */
const withInit = ({ init, pidMode }: ContainerSpec): boolean => init && pidMode === '';

const terminal = (tty: boolean, size: readonly [rows: number, columns: number] | undefined): JsonObject =>
  tty ? { terminal: true, ...(size && size[0] > 0 && size[1] > 0 ? { consoleSize: { height: size[0], width: size[1] } } : {}) } : {};

const ociUser = ({ uid, gid, additionalGids }: User): JsonObject => ({ uid, gid, additionalGids });

const capabilitySets = (capabilities: readonly string[]): JsonObject => ({ bounding: capabilities, effective: capabilities, permitted: capabilities });

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const daemonEnv = (hostname: string, tty: boolean, linkEnv: readonly string[]): string[] => [
  DEFAULT_PATH,
  `HOSTNAME=${hostname}`,
  ...(tty ? ['TERM=xterm'] : []),
  ...linkEnv,
];

/** What is asked for replaces what is there, in its place; a name without a value takes it away. */
const environment = ({ own, asked, home }: { readonly own: readonly string[]; readonly asked: readonly string[]; readonly home: string }): string[] => {
  const env = new Map(own.map((entry) => [nameOf(entry), entry]));
  for (const entry of asked) {
    if (entry.includes('=')) env.set(nameOf(entry), entry);
    else env.delete(entry);
  }
  if (!env.has('HOME')) env.set('HOME', `HOME=${home}`);
  return [...env.values()];
};

const nameOf = (entry: string): string => entry.slice(0, entry.indexOf('='));

/** Never above the daemon's own hard limit: without CAP_SYS_RESOURCE it could not be raised. */
const rlimits = ({ ulimits, runtime }: ContainerSpec, hardLimits: Machine['limits']): JsonObject[] =>
  ulimits
    .map(({ name, soft, hard }) => {
      const type = `RLIMIT_${name.toUpperCase()}`;
      const most = hardLimits[type] ?? Infinity;
      const limit = (asked: number): number => {
        const clamped = Math.min(asked < 0 ? Infinity : asked, most);
        return clamped <= Number.MAX_SAFE_INTEGER ? clamped : unlimited(runtime);
      };
      return { type, hard: limit(hard), soft: limit(soft) };
    })
    .sort((a, b) => (a.type < b.type ? -1 : 1));

/** 2^64-1 is no JavaScript number. crun takes -1 for it; others the largest number below, which is as good to all but the eye. */
const unlimited = (runtime: string): number => (runtime === 'crun' ? -1 : 2 ** 64 - 2 ** 11);

// ---- mounts

const PROC: JsonObject = { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] };
const DEV: JsonObject = { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] };
const DEVPTS: JsonObject = { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] };
const MQUEUE: JsonObject = { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] };
const DEFAULT_SHM_SIZE = 64 * 1024 * 1024;

const sysfs = (writable: boolean): JsonObject => ({ destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', ...(writable ? [] : ['ro'])] });
const cgroup = (writable: boolean): JsonObject => ({
  destination: '/sys/fs/cgroup',
  type: 'cgroup',
  source: 'cgroup',
  options: [...(writable ? [] : ['ro']), 'nosuid', 'noexec', 'nodev'],
});

/** /dev/shm: the container's own, one kept on the host for others to share, or none. */
const sharedMemory = ({ container: { spec }, shmPath }: SpecInput): JsonObject[] => {
  if (spec.ipcMode === 'none') return [];
  if (shmPath !== undefined) return [{ destination: '/dev/shm', type: 'bind', source: shmPath, options: ['rbind', 'rprivate', ...(spec.ipcMode === 'host' ? [] : ['nosuid', 'noexec', 'nodev'])] }];
  const size = spec.shmSize || DEFAULT_SHM_SIZE;
  return [{ destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${size}`] }];
};

const mountList = (input: SpecInput, writableCgroups: boolean): JsonObject[] => {
  const { container, machine, files, directorySources, subpaths } = input;
  const sourceOf = ({ destination, source }: MountPoint): string => subpaths?.get(destination) ?? source;
  const { spec, mounts } = container;
  const hidden = new Set(mounts.filter(({ asked }) => asked === 'tmpfs').map(({ destination }) => destination));
  const taken = new Set(mounts.map(({ destination }) => destination));
  const replaced = (destination: string): boolean => taken.has(destination) || (taken.has('/dev') && destination.startsWith('/dev/'));
  const defaults = [PROC, DEV, DEVPTS, sysfs(spec.privileged), cgroup(spec.privileged || writableCgroups), MQUEUE, ...sharedMemory(input)];

  const etc = [
    { destination: '/etc/resolv.conf', source: files.resolvConf },
    { destination: '/etc/hostname', source: files.hostname },
    { destination: '/etc/hosts', source: files.hosts },
  ].map((file) => ({ ...file, type: 'bind', options: ['rbind', ...(spec.readonlyRootfs ? ['ro'] : []), 'rprivate'] }));
  const recursive = hasRecursiveReadonly(machine.kernel);
  const isDirectory = (mount: MountPoint): boolean => (mount.type === 'volume' && mount.subpath === '') || directorySources?.has(sourceOf(mount)) === true;
  const own: JsonObject[] = [
    ...mounts.filter(({ asked, destination }) => asked === 'tmpfs' || !hidden.has(destination)).map((mount) => ociMount(mount, sourceOf(mount), recursive && isDirectory(mount) && !mount.nonRecursive ? 'rro' : 'ro', input.mountWords?.get(mount.source) ?? [])),
    ...etc.filter(({ destination }) => !taken.has(destination)),
    ...(withInit(spec) ? [initMount(machine.initPath)] : []),
  ];
  return [...defaults.filter(({ destination }) => !replaced(String(destination))), ...parentsFirst(own)];
};

const hasRecursiveReadonly = ([major, minor]: KernelVersion): boolean => major > 5 || (major === 5 && minor >= 12);

/** Parents first, or mounting /etc would hide what is already at /etc/hosts. */
const parentsFirst = (mounts: readonly JsonObject[]): JsonObject[] => {
  const depth = (mount: JsonObject): number => String(mount['destination']).split('/').length;
  return [...mounts].sort((a, b) => depth(a) - depth(b));
};

const ociMount = (mount: MountPoint, source: string, readonlyWord: 'ro' | 'rro', inherited: readonly string[]): JsonObject =>
  mount.type === 'tmpfs'
    ? { destination: mount.destination, type: 'tmpfs', source: 'tmpfs', options: tmpfsOptions(mount.options) }
    : {
        destination: mount.destination,
        type: 'bind',
        source,
        options: [mount.nonRecursive ? 'bind' : 'rbind', ...(mount.readonly ? [readonlyWord] : []), ...inherited.filter((word) => !(mount.readonly && word === 'ro')), mount.propagation || 'rprivate'],
      };

const TMPFS_DEFAULTS = ['noexec', 'nosuid', 'nodev', 'rprivate'];

/** What a tmpfs itself takes, and the words that any mount does. */
const TMPFS_VALUES = ['size', 'mode', 'uid', 'gid', 'nr_inodes', 'nr_blocks', 'mpol'];
const MOUNT_WORDS =
  /^(ro|rw|(no)?(suid|dev|exec|atime|diratime|relatime|strictatime|mand)|a?sync|dirsync|remount|r?bind|r?(private|shared|slave|unbindable))$/;
const isTmpfsOption = (option: string): boolean =>
  option.includes('=') ? TMPFS_VALUES.includes(option.split('=')[0] ?? '') : MOUNT_WORDS.test(option);

/** Of two words that say opposite things, or of two sizes, the last one holds. */
const tmpfsOptions = (options: readonly string[]): string[] => {
  const subject = (option: string): string => {
    const word = option.split('=')[0] ?? '';
    if (word === 'ro' || word === 'rw') return 'writing';
    return /^r?(private|shared|slave|unbindable)$/.test(word) ? 'propagation' : word.replace(/^no/, '');
  };
  const wrong = options.find((option) => !isTmpfsOption(option));
  if (wrong !== undefined) throw systemError(`invalid tmpfs option ${JSON.stringify(wrong.split('=')[0])}`);
  const last = new Map<string, string>();
  for (const option of [...TMPFS_DEFAULTS, ...options]) last.set(subject(option), option);
  return [...last.values()];
};

const initMount = (initPath: string | undefined): JsonObject => {
  if (initPath === undefined) throw systemError('exec: "docker-init": executable file not found in $PATH');
  return { destination: INIT_PATH, type: 'bind', source: initPath, options: ['bind', 'ro'] };
};

/** A mount that events are to pass through to the host needs a root that lets them. */
const rootPropagation = (mounts: readonly MountPoint[]): JsonObject => {
  const asked = mounts.map(({ propagation }) => propagation);
  if (asked.some((word) => word === 'shared' || word === 'rshared')) return { rootfsPropagation: 'shared' };
  return asked.some((word) => word === 'slave' || word === 'rslave') ? { rootfsPropagation: 'rslave' } : {};
};

// ---- what it shares with the host, and what it does not

const OWN_NETWORK_SYSCTLS: Readonly<Record<string, string>> = {
  // Any user of the container may listen on port 80, and ping.
  'net.ipv4.ip_unprivileged_port_start': '0',
  'net.ipv4.ping_group_range': '0 2147483647',
};

const namespaces = ({ container: { spec }, machine, netnsPath, joins = {} }: SpecInput): JsonObject[] => {
  const cgroupns = spec.cgroupnsMode || (machine.cgroupVersion === '2' ? 'private' : 'host');
  return [
    { type: 'mount' },
    ...(netnsPath === '' ? [] : [{ type: 'network', path: netnsPath }]),
    ...(spec.utsMode === 'host' ? [] : [{ type: 'uts' }]),
    ...(spec.pidMode === 'host' ? [] : [joins.pid === undefined ? { type: 'pid' } : { type: 'pid', path: joins.pid }]),
    ...(spec.ipcMode === 'host' ? [] : [joins.ipc === undefined ? { type: 'ipc' } : { type: 'ipc', path: joins.ipc }]),
    ...(cgroupns === 'private' ? [{ type: 'cgroup' }] : []),
  ];
};

const seccompOf = (asked: ReturnType<typeof securityOptions>['seccomp'], capabilities: readonly string[], machine: Machine): JsonObject | undefined => {
  const profile = asked === 'default' ? (machine.seccompProfile ?? DEFAULT_SECCOMP_PROFILE) : asked;
  if (profile === 'unconfined') return undefined;
  if (profile !== DEFAULT_SECCOMP_PROFILE) return resolveSeccomp(profile, { ...machine, capabilities });
  const key = ALL_CAPABILITIES.map((name) => (capabilities.includes(name) ? 1 : 0)).join('');
  const known = resolvedDefaults.get(key);
  if (known) return known;
  const resolved = resolveSeccomp(profile, { capabilities, arch: machine.arch, kernel: machine.kernel });
  if (resolved && resolvedDefaults.size < 64) resolvedDefaults.set(key, resolved);
  return resolved;
};

/** The default profile as resolved for some capabilities: one object for all containers alike, so that it is digested once. */
const resolvedDefaults = new Map<string, JsonObject>();

// ---- devices and limits

const DEFAULT_DEVICE_RULES: readonly JsonObject[] = [
  { allow: false, access: 'rwm' },
  // zero, null, urandom, random, tty, console; and not fuse
  ...([[1, 5], [1, 3], [1, 9], [1, 8], [5, 0], [5, 1]] as const).map(([major, minor]) => ({ allow: true, type: 'c', major, minor, access: 'rwm' })),
  { allow: false, type: 'c', major: 10, minor: 229, access: 'rwm' },
];

const deviceRules = (spec: ContainerSpec, devices: readonly DeviceNode[]): readonly JsonObject[] =>
  spec.privileged
    ? [{ allow: true, access: 'rwm' }]
    : [
        ...DEFAULT_DEVICE_RULES,
        ...devices.map(({ type, major, minor, permissions }) => ({ allow: true, type, major, minor, access: permissions })),
        ...spec.deviceCgroupRules.map(deviceRule),
      ];

/** `c 1:3 mr`, `a *:* rwm`. */
const deviceRule = (text: string): JsonObject => {
  const match = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(text);
  if (!match) throw systemError(`invalid device cgroup rule format: '${text}'`);
  const [, type = '', major, minor, access = ''] = match;
  // Absent is any: crun would hand the -1 of other engines to the kernel.
  const number = (key: string, word: string | undefined): JsonObject => (word === '*' ? {} : { [key]: Number(word) });
  return { allow: true, type, ...number('major', major), ...number('minor', minor), access };
};

const deviceNode = ({ path, type, major, minor, mode, uid, gid }: DeviceNode): JsonObject => ({ path, type, major, minor, fileMode: mode & 0o777, uid, gid });

/** Microseconds in which `--cpus` are counted. */
const CPU_PERIOD = 100_000;

export const limits = (resources: Resources): JsonObject => {
  const { memory, memorySwap, memoryReservation, memorySwappiness, oomKillDisable, nanoCpus, cpuShares, pidsLimit, blkioWeight } = resources;
  const byCpus = nanoCpus > 0;
  return {
    ...section('memory', {
      limit: memory || undefined,
      reservation: memoryReservation || undefined,
      // Swap counts together with memory; unless asked, as much again.
      swap: memorySwap || (memory > 0 ? memory * 2 : undefined),
      swappiness: memorySwappiness !== undefined && memorySwappiness >= 0 ? memorySwappiness : undefined,
      disableOOMKiller: oomKillDisable || undefined,
    }),
    ...section('cpu', {
      shares: cpuShares || undefined,
      quota: byCpus ? Math.floor((nanoCpus * CPU_PERIOD) / 1e9) : resources.cpuQuota || undefined,
      period: byCpus ? CPU_PERIOD : resources.cpuPeriod || undefined,
      realtimePeriod: resources.cpuRealtimePeriod || undefined,
      realtimeRuntime: resources.cpuRealtimeRuntime || undefined,
      cpus: resources.cpusetCpus || undefined,
      mems: resources.cpusetMems || undefined,
    }),
    ...section('pids', { limit: pidsLimit !== undefined && pidsLimit > 0 ? pidsLimit : undefined }),
    ...section('blockIO', { weight: blkioWeight || undefined }),
  };
};

/** Only what is said; nothing at all when nothing is. */
const section = (name: string, values: Readonly<Record<string, Json | undefined>>): JsonObject => {
  const said = Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
  return said.length === 0 ? {} : { [name]: Object.fromEntries(said) };
};

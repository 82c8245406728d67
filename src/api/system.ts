import { Router, type Response } from 'express';
import type { Engine, HostFacts } from '../engine/services.ts';
import type { ContainerStatus } from '../model/container.ts';
import { invalid } from '../model/errors.ts';
import type { Json, JsonObject } from '../model/json.ts';
import { sendJson } from './answer.ts';
import { imageNames, ifFound, summaries } from './containers.ts';
import { imageSummaryView } from './image-view.ts';
import { parseFilters } from './filters.ts';
import { queryOf, text } from './query.ts';
import { API_VERSION, MIN_API_VERSION } from './version.ts';
import { versionOf } from './version.ts';
import { volumeView } from './volumes.ts';

const PRUNE_SIZES = ['keep-storage', 'reserved-space', 'max-used-space', 'min-free-space'];
const PRUNE_FILTERS = ['description', 'id', 'inuse', 'parent', 'private', 'shared', 'type', 'unused-for', 'until'];

// What clients parse: the version of the engine that this one answers like.
const COMPATIBLE_WITH = '28.5.2';

export const systemRoutes = (engine: Engine, dataRoot: string): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.head('/_ping', (_req, res) => sendPing(res, ''));
  router.get('/_ping', (_req, res) => sendPing(res, 'OK'));

  router.get('/version', async (_req, res) => {
    sendJson(res, 200, versionView(await engine.system.facts()));
  });

  router.get('/info', async (_req, res) => {
    sendJson(res, 200, infoView(await engine.system.facts(), engine));
  });

  router.get('/system/df', async (req, res) => {
    const types = queryOf(req).getAll('type');
    const wrong = types.find((type) => !['container', 'image', 'volume', 'build-cache'].includes(type));
    if (wrong !== undefined) throw invalid(`unknown object type: ${wrong}`);
    const wanted = (type: string): boolean => types.length === 0 || types.includes(type);
    const [images, containers, volumes] = await Promise.all([
      wanted('image') ? imageUsage(engine, versionOf(req)) : null,
      wanted('container') ? containerUsage(engine, dataRoot) : null,
      wanted('volume') ? volumeUsage(engine) : null,
    ]);
    sendJson(res, 200, {
      LayersSize: wanted('image') ? [...engine.system.state.layers.values()].reduce((sum, { size }) => sum + size, 0) : 0,
      Images: images,
      Containers: containers,
      Volumes: volumes,
      BuildCache: wanted('build-cache') ? [] : null,
    });
  });

  // There is no build cache: nothing is a fair answer, and `docker system prune` asks.
  router.post('/build/prune', (req, res) => {
    const query = queryOf(req);
    for (const key of PRUNE_SIZES) {
      const value = text(query, key);
      if (value !== '' && !/^[+-]?\d+$/.test(value)) throw invalid(`${key} is in bytes and expects an integer, got ${value}: strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`);
    }
    const wrong = [...parseFilters(query).keys()].find((key) => !PRUNE_FILTERS.includes(key));
    if (wrong !== undefined) throw invalid(`failed to prune build cache: invalid filter '${wrong}'`);
    sendJson(res, 200, { CachesDeleted: null, SpaceReclaimed: 0 });
  });

  return router;
};

const sendPing = (res: Response, body: string): void => {
  res.writeHead(200, {
    // The classic builder: clients that can choose should not ask for BuildKit.
    'Builder-Version': '1',
    'Cache-Control': 'no-cache, no-store, must-revalidate',
    Pragma: 'no-cache',
    Swarm: 'inactive',
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': body.length,
  });
  res.end(body);
};

const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x86_64: 'amd64', aarch64: 'arm64', armv7l: 'arm', i686: '386' };

const versionView = (facts: HostFacts): JsonObject => {
  const common = {
    Version: COMPATIBLE_WITH,
    ApiVersion: API_VERSION,
    MinAPIVersion: MIN_API_VERSION,
    GitCommit: '',
    GoVersion: '',
    Os: 'linux',
    Arch: GO_ARCHITECTURES[facts.architecture] ?? facts.architecture,
    KernelVersion: facts.kernelVersion,
    BuildTime: '',
  };
  const { Version, ...details } = common;
  const runtime = facts.runtimes[facts.defaultRuntime];
  return {
    Platform: { Name: '' },
    Components: [
      { Name: 'Engine', Version, Details: { ...details, Experimental: 'false' } },
      ...(runtime ? [{ Name: facts.defaultRuntime, Version: runtime.version, Details: { GitCommit: runtime.commit } }] : []),
      ...(facts.init ? [{ Name: 'docker-init', Version: facts.init.version, Details: { GitCommit: facts.init.commit } }] : []),
    ],
    ...common,
  };
};

const infoView = (facts: HostFacts, { system, events }: Engine): JsonObject => {
  const containers = [...system.state.containers.values()];
  const count = (...statuses: readonly ContainerStatus[]): number => containers.filter(({ state }) => statuses.includes(state.status)).length;
  const controls = (controller: string): boolean => facts.cgroupControllers.includes(controller);
  const first = facts.cgroupVersion === '1';
  const running = count('running', 'restarting');
  const paused = count('paused');
  return {
    ID: facts.id,
    Containers: containers.length,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: containers.length - running - paused,
    Images: system.state.images.size,
    Driver: 'overlay2',
    DriverStatus: [
      ['Backing Filesystem', facts.backingFilesystem],
      ['Supports d_type', 'true'],
      ['Using metacopy', 'false'],
      ['Native Overlay Diff', 'true'],
      ['userxattr', 'false'],
    ],
    Plugins: { Volume: ['local'], Network: ['bridge', 'host', 'null'], Authorization: null, Log: ['json-file', 'local'] },
    MemoryLimit: controls('memory'),
    SwapLimit: controls('memory'),
    ...(first ? { KernelMemoryTCP: controls('memory') } : {}),
    CpuCfsPeriod: controls('cpu'),
    CpuCfsQuota: controls('cpu'),
    CPUShares: controls('cpu'),
    CPUSet: controls('cpuset'),
    PidsLimit: controls('pids'),
    IPv4Forwarding: facts.ipv4Forwarding,
    Debug: false,
    NFd: facts.openFiles,
    OomKillDisable: first && controls('memory'),
    NGoroutines: process.getActiveResourcesInfo().length,
    SystemTime: new Date().toISOString(),
    LoggingDriver: 'json-file',
    CgroupDriver: 'cgroupfs',
    CgroupVersion: facts.cgroupVersion,
    NEventsListener: events.listeners(),
    KernelVersion: facts.kernelVersion,
    OperatingSystem: facts.operatingSystem,
    OSVersion: facts.osVersion,
    OSType: 'linux',
    Architecture: facts.architecture,
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: {
      IndexConfigs: { 'docker.io': { Mirrors: [], Name: 'docker.io', Official: true, Secure: true } },
      InsecureRegistryCIDRs: ['::1/128', '127.0.0.0/8'],
      Mirrors: null,
    },
    NCPU: facts.processors,
    MemTotal: facts.memory,
    GenericResources: null,
    DockerRootDir: facts.dataRoot,
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Name: facts.hostname,
    Labels: [],
    ExperimentalBuild: false,
    ServerVersion: COMPATIBLE_WITH,
    Runtimes: Object.fromEntries(Object.entries(facts.runtimes).map(([name, { path }]) => [name, { path }])),
    DefaultRuntime: facts.defaultRuntime,
    Swarm: { NodeID: '', NodeAddr: '', LocalNodeState: 'inactive', ControlAvailable: false, Error: '', RemoteManagers: null },
    LiveRestoreEnabled: facts.liveRestore,
    Isolation: '',
    InitBinary: 'docker-init',
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: facts.runtimes[facts.defaultRuntime]?.commit ?? '' },
    InitCommit: { ID: facts.init?.commit ?? '' },
    SecurityOptions: ['name=seccomp,profile=builtin', ...(first ? [] : ['name=cgroupns'])],
    FirewallBackend: { Driver: 'iptables' },
    CDISpecDirs: [],
    ...(facts.addressPools.length === 0 ? {} : { DefaultAddressPools: facts.addressPools.map(({ base, size }) => ({ Base: base, Size: size })) }),
    Warnings: null,
  };
};

const imageUsage = async ({ images }: Engine, version: number): Promise<Json> => {
  const rows = await images.list({ all: true, filters: new Map(), sharedSize: true });
  return rows.map((row) => ({
    ...imageSummaryView({ ...row, sharedSize: row.sharedSize ?? 0 }, version),
    RepoDigests: row.image.digests.length === 0 ? null : row.image.digests,
  }));
};

const containerUsage = async ({ containers, images, networks }: Engine, dataRoot: string): Promise<Json> => {
  const rows = await containers.list({ all: true, limit: undefined, size: true, filters: new Map() });
  const imageShown = imageNames((ref) => ifFound(() => images.find(ref))?.id);
  return summaries(rows, { dataRoot, network: (ref) => ifFound(() => networks.find(ref)) }, imageShown());
};

const volumeUsage = async ({ volumes }: Engine): Promise<Json> =>
  Promise.all(
    volumes.list(new Map()).map(async (volume) => {
      const { size, references } = await volumes.usage(volume.name);
      return { ...volumeView(volume), UsageData: { RefCount: references, Size: size } };
    }),
  );

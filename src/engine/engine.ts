import type { Container } from '../model/container.ts';
import { messageOf, systemError } from '../model/errors.ts';
import type { State } from '../model/state.ts';
import type { Family, KindOf } from '../operations/operation.ts';
import { containerPath, overlayOf, subpathPath, type Layout } from '../plan/desired.ts';
import { diff } from '../plan/diff.ts';
import { checkEndpoints, type SandboxContext } from '../plan/endpoint.ts';
import { checkLinks } from '../plan/links.ts';
import { poolsOf } from '../plan/network.ts';
import { lookupName } from '../plan/names.ts';
import { foundVolumes } from '../plan/volumes.ts';
import type { AddressPool, TakenRange } from '../plan/subnets.ts';
import type { Machine } from '../plan/oci-spec.ts';
import { createArchives, type ArchivesParts, type Tree } from './archives.ts';
import { createBuilds } from './build.ts';
import type { BuildFiles } from './build-files.ts';
import { createBuildRuns } from './build-run.ts';
import { createConnections } from './connections.ts';
import { createContainers } from './containers.ts';
import { containerEvents } from './container-events.ts';
import { createEvents } from './events.ts';
import { planDefaults, renewDefaultBridge, type BridgeFlags } from './default-networks.ts';
import { createExplain } from './explain.ts';
import { createExecs } from './exec.ts';
import { createHealing, type HealingHost } from './healing.ts';
import { createLeaks, type LeaksHost } from './leaks.ts';
import { createHealthProbes } from './health.ts';
import { findContainer } from './find.ts';
import type { Host, Store } from './host.ts';
import { createImages } from './images.ts';
import { createLedger } from './ledger.ts';
import type { Layers } from './layers.ts';
import { createRegistries } from './registries.ts';
import type { Registry } from './registry.ts';
import { createLifecycle } from './lifecycle.ts';
import { createNetworks } from './networks.ts';
import { createPrepare, type PrepareHost } from './prepare.ts';
import { createPublishing } from './publishing.ts';
import { reconcile, type ReconcileHost } from './reconcile.ts';
import { createVisits, type RootfsHost } from './rootfs.ts';
import type { Engine, HostFacts } from './services.ts';
import { createVolumeArchives, type VolumeArchiveHost } from './volume-archives.ts';
import { createVolumes, type VolumeHost } from './volumes.ts';

/** All that the engine needs of the machine, of the disk and of chance. */
export type EngineParts = {
  readonly host: EngineHost;
  readonly store: Store;
  readonly layers: Layers;
  readonly registry: Registry;
  readonly machine: Machine;
  readonly layout: Layout;
  readonly facts: () => Promise<HostFacts>;
  readonly hex: (bytes: number) => string;
  readonly network: BridgeFlags & {
    readonly publishAddress: string;
    /** --host-gateway-ip: what `host-gateway` stands for; none: the default bridge's own addresses. */
    readonly hostGateway: readonly string[];
    /** --default-network-opt: options of new bridge networks that do not say otherwise. */
    readonly options: Readonly<Record<string, string>>;
    readonly families: readonly Family[];
    /** Forwarding was switched on by us: what nobody allows is then not forwarded. */
    readonly dropForward: boolean;
    /** --ip-forward: forwarding is ours to switch on, where a network needs it. */
    readonly ipForward: boolean;
    /** --default-address-pool; none: the reference engine's own. */
    readonly addressPools: readonly AddressPool[];
  };
  readonly dns: { readonly servers: readonly string[]; readonly search: readonly string[]; readonly options: readonly string[] };
  readonly pause: (milliseconds: number) => Promise<void>;
  readonly log: (message: string) => void;
};

export type EngineHost = Omit<Host, 'sizes'> &
  Omit<PrepareHost, 'machine'> &
  Omit<ReconcileHost, 'sweep' | 'unpause'> &
  VolumeHost &
  HealingHost &
  RootfsHost &
  Omit<VolumeArchiveHost, 'openTree'> & {
    readonly processes: Host['processes'] & LeaksHost['processes'] & { sweep(known: ReadonlySet<string>): Promise<void>; discard(containerId: string, runtime: string): Promise<void> };
    nowNanoseconds(): bigint;
    /** Ends what the kernel lets flow to a container by host ports that it has no more. */
    forgetFlows(ports: readonly KindOf<'host-port'>[]): void;
    /** Counted on without a jump, from some moment. */
    milliseconds(): number;
    hostRanges(): readonly TakenRange[];
    hasDevice(name: string): boolean;
    isForwarding(family: Family): boolean;
    forwardPackets(family: Family): void;
    ephemeralPorts(): { readonly first: number; readonly last: number };
    readonly buildFiles: BuildFiles;
    openTree(rootfs: string, mounts: readonly ViewMount[], layers?: readonly string[]): Tree;
    changesOf(upper: string, lower: readonly string[]): ReturnType<ArchivesParts['changes']>;
    copyUp(rootfs: string, destination: string, mountpoint: string): Promise<void>;
    isBeneath(rootfs: string, path: string): boolean;
    /** False: none of these layers has anything there. */
    mayBeIn(layers: readonly string[], path: string): boolean;
  };

/** The files of /etc that are the engine's, as a container sees them once it has been started. */
const filesOf = (layout: Layout, container: Container): ViewMount[] =>
  container.state.startedAt === undefined
    ? []
    : ['hostname', 'hosts', 'resolv.conf'].map((name) => ({
        source: `${containerPath(layout, container.id)}/${name}`,
        subpath: '',
        destination: `/etc/${name}`,
        readonly: container.spec.readonlyRootfs,
        recursive: false,
      }));

const populateFailed = (error: unknown): never => {
  const words = messageOf(error);
  throw words.startsWith('error while mounting volume') ? systemError(`failed to populate volume: ${words}`, error) : error;
};

/** What a container is told of a name: see plan/names.ts. */
type Lookup = (containerId: string, name: string, type: Parameters<typeof lookupName>[3]) => ReturnType<typeof lookupName>;

type ViewMount = { readonly source: string; readonly subpath: string; readonly destination: string; readonly readonly: boolean; readonly recursive: boolean };

/** The engine, whole; `begin` first, before any client is heard. */
export const createEngine = (parts: EngineParts): Engine & { begin(): Promise<void>; lookup: Lookup } => {
  const { host, store, layers, layout, hex } = parts;
  const events = createEvents(() => host.nowNanoseconds());
  const { emit } = containerEvents(events);
  const ledger = createLedger({
    store,
    execute: (operations) => host.execute(operations),
    attempt: async (operations) => {
      for (const error of await host.attempt(operations)) parts.log(error.message);
    },
    diff: (before: State, _after: State, changes) => diff(layout, before, changes),
  });
  const find = (ref: string) => findContainer(ledger.state, ref);

  const sizes: Host['sizes'] = async (container, imageSize) => {
    const own = await host.sizeOf(overlayOf(layout, container).upper);
    return { own, root: own + imageSize };
  };
  const visits = createVisits({ host, layout, state: () => ledger.state });
  const prepare = createPrepare({ host: { ...host, machine: parts.machine }, layout, dns: parts.dns, hostGateway: parts.network.hostGateway });
  const upper = (id: string): string => `${layout.dataRoot}/overlay2/${id}/diff`;
  const images = createImages({
    ledger,
    layers,
    registry: parts.registry,
    events,
    now: () => host.now(),
    architecture: parts.machine.arch,
    dockerVersion: '28.5.2',
    upper,
    async freeze(container) {
      await host.processes.pause(container.id, container.spec.runtime);
      emit(container, 'pause');
      return { thaw: () => host.processes.unpause(container.id, container.spec.runtime), told: () => emit(container, 'unpause') };
    },
  });

  // Ports go round, so that one just given back is not given out at once.
  const lastPort = new Map<string, number>();
  const execs = createExecs({ ledger, host, events, hex, prepare: (container, exec, size) => prepare.exec(container, exec, ledger.state, size) });
  const sandboxContext = (): SandboxContext => ({
    execRoot: layout.execRoot,
    hex,
    ephemeral: host.ephemeralPorts(),
    nextPort: (protocol) => lastPort.get(protocol) ?? 0,
    gavePort: (protocol, port) => void lastPort.set(protocol, port + 1),
    busy: new Set(),
    defaultAddress: parts.network.publishAddress,
    resolvConf: { hostFile: host.resolvConf(), ...parts.dns },
  });
  const lifecycle = createLifecycle({
    ledger,
    host: { ...host, sizes },
    events,
    sandboxContext,
    prepare: async (container, state) => prepare.container(container, state),
    relink: prepare.links,
    execsEnded: execs.containerEnded,
    health: createHealthProbes({ ledger, events, execs, now: () => host.now() }),
    removed: () => void images.collect().catch((error: Error) => parts.log(error.message)),
  });

  /** Forwarding for another family. What no rule allows is not forwarded, not even before the first rule is there. */
  const forward = async (family: Family): Promise<void> => {
    if (!parts.network.ipForward || host.isForwarding(family)) return;
    if (layout.iptables && parts.network.families.includes(family)) await host.firewall.replace(family, new Map(), [{ table: 'filter', line: ':FORWARD DROP [0:0]' }]);
    host.forwardPackets(family);
  };

  const volumes = createVolumes({ ledger, host, events, id: () => hex(32), dataRoot: layout.dataRoot });

  /** In the order of their ids, so that two who freeze the same containers do not wait for each other. */
  const frozen = async <T>(containers: readonly Container[], work: () => Promise<T>): Promise<T> => {
    const [first, ...rest] = [...containers].sort((a, b) => (a.id < b.id ? -1 : 1));
    if (!first) return work();
    return lifecycle.inTurn(first.id, async () => {
      const container = ledger.state.containers.get(first.id);
      if (container?.state.status !== 'running') return frozen(rest, work);
      await host.processes.pause(container.id, container.spec.runtime);
      try {
        return await frozen(rest, work);
      } finally {
        await host.processes.unpause(container.id, container.spec.runtime);
      }
    });
  };

  const healing = createHealing({
    ledger,
    host,
    layout,
    families: layout.iptables ? parts.network.families : [],
    events,
    identity: parts.facts,
    now: host.milliseconds,
    log: parts.log,
  });

  const networks = createNetworks({
    ledger,
    events,
    host,
    connections: createConnections({ ledger, events, lifecycle, sandboxContext, renameHosts: prepare.hosts, nameResolver: prepare.resolver }),
    pools: ({ networks }) => poolsOf(parts.network.addressPools, [...networks.values()].find(({ name }) => name === 'bridge')?.id ?? ''),
    forward,
    options: parts.network.options,
    id: () => hex(32),
  });

  const containers = createContainers({
    ledger,
    host: { ...host, sizes },
    events,
    images,
    lifecycle,
    dataRoot: layout.dataRoot,
    architecture: parts.machine.arch,
    hex,
    publish: createPublishing({ ledger, lifecycle, layout, sandboxContext, forgetFlows: host.forgetFlows }),
    execIds: execs.idsOf,
    checkSpec(spec) {
      prepare.check(spec);
      checkEndpoints(ledger.state, spec);
      checkLinks(spec, find);
    },
    async fillVolumes(container) {
      const { lower } = overlayOf(layout, container);
      const empty = container.mounts.filter(({ type, copyUp, destination }) => type === 'volume' && copyUp && host.mayBeIn(lower, destination));
      if (empty.length === 0) return;
      await visits.container(container, 'rootfs', async (root) => {
        for (const { name, destination, source } of empty) {
          const volume = ledger.state.volumes.get(name);
          if (volume && host.isBeneath(root, destination)) await visits.volume(volume, () => host.copyUp(root, destination, source)).catch(populateFailed);
        }
      });
    },
  });
  const runs = createBuildRuns({ containers, lifecycle, ledger });

  const engine: Engine = {
    containers,
    exec: execs,
    images,
    builds: createBuilds({ ledger, images, runs, files: host.buildFiles, host, layout, hex, architecture: parts.machine.arch, upper }),
    registries: createRegistries(parts.registry),
    volumes,
    volumeArchives: createVolumeArchives({ ledger, host, events, dataRoot: layout.dataRoot, find: volumes.find, visit: visits.volume, frozen }),
    networks,
    explain: createExplain({ state: () => ledger.state, planned: networks.planned, differences: (changes) => diff(layout, ledger.state, changes), sandboxContext }),
    archives: createArchives({
      find,
      findVolume: (name) => ledger.state.volumes.get(name),
      withVolume: (volume, body) => visits.volume(volume, () => body(volume.mountpoint)),
      openVolume: (root) => host.openTree(root, []),
      emitMounts: containerEvents(events).volumes,
      emitVolume: (volume, action) => events.emit({ type: 'volume', action, id: volume.name, attributes: { driver: 'local' } }),
      withRootfs: visits.container,
      openTree: (container, root, which) =>
        host.openTree(
          root,
          which === 'rootfs'
            ? []
            : [
                ...container.mounts
                  .map((mount, index) => ({ mount, held: container.sandbox && mount.subpath !== '' ? subpathPath(layout, container.id, index) : undefined }))
                  .filter(({ mount }) => mount.type !== 'tmpfs')
                  .map(({ mount: { source, subpath, destination, readonly, nonRecursive }, held }) => ({
                    source: held ?? source,
                    subpath: held === undefined ? subpath : '',
                    destination,
                    readonly,
                    recursive: !nonRecursive,
                  })),
                ...filesOf(layout, container),
              ],
          layersOf(overlayOf(layout, container)),
        ),
      changes: async (container) => {
        const { upper, lower } = overlayOf(layout, container);
        return host.changesOf(upper, lower);
      },
      emit,
    }),
    events,
    leaks: createLeaks({ ledger, host, layout, families: parts.network.families, pause: parts.pause }),
    system: {
      get state() {
        return ledger.state;
      },
      facts: parts.facts,
    },
  };

  return {
    ...engine,
    lookup: (containerId, name, type) => lookupName(ledger.state, containerId, name, type),
    async begin() {
      const fresh = ledger.state.networks.size === 0;
      await images.reconcile();
      const defaults = planDefaults({ state: ledger.state, flags: parts.network, pools: parts.network.addressPools, hostRanges: host.hostRanges(), now: host.now(), id: () => hex(32) });
      const missing = defaults.filter(
        (network) => ![...ledger.state.networks.values()].some(({ name }) => name === network.name),
      );
      // The bridge itself is made below, with everything else that is missing.
      await ledger.found(missing.map((record) => ({ collection: 'networks', key: record.id, record })));
      // The state is lost, or was never there: the files are somebody's.
      if (fresh) await ledger.found(foundVolumes(host.volumeFiles.names(), { dataRoot: layout.dataRoot, now: host.now() }).map((record) => ({ collection: 'volumes', key: record.name, record })));
      if ([...ledger.state.networks.values(), ...defaults].some(({ ipv6 }) => ipv6)) await forward('ipv6');
      await reconcile({
        ledger,
        host: { ...host, sweep: host.processes.sweep, unpause: host.processes.unpause },
        lifecycle,
        async renew() {
          for (const wanted of defaults) await renewDefaultBridge({ ledger, attempt: host.attempt, wanted, log: parts.log });
        },
        layout,
        families: parts.network.families,
        dropForward: parts.network.dropForward,
        log: parts.log,
        fresh,
      });
      for (const { id, temporary } of ledger.state.containers.values()) if (temporary) await runs.remove(id).catch((error: Error) => parts.log(error.message));
      for (const container of ledger.state.containers.values()) prepare.mend(container);
      healing.begin();
    },
  };
};


const layersOf = ({ upper, lower }: ReturnType<typeof overlayOf>): readonly string[] => [upper, ...lower];

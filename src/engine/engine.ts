import type { Container } from '../model/container.ts';
import type { State } from '../model/state.ts';
import type { Family } from '../operations/operation.ts';
import { containerPath, overlayOf, type Layout } from '../plan/desired.ts';
import { diff } from '../plan/diff.ts';
import type { Machine } from '../plan/oci-spec.ts';
import { createArchives, type ArchivesParts, type Tree } from './archives.ts';
import { createContainers } from './containers.ts';
import { createEvents } from './events.ts';
import { createExecs } from './exec.ts';
import { findContainer } from './find.ts';
import type { Host, Store } from './host.ts';
import { createImages } from './images.ts';
import { createLedger } from './ledger.ts';
import type { Layers } from './layers.ts';
import { createLifecycle } from './lifecycle.ts';
import { createNetworks, defaultNetworks } from './networks.ts';
import { createPrepare, type PrepareHost } from './prepare.ts';
import { reconcile, type ReconcileHost } from './reconcile.ts';
import { createRootfs, type RootfsHost } from './rootfs.ts';
import type { Engine, HostFacts } from './services.ts';
import { createVolumes, type VolumeHost } from './volumes.ts';

/** All that the engine needs of the machine, of the disk and of chance. */
export type EngineParts = {
  readonly host: EngineHost;
  readonly store: Store;
  readonly layers: Layers;
  readonly machine: Machine;
  readonly layout: Layout;
  readonly facts: () => Promise<HostFacts>;
  readonly hex: (bytes: number) => string;
  readonly network: {
    readonly bip: string | undefined;
    readonly mtu: number;
    readonly icc: boolean;
    readonly publishAddress: string;
    readonly families: readonly Family[];
    /** Forwarding was switched on by us: what nobody allows is then not forwarded. */
    readonly dropForward: boolean;
  };
  readonly dns: { readonly servers: readonly string[]; readonly search: readonly string[]; readonly options: readonly string[] };
  readonly log: (message: string) => void;
};

export type EngineHost = Omit<Host, 'sizes'> &
  Omit<PrepareHost, 'machine'> &
  Omit<ReconcileHost, 'sweep'> &
  VolumeHost &
  RootfsHost & {
    readonly processes: Host['processes'] & { sweep(known: ReadonlySet<string>): Promise<void>; discard(containerId: string, runtime: string): Promise<void> };
    nowNanoseconds(): bigint;
    ephemeralPorts(): { readonly first: number; readonly last: number };
    openTree(rootfs: string, mounts: readonly ViewMount[]): Tree;
    changesOf(upper: string, lower: readonly string[]): ReturnType<ArchivesParts['changes']>;
    copyUp(rootfs: string, destination: string, mountpoint: string): Promise<void>;
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

type ViewMount = { readonly source: string; readonly subpath: string; readonly destination: string; readonly readonly: boolean; readonly recursive: boolean };

/** The engine, whole; `begin` first, before any client is heard. */
export const createEngine = (parts: EngineParts): Engine & { begin(): Promise<void> } => {
  const { host, store, layers, layout, hex } = parts;
  const events = createEvents(() => host.nowNanoseconds());
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
  const rootfs = createRootfs({ host, layout, isRunning: (id) => ledger.state.containers.get(id)?.sandbox !== undefined });
  const prepare = createPrepare({ host: { ...host, machine: parts.machine }, layout, dns: parts.dns });
  const images = createImages({
    ledger,
    layers,
    events,
    now: () => host.now(),
    architecture: parts.machine.arch,
    dockerVersion: '28.5.2',
    upper: (id) => `${layout.dataRoot}/overlay2/${id}/diff`,
    async freeze(container) {
      if (container.state.status !== 'running') return async () => {};
      await host.processes.pause(container.id, container.spec.runtime);
      return () => host.processes.unpause(container.id, container.spec.runtime);
    },
  });

  // Ports go round, so that one just given back is not given out at once.
  const lastPort = new Map<string, number>();
  const execs = createExecs({ ledger, host, events, hex, prepare: (container, exec, size) => prepare.exec(container, exec, ledger.state, size) });
  const lifecycle = createLifecycle({
    ledger,
    host: { ...host, sizes },
    events,
    sandboxContext: () => ({
      execRoot: layout.execRoot,
      hex,
      ephemeral: host.ephemeralPorts(),
      nextPort: (protocol) => lastPort.get(protocol) ?? 0,
      gavePort: (protocol, port) => void lastPort.set(protocol, port + 1),
      busy: new Set(),
      defaultAddress: parts.network.publishAddress,
    }),
    prepare: async (container, state) => prepare.container(container, state),
    execsEnded: execs.containerEnded,
    removed: () => void images.collect().catch((error: Error) => parts.log(error.message)),
  });

  const engine: Engine = {
    containers: createContainers({
      ledger,
      host: { ...host, sizes },
      events,
      images,
      lifecycle,
      dataRoot: layout.dataRoot,
      hex,
      execIds: execs.idsOf,
      checkSpec: prepare.check,
      async fillVolumes(container) {
        const empty = container.mounts.filter(({ type, copyUp }) => type === 'volume' && copyUp);
        if (empty.length === 0) return;
        await rootfs.with(container, async (root) => {
          for (const { destination, source } of empty) await host.copyUp(root, destination, source);
        });
      },
    }),
    exec: execs,
    images,
    volumes: createVolumes({ ledger, host, events, id: () => hex(32), dataRoot: layout.dataRoot }),
    networks: createNetworks({ ledger }),
    archives: createArchives({
      find,
      withRootfs: rootfs.with,
      openTree: (container, root, which) =>
        host.openTree(
          root,
          which === 'rootfs'
            ? []
            : [
                ...container.mounts
                  .filter(({ type }) => type !== 'tmpfs')
                  .map(({ source, subpath, destination, readonly, nonRecursive }) => ({ source, subpath, destination, readonly, recursive: !nonRecursive })),
                ...filesOf(layout, container),
              ],
        ),
      changes: async (container) => {
        const { upper, lower } = overlayOf(layout, container);
        return host.changesOf(upper, lower);
      },
      emit: (container, action) =>
        events.emit({ type: 'container', action, id: container.id, attributes: { ...container.spec.labels, image: container.spec.image, name: container.name } }),
    }),
    events,
    system: {
      get state() {
        return ledger.state;
      },
      facts: parts.facts,
    },
  };

  return {
    ...engine,
    async begin() {
      await images.reconcile();
      const missing = defaultNetworks({ now: host.now(), id: () => hex(32), ...parts.network }).filter(
        (network) => ![...ledger.state.networks.values()].some(({ name }) => name === network.name),
      );
      // The bridge itself is made below, with everything else that is missing.
      await ledger.found(missing.map((record) => ({ collection: 'networks', key: record.id, record })));
      await reconcile({
        ledger,
        host: { ...host, sweep: host.processes.sweep },
        lifecycle,
        layout,
        families: parts.network.families,
        dropForward: parts.network.dropForward,
        log: parts.log,
      });
    },
  };
};


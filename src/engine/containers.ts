import type { Container, ContainerSpec, CreateRequest, UpdateRequest } from '../model/container.ts';
import { checkContainerName } from '../model/container-name.ts';
import { conflict, EngineError, invalid, messageOf, notImplemented, notModified, systemError } from '../model/errors.ts';
import type { ImageConfig } from '../model/image.ts';
import type { ExposedPort, Protocol } from '../model/port.ts';
import { parseSignal } from '../model/signal.ts';
import type { RecordChange, State } from '../model/state.ts';
import { mergeHealthcheck } from '../plan/health.ts';
import { logDetails } from '../plan/log-options.ts';
import { missingSource, requiredSources, resolveMounts } from '../plan/mounts.ts';
import { checkPlatform, parsePlatform } from '../plan/platform.ts';
import { nanoseconds, parseTimestamp } from '../plan/timestamp.ts';
import { changedLimits, withUpdate } from '../plan/update.ts';
import { listContainers } from './container-list.ts';
import { containerEvents } from './container-events.ts';
import type { Events } from './events.ts';
import { checkFilters, labelsMatch } from './filters.ts';
import { findContainer } from './find.ts';
import type { Exit, Host } from './host.ts';
import type { Ledger } from './ledger.ts';
import type { Lifecycle } from './lifecycle.ts';
import { randomName } from './random-name.ts';
import { createContainerStatistics } from './statistics.ts';
import type { Containers, Images, WaitCondition } from './services.ts';

export type ContainersParts = {
  readonly ledger: Ledger;
  readonly host: Host;
  readonly events: Events;
  readonly images: Pick<Images, 'find'>;
  readonly lifecycle: Lifecycle;
  readonly dataRoot: string;
  /** This machine's, as images name it. */
  readonly architecture: string;
  /** So many random bytes, as hex. */
  readonly hex: (bytes: number) => string;
  /** Gives a container the ports of an update at once. What takes them back, should the rest of it fail. */
  readonly publish: (id: string, request: UpdateRequest) => Promise<() => Promise<void>>;
  readonly execIds: (containerId: string) => readonly string[];
  /** Fills new volumes with what the image has at their place, and makes the directories a bind may make. */
  readonly fillVolumes: (container: Container) => Promise<void>;
  /** Validates what only the runtime spec would tell (capabilities, security options, users are checked at start). */
  readonly checkSpec: (spec: ContainerSpec) => void;
};

const DEFAULT_STOP_TIMEOUT = 10;
const SIGTERM = 15;

export const createContainers = (parts: ContainersParts): Containers => {
  const { ledger, host, events, images, lifecycle } = parts;
  const find = (ref: string): Container => findContainer(ledger.state, ref);
  const { emit } = containerEvents(events);

  const sizesOf = (container: Container) => host.sizes(container, ledger.state.images.get(container.imageId)?.size ?? 0);
  const put = (container: Container): RecordChange => ({ collection: 'containers', key: container.id, record: container });

  const create: Containers['create'] = async (request) => {
    const name = request.name === undefined || request.name === '' ? undefined : request.name.replace(/^\//, '');
    if (name !== undefined) checkContainerName(name);
    if (request.platform !== '') parsePlatform(request.platform, parts.architecture);
    const image = images.find(request.spec.image);
    checkPlatform(image, request.spec.image, request.platform, parts.architecture);
    for (const source of requiredSources(request.mounts)) if (!host.pathExists(source)) throw missingSource(source);
    parts.checkSpec(request.spec);

    const id = parts.hex(32);
    const container = await ledger.change((state) => {
      const { spec: asked, asked: shown } = withNeighbours(state, request);
      const spec = mergeImage(asked, image.config, id);
      if ((spec.entrypoint ?? []).length + (spec.cmd ?? []).length === 0) throw invalid('no command specified');
      const imageVolumes = image.config.volumes ?? [];
      const { mounts, newVolumes } = resolveMounts(
        { ...request.mounts, volumes: [...new Set([...request.mounts.volumes, ...imageVolumes])] },
        {
          dataRoot: parts.dataRoot,
          volumes: state.volumes,
          mountsOf: (ref) => findContainer(state, ref).mounts,
          volumeName: () => parts.hex(32),
          now: host.now(),
        },
      );
      const made: Container = {
        id,
        name: name === undefined ? freeName(state, parts.hex) : claimName(state, name),
        created: host.now(),
        imageId: image.id,
        chainIds: image.chainIds,
        spec,
        asked: shown,
        mounts,
        ...(request.temporary ? { temporary: true } : {}),
        sandbox: undefined,
        state: NEW,
      };
      const changes: RecordChange[] = [
        ...newVolumes.map((volume): RecordChange => ({ collection: 'volumes', key: volume.name, record: volume })),
        put(made),
      ];
      for (const volume of newVolumes) events.emit({ type: 'volume', action: 'create', id: volume.name, attributes: { driver: 'local' } });
      return { changes, result: made };
    });
    try {
      await parts.fillVolumes(container);
    } catch (error) {
      await lifecycle.remove(container.id, { force: true, volumes: true });
      throw error;
    }
    emit(container, 'create');
    return { id, warnings: [] };
  };

  const isRunning = ({ status }: Container['state']): boolean => status === 'running' || status === 'paused';
  const requireSettled = (container: Container): void => {
    if (container.state.status === 'restarting') throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
  };
  const requireRunning = (container: Container): void => {
    requireSettled(container);
    if (!isRunning(container.state)) throw conflict(`container ${container.id} is not running`);
  };

  const signalOf = (container: Container, asked: string | undefined): number => {
    if (asked !== undefined && asked !== '') return parseSignal(asked);
    return container.spec.stopSignal ? parseSignal(container.spec.stopSignal) : SIGTERM;
  };

  const stop: Containers['stop'] = async (ref, { timeout, signal }) => {
    const container = find(ref);
    if (!['running', 'paused', 'restarting'].includes(container.state.status)) throw notModified();
    await lifecycle.stop(container.id, signalOf(container, signal), timeout ?? container.spec.stopTimeout ?? DEFAULT_STOP_TIMEOUT);
  };

  return {
    async quit() {
      const running = [...ledger.state.containers.values()].filter(({ state }) => isRunning(state));
      await Promise.allSettled(running.map((container) => lifecycle.quit(container.id, signalOf(container, undefined), container.spec.stopTimeout ?? DEFAULT_STOP_TIMEOUT)));
    },
    async list(query) {
      const found = listContainers(ledger.state, query);
      return Promise.all(found.map(async (container) => ({ container, size: query.size ? await sizesOf(container) : undefined })));
    },
    find,
    async inspect(ref, size) {
      const container = find(ref);
      return {
        container,
        size: size ? await sizesOf(container) : undefined,
        execIds: parts.execIds(container.id),
        logPath: container.state.startedAt === undefined || container.spec.log.driver !== 'json-file' ? '' : host.logs.path(container.id),
      };
    },
    create,
    start: async (ref) => lifecycle.start(find(ref).id),
    stop,
    async restart(ref, options) {
      const container = find(ref);
      if (['running', 'paused', 'restarting'].includes(container.state.status))
        await stop(container.id, options).catch((error: unknown) => {
          if (!(error instanceof EngineError && error.kind === 'not-modified')) throw error;
        });
      await lifecycle.start(container.id);
      emit(container, 'restart');
    },
    async kill(ref, signal) {
      const failed = (error: EngineError): EngineError => new EngineError(error.kind, `cannot kill container: ${ref}: ${error.message}`);
      try {
        const number = parseSignal(signal === '' ? 'KILL' : signal);
        const container = find(ref);
        if (container.state.status === 'restarting') return await lifecycle.stayEnded(container.id);
        requireRunning(container);
        if (number === 9 || number === signalOf(container, undefined)) await lifecycle.stoppedByClient(container.id);
        lifecycle.signal(container, number);
        emit(container, 'kill', { signal: String(number) });
        if (number === 9) await lifecycle.ended(container.id);
      } catch (error) {
        throw error instanceof EngineError ? failed(error) : error;
      }
    },
    async pause(ref) {
      const container = find(ref);
      if (container.state.status === 'paused') throw conflict(`Container ${container.id} is already paused`);
      requireSettled(container);
      if (container.state.status !== 'running') throw conflict(`Container ${container.id} is not running`);
      await lifecycle.pause(container.id);
      emit(container, 'pause');
    },
    async unpause(ref) {
      const container = find(ref);
      if (container.state.status !== 'paused') throw systemError(`Container ${container.id} is not paused`);
      await lifecycle.unpause(container.id);
      emit(container, 'unpause');
    },
    async rename(ref, asked) {
      const container = find(ref);
      const name = asked.replace(/^\//, '');
      if (name === '') throw invalid('Neither old nor new names may be empty');
      try {
        checkContainerName(name);
        if (name === container.name) throw invalid('Renaming a container with the same name as its current name');
        await ledger.change((state) => ({
          changes: [put({ ...(state.containers.get(container.id) ?? container), name: claimName(state, name) })],
          result: undefined,
        }));
      } catch (error) {
        if (error instanceof EngineError && error.kind === 'conflict') throw conflict(`Error when allocating new name: ${error.message}`);
        throw error;
      }
      emit({ ...container, name }, 'rename', { oldName: `/${container.name}` });
    },
    async update(ref, request) {
      const container = find(ref);
      try {
        const { spec } = withUpdate(container, request);
        const changed = changedLimits(spec.resources, request.resources);
        const back = request.ports ? await parts.publish(container.id, request) : undefined;
        try {
          if (isRunning(find(container.id).state) && Object.keys(changed).length > 0) await host.processes.update(container.id, spec.runtime, changed);
        } catch (error) {
          await back?.();
          throw error;
        }
        await ledger.change((now) => {
          const current = now.containers.get(container.id);
          return { changes: current ? [put(withUpdate(current, request))] : [], result: undefined };
        });
      } catch (error) {
        throw new EngineError(error instanceof EngineError ? error.kind : 'system', `Cannot update container ${container.id}: ${messageOf(error)}`, { cause: error });
      }
      emit(container, 'update');
    },
    async remove(ref, options) {
      const container = find(ref);
      if (options.link) throw invalid('removing links is not supported');
      await lifecycle.remove(container.id, { ...options, ref });
    },
    async prune(filters) {
      checkFilters(filters, ['label', 'label!', 'until']);
      const [until, ...more] = (filters.get('until') ?? []).map((time) => parseTimestamp(time, nanoseconds(host.now())));
      if (more.length > 0) throw invalid('more than one until filter specified');
      const stopped = [...ledger.state.containers.values()].filter(
        ({ state, spec, created }) =>
          ['created', 'exited', 'dead'].includes(state.status) &&
          (until === undefined || nanoseconds(created) <= until) &&
          labelsMatch(filters, spec.labels) &&
          !(filters.has('label!') && labelsMatch(filters, spec.labels, 'label!')),
      );
      const deleted: string[] = [];
      let reclaimed = 0;
      for (const container of stopped) {
        const { own } = await sizesOf(container);
        await lifecycle.remove(container.id, { force: false, volumes: false, ref: container.id }).then(
          () => {
            deleted.push(container.id);
            reclaimed += own;
          },
          () => {},
        );
      }
      events.emit({ type: 'container', action: 'prune', id: '', attributes: { reclaimed: String(reclaimed) } });
      return { deleted, reclaimed };
    },
    wait(ref, condition, gone) {
      const container = find(ref);
      return { done: waitFor(lifecycle, container, condition, gone) };
    },
    attach(ref, options) {
      const container = find(ref);
      if (container.state.status === 'paused') throw conflict(`container ${ref} is paused, unpause the container before attach`);
      requireSettled(container);
      const { tty, openStdin, stdinOnce } = container.spec;
      return {
        tty,
        async run(peer) {
          if (options.logs) {
            const query = { stdout: options.stdout, stderr: options.stderr, since: undefined, until: undefined, tail: undefined, follow: undefined };
            for await (const batch of host.logs.read(container.id, query)) for (const { stream, text } of batch) peer.write(stream, Buffer.from(text));
          }
          if (!options.stream) {
            peer.end();
            return;
          }
          emit(container, 'attach');
          await lifecycle.attachments(container.id).attach(peer, {
            stdin: options.stdin && openStdin,
            stdout: options.stdout,
            stderr: options.stderr,
            endInput: stdinOnce && !tty,
          });
        },
      };
    },
    statistics: createContainerStatistics({ find, host, lifecycle }),
    logs(ref, query) {
      const container = find(ref);
      if (!['json-file', 'local', ''].includes(container.spec.log.driver)) throw notImplemented('configured logging driver does not support reading');
      return { tty: container.spec.tty, details: logDetails(container), batches: host.logs.read(container.id, query) };
    },
    async resize(ref, rows, columns) {
      const container = find(ref);
      const process = lifecycle.process(container.id);
      if (!process) throw conflict(`container ${container.id} is not running`);
      process.resize(rows, columns);
      emit(container, 'resize', { height: String(rows), width: String(columns) });
    },
    async top(ref, args) {
      const container = find(ref);
      requireRunning(container);
      const { titles, rows } = await host.processes.list(await host.processes.pids(container.id), args.length > 0 ? args : ['-ef']);
      emit(container, 'top');
      return { titles, rows };
    },
  };
};

const NEW: Container['state'] = {
  status: 'created',
  pid: 0,
  pidStart: 0,
  exitCode: 0,
  error: '',
  oomKilled: false,
  startedAt: undefined,
  finishedAt: undefined,
  restartCount: 0,
  stoppedByClient: false,
};

/** `container:NAME` as `container:ID`: what is joined is a container, whatever it is called later. */
const withNeighbours = (state: State, { spec, asked }: Pick<CreateRequest, 'spec' | 'asked'>): Pick<CreateRequest, 'spec' | 'asked'> => {
  const named = (mode: string): string => {
    if (!mode.startsWith('container:')) return mode;
    try {
      return `container:${findContainer(state, mode.slice('container:'.length)).id}`;
    } catch (error) {
      // Not 404, or clients would go and pull the image.
      throw invalid(messageOf(error));
    }
  };
  // Whose network it shares is asked for at its start.
  const known = spec.networkMode.startsWith('container:') && isThere(state, spec.networkMode.slice('container:'.length));
  const [networkMode, pidMode, ipcMode] = [known ? named(spec.networkMode) : spec.networkMode, named(spec.pidMode), named(spec.ipcMode)];
  return {
    spec: { ...spec, networkMode, pidMode, ipcMode },
    asked: { ...asked, hostConfig: { ...asked.hostConfig, ...(spec.networkMode === networkMode ? {} : { NetworkMode: networkMode }), PidMode: pidMode, IpcMode: ipcMode } },
  };
};

const isThere = (state: State, ref: string): boolean => {
  try {
    return findContainer(state, ref) !== undefined;
  } catch {
    return false;
  }
};

/** What the image says, where the client said nothing. */
const mergeImage = (spec: ContainerSpec, image: ImageConfig, id: string): ContainerSpec => {
  const commandGiven = spec.entrypoint !== undefined && spec.entrypoint.length > 0;
  const named = new Set((spec.env ?? []).map((entry) => entry.split('=')[0]));
  const env = [...(spec.env ?? []), ...(image.env ?? []).filter((entry) => !named.has(entry.split('=')[0]))];
  const exposed = (image.exposedPorts ?? []).map(parseExposed).filter((port) => !spec.exposedPorts.some((own) => own.port === port.port && own.protocol === port.protocol));
  return {
    ...spec,
    hostname: spec.hostname !== '' || spec.networkMode === 'host' || spec.networkMode.startsWith('container:') ? spec.hostname : id.slice(0, 12),
    user: spec.user !== '' ? spec.user : image.user,
    env: env.length > 0 || spec.env ? env : undefined,
    entrypoint: spec.entrypoint?.length === 1 && spec.entrypoint[0] === '' ? undefined : (spec.entrypoint?.length ?? 0) > 0 ? spec.entrypoint : image.entrypoint,
    cmd: (spec.cmd?.length ?? 0) > 0 || commandGiven ? spec.cmd : image.cmd,
    workingDir: spec.workingDir !== '' ? spec.workingDir : image.workingDir,
    labels: { ...(image.labels ?? {}), ...spec.labels },
    stopSignal: spec.stopSignal ?? image.stopSignal,
    healthcheck: mergeHealthcheck(spec.healthcheck, image.healthcheck),
    exposedPorts: [...spec.exposedPorts, ...exposed],
  };
};

const parseExposed = (text: string): ExposedPort => {
  const [port = '0', protocol = 'tcp'] = text.split('/');
  return { port: Number(port), protocol: protocol as Protocol };
};

const claimName = (state: State, name: string): string => {
  const other = [...state.containers.values()].find((container) => container.name === name);
  if (other)
    throw conflict(
      `Conflict. The container name "/${name}" is already in use by container "${other.id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
  return name;
};

const freeName = (state: State, hex: (bytes: number) => string): string => {
  const names = new Set([...state.containers.values()].map(({ name }) => name));
  return randomName((choices) => parseInt(hex(6), 16) % choices, (name) => names.has(name));
};

const waitFor = (lifecycle: Lifecycle, container: Container, condition: WaitCondition, gone: AbortSignal): Promise<{ code: number; error: string }> => {
  const { status, exitCode, error } = container.state;
  const over = !['running', 'paused', 'restarting'].includes(status);
  if (condition === 'not-running' && over) return Promise.resolve({ code: exitCode, error });
  return new Promise((resolve) => {
    let last: Exit | undefined;
    const stop = lifecycle.watch(container.id, (what, exit) => {
      last = exit ?? last;
      // A container that is removed will not end a next time either.
      if (what === 'ended' && condition === 'removed') return;
      stop();
      resolve({ code: last?.code ?? exitCode, error: '' });
    });
    gone.addEventListener('abort', () => {
      stop();
      resolve({ code: 0, error: '' });
    });
  });
};


import { createHash } from 'node:crypto';
import { finished, pipeline, Transform, type Readable } from 'node:stream';
import type { Container } from '../model/container.ts';
import { conflict, EngineError, invalid, messageOf, systemError } from '../model/errors.ts';
import type { JsonObject } from '../model/json.ts';
import type { RecordChange } from '../model/state.ts';
import type { Volume } from '../model/volume.ts';
import { newVolume, usersOf, volumeDirectory, volumeMount } from '../plan/volumes.ts';
import type { Tree } from './archives.ts';
import type { Events } from './events.ts';
import type { Ledger } from './ledger.ts';
import type { VolumeArchives } from './services.ts';
import { volumeEvent } from './volumes.ts';

/** What the machine does with a volume's files. A `stage` is content on its way, in `_data` below it. */
export type VolumeArchiveHost = {
  now(): string;
  openTree(root: string, mounts: readonly never[]): Tree;
  readonly volumeFiles: {
    stage(): string;
    names(): string[];
    discard(stage: string): Promise<void>;
    spool(stage: string, tar: Readable): Promise<void>;
    spooled(stage: string): Readable;
    canReflink(): boolean;
    copy(mountpoint: string, stage: string): Promise<void>;
    replace(stage: string, mountpoint: string): Promise<void>;
    place(stage: string, directory: string): void;
    unplace(directory: string): Promise<void>;
    settled(directory: string): Promise<void>;
    move(from: string, to: string): { done(): void; back(): void };
  };
};

export type VolumeArchiveParts = {
  readonly ledger: Ledger;
  readonly host: VolumeArchiveHost;
  readonly events: Events;
  readonly dataRoot: string;
  readonly find: (name: string) => Volume;
  /** Keeps a volume's files where they are (and mounted, if they are) until the body is done. */
  readonly visit: <T>(volume: Volume, body: () => Promise<T>) => Promise<T>;
  /** Runs with these containers frozen, those of them that run. */
  readonly frozen: <T>(containers: readonly Container[], work: () => Promise<T>) => Promise<T>;
};

export const createVolumeArchives = ({ ledger, host, events, dataRoot, find, visit, frozen }: VolumeArchiveParts): VolumeArchives => {
  const files = host.volumeFiles;
  const runningUsers = (name: string): Container[] => usersOf(name, ledger.state.containers.values()).filter(({ sandbox }) => sandbox !== undefined);

  const refuseRunning = (name: string, what: string): void => {
    const users = runningUsers(name);
    if (users.length > 0) throw conflict(`${what} ${name}: volume is in use by running containers: ${users.map((user) => user.name).join(', ')}`);
  };

  const withTree = async <T>(root: string, body: (tree: Tree) => Promise<T>): Promise<T> => {
    const tree = host.openTree(root, []);
    try {
      return await body(tree);
    } finally {
      tree.close();
    }
  };

  const withStage = async <T>(body: (stage: string) => Promise<T>): Promise<T> => {
    const stage = files.stage();
    try {
      return await body(stage);
    } finally {
      // What has been put in its place is not here any more.
      await files.discard(stage);
    }
  };

  const whilePaused = <T>(name: string, pause: boolean, work: () => Promise<T>): Promise<T> => (pause ? frozen(runningUsers(name), work) : work());

  const unpack = (root: string, tar: Readable, whole: boolean): Promise<void> =>
    withTree(root, (tree) => tree.unpack('/', tar, { keepDirectories: false, owner: undefined, ofRoot: whole })).catch((error: unknown) => {
      throw error instanceof EngineError ? error : systemError(messageOf(error), error);
    });

  /** Safe while containers change it: every name is looked up by the kernel. Faster when nobody can. */
  const copyTo = (volume: Volume, stage: string, still: boolean): Promise<void> => {
    if (still) return files.copy(volume.mountpoint, stage);
    return withTree(volume.mountpoint, async (tree) => {
      const { tar, done } = tree.pack('/.', '.');
      try {
        await unpack(`${stage}/_data`, tar, true);
      } finally {
        tar.destroy();
        await done;
      }
    });
  };

  const newName = (name: string, to: string): Volume => {
    if (to === '') throw invalid('invalid name: a name for the volume is needed');
    const made = newVolume({ name: to, driver: 'local', labels: undefined, options: undefined }, { dataRoot, now: host.now(), name: () => to });
    if (ledger.state.volumes.has(to)) throw conflict(`volume name ${to} is already in use`);
    if (to === name) throw conflict(`volume name ${to} is already in use`);
    return made;
  };

  /** Its files are to be taken for those of the same volume as before. */
  const stillThere = (volume: Volume): void => {
    if (ledger.state.volumes.get(volume.name) !== volume) throw conflict(`volume ${volume.name} was removed or renamed meanwhile`);
  };

  /** Resolves as soon as bytes can flow; `work` holds on to everything until they have. */
  const flowing = (begin: (flow: (packed: { tar: Readable; done: Promise<void> }) => Promise<void>) => Promise<void>): Promise<Readable> =>
    new Promise((resolve, reject) => {
      begin(async ({ tar, done }) => {
        resolve(tar);
        await done;
      }).catch(reject);
    });

  return {
    async backup(name, { pause }) {
      const volume = find(name);
      const packedFrom = (root: string, flow: (packed: { tar: Readable; done: Promise<void> }) => Promise<void>) => withTree(root, (tree) => flow(tree.pack('/.', '.')));
      const tar = await flowing((flow) =>
        visit(volume, async () => {
          // Frozen for as long as the copy takes, where files can share their blocks; else while the tar is read.
          if (pause && files.canReflink() && volumeMount(volume, '') === undefined) {
            await withStage(async (stage) => {
              await whilePaused(name, pause, () => copyTo(volume, stage, true));
              await packedFrom(`${stage}/_data`, flow);
            });
          } else await whilePaused(name, pause, () => packedFrom(volume.mountpoint, flow));
        }),
      );
      return hashed(tar);
    },

    async restore(name, tar, { mode, pause, expected }) {
      const volume = find(name);
      if (mode === 'replace') {
        if (volumeMount(volume, '') !== undefined) throw invalid(`restore ${name}: what is mounted in a volume with options can not be replaced as a whole: use mode=merge`);
        refuseRunning(name, 'restore');
      }
      const received = hashed(tar);
      const checkDigest = async (): Promise<void> => {
        await ended(received.stream);
        const wanted = expected();
        if (wanted !== undefined && wanted !== received.digest()) throw invalid(`restore ${name}: the archive's sha-256 is ${received.digest()}, not ${wanted}: the volume is as it was`);
      };
      await withStage(async (stage) => {
        if (mode === 'replace') {
          await unpack(`${stage}/_data`, received.stream, true);
          await checkDigest();
          stillThere(volume);
          refuseRunning(name, 'restore');
          await files.replace(stage, volume.mountpoint);
          return;
        }
        try {
          await files.spool(stage, received.stream);
        } catch (error) {
          throw error instanceof EngineError ? error : systemError(messageOf(error), error);
        }
        await checkDigest();
        stillThere(volume);
        await visit(volume, () => whilePaused(name, pause, () => unpack(volume.mountpoint, files.spooled(stage), false)));
      });
      events.emit({ type: 'volume', action: 'restore', id: name, attributes: { driver: 'local', mode } });
    },

    async clone(name, to, { pause }) {
      const volume = find(name);
      newName(name, to);
      const made = await withStage(async (stage) => {
        await visit(volume, () => whilePaused(name, pause, () => copyTo(volume, stage, pause || runningUsers(name).length === 0)));
        const record: Volume = { ...newName(name, to), labels: volume.labels, anonymous: false };
        // From here to the decision nothing else runs: nobody takes the name in between.
        files.place(stage, volumeDirectory(record));
        try {
          // Its directory is there: one that is made a moment later would be in the way of a rename.
          await ledger.found([{ collection: 'volumes', key: to, record }]);
        } catch (error) {
          await files.unplace(volumeDirectory(record));
          throw error;
        }
        return record;
      });
      events.emit(volumeEvent('create', to));
      return made;
    },

    async rename(name, to) {
      await files.settled(volumeDirectory(find(name)));
      const volume = find(name);
      const { mountpoint } = newName(name, to);
      refuseRunning(name, 'rename');
      const record: Volume = { ...volume, name: to, mountpoint };
      const moved = files.move(volumeDirectory(volume), volumeDirectory(record));
      const changes: RecordChange[] = [
        { collection: 'volumes', key: name, record: undefined },
        { collection: 'volumes', key: to, record },
        ...usersOf(name, ledger.state.containers.values()).map((user): RecordChange => ({ collection: 'containers', key: user.id, record: withRenamed(user, volume, record) })),
      ];
      try {
        await ledger.found(changes);
      } catch (error) {
        moved.back();
        throw error;
      }
      moved.done();
      events.emit({ type: 'volume', action: 'rename', id: to, attributes: { driver: 'local', oldName: name } });
      return record;
    },
  };
};

/** A container's references to a volume, also those that inspect shows as they were asked for. */
const withRenamed = (container: Container, from: Volume, to: Volume): Container => {
  const { config, hostConfig } = container.asked;
  const { Binds, Mounts } = hostConfig;
  return {
    ...container,
    mounts: container.mounts.map((mount) => (mount.type === 'volume' && mount.name === from.name ? { ...mount, name: to.name, source: to.mountpoint } : mount)),
    asked: {
      config,
      hostConfig: {
        ...hostConfig,
        ...(Array.isArray(Binds) ? { Binds: Binds.map((bind) => (typeof bind === 'string' && bind.startsWith(`${from.name}:`) ? `${to.name}${bind.slice(from.name.length)}` : bind)) } : {}),
        ...(Array.isArray(Mounts) ? { Mounts: Mounts.map((mount) => (isObject(mount) && mount['Type'] === 'volume' && mount['Source'] === from.name ? { ...mount, Source: to.name } : mount)) } : {}),
      },
    },
  };
};

const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A stream that knows its sha-256 (in base64) at its end. What goes wrong on either side reaches the other. */
const hashed = (source: Readable): { readonly stream: Readable; readonly digest: () => string } => {
  const hash = createHash('sha256');
  const stream = new Transform({
    readableHighWaterMark: BUFFER,
    writableHighWaterMark: BUFFER,
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  pipeline(source, stream, () => {});
  let digest: string | undefined;
  return { stream, digest: () => (digest ??= hash.digest('base64')) };
};

const BUFFER = 1024 * 1024;

/** Whatever nobody read of a stream is let go by. */
const ended = async (stream: Readable): Promise<void> => {
  if (stream.readableEnded || stream.destroyed) {
    if (stream.errored) throw systemError(messageOf(stream.errored), stream.errored);
    return;
  }
  stream.resume();
  await new Promise<void>((resolve, reject) => {
    finished(stream, { writable: false }, (error) => (error ? reject(systemError(messageOf(error), error)) : resolve()));
  });
};

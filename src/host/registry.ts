import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { systemError } from '../model/errors.ts';
import { mayBePlain, registryHost, type Blob, type Credentials, type Remote } from '../model/registry.ts';
import { noteLayers, readSoFar } from './push-progress.ts';
import { skopeo, type SkopeoOptions } from './skopeo.ts';

/** For a manifest or a configuration: some kilobytes. */
const QUESTION_LIMIT = 60_000;
const POLL_INTERVAL = 100;

/** What lies under DATA_ROOT/tmp while a registry is talked to. */
export const REGISTRY_PREFIX = 'registry-';

/** Registries, by way of skopeo. Credentials are in a file of root's alone while a call lasts, and never on a command line. */
export const createRegistry = <Archive>({ dataRoot, openDirectory }: { readonly dataRoot: string; readonly openDirectory: (directory: string) => Archive }) => {
  /** A directory of its own for a call: credentials, the settings skopeo finds (none of this machine's own), and what it fetches. */
  const aside = async (host: string, credentials: Credentials | undefined): Promise<string> => {
    const directory = path.join(dataRoot, 'tmp', REGISTRY_PREFIX + randomBytes(8).toString('hex'));
    await mkdir(path.join(directory, 'registries.d'), { recursive: true, mode: 0o700 });
    await writeFile(path.join(directory, 'registries.conf'), '');
    await writeFile(path.join(directory, AUTH), JSON.stringify(credentials ? { auths: { [host]: authOf(credentials) } } : {}), { mode: 0o600 });
    return directory;
  };
  const forget = (directory: string): Promise<void> => rm(directory, { recursive: true, force: true });
  // Its cache of what is where is ours, not the machine's: skopeo has it in the user's directory for whoever is not root.
  const environment = (directory: string): Record<string, string> => ({
    HOME: directory,
    DOCKER_CONFIG: directory,
    REGISTRY_AUTH_FILE: path.join(directory, AUTH),
    TMPDIR: directory,
    XDG_CONFIG_HOME: directory,
    XDG_RUNTIME_DIR: directory,
    XDG_DATA_HOME: path.join(dataRoot, 'registry'),
    _CONTAINERS_ROOTLESS_UID: '1',
  });

  const call = (directory: string, { name }: Remote, args: readonly string[], signal: AbortSignal, more: Pick<SkopeoOptions, 'limit' | 'said' | 'started'> = {}): Promise<string> =>
    skopeo(args, { cwd: directory, env: environment(directory), host: registryHost(name.domain), plain: mayBePlain(name.domain), signal, ...more });

  const question = async (remote: Remote, signal: AbortSignal, args: (verify: string) => readonly string[]): Promise<string> => {
    const directory = await aside(remote.name.domain, remote.credentials);
    try {
      return await call(directory, remote, args(`--tls-verify=${!mayBePlain(remote.name.domain)}`), signal, { limit: QUESTION_LIMIT });
    } finally {
      await forget(directory);
    }
  };

  return {
    manifest: (remote: Remote, version: string, signal: AbortSignal): Promise<string> =>
      question(remote, signal, (verify) => ['inspect', '--raw', verify, '--authfile', AUTH, address(remote, version)]),

    config: (remote: Remote, digest: string, signal: AbortSignal): Promise<string> =>
      question(remote, signal, (verify) => ['inspect', '--raw', '--config', verify, '--authfile', AUTH, address(remote, digest)]),

    async tags(remote: Remote, signal: AbortSignal): Promise<readonly string[]> {
      const said = await question(remote, signal, (verify) => ['list-tags', verify, '--authfile', AUTH, address(remote)]);
      return (JSON.parse(said) as { Tags?: readonly string[] }).Tags ?? [];
    },

    /**
     * Into an OCI layout. skopeo takes a blob that has its name there for fetched: what we have already is a file
     * of the right length with nothing in it.
     */
    async fetch(remote: Remote, digest: string, blobs: readonly (Blob & { readonly here: boolean })[], moved: (digest: string, bytes: number) => void, signal: AbortSignal): Promise<Archive> {
      const directory = await aside(remote.name.domain, remote.credentials);
      const layout = path.join(directory, 'layout');
      const place = path.join(layout, 'blobs', 'sha256');
      let watching = true;
      try {
        await mkdir(place, { recursive: true });
        for (const blob of blobs.filter(({ here }) => here)) {
          await writeFile(path.join(place, hex(blob.digest)), '');
          await truncate(path.join(place, hex(blob.digest)), blob.size);
        }
        const wanted = blobs.filter(({ here }) => !here);
        const watch = (async () => {
          for (; watching; await after(POLL_INTERVAL)) await tellSizes(layout, wanted, moved).catch(() => {});
        })();
        const args = ['copy', `--src-tls-verify=${!mayBePlain(remote.name.domain)}`, '--dest-oci-accept-uncompressed-layers', '--src-authfile', AUTH, address(remote, digest), 'oci:layout:image'];
        try {
          await call(directory, remote, args, signal);
        } finally {
          watching = false;
          await watch;
        }
        await tellSizes(layout, wanted, moved);
        await rm(path.join(directory, AUTH));
        return { ...openDirectory(layout), close: () => forget(directory) };
      } catch (error) {
        await forget(directory);
        throw error;
      }
    },

    async push(remote: Remote, tag: string, saved: Readable, told: (diffId: string, what: 'exists' | number) => void, signal: AbortSignal): Promise<{ digest: string; size: number }> {
      const directory = await aside(remote.name.domain, remote.credentials);
      try {
        const file = path.join(directory, 'image.tar');
        const ranges = new Map<string, { from: number; to: number }>();
        await pipeline(noteLayers(saved, ranges), createWriteStream(file), { signal });
        const said = (message: string): void => {
          const [, started] = /^Copying blob (sha256:[0-9a-f]{64})$/.exec(message) ?? [];
          const [, known] = /^Skipping blob (sha256:[0-9a-f]{64}) \(already present\)/.exec(message) ?? [];
          if (started !== undefined) told(started, 0);
          if (known !== undefined) told(known, 'exists');
        };
        const verify = !mayBePlain(remote.name.domain);
        let pid: number | undefined;
        const watch = setInterval(async () => {
          if (pid !== undefined) for (const [diffId, bytes] of await readSoFar(pid, file, ranges)) told(diffId, bytes);
        }, POLL_INTERVAL);
        try {
          const args = ['copy', `--dest-tls-verify=${verify}`, '--dest-authfile', AUTH, '--format', 'v2s2', '--digestfile', 'digest', 'docker-archive:image.tar', address(remote, tag)];
          await call(directory, remote, args, signal, { said, started: (of) => void (pid = of) });
        } finally {
          clearInterval(watch);
        }
        const digest = (await readFile(path.join(directory, 'digest'), 'utf8')).trim();
        const manifest = await call(directory, remote, ['inspect', '--raw', `--tls-verify=${verify}`, '--authfile', AUTH, address(remote, digest)], signal, { limit: QUESTION_LIMIT });
        return { digest, size: Buffer.byteLength(manifest) };
      } finally {
        saved.destroy();
        await forget(directory);
      }
    },

    async login(host: string, credentials: Credentials, signal: AbortSignal): Promise<void> {
      const directory = await aside(host, credentials);
      const remote: Remote = { name: { domain: host, path: '' }, credentials };
      let [reached, failed] = ['', ''];
      const said = (message: string): void => {
        const [, url = '', problem] = /^Ping (\S+\/v2\/) (?:status \d+|err (.*) \(&.*)$/s.exec(message) ?? [];
        if (problem !== undefined) failed = problem;
        else if (url !== '') reached = url;
      };
      try {
        // It tries what the file has; when that is not good it would ask, and nobody answers.
        await call(directory, remote, ['login', `--tls-verify=${!mayBePlain(host)}`, '--authfile', AUTH, host], signal, { limit: QUESTION_LIMIT, said });
      } catch (error) {
        if (reached !== '') throw systemError(`login attempt to ${reached} failed with status: 401 Unauthorized`, error);
        throw failed === '' ? error : systemError(failed, error);
      } finally {
        await forget(directory);
      }
    },
  };
};

const AUTH = 'auth.json';

const authOf = ({ username, password, identityToken }: Credentials) =>
  identityToken === ''
    ? { auth: Buffer.from(`${username}:${password}`).toString('base64') }
    : { auth: Buffer.from(`${username || '<token>'}:`).toString('base64'), identitytoken: identityToken };

const address = ({ name }: Remote, version?: string): string =>
  `docker://${name.domain}/${name.path}${version === undefined ? '' : version.includes(':') ? `@${version}` : `:${version}`}`;

const hex = (digest: string): string => digest.replace('sha256:', '');

/**
 * How much of each blob is there. What is under way has no name yet but the order in which it began, and skopeo begins
 * with the first: a guess that matters to a progress bar only.
 */
const tellSizes = async (layout: string, blobs: readonly Blob[], moved: (digest: string, bytes: number) => void): Promise<void> => {
  const underWay = (await readdir(layout)).filter((name) => name.startsWith('oci-put-blob'));
  const found = await Promise.all(underWay.map((name) => stat(path.join(layout, name)).catch(() => undefined)));
  const sizes = found.filter((each) => each !== undefined).sort((a, b) => a.birthtimeMs - b.birthtimeMs).map((each) => each.size);
  const names = new Set(await readdir(path.join(layout, 'blobs', 'sha256')));
  for (const { digest, size } of blobs) {
    if (names.has(hex(digest))) moved(digest, size);
    else {
      const at = sizes.findIndex((bytes) => bytes < size);
      if (at >= 0) moved(digest, sizes.splice(at, 1)[0] ?? 0);
    }
  }
};

const after = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds).unref());

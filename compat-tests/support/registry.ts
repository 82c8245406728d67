// A registry of the tests' own on the engine's host: Debian's docker-registry, on the host's loopback.

import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { engine } from './engine.ts';
import { eventually } from './eventually.ts';
import { enter } from './hosts.ts';

export type Registry = {
  readonly host: string;
  /** What an index says of a manifest. */
  readonly manifest: (path: string, tag: string) => Promise<{ mediaType: string; digest: string; size: number }>;
  readonly putManifest: (path: string, tag: string, manifest: { readonly mediaType: string } & Readonly<Record<string, unknown>>) => Promise<void>;
  readonly close: () => Promise<void>;
};

const V2 = 'application/vnd.docker.distribution.manifest.v2+json';

// Where tools/install.sh puts it, or else PATH.
const own = fileURLToPath(new URL('../../.tools/bin/docker-registry', import.meta.url));
const program = existsSync(own) ? own : 'docker-registry';

/** `password`: an htpasswd line of whom it lets in; without it, everyone. */
export async function startRegistry(port: number, password?: string): Promise<Registry> {
  const root = await mkdtemp(join(tmpdir(), 'ct-registry-'));
  const host = `127.0.0.1:${port}`;
  await mkdir(join(root, 'data'));
  if (password !== undefined) await writeFile(join(root, 'htpasswd'), `${password}\n`);
  // JSON is YAML.
  await writeFile(join(root, 'config.yml'), JSON.stringify({
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(root, 'data') } },
    http: { addr: host },
    ...(password === undefined ? {} : { auth: { htpasswd: { realm: 'test', path: join(root, 'htpasswd') } } }),
  }));
  const [file, ...args] = enter(engine.netns, [program, 'serve', join(root, 'config.yml')]);
  const server = execa(file!, args, { reject: false, stdin: 'ignore', cwd: root });
  const close = async () => {
    server.kill();
    await server;
    await rm(root, { recursive: true, force: true });
  };
  try {
    await eventually(async () => {
      if (server.exitCode !== null) throw new Error(`the registry ended: ${(await server).stderr}`);
      const [curl, ...rest] = enter(engine.netns, ['curl', '-s', '-o', '/dev/null', `http://${host}/v2/`]);
      await execa(curl!, rest);
    });
  } catch (error) {
    await close();
    throw error;
  }
  const curl = async (...options: readonly string[]) => {
    const [command, ...rest] = enter(engine.netns, ['curl', '-sf', ...options]);
    return (await execa(command!, rest, { stripFinalNewline: false })).stdout;
  };
  const address = (path: string, tag: string) => `http://${host}/v2${path}/manifests/${tag}`;
  return {
    host,
    close,
    async manifest(path, tag) {
      const text = await curl('-H', `Accept: ${V2}`, address(path, tag));
      return { mediaType: V2, digest: `sha256:${createHash('sha256').update(text).digest('hex')}`, size: Buffer.byteLength(text) };
    },
    async putManifest(path, tag, manifest) {
      await curl('-X', 'PUT', '-H', `Content-Type: ${manifest.mediaType}`, '--data-binary', JSON.stringify(manifest), address(path, tag));
    },
  };
}

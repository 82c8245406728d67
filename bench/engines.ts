import { execa } from 'execa';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { enter } from '../compat-tests/support/hosts.ts';
import { busyboxRootfs } from '../fixtures/busybox-rootfs.ts';
import { memoryOf } from './memory.ts';

/** NAME=SOCKET[@NETNS[@CLIENT_NETNS]]: an engine's socket, its host's network namespace, and that of a host beside it. */
export type Address = {
  readonly name: string;
  readonly socket: string;
  readonly netns: string | undefined;
  readonly client: string | undefined;
};

/** What the bench can do with an engine. */
export type Engine = {
  readonly name: string;
  readonly version: string;
  /** The name under which the bench makes a thing; `sweep` removes what is named so. */
  own(what: string): string;
  /** Makes `image` of a root filesystem. */
  import(rootfs: Buffer): Promise<unknown>;
  /** Runs the docker CLI and resolves to what it prints. */
  docker(...args: string[]): Promise<string>;
  /** Runs the docker CLI and resolves to the milliseconds it took; with `bytes`, insists that it printed as many. */
  time(args: readonly string[], bytes?: number): Promise<number>;
  /** GETs a path of the API, reads the whole answer and throws it away. */
  get(path: string): Promise<Transfer>;
  /** PUTs a file's bytes to a path of the API. */
  put(path: string, file: string): Promise<Transfer>;
  /** Fetches from a port of the engine's host, seen from the host itself or from the one beside it. */
  fetch(from: 'the host' | 'another host', port: number, path: string): Promise<Transfer>;
  /** MiB of the daemon and all its helpers. */
  memory(): Promise<number>;
  /** Removes what the bench has made, even after an interruption; `leave` removes its image, too. */
  sweep(): Promise<void>;
  leave(): Promise<void>;
};

export type Transfer = { readonly bytes: number; readonly ms: number };

export const image = 'berth-bench:latest';

/** Longer than the reference takes for 1,000 ports; whatever takes longer is broken. */
const commandTimeout = 240_000;

export function parseAddress(text: string): Address {
  const [, name, socket, netns, client] = /^([\w.-]+)=([^@]+)(?:@([^@]+))?(?:@([^@]+))?$/.exec(text) ?? [];
  if (!name || !socket) throw new Error(`not an engine: ${text} (expected NAME=SOCKET[@NETNS[@CLIENT_NETNS]])`);
  return { name, socket, netns, client };
}

export async function connect(address: Address, signal: AbortSignal): Promise<Engine> {
  const { name, socket, netns, client } = address;
  const env = { DOCKER_HOST: `unix://${socket}`, DOCKER_CLI_HINTS: 'false' };
  const prefix = `bench-${process.pid}-${name}-`;

  const engine = {
    name,
    own: (what: string) => prefix + what,
    import: (rootfs: Buffer) => execa('docker', ['import', '-c', 'EXPOSE 8080', '-c', 'CMD ["sleep","3600"]', '-', image], { env, cancelSignal: signal, input: rootfs }),
    async docker(...args: string[]) {
      const { stdout } = await execa('docker', args, { env, cancelSignal: signal, timeout: commandTimeout, stdin: 'ignore' });
      return stdout;
    },
    async time(args: readonly string[], bytes?: number) {
      const scratch = await mkdtemp(join(tmpdir(), 'bench-'));
      const output = await open(join(scratch, 'output'), 'w');
      try {
        const start = performance.now();
        // A descriptor, so that what is printed does not pass through this process; the types of execa know 3 to 9.
        const stdout = output.fd as 3;
        await execa('docker', args, { env, cancelSignal: signal, timeout: commandTimeout, stdin: 'ignore', stdout });
        const ms = performance.now() - start;
        const { size } = await output.stat();
        if (bytes !== undefined && size !== bytes) throw new Error(`${size} bytes came out instead of ${bytes}`);
        return ms;
      } finally {
        await output.close();
        await rm(scratch, { recursive: true });
      }
    },
    get: (path: string) => curl([], ['--unix-socket', socket, `http://engine${path}`]),
    put: (path: string, file: string) => curl([], ['-T', file, '--unix-socket', socket, `http://engine${path}`], 'size_upload'),
    async fetch(from: 'the host' | 'another host', port: number, path: string) {
      if (!netns) throw new Error('no NETNS was given');
      if (from === 'the host') return curl(enter(netns, []), [`http://127.0.0.1:${port}${path}`]);
      if (!client) throw new Error('no CLIENT_NETNS was given');
      return curl(enter(client, []), [`http://${await addressOf(netns)}:${port}${path}`]);
    },
    async memory() {
      if (!netns) throw new Error('no NETNS was given');
      return memoryOf(`/run/netns/${netns}`);
    },
    async sweep() {
      // Again after a while: an interrupted CLI may have left the daemon a container to make.
      for (const wait of [0, 500]) {
        await new Promise((resolve) => { setTimeout(resolve, wait); });
        await remove(['ps', '-a', '--format', '{{.Names}}'], ['rm', '-f', '-v']);
        await remove(['network', 'ls', '--format', '{{.Name}}'], ['network', 'rm']);
        await remove(['volume', 'ls', '--format', '{{.Name}}'], ['volume', 'rm']);
        if (!signal.aborted) break;
      }
    },
    async leave() {
      await this.sweep();
      await execa('docker', ['rmi', image], { env, reject: false, timeout: commandTimeout });
    },
  };

  /** Uncancelled, and without complaint: an engine that cannot list networks has none of ours. */
  async function remove(list: readonly string[], removal: readonly string[]) {
    const found = await execa('docker', list, { env, reject: false, timeout: commandTimeout, stdin: 'ignore' });
    const names = found.stdout.split('\n').filter((line) => line.startsWith(prefix));
    if (names.length > 0) await execa('docker', [...removal, ...names], { env, reject: false, timeout: commandTimeout });
  }

  async function curl(entry: readonly string[], args: readonly string[], size: 'size_download' | 'size_upload' = 'size_download'): Promise<Transfer> {
    const format = `%{http_code} %{${size}} %{time_total}`;
    const [command, ...rest] = [...entry, 'curl', '-sS', '--noproxy', '*', '-m', '120', '-o', '/dev/null', '-w', format, ...args] as [string, ...string[]];
    const { stdout } = await execa(command, rest, { cancelSignal: signal });
    const [status, bytes, seconds] = stdout.split(' ').map(Number);
    if (status !== 200 || bytes === undefined || seconds === undefined) throw new Error(`HTTP status ${status}`);
    return { bytes, ms: seconds * 1000 };
  }

  return { ...engine, version: await engine.docker('version', '--format', '{{.Server.Version}}') };
}

/** The one image that all rows run. */
export async function importImage(engines: readonly Engine[]) {
  const input = await busyboxRootfs();
  for (const engine of engines) await engine.import(input);
}

/** The first address of a host that is not an engine's bridge. */
async function addressOf(netns: string): Promise<string> {
  const { stdout } = await execa('ip', ['-n', netns, '-j', '-4', 'addr', 'show', 'scope', 'global']);
  const devices = JSON.parse(stdout) as { ifname: string; addr_info: { local: string }[] }[];
  const outer = devices.find(({ ifname }) => ifname && ifname !== 'docker0' && !ifname.startsWith('br-'));
  const address = outer?.addr_info[0]?.local;
  if (!address) throw new Error(`no address in ${netns}`);
  return address;
}

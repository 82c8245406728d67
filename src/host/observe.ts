import fs from 'node:fs';
import path from 'node:path';
import type { HostObject } from '../operations/operation.ts';
import { run } from './command.ts';

export type Observed = {
  /** Those of the wanted objects that the host does not have. */
  missing(wanted: readonly HostObject[]): HostObject[];
  /** What berth has put on the host and nobody wants any more. */
  leftovers(wanted: readonly HostObject[]): HostObject[];
};

type Link = { readonly ifname: string; readonly master?: string; readonly address?: string };

/**
 * Looks at what is there: links of the daemon's network namespace, namespaces, mounts and directories under the two
 * roots. Rules are compared elsewhere, chain by chain, for their order counts; host ports are held by a process, and a
 * daemon that has just begun holds none. What is inside a sandbox came and goes with its namespace.
 */
export const observe = async ({ dataRoot, execRoot, keep }: {
  dataRoot: string;
  execRoot: string;
  /** Names under DATA_ROOT/overlay2 that are no container's. */
  keep: ReadonlySet<string>;
}): Promise<Observed> => {
  const [bridges, veths] = await Promise.all([links('bridge'), links('veth')]);
  const mounts = mountPoints();
  const netnsRoot = path.join(execRoot, 'netns');
  const linkNames = new Set([...bridges, ...veths].map(({ ifname }) => ifname));

  const has = (object: HostObject): boolean => {
    switch (object.kind) {
      case 'directory':
      case 'file':
        return fs.existsSync(object.path);
      case 'overlay':
        return mounts.has(object.merged);
      case 'netns':
        return mounts.has(object.path);
      case 'bridge':
      case 'veth':
        return linkNames.has(object.name);
      case 'address':
      case 'route':
        return mounts.has(object.netns);
      case 'sysctl':
      case 'host-port':
        return false;
      case 'chain':
      case 'rule':
        return true;
    }
  };

  return {
    missing: (wanted) => wanted.filter((object) => !has(object)),
    leftovers(wanted) {
      const paths = new Set(wanted.flatMap((object) => (object.kind === 'directory' || object.kind === 'netns' ? [object.path] : object.kind === 'overlay' ? [object.merged] : [])));
      const names = new Set(wanted.flatMap((object) => (object.kind === 'veth' || object.kind === 'bridge' ? [object.name] : [])));
      const ourBridges = new Set(wanted.flatMap((object) => (object.kind === 'bridge' ? [object.name] : [])));
      const overlays = path.join(dataRoot, 'overlay2');
      return [
        ...veths
          .filter(({ ifname, master }) => /^veth[0-9a-f]{7}$/.test(ifname) && master !== undefined && ourBridges.has(master) && !names.has(ifname))
          .map(({ ifname, master = '' }): HostObject => ({ kind: 'veth', name: ifname, bridge: master, netns: '', device: '', mac: '', mtu: 0 })),
        ...[...mounts].filter((at) => at.startsWith(`${overlays}/`) && at.endsWith('/merged') && !paths.has(at)).map((merged): HostObject => ({ kind: 'overlay', lower: [], upper: '', work: '', merged })),
        ...entries(netnsRoot).filter((at) => !paths.has(at)).map((at): HostObject => ({ kind: 'netns', path: at })),
        ...entries(path.join(dataRoot, 'containers')).filter((at) => !paths.has(at)).map(directory),
        ...entries(overlays).filter((at) => !paths.has(at) && !keep.has(path.basename(at))).map(directory),
      ];
    },
  };
};

const directory = (at: string): HostObject => ({ kind: 'directory', path: at, mode: 0 });

const entries = (root: string): string[] => (fs.existsSync(root) ? fs.readdirSync(root).map((name) => path.join(root, name)) : []);

const links = async (type: string): Promise<readonly Link[]> => {
  const { stdout } = await run(['ip', '-json', 'link', 'show', 'type', type]);
  return stdout.trim() === '' ? [] : (JSON.parse(stdout) as Link[]);
};

const mountPoints = (): Set<string> =>
  new Set(
    fs
      .readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .flatMap((line) => {
        const at = line.split(' ')[4];
        return at === undefined ? [] : [at.replace(/\\(\d{3})/g, (_all, octal: string) => String.fromCharCode(parseInt(octal, 8)))];
      }),
  );

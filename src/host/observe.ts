import fs from 'node:fs';
import path from 'node:path';
import type { HostObject } from '../operations/operation.ts';
import { run } from './command.ts';
import { mountPoints } from './syscalls.ts';
import { BRIDGE_ALIAS } from './link.ts';

export type Observed = {
  /** Those of the wanted objects that the host does not have. */
  missing(wanted: readonly HostObject[]): HostObject[];
  /** What berth has put on the host and nobody wants any more. */
  leftovers(wanted: readonly HostObject[]): HostObject[];
};

type Link = { readonly ifname: string; readonly master?: string; readonly ifalias?: string; readonly address?: string };

/** Made by a berth that ended before it could write its alias on it: both its name and its address are the network's id. */
const isBridgeOfNetwork = ({ ifname, address = '' }: Link): boolean => /^br-[0-9a-f]{12}$/.test(ifname) && address === ['02', ...(ifname.slice(3, 13).match(/../g) ?? [])].join(':');

/**
 * Looks at what is there: links of the daemon's network namespace, namespaces, mounts and directories under the two
 * roots. Rules are compared elsewhere, chain by chain, for their order counts; host ports are held by a process, and a
 * daemon that has just begun holds none. What is inside a sandbox came and goes with its namespace.
 */
export const observe = async ({ dataRoot, execRoot, keep, keepVolumes }: {
  dataRoot: string;
  execRoot: string;
  /** Names under DATA_ROOT/overlay2 that are no container's. */
  keep: ReadonlySet<string>;
  /** Nothing is known of volumes (the state is new): what is there is not ours to remove. */
  keepVolumes: boolean;
}): Promise<Observed> => {
  const [bridges, veths] = await Promise.all([links('bridge'), links('veth')]);
  const mounts = mountPoints();
  const netnsRoot = path.join(execRoot, 'netns');
  const masters = new Map(veths.map(({ ifname, master = '' }) => [ifname, master]));

  const has = (object: HostObject): boolean => {
    switch (object.kind) {
      case 'directory':
      case 'file':
        return fs.existsSync(object.path);
      case 'subpath':
        return mounts.has(object.target);
      case 'shared-memory':
      case 'netns':
        return mounts.has(object.path);
      // A daemon that crashed may have come half way with these, and inside a sandbox nobody looks: to say it once more
      // costs less, and changes nothing where it is so.
      case 'bridge':
      case 'veth':
      case 'sysctl':
      case 'address':
      case 'route':
      case 'hairpin':
      case 'host-port':
      case 'resolver':
      // Counted by the daemon: one that has just begun knows of no user.
      case 'overlay':
      case 'mount':
        return false;
      case 'chain':
      case 'rule':
      case 'element':
        return true;
    }
  };

  return {
    missing: (wanted) => wanted.filter((object) => !has(object)),
    leftovers(wanted) {
      const paths = new Set(wanted.flatMap((object) => (object.kind === 'directory' || object.kind === 'netns' || object.kind === 'shared-memory' ? [object.path] : object.kind === 'overlay' ? [object.merged] : object.kind === 'mount' || object.kind === 'subpath' ? [object.target] : [])));
      const names = new Set(wanted.flatMap((object) => (object.kind === 'veth' || object.kind === 'bridge' ? [object.name] : [])));
      const ourBridges = new Set(wanted.flatMap((object) => (object.kind === 'bridge' ? [object.name] : [])));
      // One whose bridge was lost is in none, or in another's.
      const astray = new Set(wanted.flatMap((object) => (object.kind === 'veth' && masters.has(object.name) && masters.get(object.name) !== object.bridge ? [object.name] : [])));
      const overlays = path.join(dataRoot, 'overlay2');
      const volumes = path.join(dataRoot, 'volumes');
      return [
        ...veths
          .filter(({ ifname, master }) => astray.has(ifname) || (/^veth[0-9a-f]{7}$/.test(ifname) && master !== undefined && ourBridges.has(master) && !names.has(ifname)))
          .map(({ ifname, master = '' }): HostObject => ({ kind: 'veth', name: ifname, bridge: master, netns: '', device: '', mac: '', mtu: 0, ipv6: false })),
        ...bridges
          .filter((link) => ((link.ifalias ?? '').startsWith(BRIDGE_ALIAS) || isBridgeOfNetwork(link)) && !names.has(link.ifname))
          .map(({ ifname, ifalias = '' }): HostObject => ({ kind: 'bridge', name: ifname, addresses: [], mtu: 0, mac: '', networkId: ifalias.slice(BRIDGE_ALIAS.length) })),
        ...[...mounts].filter((at) => at.startsWith(`${overlays}/`) && at.endsWith('/merged') && !paths.has(at)).map((merged): HostObject => ({ kind: 'overlay', lower: [], upper: '', work: '', merged })),
        ...[...mounts].filter((at) => at.startsWith(`${volumes}/`) && !paths.has(at)).sort().reverse().map((target): HostObject => ({ kind: 'mount', type: '', source: '', target, options: '', user: '' })),
        ...entries(path.join(execRoot, 'subpaths')).filter((at) => !paths.has(at)).map((target): HostObject => ({ kind: 'subpath', volume: '', path: '', target })),
        ...entries(path.join(execRoot, 'shm')).filter((at) => !paths.has(at)).map((at): HostObject => ({ kind: 'shared-memory', path: at, size: 0 })),
        ...entries(netnsRoot).filter((at) => !paths.has(at)).map((at): HostObject => ({ kind: 'netns', path: at })),
        ...(keepVolumes ? [] : entries(volumes).filter((at) => !paths.has(at)).map(directory)),
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

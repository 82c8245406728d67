import type { Family, NameServer } from '../model/network.ts';
import type { Protocol } from '../model/port.ts';
import type { SetName } from './own-table.ts';

export type { Family };
export type Table = 'raw' | 'mangle' | 'nat' | 'filter';

/**
 * What the host can have. Small, printable nouns: setting up, tearing down, checking and explaining
 * are all made from them.
 */
export type HostObject =
  // netns '': the host's own.
  | { readonly kind: 'sysctl'; readonly netns: string; readonly key: string; readonly value: string }
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'file'; readonly path: string; readonly content: string; readonly mode: number }
  | {
      readonly kind: 'overlay';
      /** Topmost first, as overlayfs lists them. */
      readonly lower: readonly string[];
      readonly upper: string;
      readonly work: string;
      readonly merged: string;
    }
  | {
      /** What a volume's options say, mounted on its directory. */
      readonly kind: 'mount';
      /** As `mount -t TYPE -o OPTIONS SOURCE TARGET`. */
      readonly type: string;
      readonly source: string;
      readonly target: string;
      readonly options: string;
      /** Who wants it: it is mounted for the first and unmounted after the last. */
      readonly user: string;
    }
  | {
      /** The /dev/shm of a container that lets others use it. */
      readonly kind: 'shared-memory';
      readonly path: string;
      /** Bytes. */
      readonly size: number;
    }
  | {
      /** What a path of a volume leads to, held fast at a place of our own. */
      readonly kind: 'subpath';
      readonly volume: string;
      readonly path: string;
      readonly target: string;
    }
  | {
      readonly kind: 'bridge';
      readonly name: string;
      readonly addresses: readonly string[];
      readonly mtu: number;
      readonly mac: string;
      /** Whose it is. */
      readonly networkId: string;
      /** What goes from one of its ports to another meets the firewall too. */
      readonly filtered?: boolean;
    }
  | { readonly kind: 'netns'; readonly path: string }
  | {
      readonly kind: 'veth';
      readonly name: string;
      readonly bridge: string;
      readonly netns: string;
      readonly device: string;
      readonly mac: string;
      readonly mtu: number;
      /** Whether the end in the sandbox speaks IPv6. */
      readonly ipv6: boolean;
    }
  | { readonly kind: 'address'; readonly netns: string; readonly device: string; readonly cidr: string }
  | { readonly kind: 'route'; readonly netns: string; readonly to: string; readonly via: string; readonly device: string }
  | { readonly kind: 'chain'; readonly family: Family; readonly table: Table; readonly name: string }
  | {
      readonly kind: 'rule';
      readonly family: Family;
      readonly table: Table;
      readonly chain: string;
      /** As `iptables -S` lists it, without `-A CHAIN`. */
      readonly spec: readonly string[];
      /** Where it goes in the chain: before what is there, or after it. */
      readonly at: 'top' | 'end';
    }
  | {
      /** In a set or a map of berth's own nftables table, as nft lists it. */
      readonly kind: 'element';
      readonly family: Family;
      readonly set: SetName;
      readonly element: string;
    }
  /** A port of a bridge that may send back what came from it: a container that calls itself by the host's address. */
  | { readonly kind: 'hairpin'; readonly veth: string }
  | {
      /** A name server inside a sandbox, at ADDRESS port 53. */
      readonly kind: 'resolver';
      readonly netns: string;
      readonly address: string;
      readonly containerId: string;
      /** Whom it asks what it does not know. */
      readonly servers: readonly NameServer[];
    }
  | {
      readonly kind: 'host-port';
      readonly protocol: Protocol;
      readonly hostAddress: string;
      readonly hostPort: number;
      /** So many neighbours from there on, to as many ports from `port` on; absent: one. */
      readonly count?: number;
      /** Who keeps those after the first: this one, for both families at once, or the one of the other family. */
      readonly rest?: 'both' | 'other';
      /** Where connections go that no DNAT rule catches (::, hairpin, 127.0.0.1). */
      readonly address: string;
      readonly port: number;
    };

export type KindOf<K extends HostObject['kind']> = Extract<HostObject, { kind: K }>;

export type Operation = { readonly action: 'add' | 'remove'; readonly object: HostObject };

export const inverse = (operation: Operation): Operation => ({
  action: operation.action === 'add' ? 'remove' : 'add',
  object: operation.object,
});

/** What puts things back as they were before these operations, last one first. */
export const undo = (operations: readonly Operation[]): Operation[] => operations.map(inverse).reverse();

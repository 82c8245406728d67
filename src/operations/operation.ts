import type { Protocol } from '../model/port.ts';

export type Family = 'ipv4' | 'ipv6';
export type Table = 'raw' | 'mangle' | 'nat' | 'filter';

/**
 * What the host can have. Small, printable nouns: setting up, tearing down, checking and explaining
 * are all made from them.
 */
export type HostObject =
  | { readonly kind: 'sysctl'; readonly key: string; readonly value: string }
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
  | { readonly kind: 'bridge'; readonly name: string; readonly addresses: readonly string[]; readonly mtu: number }
  | { readonly kind: 'netns'; readonly path: string }
  | {
      readonly kind: 'veth';
      readonly name: string;
      readonly bridge: string;
      readonly netns: string;
      readonly device: string;
      readonly mac: string;
      readonly mtu: number;
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
      readonly kind: 'host-port';
      readonly protocol: Protocol;
      readonly hostAddress: string;
      readonly hostPort: number;
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

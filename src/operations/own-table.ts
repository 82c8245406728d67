import type { Family } from '../model/network.ts';

/**
 * Berth's own nftables table, beside those of iptables: what must work and no tool of people's should list. Both are heard by
 * the kernel, whichever iptables the host has. Rules and elements are in nft's own words, and compare as text.
 */
export const OWN_TABLE = 'berth';

export type SetName = 'bridges' | 'hairpin' | 'inside' | 'any' | 'at' | 'relay';
export type Field = 'ifname' | 'address' | 'protocol' | 'port';
export type SetShape = {
  readonly key: readonly Field[];
  /** What it leads to, in a map. */
  readonly value?: readonly Field[];
  /** An address of the key stands for all of a subnet, a port for itself or for several. */
  readonly interval?: true;
};

export const SETS: Readonly<Record<SetName, SetShape>> = {
  bridges: { key: ['ifname'] },
  hairpin: { key: ['ifname'] },
  inside: { key: ['ifname', 'address'], interval: true },
  any: { key: ['ifname', 'protocol', 'port'], value: ['address', 'port'] },
  relay: { key: ['address', 'protocol', 'port'], value: ['port'], interval: true },
  at: { key: ['ifname', 'address', 'protocol', 'port'], value: ['address', 'port'] },
};
export const SET_NAMES = Object.keys(SETS) as SetName[];

/** A base chain and its rules. */
export type OwnChain = {
  readonly name: string;
  readonly type: 'filter' | 'nat';
  readonly hook: 'prerouting' | 'output' | 'postrouting';
  readonly priority: number;
  readonly rules: readonly string[];
};

/** What a family's table holds, a line each: `rule CHAIN RULE` in the order of the rules, `element SET ELEMENT`. */
export type OwnLines = { readonly rules: readonly string[]; readonly elements: readonly string[] };

export const ruleLines = (chains: readonly OwnChain[]): string[] => chains.flatMap(({ name, rules }) => rules.map((rule) => `rule ${name} ${rule}`));
export const elementLine = ({ set, element }: { readonly set: SetName; readonly element: string }): string => `element ${set} ${element}`;

export const nftFamily = (family: Family): 'ip' | 'ip6' => (family === 'ipv4' ? 'ip' : 'ip6');

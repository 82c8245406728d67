import fs from 'node:fs';
import { formatAddress, formatCidr, parseAddress, subnetOf } from '../model/cidr.ts';

/** A range of addresses the host already has a use for: no network of ours should come to lie on it. */
export type HostRange = { readonly cidr: string; readonly by: string };

const [RTF_UP, RTF_GATEWAY, RTF_REJECT] = [0x1, 0x2, 0x200];

/**
 * The links the host is on, and the name servers it asks. Routes through a gateway do not count: a VPN's are often
 * wider than what it has a use for.
 *
 * /proc/net is /proc/self/net: the network namespace of this process' first thread, which is the one that runs JavaScript. (And
 * /proc/sys/net is that of whichever thread opens it, another one when fs.promises does.) So these are read synchronously:
 * then they are those of the daemon's own network, whatever namespace the machine's first process is in.
 */
export const hostRanges = (): HostRange[] => [
  ...parseRoutes(textOf('/proc/net/route')),
  ...parseIpv6Routes(textOf('/proc/net/ipv6_route')),
  ...parseNameservers(textOf('/etc/resolv.conf')),
];

/** /proc/net/route: addresses as eight hexadecimal digits, in the order the machine keeps a number in memory. */
export const parseRoutes = (text: string): HostRange[] =>
  rows(text).flatMap(([device = '', destination = '', , flags = '0', , , , mask = '']) => {
    if (!onLink(flags) || !/^[0-9A-F]{8}$/i.test(mask) || !/^[0-9A-F]{8}$/i.test(destination) || mask === '00000000') return [];
    return [{ cidr: rangeOf(swapped(destination), bitsSet(swapped(mask)), 32), by: `link ${device}` }];
  });

/** /proc/net/ipv6_route: destination and prefix length in hexadecimal. Link-local, multicast and single addresses are nobody's range. */
export const parseIpv6Routes = (text: string): HostRange[] =>
  rows(text).flatMap((fields) => {
    const [destination = '', length = '', flags = '0', device = ''] = [fields[0], fields[1], fields[8], fields[9]];
    const prefix = parseInt(length, 16);
    if (!/^[0-9a-f]{32}$/i.test(destination) || !onLink(flags) || device === 'lo') return [];
    if (prefix === 0 || prefix === 128 || /^(fe[89ab]|ff)/i.test(destination)) return [];
    return [{ cidr: rangeOf(BigInt(`0x${destination}`), prefix, 128), by: `link ${device}` }];
  });

/** Loopback resolvers are on no network. */
export const parseNameservers = (text: string): HostRange[] =>
  [...text.matchAll(/^\s*nameserver\s+([^\s%#;]+)/gm)].flatMap(([, written = '']) => {
    const address = parseAddress(written);
    return !address || written.startsWith('127.') || written === '::1' ? [] : [{ cidr: formatAddress(address), by: 'name server in /etc/resolv.conf' }];
  });

const rows = (text: string): string[][] => text.split('\n').map((line) => line.trim().split(/\s+/));

const onLink = (flags: string): boolean => {
  const set = parseInt(flags, 16);
  return (set & RTF_UP) !== 0 && (set & (RTF_GATEWAY | RTF_REJECT)) === 0;
};

/** x86-64 and arm64 keep the lowest byte first. */
const swapped = (hex: string): bigint => BigInt(`0x${(hex.match(/../g) ?? []).reverse().join('')}`);

const bitsSet = (mask: bigint): number => mask.toString(2).replaceAll('0', '').length;

const rangeOf = (value: bigint, prefix: number, bits: 32 | 128): string => formatCidr(subnetOf({ bits, value, prefix }));

const textOf = (file: string): string => {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

/** Addresses and subnets of both families, as numbers: one arithmetic for 32 and 128 bits. */
export type Address = { readonly bits: 32 | 128; readonly value: bigint };
export type Cidr = Address & { readonly prefix: number };

/** An address written out, or undefined. No zone, no IPv4 tail in IPv6, no leading zeros in IPv4. */
export const parseAddress = (text: string): Address | undefined => {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    const parts = text.split('.');
    if (parts.some((part) => Number(part) > 255 || (part.length > 1 && part.startsWith('0')))) return undefined;
    return { bits: 32, value: parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
  }
  return parseIpv6(text);
};

const parseIpv6 = (text: string): Address | undefined => {
  if (!/^[0-9a-fA-F:]{2,39}$/.test(text)) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<string>(missing).fill('0'), ...tail];
  if (groups.some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return { bits: 128, value: groups.reduce((sum, group) => (sum << 16n) + BigInt(`0x${group}`), 0n) };
};

/** As iptables and ip list it; IPv6 with its longest run of zeros shortened. */
export const formatAddress = ({ bits, value }: Address): string => {
  if (bits === 32) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  const runs = [...groups.join(':').matchAll(/\b0(?::0)+\b/g)].sort((a, b) => b[0].length - a[0].length || a.index - b.index);
  const [longest] = runs;
  if (!longest) return groups.join(':');
  const text = groups.join(':');
  return `${text.slice(0, longest.index).replace(/:$/, '')}::${text.slice(longest.index + longest[0].length).replace(/^:/, '')}`;
};

/** ADDRESS/PREFIX; the address may have host bits, which `value` keeps. */
export const parseCidr = (text: string): Cidr | undefined => {
  const [, head = '', tail = ''] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const address = parseAddress(head);
  const prefix = Number(tail);
  return address && tail !== '' && prefix <= address.bits ? { ...address, prefix } : undefined;
};

export const formatCidr = (cidr: Cidr): string => `${formatAddress(cidr)}/${cidr.prefix}`;

const hostBits = ({ bits, prefix }: Cidr): bigint => BigInt(bits - prefix);

/** The subnet an address with a prefix lies in: 172.17.0.1/16 -> 172.17.0.0/16. */
export const subnetOf = (cidr: Cidr): Cidr => ({ ...cidr, value: (cidr.value >> hostBits(cidr)) << hostBits(cidr) });

export const firstOf = (cidr: Cidr): bigint => subnetOf(cidr).value;
export const lastOf = (cidr: Cidr): bigint => firstOf(cidr) + (1n << hostBits(cidr)) - 1n;

export const contains = (cidr: Cidr, address: Address): boolean =>
  cidr.bits === address.bits && address.value >= firstOf(cidr) && address.value <= lastOf(cidr);

export const overlaps = (a: Cidr, b: Cidr): boolean => a.bits === b.bits && firstOf(a) <= lastOf(b) && firstOf(b) <= lastOf(a);

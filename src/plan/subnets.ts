import { contains, firstOf, formatCidr, lastOf, overlaps, parseAddress, parseCidr, subnetOf, type Cidr } from '../model/cidr.ts';
import { forbidden, invalid, systemError } from '../model/errors.ts';

/** Where subnets of new networks are cut from: `size` is the prefix length of each. */
export type AddressPool = { readonly base: string; readonly size: number };

/** A range in use, and whose it is: `network front`, `route via eth0`... */
export type TakenRange = { readonly cidr: string; readonly by: string };

/** The reference engine's own. */
export const DEFAULT_POOLS: readonly AddressPool[] = [
  { base: '172.17.0.0/16', size: 16 },
  { base: '172.18.0.0/16', size: 16 },
  { base: '172.19.0.0/16', size: 16 },
  { base: '172.20.0.0/14', size: 16 },
  { base: '172.24.0.0/14', size: 16 },
  { base: '172.28.0.0/14', size: 16 },
  { base: '192.168.0.0/16', size: 20 },
];

/** `--default-address-pool base=CIDR,size=BITS` */
export const parseAddressPool = (text: string): AddressPool => {
  const bad = (why: string): Error => invalid(`invalid address pool ${JSON.stringify(text)}: ${why}`);
  const fields = new Map(text.split(',').map((field) => field.split('=', 2) as [string, string | undefined]));
  for (const key of fields.keys()) if (key !== 'base' && key !== 'size') throw bad(`base=CIDR,size=BITS expected`);
  const [base, size] = [parseCidr(fields.get('base') ?? ''), fields.get('size') ?? ''];
  if (!base) throw bad('base must be ADDRESS/PREFIX');
  if (!/^\d{1,3}$/.test(size)) throw bad('size must be a number of bits');
  if (Number(size) < base.prefix || Number(size) > base.bits) throw bad(`size must be between ${base.prefix} and ${base.bits}`);
  return { base: formatCidr(subnetOf(base)), size: Number(size) };
};

/** The first subnet of the pools that nobody has. Costs what is taken, not what is free, however finely a pool is cut. */
export const chooseSubnet = (pools: readonly AddressPool[], taken: readonly TakenRange[]): string => {
  const ranges = taken.map(parsed);
  for (const pool of pools) {
    const free = firstFree(pool, ranges);
    if (free) return formatCidr(free);
  }
  throw systemError(`all predefined address pools have been fully subnetted: ${pools.map(({ base }) => base).join(', ')} ${inTheWay(pools, taken)}`);
};

/** A subnet of the client's own choosing: an overlap names who is there, and what is free instead. */
export const checkSubnet = (cidr: string, taken: readonly TakenRange[], pools: readonly AddressPool[] = DEFAULT_POOLS): void => {
  const wanted = mustParse(cidr);
  const culprit = taken.find((range) => overlaps(wanted, parsed(range)));
  if (!culprit) return;
  const words = `invalid pool request: Pool overlaps with other one on this address space: ${cidr} overlaps ${culprit.cidr} (${culprit.by})`;
  const free = nextFree(wanted, [...pools.filter(({ base }) => mustParse(base).bits === wanted.bits)], taken.map(parsed));
  throw forbidden(free ? `${words}; ${formatCidr(free)} is free` : words);
};

/** Of the same size as the one wanted: after it in the block it comes from, or else in the pools. */
const nextFree = (wanted: Cidr, pools: readonly AddressPool[], ranges: readonly Cidr[]): Cidr | undefined => {
  const block = PRIVATE.map(mustParse).find((range) => contains(range, wanted) && range.prefix <= wanted.prefix);
  const after = block && search({ ...wanted, value: lastOf(wanted) + 1n }, lastOf(block), ranges);
  if (after) return after;
  for (const { base } of [...(block ? [{ base: formatCidr(block) }] : []), ...pools]) {
    const range = mustParse(base);
    const free = range.prefix <= wanted.prefix ? search({ ...range, prefix: wanted.prefix }, lastOf(range), ranges) : undefined;
    if (free) return free;
  }
  return undefined;
};

/** For everybody's own use (RFC 1918, RFC 4193). */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fd00::/8'];

const firstFree = ({ base, size }: AddressPool, ranges: readonly Cidr[]): Cidr | undefined => {
  const range = mustParse(base);
  return search({ ...range, value: firstOf(range), prefix: size }, lastOf(range), ranges);
};

/** From `start` on, over whatever is in the way, as far as `end`. */
const search = (start: Cidr, end: bigint, ranges: readonly Cidr[]): Cidr | undefined => {
  const near = ranges.filter((range) => range.bits === start.bits).sort((a, b) => (firstOf(a) < firstOf(b) ? -1 : 1));
  let candidate = subnetOf(start);
  for (const range of near) {
    if (!overlaps(candidate, range)) continue;
    const size = 1n << BigInt(candidate.bits - candidate.prefix);
    candidate = { ...candidate, value: ((lastOf(range) + size) / size) * size };
  }
  return lastOf(candidate) <= end ? candidate : undefined;
};

const inTheWay = (pools: readonly AddressPool[], taken: readonly TakenRange[]): string => {
  const bases = pools.map(({ base }) => mustParse(base));
  const who = taken.filter((range) => bases.some((base) => overlaps(base, parsed(range)))).map(({ cidr, by }) => `${cidr} (${by})`);
  const [shown, left] = [who.slice(0, 8), who.length - 8];
  return `are taken by ${shown.join(', ')}${left > 0 ? ` and ${left} more` : ''}`;
};

/** A lone address is a range of one. */
const parsed = ({ cidr }: TakenRange): Cidr => {
  const address = parseAddress(cidr);
  return address ? { ...address, prefix: address.bits } : mustParse(cidr);
};

const mustParse = (cidr: string): Cidr => {
  const range = parseCidr(cidr);
  if (!range) throw invalid(`invalid subnet ${cidr}`);
  return range;
};

import { contains, firstOf, formatAddress, lastOf, parseAddress, parseCidr, type Cidr } from '../model/cidr.ts';
import { systemError } from '../model/errors.ts';
import type { Network, Subnet } from '../model/network.ts';
import type { State } from '../model/state.ts';

/** The lowest address of a network's subnet that nobody has: not the network's own, the gateway's, or a reserved one. */
export const allocateAddress = (network: Pick<Network, 'id' | 'name'>, subnet: Subnet, taken: ReadonlySet<string>): string => {
  const range = mustParse(subnet.cidr);
  const pool = subnet.ipRange === undefined ? range : mustParse(subnet.ipRange);
  const unavailable = new Set([subnet.gateway, ...Object.values(subnet.reserved)]);
  const last = lastOf(range);
  for (let value = firstOf(pool); value <= lastOf(pool); value++) {
    if (value === firstOf(range) || (range.bits === 32 && value === last && range.prefix < 31)) continue;
    const address = formatAddress({ bits: range.bits, value });
    if (!unavailable.has(address) && !taken.has(address)) return address;
  }
  throw systemError(`no available IPv${range.bits === 32 ? 4 : 6} addresses on this network's address pools: ${network.name} (${network.id})`);
};

/** The addresses that sandboxes have on a network, of both families. */
export const takenAddresses = (state: State, networkId: string): Set<string> => {
  const taken = new Set<string>();
  for (const { sandbox } of state.containers.values())
    for (const { networkId: joined, address, ipv6 } of sandbox?.endpoints ?? []) {
      if (joined !== networkId) continue;
      if (address !== '') taken.add(address);
      if (ipv6) taken.add(ipv6.address);
    }
  return taken;
};

/** What nobody may be given: addresses of the network's own, whoever asks for them. */
export const ownAddresses = (subnet: Subnet): ReadonlySet<string | undefined> => {
  const range = mustParse(subnet.cidr);
  const edges = range.bits === 32 && range.prefix < 31 ? [firstOf(range), lastOf(range)] : range.bits === 128 ? [firstOf(range)] : [];
  return new Set([subnet.gateway, ...Object.values(subnet.reserved), ...edges.map((value) => formatAddress({ bits: range.bits, value }))]);
};

export const isWithin = (subnet: Subnet, address: string): boolean => {
  const parsed = parseAddress(address);
  return parsed !== undefined && contains(mustParse(subnet.cidr), parsed);
};

const mustParse = (cidr: string): Cidr => {
  const parsed = parseCidr(cidr);
  if (!parsed) throw systemError(`invalid subnet ${cidr}`);
  return parsed;
};

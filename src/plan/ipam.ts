import { contains, firstOf, formatAddress, lastOf, parseAddress, parseCidr, type Cidr } from '../model/cidr.ts';
import { systemError } from '../model/errors.ts';
import type { Network, Subnet } from '../model/network.ts';
import type { State } from '../model/state.ts';

/** The lowest address of a network's subnet that nobody has: not the network's own, the gateway's, or a reserved one. */
export const allocateAddress = (network: Network, subnet: Subnet, taken: ReadonlySet<string>): string => {
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

/** The addresses that sandboxes have on a network. */
export const takenAddresses = (state: State, networkId: string): Set<string> => {
  const taken = new Set<string>();
  for (const { sandbox } of state.containers.values())
    for (const endpoint of sandbox?.endpoints ?? []) if (endpoint.networkId === networkId) taken.add(endpoint.address);
  return taken;
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

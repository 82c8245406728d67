import type { Endpoint, Family } from '../model/network.ts';

export type Gateways = Readonly<Record<Family, Endpoint | undefined>>;

/**
 * By which endpoint a sandbox reaches the rest of the world, for each family: the one with the highest priority, then by the
 * network's name. One network that has both families is preferred to one for each.
 */
export const gatewaysOf = (endpoints: readonly Endpoint[]): Gateways => {
  const ordered = inOrder(endpoints);
  const both = ordered.find(isBoth);
  return {
    ipv4: both ?? ordered.find(({ gateway }) => gateway !== undefined),
    ipv6: both ?? ordered.find(({ ipv6 }) => ipv6?.gateway !== undefined),
  };
};

/** The order in which they are asked for a way, or for a name. */
export const inOrder = (endpoints: readonly Endpoint[]): Endpoint[] =>
  [...endpoints].sort((a, b) => b.gwPriority - a.gwPriority || Number(isBoth(b)) - Number(isBoth(a)) || (a.networkName < b.networkName ? -1 : 1));

const isBoth = ({ gateway, ipv6 }: Endpoint): boolean => gateway !== undefined && ipv6?.gateway !== undefined;

import { formatAddress, parseAddress } from '../model/cidr.ts';
import { dnsNames } from '../model/dns-names.ts';
import { familyOf, interfacesOf, type Endpoint } from '../model/network.ts';
import type { State } from '../model/state.ts';
import { inOrder } from './gateway.ts';
import { splitLink } from './links.ts';

/**
 * What the internal resolver says to a container: addresses, or for PTR names; none of them where the name is known, but
 * not with that; 'forward': the name is none of ours; 'fail': it is not, and nobody else may be asked.
 *
 * As the reference engine does (asked by raw packets, 26.1.5, and recorded, 28.5.2):
 *  - A and AAAA: names on the networks of users that the asker is on, in any case of letters. The first network that knows
 *    the name answers alone, with all who have it. NOERROR without an answer for the family that the network does not have.
 *  - MX of such a name: NOERROR without an answer. Every other type of it is forwarded.
 *  - PTR of an address on those networks, of a container: NAME.NETWORK. Of the gateway, or of one on other networks: forwarded.
 *  - names of one label that nobody has are forwarded like all others (the answer then is the server's), unless ndots was
 *    set by the user or the host: then NOERROR without an answer, so that the client goes on with its search domains.
 *  - no network but internal ones: SERVFAIL at once, without asking anybody; one that is not: all is forwarded.
 * It is stricter in that aliases and network names in capitals are not known there; here they are the same name.
 */
export const lookupName = (state: State, containerId: string, name: string, type: 'A' | 'AAAA' | 'PTR' | 'MX' | 'other'): readonly string[] | 'forward' | 'fail' => {
  const sandbox = state.containers.get(containerId)?.sandbox;
  const all = sandbox?.endpoints ?? [];
  const known = namesOf(state.containers);
  const own = inOrder(all.filter(hasNames));
  if (type === 'PTR') {
    const named = nameOf(known, own, name);
    if (named !== undefined) return [named];
  } else if (type !== 'other') {
    const addresses = addressesOf(known, own, name);
    if (addresses) return type === 'MX' ? [] : addresses.filter((address) => familyOf(address) === FAMILY[type]);
    if (type !== 'MX' && sandbox?.resolver?.ndots === true && !name.includes('.')) return [];
  }
  return all.every(({ networkId }) => state.networks.get(networkId)?.internal ?? true) ? 'fail' : 'forward';
};

const FAMILY = { A: 'ipv4', AAAA: 'ipv6' } as const;

/** The default bridge is older than names. */
export const hasNames = ({ networkName }: Pick<Endpoint, 'networkName'>): boolean => networkName !== 'bridge';

/** Of one network: addresses by name, and by address whose it is. */
type Known = { readonly addresses: Map<string, string[]>; readonly owners: Map<string, string> };
type KnownByNetwork = ReadonlyMap<string, Known>;

/** Made when first asked for after a change: a question then costs the same however many containers there are. */
const namesOf = (containers: State['containers']): KnownByNetwork => {
  const made = remembered.get(containers);
  if (made) return made;
  const networks = new Map<string, Known>();
  for (const container of containers.values())
    for (const endpoint of container.sandbox?.endpoints ?? []) {
      const known = networks.get(endpoint.networkId) ?? { addresses: new Map<string, string[]>(), owners: new Map<string, string>() };
      networks.set(endpoint.networkId, known);
      const addresses = interfacesOf(endpoint).map(({ address }) => address);
      for (const address of addresses) known.owners.set(address, container.name);
      for (const name of new Set(dnsNames(container, endpoint).map((each) => each.toLowerCase()))) {
        const others = known.addresses.get(name);
        if (others) others.push(...addresses);
        else known.addresses.set(name, [...addresses]);
      }
    }
  remembered.set(containers, networks);
  return networks;
};
const remembered = new WeakMap<State['containers'], KnownByNetwork>();

/**
 * NAME on any of the networks, or NAME.NETWORK; both may have dots, so each way to split is tried. A link is known to the
 * asker alone, and goes before a name of the network.
 */
const addressesOf = (known: KnownByNetwork, own: readonly Endpoint[], asked: string): readonly string[] | undefined => {
  for (const [name, network] of splits(asked)) {
    const there = own.filter(({ networkName }) => network === undefined || networkName.toLowerCase() === network);
    for (const endpoint of there) {
      const target = linked(endpoint, name);
      const addresses = target === undefined ? undefined : known.get(endpoint.networkId)?.addresses.get(target);
      if (addresses) return addresses;
    }
    for (const endpoint of there) {
      const addresses = linked(endpoint, name) === undefined ? known.get(endpoint.networkId)?.addresses.get(name) : undefined;
      if (addresses) return addresses;
    }
  }
  return undefined;
};

const splits = (asked: string): (readonly [name: string, network: string | undefined])[] => {
  const all: [string, string | undefined][] = [[asked, undefined]];
  for (let dot = asked.lastIndexOf('.'); dot > 0; dot = asked.lastIndexOf('.', dot - 1)) all.push([asked.slice(0, dot), asked.slice(dot + 1)]);
  return all;
};

const linked = ({ links }: Endpoint, asked: string): string | undefined => {
  for (const written of links) {
    const { name, alias } = splitLink(written);
    if (alias.toLowerCase() === asked) return name.toLowerCase();
  }
  return undefined;
};

const nameOf = (known: KnownByNetwork, own: readonly Endpoint[], asked: string): string | undefined => {
  const address = addressOfPtr(asked);
  if (address === undefined) return undefined;
  for (const { networkId, networkName } of own) {
    const owner = known.get(networkId)?.owners.get(address);
    if (owner !== undefined) return `${owner}.${networkName}`;
  }
  return undefined;
};

/** 4.3.2.1.in-addr.arpa is 1.2.3.4; ip6.arpa has the 32 hexadecimal digits, last one first. */
const addressOfPtr = (name: string): string | undefined => {
  const [, ipv4] = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name) ?? [];
  const [, ipv6] = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name) ?? [];
  const labels = (ipv4 ?? ipv6 ?? '').split('.').slice(0, -1).reverse();
  const address = parseAddress(ipv4 === undefined ? (labels.join('').match(/..../g) ?? []).join(':') : labels.join('.'));
  return address && formatAddress(address);
};

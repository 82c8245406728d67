import { isIP } from 'node:net';
import type { NameServer } from '../model/network.ts';

/** The three files of /etc that the engine writes for a container. */

export const hostnameFile = (hostname: string): string => `${hostname}\n`;

const LOCAL_HOSTS = `127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
`;

export type HostsEntry = { readonly address: string; readonly names: readonly string[] };

/** /etc/hosts: what every host has, `--add-host`, linked containers, then the container itself, a line for each of its addresses. */
export const hostsFile = ({
  hostname,
  domainname = '',
  addresses,
  extraHosts = [],
  links = [],
  hostGateway,
}: {
  readonly hostname: string;
  readonly domainname?: string;
  readonly addresses: readonly string[];
  /** NAME:ADDRESS, as `--add-host` sends them. */
  readonly extraHosts?: readonly string[];
  readonly links?: readonly HostsEntry[];
  /** What `host-gateway` stands for: usually the default bridge's own address. */
  readonly hostGateway?: readonly string[];
}): string => {
  const names = ownNames(hostname, domainname);
  const entries: readonly HostsEntry[] = [
    ...extraHosts.flatMap((entry) => extraHost(entry, hostGateway ?? [])),
    ...links,
    ...addresses.map((address) => ({ address, names })),
  ];
  return LOCAL_HOSTS + entries.map((entry) => `${entry.address}\t${entry.names.join(' ')}\n`).join('');
};

/** The file after the container got or lost addresses; what else is written there is its user's. */
export const hostsChanged = (
  text: string,
  { hostname, domainname, come, gone }: { readonly hostname: string; readonly domainname: string; readonly come: readonly string[]; readonly gone: readonly string[] },
): string => {
  const names = ownNames(hostname, domainname);
  const own = new Set(gone.map((address) => `${address}\t${names.join(' ')}`));
  const kept = text.split('\n').filter((line) => !own.has(line)).join('\n');
  return kept + (kept === '' || kept.endsWith('\n') ? '' : '\n') + come.map((address) => `${address}\t${names.join(' ')}\n`).join('');
};

/** The addresses that the file says are the container's own. */
export const ownAddresses = (text: string, { hostname, domainname }: { readonly hostname: string; readonly domainname: string }): readonly string[] => {
  const names = ownNames(hostname, domainname).join(' ');
  return text.split('\n').flatMap((line) => {
    const [address = '', ...rest] = line.split('\t');
    return rest.join('\t') === names ? [address] : [];
  });
};

/** With its domain, then without. */
const ownNames = (hostname: string, domainname: string): readonly string[] => {
  const fullName = domainname === '' ? hostname : `${hostname}.${domainname}`;
  const dot = fullName.indexOf('.');
  return dot < 0 ? [fullName] : [fullName, fullName.slice(0, dot)];
};

const HOST_GATEWAY = 'host-gateway';

const extraHost = (entry: string, hostGateway: readonly string[]): HostsEntry[] => {
  const colon = entry.indexOf(':');
  const [name, address] = [entry.slice(0, colon), entry.slice(colon + 1)];
  return (address === HOST_GATEWAY ? hostGateway : [address]).map((each) => ({ address: each, names: [name] }));
};

/** The engine's own resolver, in every container on a network that users made. */
export const INTERNAL_RESOLVER = '127.0.0.11';
const HOST_FILE = '/etc/resolv.conf';
/** When the host only has resolvers on its own loopback, which a container can not reach. */
const FALLBACK_RESOLVERS = { ipv4: ['8.8.8.8', '8.8.4.4'], ipv6: ['2001:4860:4860::8888', '2001:4860:4860::8844'] };

/**
 * /etc/resolv.conf, and whom the internal resolver asks in turn.
 *
 *   internal   a network of the user's: 127.0.0.11, which asks the servers of the host or of --dns
 *   bridge     the default bridge, or none: those servers themselves, without the host's loopback
 *   host       the host's network: its file as it is
 */
export const resolvConfFile = ({
  kind,
  hostFile,
  dns = [],
  dnsSearch = [],
  dnsOptions = [],
  ipv6 = false,
}: {
  readonly kind: 'internal' | 'bridge' | 'host';
  /** The text of the host's own /etc/resolv.conf. */
  readonly hostFile: string;
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly dnsOptions?: readonly string[];
  /** Whether the container has IPv6. */
  readonly ipv6?: boolean;
}): { readonly text: string; readonly resolvers: readonly NameServer[]; /** The host or an option says how many dots. */ readonly ndots: boolean } => {
  const host = parseResolvConf(hostFile);
  const asked = dns.length > 0 ? dns : host.nameservers;
  const search = dnsSearch.length > 0 ? dnsSearch.filter((domain) => domain !== '.') : host.search;
  const options = dnsOptions.length > 0 ? dnsOptions : host.options;
  const resolvers = asked.map((address) => ({ address, fromHost: dns.length === 0 && !reachable(address, ipv6) }));
  const overrides = [...(dns.length > 0 ? ['nameservers'] : []), ...(dnsSearch.length > 0 ? ['search'] : []), ...(dnsOptions.length > 0 ? ['options'] : [])];
  const ndotsFrom = hasNdots(options) ? (dnsOptions.length > 0 ? 'override' : 'host') : undefined;
  const common = { search, other: host.other, invalid: host.invalid, overrides };

  if (kind === 'internal') {
    const valid = options.filter((option) => !isNdots(option) || /^ndots:\+?\d+$/.test(option));
    const own = hasNdots(valid);
    const text = render({
      ...common,
      nameservers: [INTERNAL_RESOLVER],
      options: own ? valid : [...valid, 'ndots:0'],
      how: 'internal resolver',
      usedDefault: false,
      resolvers,
      ndotsFrom: own ? ndotsFrom : 'internal',
    });
    return { text, resolvers, ndots: own };
  }
  const kept = kind === 'host' || dns.length > 0 ? asked : asked.filter((address) => reachable(address, ipv6));
  const usedDefault = kind === 'bridge' && kept.length === 0;
  const nameservers = usedDefault ? [...FALLBACK_RESOLVERS.ipv4, ...(ipv6 ? FALLBACK_RESOLVERS.ipv6 : [])] : kept;
  return {
    text: render({ ...common, nameservers, options, how: kind === 'host' ? undefined : 'legacy', usedDefault, resolvers: [], ndotsFrom }),
    resolvers: nameservers.map((address) => ({ address, fromHost: false })),
    ndots: hasNdots(options),
  };
};

const reachable = (address: string, ipv6: boolean): boolean =>
  isIP(address) === 6 ? ipv6 && address !== '::1' && !address.includes('%') : !address.startsWith('127.');

const isNdots = (option: string): boolean => option.split(':')[0] === 'ndots';
const hasNdots = (options: readonly string[]): boolean => options.some(isNdots);

type ResolvConf = {
  readonly nameservers: readonly string[];
  readonly invalid: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
  /** Lines of other kinds, kept as they are. */
  readonly other: readonly string[];
};

export const parseResolvConf = (text: string): ResolvConf => {
  const nameservers: string[] = [];
  const invalid: string[] = [];
  let search: readonly string[] = [];
  const options: string[] = [];
  const other: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const [word = '', ...rest] = line.trim().split(/\s+/);
    if (word === '' || word.startsWith('#') || word.startsWith(';')) continue;
    if (word === 'nameserver' && rest[0] !== undefined) (isIP(rest[0]) === 0 ? invalid : nameservers).push(rest[0]);
    else if ((word === 'search' || word === 'domain') && rest.length > 0) search = rest;
    else if (word === 'options') options.push(...rest);
    else if (!['nameserver', 'search', 'domain'].includes(word)) other.push(line);
  }
  return { nameservers, invalid, search, options, other };
};

const HEADER = `# Generated by Docker Engine.
# This file can be edited; Docker Engine will not make further changes once it
# has been modified.

`;

const render = ({
  nameservers,
  search,
  options,
  other,
  invalid,
  overrides,
  how,
  usedDefault,
  resolvers,
  ndotsFrom,
}: ResolvConf & {
  readonly overrides: readonly string[];
  readonly how: string | undefined;
  readonly usedDefault: boolean;
  readonly resolvers: readonly NameServer[];
  readonly ndotsFrom: string | undefined;
}): string =>
  HEADER +
  [
    ...nameservers.map((address) => `nameserver ${address}`),
    ...(search.length > 0 ? [`search ${search.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    ...other,
    '',
    `# Based on host file: '${HOST_FILE}'${how === undefined ? '' : ` (${how})`}`,
    ...(usedDefault ? ['# Used default nameservers.'] : []),
    ...(resolvers.length > 0 ? [`# ExtServers: [${resolvers.map(({ address, fromHost }) => (fromHost ? `host(${address})` : address)).join(' ')}]`] : []),
    ...(invalid.length > 0 ? [`# Invalid nameservers: [${invalid.join(' ')}]`] : []),
    `# Overrides: [${overrides.join(' ')}]`,
    ...(ndotsFrom === undefined ? [] : [`# Option ndots from: ${ndotsFrom}`]),
    '',
  ].join('\n');

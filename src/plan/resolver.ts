import type { ContainerSpec } from '../model/container.ts';
import type { Endpoint, Sandbox } from '../model/network.ts';
import { resolvConfFile } from './container-files.ts';
import { hasNames } from './names.ts';

/** What /etc/resolv.conf is made from, besides the container's own wishes. */
export type ResolvConfSources = {
  /** The text of the host's own. */
  readonly hostFile: string;
  /** The daemon's --dns, --dns-search and --dns-opt. */
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
};

/** The file, and whom the internal resolver asks: the container's wishes before the daemon's, and these before the host's. */
export const resolvConfOf = (spec: ContainerSpec, kind: 'internal' | 'bridge' | 'host', { hostFile, servers, search, options }: ResolvConfSources, ipv6: boolean) => {
  const given = (own: readonly string[], daemon: readonly string[]): readonly string[] => (own.length > 0 ? own : daemon);
  return resolvConfFile({
    kind,
    hostFile,
    dns: given(spec.dns, servers),
    dnsSearch: given(spec.dnsSearch, search),
    dnsOptions: given(spec.dnsOptions, options),
    ipv6,
  });
};

/** A sandbox's own resolver, from its first network of a user's on. */
export const planResolver = (spec: ContainerSpec, endpoints: readonly Endpoint[], sources: ResolvConfSources): Pick<Sandbox, 'resolver'> => {
  if (!endpoints.some(hasNames)) return {};
  const { resolvers, ndots } = resolvConfOf(spec, 'internal', sources, endpoints.some(({ ipv6 }) => ipv6 !== undefined));
  return { resolver: { servers: resolvers, ndots } };
};

import { familyOf, type Endpoint, type Family, type Network } from '../model/network.ts';
import type { PortBinding } from '../model/port.ts';
import type { HostObject, KindOf } from '../operations/operation.ts';
import { nftFamily, type OwnChain, type SetName } from '../operations/own-table.ts';
import { bridgeSettings } from './bridge.ts';
import type { PortSpan } from './spans.ts';

/**
 * The ways to a published port that the chains every Docker host has do not take, and which end at the host port's listener there:
 *
 *   this host, 127.0.0.1:8080       output: to the container; postrouting: from the bridge's address, or its answer would stay in it
 *   a container on the same bridge  prerouting: to the container, which may be the same one; postrouting: likewise
 *   what else comes to a long range to the listener at its first port, which asks the kernel what was meant
 *
 * After iptables' own chains for the same (their priorities are -100 and 100), so that what people's rules say is done first. For
 * 127.0.0.0/8 the kernel must let a bridge have it (route_localnet); the guard, before all else, lets nobody make use of that.
 */
export const ownChains = (family: Family): OwnChain[] => {
  const ip = nftFamily(family);
  const published = (device: 'iifname' | 'oifname'): string[] => [
    `fib daddr type local dnat to ${device} . ${ip} daddr . meta l4proto . th dport map @at`,
    `fib daddr type local dnat to ${device} . meta l4proto . th dport map @any`,
  ];
  const relayed = `fib daddr type local dnat to ${ip} daddr . meta l4proto . th dport map @relay`;
  const come = { name: 'prerouting', type: 'nat', hook: 'prerouting', priority: -99, rules: [...published('iifname').map((rule) => `iifname @hairpin ${rule}`), relayed] } as const;
  const output = (rules: readonly string[]) => ({ name: 'output', type: 'nat', hook: 'output', priority: -99, rules: [...rules, relayed] }) as const;
  const inside = `ct status dnat oifname . ${ip} saddr @inside masquerade`;
  if (family === 'ipv6') return [come, output([]), { name: 'postrouting', type: 'nat', hook: 'postrouting', priority: 101, rules: [inside] }];
  return [
    {
      name: 'guard',
      type: 'filter',
      hook: 'prerouting',
      priority: -300,
      rules: [`iifname @bridges ip daddr ${LOOPBACK} drop`, `iifname @bridges ip saddr ${LOOPBACK} drop`],
    },
    come,
    output(published('oifname')),
    { name: 'postrouting', type: 'nat', hook: 'postrouting', priority: 101, rules: [`ip saddr ${LOOPBACK} oifname @bridges masquerade`, inside] },
  ];
};

const LOOPBACK = '127.0.0.0/8';

type Element = KindOf<'element'>;

/** A bridge network's part of it. One whose bridge has no address has no way to its containers from here. */
export const networkElements = (network: Network): HostObject[] => {
  const { bridge } = network;
  if (bridge === undefined || network.internal) return [];
  const { icc, inhibitIpv4, gatewayModes } = bridgeSettings(network);
  return network.subnets.flatMap(({ cidr }): HostObject[] => {
    const family = familyOf(cidr);
    if (gatewayModes[family] === 'isolated' || (family === 'ipv4' && inhibitIpv4)) return [];
    const element = (set: SetName, text: string): Element => ({ kind: 'element', family, set, element: text });
    return [
      ...(family === 'ipv4' ? [element('bridges', bridge)] : []),
      // Where neighbours are kept apart, FORWARD would not let them pass: they go by the listener.
      ...(icc ? [element('hairpin', bridge)] : []),
      element('inside', `${bridge} . ${cidr}`),
      ...(family === 'ipv4' ? [routeLocalnet(bridge)] : []),
    ];
  });
};

const routeLocalnet = (bridge: string): HostObject => ({ kind: 'sysctl', netns: '', key: `net.ipv4.conf.${bridge}.route_localnet`, value: '1' });

const ANY = { ipv4: '0.0.0.0', ipv6: '::' } as const;

/** An endpoint's published ports, by who may come that way: the host itself by 127.0.0.0/8, and those on the endpoint's bridge. */
export const portElements = (endpoint: Endpoint, ports: readonly PortBinding[]): HostObject[] =>
  (['ipv4', 'ipv6'] as const).flatMap((family) => {
    const address = family === 'ipv4' ? endpoint.address : (endpoint.ipv6?.address ?? '');
    if (address === '' || endpoint.gatewayModes[family] === 'isolated') return [];
    return ports
      .filter(({ hostAddress, hostPort }) => familyOf(hostAddress) === family && hostPort !== 0)
      .flatMap(({ hostAddress, hostPort, protocol, port }) =>
        comingBy(hostAddress, family, endpoint.bridge).map((device): HostObject => {
          const [set, at] = hostAddress === ANY[family] ? (['any', ''] as const) : (['at', `${hostAddress} . `] as const);
          return { kind: 'element', family, set, element: `${device} . ${at}${protocol} . ${hostPort} : ${address} . ${port}` };
        }),
      );
  });

/** A long range's way to its listener. */
export const relayElement = ({ hostAddress, hostPort, protocol, count }: PortSpan): HostObject => {
  const family = familyOf(hostAddress);
  const to = hostAddress === ANY[family] ? `${hostAddress}/0` : `${hostAddress}/${family === 'ipv4' ? 32 : 128}`;
  return { kind: 'element', family, set: 'relay', element: `${to} . ${protocol} . ${hostPort}-${hostPort + count - 1} : ${hostPort}` };
};

/** What another of the host's addresses is called by from the host itself is in the chains every Docker host has. */
const comingBy = (hostAddress: string, family: Family, bridge: string): string[] => {
  const loopback = isLoopback(hostAddress);
  return [...(family === 'ipv4' && (loopback || hostAddress === ANY.ipv4) ? ['lo'] : []), ...(loopback ? [] : [bridge])];
};

export const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';

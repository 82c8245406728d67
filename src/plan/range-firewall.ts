import { familyOf, type Endpoint, type Family } from '../model/network.ts';
import type { HostObject } from '../operations/operation.ts';
import { ALONE, ANY, listed, OURS, rule, targetOf } from './firewall.ts';
import { isLoopback, relayElement } from './own-table.ts';
import type { PortSpan } from './spans.ts';

/**
 * What a long range has where single ports have elements (see own-table.ts): a rule each, for a rule can shift ports and an
 * element can not.
 *
 *   this host, 127.0.0.1:20007    OUTPUT, after DOCKER: to the container
 *   its own bridge                PREROUTING, after DOCKER: to the container; DOCKER lets it pass, whether or not neighbours may meet
 *   another network, UDP          the same, and past the isolation
 *   another network, TCP          to the listener, as on any Docker host: an internal network's answers could not come back
 *   ::1; IPv6 to a container without it    to the listener
 */
export const rangeFirewall = (span: PortSpan, endpoint: Endpoint | undefined): HostObject[] => {
  const { hostAddress, hostPort, protocol, port, count } = span;
  const family = familyOf(hostAddress);
  const add = rule(family);
  const address = endpoint === undefined || endpoint.gatewayModes[family] === 'isolated' ? '' : addressOf(endpoint, family);
  if (address === '' || endpoint === undefined) return [relayElement(span)];

  const loopback = isLoopback(hostAddress);
  const to = hostAddress === ANY[family] ? '' : `-d ${hostAddress}/${ALONE[family]} `;
  const dnat = `-p ${protocol} -m ${protocol} --dport ${listed(hostPort, count)} -m addrtype --dst-type LOCAL -m comment --comment ${OURS} -j DNAT --to-destination ${targetOf(address, span)}`;
  const container = `-d ${address}/${ALONE[family]}`;
  const its = `-p ${protocol} -m ${protocol} --dport ${listed(port, count)} -m conntrack --ctstate DNAT -j ACCEPT`;
  return [
    ...(family === 'ipv4' && (loopback || to === '') ? [add('nat', 'OUTPUT', `${to === '' ? '-d 127.0.0.0/8 ' : to}${dnat}`)] : []),
    ...(loopback
      ? []
      : [
          add('nat', 'PREROUTING', `${to}${protocol === 'tcp' ? `-i ${endpoint.bridge} ` : ''}${dnat}`),
          add('filter', 'DOCKER', `${container} -i ${endpoint.bridge} -o ${endpoint.bridge} ${its}`, 'top'),
          ...(protocol === 'tcp' ? [] : [add('filter', 'DOCKER-CT', `${container} -o ${endpoint.bridge} ${its}`)]),
        ]),
    ...(family === 'ipv6' || (protocol === 'tcp' && !loopback) ? [relayElement(span)] : []),
  ];
};

const addressOf = (endpoint: Endpoint, family: Family): string => (family === 'ipv4' ? endpoint.address : (endpoint.ipv6?.address ?? ''));

import { familyOf, interfacesOf, type Family, type Sandbox } from '../model/network.ts';
import type { ExposedPort } from '../model/port.ts';
import type { HostObject } from '../operations/operation.ts';

/**
 * Through a bridge whose containers are kept from each other: the ports that a linked container exposes, and their answers.
 *
 *   FORWARD -> DOCKER-FORWARD -> DOCKER-BRIDGE -> DOCKER: ACCEPT here, before DOCKER-FORWARD drops what goes from port to port
 */
export const linkFirewall = ({ endpoints, links = [] }: Sandbox): HostObject[] =>
  endpoints
    .filter(({ networkName }) => networkName === 'bridge')
    .flatMap((endpoint) =>
      links.flatMap(({ addresses, opens }) =>
        interfacesOf(endpoint).flatMap((own) => {
          const family = familyOf(own.address);
          return addresses.filter((address) => familyOf(address) === family).flatMap((address) => opens.flatMap((port) => linkRules(family, endpoint.bridge, own.address, address, port)));
        }),
      ),
    );

const linkRules = (family: Family, bridge: string, parent: string, child: string, { protocol, port }: ExposedPort): HostObject[] => {
  const bits = family === 'ipv4' ? 32 : 128;
  const rule = (from: string, to: string, end: 'dport' | 'sport'): HostObject => ({
    kind: 'rule', family, table: 'filter', chain: 'DOCKER', at: 'end',
    spec: `-s ${from}/${bits} -d ${to}/${bits} -i ${bridge} -o ${bridge} -p ${protocol} -m ${protocol} --${end} ${port} -j ACCEPT`.split(' '),
  });
  return [rule(parent, child, 'dport'), rule(child, parent, 'sport')];
};

import type { Container, ContainerSpec } from '../model/container.ts';
import { conflict, invalid, messageOf, systemError } from '../model/errors.ts';
import { interfacesOf, type Endpoint } from '../model/network.ts';
import type { ExposedPort } from '../model/port.ts';
import type { HostsEntry } from './container-files.ts';

/** A container of the default bridge that another one there knows by a name of its own (`--link NAME:ALIAS`). */
export type Link = { readonly alias: string; readonly child: Container; readonly endpoint: Endpoint };

export const splitLink = (written: string): { readonly name: string; readonly alias: string } => {
  const [name = '', alias = name] = written.replace(/^\//, '').split(':', 2);
  return { name, alias };
};

/** Refuses at create to link to a container that is not there. */
export const checkLinks = ({ networkMode, links }: Pick<ContainerSpec, 'networkMode' | 'links'>, find: (ref: string) => Container): void => {
  for (const { name } of networkMode === 'bridge' ? links.map(splitLink) : []) {
    try {
      find(name);
    } catch (error) {
      throw invalid(`could not get container for ${name}: ${messageOf(error)}`);
    }
  }
};

/** The links of a container that is about to start: those it names have to run. */
export const linksOf = ({ name: parent, spec }: Container, find: (ref: string) => Container): Link[] =>
  (spec.networkMode === 'bridge' ? spec.links : []).map((written) => {
    const { name, alias } = splitLink(written);
    const child = find(name);
    if (child.spec.networkMode !== 'bridge') throw conflict(`Cannot link to /${child.name}, as it does not belong to the default network`);
    const endpoint = child.sandbox?.endpoints.find(({ networkName }) => networkName === 'bridge');
    if (!endpoint) throw systemError(`Cannot link to a non running container: /${child.name} AS /${parent}/${alias}`);
    return { alias, child, endpoint };
  });

/** Lines of /etc/hosts: the alias, then what the linked container is called otherwise. */
export const linkHosts = (links: readonly Link[]): HostsEntry[] =>
  links.flatMap(({ alias, child, endpoint }) =>
    interfacesOf(endpoint).map(({ address }) => ({ address, names: [...new Set([alias, child.spec.hostname, child.name])] })),
  );

/** What a linked container offers, as variables: ALIAS_PORT_80_TCP_ADDR and its like. */
export const linkEnvironment = (parent: string, links: readonly Link[]): string[] =>
  links.flatMap(({ alias, child, endpoint }) => {
    const name = alias.toUpperCase().replaceAll('-', '_');
    const ports = [...child.spec.exposedPorts].sort(tcpFirst);
    return [
      ...ports.slice(0, 1).map((port) => `${name}_PORT=${urlOf(endpoint, port)}`),
      ...ports.flatMap((port) => portVariables(name, endpoint, port)),
      ...rangesOf(ports).flatMap(([first, last]) => [
        `${prefixOf(name, first)}_START=${urlOf(endpoint, first)}`,
        `${prefixOf(name, first)}_PORT_START=${first.port}`,
        `${prefixOf(name, first)}_END=${urlOf(endpoint, last)}`,
        `${prefixOf(name, first)}_PORT_END=${last.port}`,
      ]),
      `${name}_NAME=/${parent}/${alias}`,
      ...(child.spec.env ?? []).filter((entry) => entry.includes('=') && !/^(HOME|PATH)=/.test(entry)).map((entry) => `${name}_ENV_${entry}`),
    ];
  });

const urlOf = ({ address }: Endpoint, { protocol, port }: ExposedPort): string => `${protocol}://${address}:${port}`;
const prefixOf = (name: string, { protocol, port }: ExposedPort): string => `${name}_PORT_${port}_${protocol.toUpperCase()}`;

const portVariables = (name: string, endpoint: Endpoint, port: ExposedPort): string[] => {
  const prefix = prefixOf(name, port);
  return [`${prefix}=${urlOf(endpoint, port)}`, `${prefix}_ADDR=${endpoint.address}`, `${prefix}_PORT=${port.port}`, `${prefix}_PROTO=${port.protocol}`];
};

const tcpFirst = (a: ExposedPort, b: ExposedPort): number => Number(a.protocol !== 'tcp') - Number(b.protocol !== 'tcp') || a.port - b.port;

/** Ports of one protocol that follow each other without a gap, two or more. */
const rangesOf = (ports: readonly ExposedPort[]): [ExposedPort, ExposedPort][] => {
  const ranges: [ExposedPort, ExposedPort][] = [];
  for (const port of ports) {
    const range = ranges.at(-1);
    if (range && range[1].protocol === port.protocol && range[1].port + 1 === port.port) range[1] = port;
    else ranges.push([port, port]);
  }
  return ranges.filter(([first, last]) => first !== last);
};

import type { Container, ContainerSpec } from '../model/container.ts';
import { conflict, invalid, messageOf, systemError } from '../model/errors.ts';
import { interfacesOf, type Endpoint, type Sandbox, type SandboxLink } from '../model/network.ts';
import type { ExposedPort } from '../model/port.ts';
import type { State } from '../model/state.ts';
import { bridgeSettings } from './bridge.ts';
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

/** Links as the sandbox of a container that starts has them; what is wrong with one is said when its environment is made. */
export const planLinks = (state: State, { spec }: Container): Pick<Sandbox, 'links'> => {
  if (spec.networkMode !== 'bridge' || spec.links.length === 0) return {};
  const links = spec.links.flatMap((written) => {
    const { name, alias } = splitLink(written);
    const all = [...state.containers.values()];
    const child = all.find((container) => container.name === name) ?? all.find(({ id }) => id.startsWith(name));
    return child?.sandbox ? [linkTo(state, child, child.sandbox, alias)] : [];
  });
  return { links };
};

/** A container has come to other addresses: those that link to it, as they are then. */
export const relinked = (state: State, child: Container): Container[] =>
  [...state.containers.values()].flatMap((parent) => {
    const { sandbox } = parent;
    if (!sandbox?.links?.some(({ childId }) => childId === child.id)) return [];
    const links = sandbox.links.map((link) => (link.childId === child.id && child.sandbox ? linkTo(state, child, child.sandbox, link.names[0] ?? '') : link));
    return JSON.stringify(links) === JSON.stringify(sandbox.links) ? [] : [{ ...parent, sandbox: { ...sandbox, links } }];
  });

const linkTo = (state: State, child: Container, sandbox: Sandbox, alias: string): SandboxLink => {
  const endpoint = sandbox.endpoints.find(({ networkName }) => networkName === 'bridge');
  const network = endpoint && state.networks.get(endpoint.networkId);
  return {
    childId: child.id,
    names: namesOf(alias, child),
    addresses: endpoint ? interfacesOf(endpoint).map(({ address }) => address) : [],
    opens: network && !bridgeSettings(network).icc ? [...child.spec.exposedPorts].sort(tcpFirst) : [],
  };
};

const namesOf = (alias: string, { spec, name }: Container): string[] => [...new Set([alias, spec.hostname, name])];

/** Lines of /etc/hosts: the alias, then what the linked container is called otherwise. */
export const linkHosts = (links: readonly Link[]): HostsEntry[] =>
  links.flatMap(({ alias, child, endpoint }) => interfacesOf(endpoint).map(({ address }) => ({ address, names: namesOf(alias, child) })));

/** The file after linked containers have come to other addresses; a link whose line its user has taken away stays away. */
export const linksChanged = (text: string, links: readonly SandboxLink[]): string =>
  links.reduce((file, { names, addresses }) => {
    const lines = file.split('\n');
    const isOwn = (line: string): boolean => line.slice(line.indexOf('\t') + 1) === names.join(' ');
    const at = lines.findIndex(isOwn);
    if (at < 0) return file;
    return [...lines.slice(0, at), ...addresses.map((address) => `${address}\t${names.join(' ')}`), ...lines.slice(at).filter((line) => !isOwn(line))].join('\n');
  }, text);

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

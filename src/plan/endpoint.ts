import { isIPv4, isIPv6 } from 'node:net';
import { formatAddress, parseAddress } from '../model/cidr.ts';
import type { Container, ContainerSpec, EndpointRequest } from '../model/container.ts';
import { forbidden, invalid, notFound } from '../model/errors.ts';
import { familyOf, type Endpoint, type Family, type Interface, type Network, type Sandbox, type Subnet } from '../model/network.ts';
import type { PortBinding } from '../model/port.ts';
import type { State } from '../model/state.ts';
import { bridgeSettings, checkDeviceName } from './bridge.ts';
import { gatewaysOf } from './gateway.ts';
import { allocateAddress, isWithin, ownAddresses, takenAddresses } from './ipam.ts';
import { planLinks } from './links.ts';
import { planResolver, type ResolvConfSources } from './resolver.ts';
import { allocatePorts, takenPorts, type PortRange, type Ways } from './ports.ts';

/** Dice and facts for one sandbox. */
export type SandboxContext = {
  readonly execRoot: string;
  /** So many random bytes, as hex. */
  readonly hex: (bytes: number) => string;
  readonly ephemeral: PortRange;
  /** Where to begin looking for a free host port. */
  readonly nextPort: (protocol: string) => number;
  /** Told of each port that is chosen. */
  readonly gavePort: (protocol: string, port: number) => void;
  /** Host ports found to be held by others, as "protocol port". */
  readonly busy: ReadonlySet<string>;
  /** --ip: where ports are published that name no address. */
  readonly defaultAddress: string;
  readonly resolvConf: ResolvConfSources;
};

/**
 * The network stack a container gets at its start: addresses and host ports are taken from what the state leaves free,
 * so that whoever commits the result has them. The addresses a client asked for are checked here.
 */
export const planSandbox = (state: State, container: Container, context: SandboxContext): Sandbox => {
  const { spec } = container;
  const id = context.hex(32);
  const netns = `${context.execRoot}/netns/${id.slice(0, 12)}`;
  const mode = spec.networkMode;
  if (mode === 'host' || mode.startsWith('container:')) return { id, netns: '', endpoints: [], ports: [] };

  const endpoints: Endpoint[] = [];
  for (const request of spec.endpoints) {
    const network = findNetwork(state, request.network);
    if (network.driver === 'bridge' || network.configOnly) endpoints.push(planEndpoint(state, network, request, endpoints, context));
  }
  return { id, netns, endpoints, ports: portsOf(state, container, endpoints, context), ...planResolver(spec, endpoints, context.resolvConf), ...planLinks(state, container) };
};

/** The same sandbox on one network more. Its ports move when its gateway does. */
export const withEndpoint = (state: State, container: Container, sandbox: Sandbox, request: EndpointRequest, context: SandboxContext): Sandbox => {
  const network = findNetwork(state, request.network);
  return withEndpoints(state, container, sandbox, [...sandbox.endpoints, planEndpoint(state, network, request, sandbox.endpoints, context)], context);
};

/** The same sandbox without that network. */
export const withoutEndpoint = (state: State, container: Container, sandbox: Sandbox, networkId: string, context: SandboxContext): Sandbox =>
  withEndpoints(state, container, sandbox, sandbox.endpoints.filter((endpoint) => endpoint.networkId !== networkId), context);

/** The same sandbox with the ports that the container asks for now. What stays published stays at its host port. */
export const withPorts = (state: State, container: Container, sandbox: Sandbox, context: SandboxContext): Sandbox => ({
  ...sandbox,
  ports: portsOf(state, { ...container, chosenPorts: sandbox.ports }, sandbox.endpoints, context),
});

const withEndpoints = (state: State, container: Container, sandbox: Sandbox, endpoints: readonly Endpoint[], context: SandboxContext): Sandbox => {
  const [was, is] = [sandbox.endpoints, endpoints].map((each) => JSON.stringify(publishing(state, each)));
  return {
    // Once there, the resolver stays: /etc/resolv.conf names it.
    ...planResolver(container.spec, endpoints, context.resolvConf),
    ...sandbox,
    endpoints,
    ports: was === is ? sandbox.ports : portsOf(state, container, endpoints, context),
  };
};

/** How ports come to be published for a sandbox with these endpoints. */
const publishing = (state: State, endpoints: readonly Endpoint[]): { readonly ways: Ways; readonly hostBinding: string | undefined } => {
  const { ipv4, ipv6 } = gatewaysOf(endpoints);
  const way = (endpoint: Endpoint | undefined, family: Family): 'nat' | 'routed' | undefined =>
    endpoint === undefined ? undefined : endpoint.gatewayModes[family] === 'routed' ? 'routed' : 'nat';
  const [own4, own6] = [way(ipv4, 'ipv4'), way(ipv6, 'ipv6')];
  const network = ipv4 && state.networks.get(ipv4.networkId);
  return {
    // What comes by IPv6 for a container without it is carried over by the host port's own listener.
    ways: { ipv4: own4, ipv6: own6 ?? (own4 === 'nat' ? 'nat' : undefined) },
    hostBinding: network && bridgeSettings(network).hostBinding,
  };
};

const portsOf = (state: State, container: Container, endpoints: readonly Endpoint[], context: SandboxContext): PortBinding[] => {
  const { ways, hostBinding } = publishing(state, endpoints);
  if (ways.ipv4 === undefined && ways.ipv6 === undefined) return [];
  const { spec } = container;
  const ports = allocatePorts({
    requests: spec.portRequests,
    exposed: spec.exposedPorts,
    publishAll: spec.publishAll,
    taken: takenPorts(state, container.id),
    busy: context.busy,
    ephemeral: context.ephemeral,
    next: context.nextPort,
    ...(container.chosenPorts ? { before: container.chosenPorts } : {}),
    defaultAddress: hostBinding === undefined || hostBinding === '0.0.0.0' ? context.defaultAddress : hostBinding,
    ways,
  });
  for (const { protocol, hostPort } of ports) if (hostPort !== 0) context.gavePort(protocol, hostPort);
  return ports;
};

const planEndpoint = (state: State, network: Network, request: EndpointRequest, others: readonly Endpoint[], context: SandboxContext): Endpoint => {
  if (network.configOnly) throw forbidden('cannot create endpoint on configuration-only network');
  if (network.bridge === undefined) throw invalid(`network ${network.name} takes no endpoints`);
  const faults = endpointFaults(network, request);
  if (faults.length > 0) throw invalidSettings(faults);
  const settings = bridgeSettings(network);
  const options = driverOptions(request);
  const taken = takenAddresses(state, network.id);
  const joined = (family: Family, asked: string): Interface | undefined => {
    const subnet = network.subnets.find(({ cidr }) => familyOf(cidr) === family);
    return subnet && { ...addressIn(network, subnet, asked, taken), gateway: gatewayIn(network, subnet) };
  };
  const [ipv4, ipv6] = [joined('ipv4', request.ipv4), joined('ipv6', request.ipv6)];
  return {
    id: context.hex(32),
    networkId: network.id,
    networkName: network.name,
    bridge: network.bridge,
    veth: `veth${context.hex(4).slice(0, 7)}`,
    device: options.device ?? nextDevice(settings.devicePrefix, others),
    mac: request.mac !== '' ? request.mac.toLowerCase().replaceAll('-', ':') : macOf(ipv4?.address ?? ipv6?.address ?? ''),
    address: ipv4?.address ?? '',
    prefixLength: ipv4?.prefixLength ?? 0,
    gateway: ipv4?.gateway,
    ipv6,
    mtu: settings.mtu,
    gatewayModes: settings.gatewayModes,
    gwPriority: request.gwPriority,
    aliases: request.aliases,
    links: request.links,
    sysctls: options.sysctls,
  };
};

const addressIn = (network: Network, subnet: Subnet, asked: string, taken: ReadonlySet<string>): { readonly address: string; readonly prefixLength: number } => {
  const prefixLength = Number(subnet.cidr.split('/')[1]);
  if (asked === '') return { address: allocateAddress(network, subnet, taken), prefixLength };
  const parsed = parseAddress(asked);
  const address = parsed ? formatAddress(parsed) : asked;
  if (taken.has(address) || ownAddresses(subnet).has(address)) throw forbidden('Address already in use');
  return { address, prefixLength };
};

/** Where packets to elsewhere go: the bridge, or a router that the client reserved an address for. */
const gatewayIn = (network: Network, subnet: Subnet): string | undefined =>
  network.internal ? undefined : (subnet.reserved[familyOf(subnet.cidr) === 'ipv4' ? 'DefaultGatewayIPv4' : 'DefaultGatewayIPv6'] ?? subnet.gateway);

/** Refuses at create what start could only fail on. A network that is not there yet may be by then. */
export const checkEndpoints = (state: State, { endpoints }: Pick<ContainerSpec, 'endpoints'>): void => {
  for (const request of endpoints) {
    const network = [...state.networks.values()].find(({ id, name }) => name === request.network || id === request.network);
    const faults = network ? endpointFaults(network, request) : [];
    if (faults.length > 0) throw invalid(`invalid config for network ${request.network}: ${invalidSettings(faults).message}`);
    driverOptions(request);
  }
};

/** What a client wants of a network that it can not have, in the reference engine's words; one line each. */
export const endpointFaults = (network: Network, { ipv4, ipv6, mac, aliases }: EndpointRequest): string[] => {
  const predefined = ['bridge', 'host', 'none'].includes(network.name);
  const asked = ipv4 !== '' || ipv6 !== '';
  return [
    ...(['ipv4', 'ipv6'] as const).flatMap((family) => {
      const address = { ipv4, ipv6 }[family];
      const chosen = network.subnets.filter((subnet) => subnet.asked && familyOf(subnet.cidr) === family);
      if (address === '' || chosen.some((subnet) => isWithin(subnet, address))) return [];
      return [chosen.length > 0 ? `no configured subnet contains IP address ${address}` : 'user specified IP address is supported only when connecting to networks with user configured subnets'];
    }),
    ...(ipv4 === '' || isIPv4(ipv4) ? [] : [`invalid IPv4 address: ${ipv4}`]),
    ...(ipv6 === '' || isIPv6(ipv6) ? [] : [`invalid IPv6 address: ${ipv6}`]),
    ...(mac === '' || /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(mac) ? [] : [`invalid MAC address ${mac}`]),
    ...(predefined && asked ? ['user specified IP address is supported on user defined networks only'] : []),
    ...(predefined && aliases.length > 0 ? ['network-scoped aliases are only supported for user-defined networks'] : []),
  ];
};

export const invalidSettings = (faults: readonly string[]): Error => invalid(`invalid endpoint settings:\n${faults.join('\n')}`);

const [IFNAME, SYSCTLS] = ['com.docker.network.endpoint.ifname', 'com.docker.network.endpoint.sysctls'];

/** `--driver-opt`: a device name, and kernel settings such as net.ipv4.conf.IFNAME.log_martians=1. */
const driverOptions = ({ driverOpts }: EndpointRequest): { readonly device: string | undefined; readonly sysctls: Readonly<Record<string, string>> } => {
  const device = driverOpts?.[IFNAME];
  if (device !== undefined) checkDeviceName(device, 'interface name');
  const settings = (driverOpts?.[SYSCTLS] ?? '').split(',').filter((setting) => setting !== '');
  const sysctls = settings.map((setting) => {
    const [, key = '', value = ''] = /^(net\.(?:ipv4|ipv6|mpls)\.\w+\.IFNAME\.\w+)=([^\n]*)$/.exec(setting) ?? [];
    if (key === '') throw invalid(`unrecognised network interface sysctl '${setting}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'`);
    return [key, value] as const;
  });
  return { device, sysctls: Object.fromEntries(sysctls) };
};

/** After the last one of that kind: a number is not given again while a later one is there. */
const nextDevice = (prefix: string, others: readonly Endpoint[]): string => {
  const numbers = others.flatMap(({ device }) => (device.startsWith(prefix) && /^\d+$/.test(device.slice(prefix.length)) ? [Number(device.slice(prefix.length))] : []));
  return `${prefix}${Math.max(-1, ...numbers) + 1}`;
};

/**
 * Made from the address, which nobody else on the network has: whoever gets the address next has the same MAC, and what
 * neighbours remember of the one before is still true.
 */
const macOf = (address: string): string => {
  const low = ((parseAddress(address)?.value ?? 0n) & 0xffff_ffffn).toString(16).padStart(8, '0');
  return ['02', '42', ...(low.match(/../g) ?? [])].join(':');
};

/** By full id, then by name, then by the start of an id. */
export const findNetwork = (state: State, ref: string): Network => {
  const byId = state.networks.get(ref);
  if (byId) return byId;
  const all = [...state.networks.values()];
  const named = all.find(({ name }) => name === ref);
  if (named) return named;
  const starting = ref === '' ? [] : all.filter(({ id }) => id.startsWith(ref));
  const [only] = starting;
  if (!only) throw notFound(`network ${ref} not found`);
  if (starting.length > 1) throw invalid(`network ${ref} is ambiguous (${starting.length} matches found based on ID prefix)`);
  return only;
};

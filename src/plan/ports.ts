import { systemError } from '../model/errors.ts';
import { familyOf, type Family } from '../model/network.ts';
import type { ExposedPort, PortBinding, PortRequest } from '../model/port.ts';
import type { State } from '../model/state.ts';

/** The host ports that may be given to `-P` and to bindings without one: the kernel's ip_local_port_range. */
export type PortRange = { readonly first: number; readonly last: number };

/** The host ports in use, so that two bindings meet only where the kernel would let them. */
export type TakenPorts = ReadonlyMap<string, readonly string[]>;

const slot = (protocol: string, port: number): string => `${protocol} ${port}`;

/** Those of one container left out, where it is to get them anew. */
export const takenPorts = (state: State, except?: string): TakenPorts => {
  const taken = new Map<string, string[]>();
  for (const [id, { sandbox }] of state.containers)
    for (const { protocol, hostPort, hostAddress } of id === except ? [] : (sandbox?.ports ?? [])) {
      if (hostPort === 0) continue;
      const key = slot(protocol, hostPort);
      taken.set(key, [...(taken.get(key) ?? []), hostAddress]);
    }
  return taken;
};

/** For each family: whether a host port leads to the container, or it is reached at its own address; undefined: not at all. */
export type Ways = Readonly<Record<Family, 'nat' | 'routed' | undefined>>;

/**
 * Chooses host ports for a container's bindings. A binding without an address is for every address of both
 * families, with the same port on each. `busy` names ports that something else on the host holds.
 */
export const allocatePorts = ({
  requests,
  exposed,
  publishAll,
  taken,
  busy,
  ephemeral,
  next,
  before = [],
  defaultAddress,
  ways = { ipv4: 'nat', ipv6: 'nat' },
}: {
  requests: readonly PortRequest[];
  exposed: readonly ExposedPort[];
  publishAll: boolean;
  taken: TakenPorts;
  /** Ports found to be held by others, by "protocol port". */
  busy: ReadonlySet<string>;
  ephemeral: PortRange;
  /** Where to begin looking, so that a port just freed is not given out at once. */
  next: (protocol: string) => number;
  /** What was chosen for the container the last time. */
  before?: readonly PortBinding[];
  defaultAddress: string;
  ways?: Ways;
}): PortBinding[] => {
  const mine = new Map<string, string[]>();
  const isFree = (protocol: string, port: number, addresses: readonly string[]): boolean => {
    const key = slot(protocol, port);
    const others = [...(taken.get(key) ?? []), ...(mine.get(key) ?? [])];
    return !busy.has(key) && addresses.every((address) => !others.some((other) => collide(address, other)));
  };
  const take = (request: ExposedPort & { hostAddress: string }, hostPort: number, addresses: readonly string[]): PortBinding[] => {
    const key = slot(request.protocol, hostPort);
    mine.set(key, [...(mine.get(key) ?? []), ...addresses]);
    return addresses.map((hostAddress) => ({ port: request.port, protocol: request.protocol, hostAddress, hostPort }));
  };

  const wanted = [...requests];
  const asked = new Set(requests.map(({ port, protocol }) => slot(protocol, port)));
  if (publishAll) for (const port of exposed) if (!asked.has(slot(port.protocol, port.port))) wanted.push({ ...port, hostAddress: '', hostPorts: undefined });

  return wanted.sort(exactFirst).flatMap((request) => {
    const all = addressesOf(request.hostAddress, defaultAddress);
    const addresses = all.filter((address) => ways[familyOf(address)] === 'nat');
    const routed = all
      .filter((address) => ways[familyOf(address)] === 'routed')
      .map((hostAddress): PortBinding => ({ port: request.port, protocol: request.protocol, hostAddress, hostPort: 0 }));
    if (addresses.length === 0) return routed;
    const range = request.hostPorts ?? ephemeral;
    const begin = request.hostPorts ? range.first : clamp(next(request.protocol), range);
    const count = range.last - range.first + 1;
    if (isChoice(request))
      for (const { port, protocol, hostAddress, hostPort } of before)
        if (port === request.port && protocol === request.protocol && addresses.includes(hostAddress) && hostPort >= range.first && hostPort <= range.last && isFree(protocol, hostPort, addresses))
          return [...take(request, hostPort, addresses), ...routed];
    for (let i = 0; i < count; i++) {
      const hostPort = range.first + ((begin - range.first + i) % count);
      if (isFree(request.protocol, hostPort, addresses)) return [...take(request, hostPort, addresses), ...routed];
    }
    const [address = ''] = addresses;
    throw systemError(
      request.hostPorts && count === 1
        ? `Bind for ${address}:${range.first} failed: port is already allocated`
        : 'all ports are allocated',
    );
  });
};

/** Those of a container's bindings that it was not asked for by number. */
export const chosenPorts = (requests: readonly PortRequest[], ports: readonly PortBinding[]): PortBinding[] => {
  const asked = new Set(requests.filter((request) => !isChoice(request)).map(({ port, protocol, hostPorts }) => `${port}/${protocol} ${hostPorts?.first}`));
  return ports.filter(({ port, protocol, hostPort }) => hostPort !== 0 && !asked.has(`${port}/${protocol} ${hostPort}`));
};

/** '' is every address, of both families. */
const addressesOf = (hostAddress: string, defaultAddress: string): readonly string[] =>
  hostAddress !== '' ? [hostAddress] : defaultAddress === '0.0.0.0' ? ['0.0.0.0', '::'] : [defaultAddress];

/** Whether the kernel would refuse to bind both: the same address, or one of them every address of that family. */
const collide = (a: string, b: string): boolean => {
  const families = [a, b].map((address) => address.includes(':'));
  return families[0] === families[1] && (a === b || [a, b].some((address) => address === '0.0.0.0' || address === '::'));
};

const clamp = (port: number, { first, last }: PortRange): number => (port < first || port > last ? first : port);

/** Who wants one certain host port gets it before anybody takes it for want of another; then by container port. */
const exactFirst = (a: PortRequest, b: PortRequest): number =>
  Number(isChoice(a)) - Number(isChoice(b)) || a.port - b.port || (a.protocol < b.protocol ? -1 : a.protocol > b.protocol ? 1 : 0);

const isChoice = ({ hostPorts }: PortRequest): boolean => hostPorts === undefined || hostPorts.first !== hostPorts.last;

import { exposedPort, type ExposedPort, type PortBinding, type PortRequest } from '../model/port.ts';

/**
 * Requests for ports, with those made certain that have a host port already: what was chosen once is not chosen again. `all`: ports
 * that are published without being asked for one by one (`-P`).
 */
export const pinnedRequests = (requests: readonly PortRequest[], all: readonly ExposedPort[], present: readonly PortBinding[]): PortRequest[] => {
  const left = new Map<string, Set<number>>();
  for (const binding of present) {
    if (binding.hostPort === 0) continue;
    const key = exposedPort(binding);
    left.set(key, (left.get(key) ?? new Set()).add(binding.hostPort));
  }
  const has = (request: PortRequest, hostPort: number): boolean =>
    present.some((binding) => exposedPort(binding) === exposedPort(request) && binding.hostPort === hostPort && (request.hostAddress === '' || request.hostAddress === binding.hostAddress));
  const pinned = (request: PortRequest): PortRequest => {
    const free = left.get(exposedPort(request));
    const hostPort = [...(free ?? [])].find((port) => has(request, port) && isWithin(port, request.hostPorts));
    if (hostPort === undefined) return request;
    free?.delete(hostPort);
    return { ...request, hostPorts: { first: hostPort, last: hostPort } };
  };
  // Who says which one goes first.
  const certain = ({ hostPorts }: PortRequest): boolean => hostPorts !== undefined && hostPorts.first === hostPorts.last;
  const exact = new Map(requests.filter(certain).map((request) => [request, pinned(request)]));
  const asked = requests.map((request) => exact.get(request) ?? pinned(request));
  const names = new Set(requests.map(exposedPort));
  const published = all.filter((port) => !names.has(exposedPort(port)) && left.has(exposedPort(port))).map((port) => pinned({ ...port, hostAddress: '', hostPorts: undefined }));
  return [...asked, ...published.filter(certain)];
};

const isWithin = (port: number, range: PortRequest['hostPorts']): boolean => range === undefined || (port >= range.first && port <= range.last);

import { invalid } from '../model/errors.ts';

/**
 * The container ports that EXPOSE names: `80`, `80/udp`, `8000-8002`. As `-p` may, it may name host ports before
 * them, which mean nothing in an image.
 */
export const exposedPorts = (spec: string): string[] => {
  const slash = spec.indexOf('/');
  const ports = slash < 0 ? spec : spec.slice(0, slash);
  const protocol = (slash < 0 ? '' : spec.slice(slash + 1)).toLowerCase() || 'tcp';
  const parts = ports.split(':');
  const container = parts.at(-1) ?? '';
  const host = parts.length > 1 ? (parts.at(-2) ?? '') : '';
  if (container === '') throw invalid(`No port specified: ${spec}<empty>`);
  const range = parseRange(container, 'containerPort');
  if (host !== '') {
    const hostRange = parseRange(host, 'hostPort');
    const [length, hostLength] = [range.last - range.first, hostRange.last - hostRange.first];
    // One container port may be reached by any of several host ports.
    if (length !== hostLength && length !== 0) throw invalid(`Invalid ranges specified for container and host Ports: ${container} and ${host}`);
  }
  if (!['tcp', 'udp', 'sctp'].includes(protocol)) throw invalid(`Invalid proto: ${protocol}`);
  return Array.from({ length: range.last - range.first + 1 }, (_, at) => `${range.first + at}/${protocol}`);
};

const parseRange = (text: string, what: string): { first: number; last: number } => {
  const [first, last = first, ...more] = text.split('-').map((port) => (/^[0-9]{1,5}$/.test(port) && Number(port) <= 65535 ? Number(port) : undefined));
  if (first === undefined || last === undefined || more.length > 0 || last < first) throw invalid(`Invalid ${what}: ${text}`);
  return { first, last };
};

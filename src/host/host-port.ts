import dgram from 'node:dgram';
import net from 'node:net';
import type { KindOf } from '../operations/operation.ts';
import { parkPorts } from './parked-ports.ts';
import { originalUdpPort } from './original-port.ts';
import { originalPort, type Transport } from './socket.ts';

type HostPort = KindOf<'host-port'>;

/** Somebody on the host has the port already, or the address is not the host's. */
export class HostPortError extends Error {
  readonly protocol: string;
  readonly hostPort: number;
  constructor(object: HostPort, why: string, cause: unknown) {
    const { hostAddress, hostPort, address, port, protocol } = object;
    super(`failed to bind host port for ${bracketed(hostAddress)}:${hostPort}:${address}:${port}/${protocol}: ${why}`, { cause });
    this.name = 'HostPortError';
    this.protocol = protocol;
    this.hostPort = hostPort;
  }
}

const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address);

export type HostPorts = {
  put(object: HostPort): Promise<void>;
  /** The rules that lead to it are there. */
  open(object: HostPort): void;
  drop(object: HostPort): Promise<void>;
};

/** Lets go of a port. */
type Held = (() => void) & { readonly open?: () => void };

/**
 * Holds the published ports on the host: nobody else can take them, and what no DNAT rule catches (IPv6 to a container without,
 * ::1, a container of another network calling the host's address; without rules, everything) is carried from here.
 */
export const createHostPorts = (): HostPorts => {
  const held = new Map<string, Held>();
  const keyOf = ({ protocol, hostAddress, hostPort }: HostPort): string => `${protocol} ${hostAddress} ${hostPort}`;
  return {
    async put(object) {
      const key = keyOf(object);
      held.get(key)?.();
      held.delete(key);
      const [alone, together] = HOLD[object.protocol];
      const hold = object.count === undefined ? alone : together;
      held.set(key, await hold(object));
    },
    open: (object) => held.get(keyOf(object))?.open?.(),
    async drop(object) {
      held.get(keyOf(object))?.();
      held.delete(keyOf(object));
    },
  };
};

/** Node has no SCTP sockets; the rules alone carry it. */
const holdNothing = async (): Promise<() => void> => () => {};

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address already in use',
  EADDRNOTAVAIL: 'cannot assign requested address',
  EACCES: 'permission denied',
};

const why = (error: NodeJS.ErrnoException): string => WHY[error.code ?? ''] ?? error.message;

/** A listener at the first port, to which rules lead what is meant for the others; these are only kept from everybody else. */
const holdTcpRange = (object: HostPort): Promise<() => void> => holdRange('tcp', object, holdTcp);

const holdRange = async (transport: Transport, object: HostPort, holdFirst: (object: HostPort) => Promise<() => void>): Promise<() => void> => {
  const free = park(transport, object, object.hostPort + 1);
  try {
    const close = await holdFirst(object);
    return () => {
      close();
      free();
    };
  } catch (error) {
    free();
    throw error;
  }
};

/** Of IPv4, rules alone carry everything. */
const holdUdpRange = (object: HostPort): Promise<() => void> =>
  object.hostAddress.includes(':') ? holdRange('udp', object, holdUdp) : Promise.resolve(object).then(() => park('udp', object, object.hostPort));

const park = (transport: Transport, object: HostPort, first: number): (() => void) => {
  const { hostAddress, hostPort, port, rest, count = 1 } = object;
  const last = rest === 'other' ? hostPort : hostPort + count - 1;
  try {
    return parkPorts(transport, hostAddress, first, last, rest === 'both');
  } catch (error) {
    const { port: busy = hostPort } = error as { port?: number };
    const refused = { ...object, hostPort: busy, port: port + busy - hostPort };
    throw new HostPortError(rest === 'both' && isTaken(transport, '0.0.0.0', busy) ? { ...refused, hostAddress: '0.0.0.0' } : refused, why(error as NodeJS.ErrnoException), error);
  }
};

const isTaken = (transport: Transport, address: string, port: number): boolean => {
  try {
    parkPorts(transport, address, port, port, false)();
    return false;
  } catch {
    return true;
  }
};

const holdTcp = (object: HostPort): Promise<() => void> =>
  new Promise((resolve, reject) => {
    const open = new Set<net.Socket>();
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
      const meant = object.count === undefined ? object.hostPort : originalPort(client);
      const upstream = net.connect({ host: object.address, port: object.port + meant - object.hostPort, allowHalfOpen: true, noDelay: true });
      for (const socket of [client, upstream]) {
        open.add(socket);
        socket.on('close', () => open.delete(socket));
        // Either end gone: the other has nobody to talk to.
        socket.on('error', () => { client.destroy(); upstream.destroy(); });
      }
      upstream.once('connect', () => { client.pipe(upstream); upstream.pipe(client); });
    });
    server.once('error', (error) => reject(new HostPortError(object, why(error), error)));
    server.listen({ host: object.hostAddress, port: object.hostPort, ipv6Only: true, exclusive: true, backlog: 4096 }, () =>
      resolve(() => {
        server.close();
        for (const socket of open) socket.destroy();
      }),
    );
  });

/** How long an answer may take: as conntrack's for UDP that was answered once. */
const UDP_IDLE_MS = 90_000;

/** Milliseconds, in which what came before the rules has been read. */
const OPENING_MS = 20;

/**
 * Deaf until it is opened: once we had answered somebody, the kernel would take all that he sends for more of the same, and never
 * ask the rules.
 */
const holdUdp = (object: HostPort): Promise<Held> =>
  new Promise((resolve, reject) => {
    const family = object.hostAddress.includes(':') ? 'udp6' : 'udp4';
    const socket = dgram.createSocket(family === 'udp6' ? { type: family, ipv6Only: true } : { type: family });
    const clients = new Map<string, { upstream: dgram.Socket; port: number; timer: NodeJS.Timeout }>();
    const forget = (key: string): void => {
      const client = clients.get(key);
      clients.delete(key);
      if (!client) return;
      clearTimeout(client.timer);
      client.upstream.close();
    };
    const clientOf = (key: string, back: dgram.RemoteInfo): { upstream: dgram.Socket; port: number } => {
      const known = clients.get(key);
      if (known) {
        known.timer.refresh();
        return known;
      }
      const upstream = dgram.createSocket(object.address.includes(':') ? 'udp6' : 'udp4');
      upstream.on('message', (message) => socket.send(message, back.port, back.address));
      upstream.on('error', () => forget(key));
      const meant = object.count === undefined ? object.hostPort : (originalUdpPort(back.address, back.port) ?? object.hostPort);
      clients.set(key, { upstream, port: object.port + meant - object.hostPort, timer: setTimeout(() => forget(key), UDP_IDLE_MS).unref() });
      return clients.get(key)!;
    };
    let deaf = object.count === undefined;
    const open = (): void => void setTimeout(() => setImmediate(() => (deaf = false)), OPENING_MS).unref();
    socket.on('message', (message, from) => {
      if (deaf) return;
      const { upstream, port } = clientOf(`${from.address} ${from.port}`, from);
      upstream.send(message, port, object.address);
    });
    socket.once('error', (error) => reject(new HostPortError(object, why(error), error)));
    socket.bind({ address: object.hostAddress, port: object.hostPort, exclusive: true }, () => {
      socket.removeAllListeners('error').on('error', () => {});
      const close = (): void => {
        socket.close();
        for (const key of [...clients.keys()]) forget(key);
      };
      resolve(Object.assign(close, { open }));
    });
  });

/** How a port is held alone, and how a range is. */
const HOLD = { tcp: [holdTcp, holdTcpRange], udp: [holdUdp, holdUdpRange], sctp: [holdNothing, holdNothing] } as const;

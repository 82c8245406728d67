import dgram from 'node:dgram';
import net from 'node:net';
import type { KindOf } from '../operations/operation.ts';
import { asItIs, createForwarder, frame, framed, type Forwarder } from './dns-forward.ts';
import { buildAnswer, parseQuery, RCODE, sizeFor, truncate, TYPE, type Data, type Query } from './dns-message.ts';
import { redirectDns } from './dns-redirect.ts';
import { addressBytes } from './netlink.ts';
import { boundSocket, type Transport } from './socket.ts';
import { inNetns } from './syscalls.ts';

/** What a question is for. */
export type QuestionType = 'A' | 'AAAA' | 'PTR' | 'MX' | 'other';

/**
 * What a container gets to know about a name (in lower case, without the last dot): addresses, or for PTR names; none where there is such
 * a name, but not with that; 'forward': others may know; 'fail': nobody may be asked.
 */
export type Lookup = (containerId: string, name: string, type: QuestionType) => readonly string[] | 'forward' | 'fail';

type Resolver = KindOf<'resolver'>;
export type Resolvers = { put(object: Resolver): Promise<void>; drop(object: Resolver): Promise<void> };

/**
 * A name server in every container on a network that users made, all in this process: two sockets each, made in the
 * container's network namespace, so that no packet to them crosses the host's firewall.
 */
export const createResolvers = (lookup: Lookup): Resolvers => {
  const running = new Map<string, () => void>();
  const drop = (netns: string): void => {
    running.get(netns)?.();
    running.delete(netns);
  };
  return {
    async put(object) {
      drop(object.netns);
      running.set(object.netns, await serve(object, lookup));
    },
    async drop({ netns }) {
      drop(netns);
    },
  };
};

const DNS_PORT = 53;

const serve = async (resolver: Resolver, lookup: Lookup): Promise<() => void> => {
  const own = listen(resolver, 0, lookup);
  try {
    await redirectDns(resolver.netns, resolver.address, own.ports);
    return own.close;
  } catch {
    // A kernel without nf_tables: at the port itself, which a name server in the container then has to leave alone.
    own.close();
    return listen(resolver, DNS_PORT, lookup).close;
  }
};

const listen = ({ netns, address, containerId, servers }: Resolver, port: number, lookup: Lookup): { readonly ports: { readonly udp: number; readonly tcp: number }; close(): void } => {
  const [udpSocket, tcpSocket] = inNetns(netns, () => [boundSocket('udp', address, port), boundSocket('tcp', address, port)]);
  const forwarder = createForwarder(netns, servers);
  const answer = createAnswerer(containerId, lookup, forwarder);
  const udp = listenUdp(udpSocket, answer);
  const tcp = listenTcp(tcpSocket, answer);
  return {
    ports: { udp: udp.port, tcp: tcp.port },
    close() {
      udp.close();
      tcp.close();
      forwarder.close();
    },
  };
};

/** Gives the answer to `send`: at once when it is ours, when it has come when it is another's, never to what is no question. */
type Answerer = (bytes: Buffer, transport: Transport, send: (answer: Buffer) => void) => void;

/** As the reference engine: after so long clients ask again; it is the addresses' least stay with a container. */
const TIME_TO_LIVE_S = 600;
/** As the reference engine: no more questions than these wait for other servers, for a container. */
const MOST_WAITING = 1024;
const TYPE_NAMES: ReadonlyMap<number, QuestionType> = new Map([[TYPE.A, 'A'], [TYPE.AAAA, 'AAAA'], [TYPE.PTR, 'PTR'], [TYPE.MX, 'MX']]);

const createAnswerer = (containerId: string, lookup: Lookup, forwarder: Forwarder): Answerer => {
  let turn = 0;
  const records = (found: readonly string[], type: QuestionType): Data[] => {
    if (type === 'PTR') return found.map((name) => ({ name }));
    const first = found.length > 1 ? turn++ % found.length : 0;
    return [...found.slice(first), ...found.slice(0, first)].map((address) => ({ address: addressBytes(address) }));
  };

  const forward = async (query: Query, transport: Transport): Promise<Buffer> => {
    const size = sizeFor(query, transport);
    if (forwarder.waiting >= MOST_WAITING) return buildAnswer(query, RCODE.REFUSED, [], 0, size);
    const answer = await forwarder.forward(query, transport);
    return answer ? truncate(answer, query, size) : buildAnswer(query, RCODE.SERVFAIL, [], 0, size);
  };

  return (bytes, transport, send) => {
    const query = parseQuery(bytes);
    if (!query) return;
    if ('refusal' in query) {
      send(query.refusal);
      return;
    }
    const type = TYPE_NAMES.get(query.type) ?? 'other';
    const found = query.internet ? lookup(containerId, query.name, type) : 'forward';
    if (found === 'forward') void forward(query, transport).then(send);
    else if (found === 'fail') send(buildAnswer(query, RCODE.SERVFAIL, [], 0, sizeFor(query, transport)));
    else send(buildAnswer(query, RCODE.NOERROR, records(found, type), TIME_TO_LIVE_S, sizeFor(query, transport)));
  };
};

type Listener = { readonly port: number; close(): void };

const listenUdp = (fd: number, answer: Answerer): Listener => {
  const socket = dgram.createSocket({ type: 'udp4', lookup: asItIs });
  let closed = false;
  socket.on('message', (message, from) =>
    // The error of a client that has gone is nobody's.
    answer(message, 'udp', (bytes) => closed || socket.send(bytes, from.port, from.address, () => {})),
  );
  socket.on('error', () => {});
  socket.bind({ fd });
  return {
    port: socket.address().port,
    close() {
      closed = true;
      socket.close();
    },
  };
};

/** Connections at a time, how long one may be silent, and how much of what it is sent it may leave unread. */
const [MOST_CONNECTIONS, SILENCE_MS, MOST_UNREAD] = [128, 10_000, 1 << 20];

const listenTcp = (fd: number, answer: Answerer): Listener => {
  const connections = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    let [asked, ended] = [0, false];
    connections.add(socket);
    const endWhenDone = (): void => void (ended && asked === 0 && socket.end());
    socket.setTimeout(SILENCE_MS, () => socket.destroy());
    socket.on('close', () => connections.delete(socket)).on('error', () => socket.destroy());
    socket.on('end', () => {
      ended = true;
      endWhenDone();
    });
    socket.on(
      'data',
      framed((message) => {
        asked += 1;
        answer(message, 'tcp', (bytes) => {
          asked -= 1;
          if (socket.destroyed) return;
          if (socket.writableLength > MOST_UNREAD) socket.destroy();
          else socket.write(frame(bytes));
          endWhenDone();
        });
      }),
    );
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.on('error', () => {});
  server.listen({ fd });
  return {
    port: (server.address() as net.AddressInfo).port,
    close() {
      server.close();
      for (const socket of connections) socket.destroy();
    },
  };
};

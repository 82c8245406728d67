import { randomInt } from 'node:crypto';
import dgram from 'node:dgram';
import net from 'node:net';
import type { NameServer } from '../model/network.ts';
import { isAnswerTo, RCODE, rcodeOf, withId, type Query } from './dns-message.ts';
import { boundSocket, connectingSocket, type Transport } from './socket.ts';
import { inNetns } from './syscalls.ts';

export type Forwarder = {
  /** How many questions wait for an answer. */
  readonly waiting: number;
  /** The answer of the first server that has one, under the client's id; undefined: nobody had. */
  forward(query: Query, transport: Transport): Promise<Buffer | undefined>;
  close(): void;
};

/** As the reference engine: three servers are asked, one after the other, four seconds each. */
const [MOST_SERVERS, PATIENCE_MS] = [3, 4000];
/** Servers that say these may be in trouble themselves: the next one is asked. */
const FAILED: readonly number[] = [RCODE.SERVFAIL, RCODE.REFUSED];

/**
 * Asks other servers what is not ours to know, from the container's network (`fromHost`: from the daemon's), by the
 * transport the client used: one that is told of truncation asks again by TCP itself.
 */
export const createForwarder = (netns: string, servers: readonly NameServer[]): Forwarder => {
  const lines = new Map<NameServer, Line>();
  let waiting = 0;

  const open = ({ address, fromHost }: NameServer, transport: Transport): number => {
    const make = (): number => (transport === 'tcp' ? connectingSocket(address, DNS_PORT) : boundSocket('udp', isIpv6(address) ? '::' : '0.0.0.0', 0));
    return fromHost ? make() : inNetns(netns, make);
  };

  const lineTo = (server: NameServer): Line => {
    const known = lines.get(server);
    if (known) return known;
    const line = createLine(open(server, 'udp'), server, () => lines.get(server) === line && lines.delete(server));
    lines.set(server, line);
    return line;
  };

  const ask = async (server: NameServer, query: Query, transport: Transport): Promise<Buffer | undefined> => {
    try {
      return await (transport === 'udp' ? lineTo(server).ask(query) : askByTcp(open(server, 'tcp'), query));
    } catch {
      // No way to this server: not even a socket for it.
      return undefined;
    }
  };

  return {
    get waiting() {
      return waiting;
    },
    async forward(query, transport) {
      waiting += 1;
      try {
        for (const server of servers.slice(0, MOST_SERVERS)) {
          const answer = await ask(server, query, transport);
          if (answer && !FAILED.includes(rcodeOf(answer))) return withId(answer, query.id);
        }
        return undefined;
      } finally {
        waiting -= 1;
      }
    },
    close() {
      for (const line of [...lines.values()]) line.close();
    },
  };
};

const DNS_PORT = 53;
const isIpv6 = (address: string): boolean => address.includes(':');
/** A socket is given up after so many questions or so long, for its port is half of what a forger of answers must guess. */
const [MOST_QUESTIONS, LONGEST_MS] = [256, 5000];

/** One UDP socket that questions to one server share. */
type Line = { ask(query: Query): Promise<Buffer | undefined>; close(): void };

const createLine = (fd: number, { address }: NameServer, retired: () => void): Line => {
  const waiting = new Map<number, { readonly query: Query; readonly settle: (answer: Buffer | undefined) => void }>();
  const socket = dgram.createSocket({ type: isIpv6(address) ? 'udp6' : 'udp4', lookup: asItIs });
  let [questions, retiring, closed] = [0, false, false];

  const close = (): void => {
    if (closed) return;
    closed = true;
    retire();
    socket.close();
    for (const { settle } of [...waiting.values()]) settle(undefined);
  };
  const retire = (): void => {
    if (!retiring) {
      retiring = true;
      clearTimeout(age);
      retired();
    }
    if (waiting.size === 0) close();
  };
  const age = setTimeout(retire, LONGEST_MS).unref();

  socket.on('message', (message) => {
    const asked = message.length < 2 ? undefined : waiting.get(message.readUInt16BE(0));
    if (asked && isAnswerTo(message, asked.query, message.readUInt16BE(0))) asked.settle(message);
  });
  // Connection refused, for one: nobody is there to answer any of them.
  socket.on('error', close);
  socket.bind({ fd });
  // Only what comes from there is heard from now on.
  socket.connect(DNS_PORT, address);

  return {
    ask: (query) =>
      new Promise((resolve) => {
        let id = randomInt(65_536);
        while (waiting.has(id)) id = randomInt(65_536);
        const settle = (answer: Buffer | undefined): void => {
          if (!waiting.delete(id)) return;
          clearTimeout(timer);
          resolve(answer);
          if (retiring) retire();
        };
        const timer = setTimeout(settle, PATIENCE_MS, undefined);
        waiting.set(id, { query, settle });
        socket.send(withId(query.bytes, id), (error) => error && settle(undefined));
        if (++questions === MOST_QUESTIONS) retire();
      }),
    close,
  };
};

/** Addresses need no looking up, and no waiting for it: the socket is connected when `connect` returns. */
export const asItIs: NonNullable<dgram.SocketOptions['lookup']> = (address, _options, found) => found(null, address, isIpv6(address) ? 6 : 4);

const askByTcp = (fd: number, query: Query): Promise<Buffer | undefined> =>
  new Promise((resolve) => {
    const id = randomInt(65_536);
    const socket = new net.Socket({ fd, readable: true, writable: true });
    const settle = (answer: Buffer | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(settle, PATIENCE_MS, undefined);
    const read = framed((message) => settle(isAnswerTo(message, query, id) ? message : undefined));
    socket.on('data', read).on('error', () => settle(undefined)).on('close', () => settle(undefined));
    socket.write(frame(withId(query.bytes, id)));
  });

/** By TCP a message follows its length. */
export const frame = (message: Buffer): Buffer => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
};

export const framed = (each: (message: Buffer) => void): ((chunk: Buffer) => void) => {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0);
      each(rest.subarray(2, end));
      rest = rest.subarray(end);
    }
  };
};

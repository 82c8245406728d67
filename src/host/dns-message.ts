/**
 * DNS messages as far as a resolver that forwards needs them (RFC 1035, RFC 6891): one question is read, answers of
 * addresses and names are written, and everybody else's messages pass as the bytes they came in. Whatever a packet
 * claims, no read goes past its end, and no pointer is followed.
 */

export const TYPE = { A: 1, PTR: 12, MX: 15, AAAA: 28, OPT: 41 } as const;
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
export type Rcode = (typeof RCODE)[keyof typeof RCODE];

/** What a message must be kept to that has no other limit: UDP without EDNS, and TCP with its two bytes of length. */
export const UDP_SIZE = 512;
export const TCP_SIZE = 65_535;

const [HEADER, QR, OPCODE, TC, RD, RA] = [12, 0x8000, 0x7800, 0x0200, 0x0100, 0x0080];
const IN = 1;
const ANY_CLASS = 255;
const POINTER_TO_QUESTION = 0xc00c;

export type Query = {
  /** As it came. */
  readonly bytes: Buffer;
  readonly id: number;
  readonly flags: number;
  /** Without the last dot, in lower case: names differ in nothing else. */
  readonly name: string;
  readonly type: number;
  /** Of the internet, or of any class. */
  readonly internet: boolean;
  readonly questionEnd: number;
  /** What the client can take by UDP; undefined when it does not know EDNS. */
  readonly edns: number | undefined;
};

/** A query, or the short answer to what is none; undefined when that must not be answered at all. */
export const parseQuery = (bytes: Buffer): Query | { readonly refusal: Buffer } | undefined => {
  if (bytes.length < HEADER) return undefined;
  const flags = bytes.readUInt16BE(2);
  // Answering an answer would make two servers talk to each other for ever.
  if (flags & QR) return undefined;
  if (flags & OPCODE) return { refusal: bare(bytes, RCODE.NOTIMP) };
  const name = bytes.readUInt16BE(4) === 1 ? readName(bytes, HEADER) : undefined;
  if (!name || name.end + 4 > bytes.length) return { refusal: bare(bytes, RCODE.FORMERR) };
  const questionEnd = name.end + 4;
  const edns = ednsOf(bytes, questionEnd);
  if (edns === 'malformed') return { refusal: bare(bytes, RCODE.FORMERR) };
  const dnsClass = bytes.readUInt16BE(name.end + 2);
  return {
    bytes,
    id: bytes.readUInt16BE(0),
    flags,
    name: name.text,
    type: bytes.readUInt16BE(name.end),
    internet: dnsClass === IN || dnsClass === ANY_CLASS,
    questionEnd,
    edns,
  };
};

const bare = (bytes: Buffer, rcode: Rcode): Buffer => {
  const answer = Buffer.alloc(HEADER);
  bytes.copy(answer, 0, 0, 2);
  answer.writeUInt16BE(QR | (bytes.readUInt16BE(2) & (OPCODE | RD)) | rcode, 2);
  return answer;
};

const [LONGEST_LABEL, LONGEST_NAME] = [63, 255];

/** A question's name stands in full: there is nothing before it that it could point to. */
const readName = (bytes: Buffer, from: number): { readonly text: string; readonly end: number } | undefined => {
  const labels: string[] = [];
  let at = from;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > LONGEST_LABEL) return undefined;
    at += 1;
    if (length === 0) return { text: labels.join('.').toLowerCase(), end: at };
    if (at + length > bytes.length || at + length - from >= LONGEST_NAME) return undefined;
    labels.push(bytes.toString('latin1', at, at + length));
    at += length;
  }
};

/** Where a name that may end in a pointer is over. */
const skipName = (bytes: Buffer, from: number): number | undefined => {
  let at = from;
  for (;;) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length >= 0xc0) return at + 2;
    if (length > LONGEST_LABEL) return undefined;
    at += 1 + length;
    if (length === 0) return at;
  }
};

type Place = { readonly at: number; readonly type: number; readonly end: number };

const recordAt = (bytes: Buffer, at: number): Place | undefined => {
  const nameEnd = skipName(bytes, at);
  if (nameEnd === undefined || nameEnd + 10 > bytes.length) return undefined;
  const end = nameEnd + 10 + bytes.readUInt16BE(nameEnd + 8);
  return end > bytes.length ? undefined : { at, type: bytes.readUInt16BE(nameEnd), end };
};

const ednsOf = (bytes: Buffer, questionEnd: number): number | 'malformed' | undefined => {
  let left = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  for (let at = questionEnd; left > 0; left--) {
    const record = recordAt(bytes, at);
    if (!record) return 'malformed';
    // An OPT record's class is the size that its sender can take.
    if (record.type === TYPE.OPT) return bytes.readUInt16BE(skipName(bytes, at)! + 2);
    at = record.end;
  }
  return undefined;
};

/** The most a client can take of an answer. */
export const sizeFor = (query: Query, transport: 'udp' | 'tcp'): number => (transport === 'tcp' ? TCP_SIZE : Math.max(UDP_SIZE, query.edns ?? 0));

/** A record's data: an IPv4 or IPv6 address, or a name. */
export type Data = { readonly address: Uint8Array } | { readonly name: string };

/** An answer of our own: as many records as fit, and the mark of those that did not. */
export const buildAnswer = (query: Query, rcode: Rcode, records: readonly Data[], seconds: number, size: number): Buffer => {
  const data = records.map((record) => ('address' in record ? record.address : nameBytes(record.name)));
  const question = query.bytes.subarray(HEADER, query.questionEnd);
  const opt = query.edns === undefined ? 0 : 11;
  let room = size - query.questionEnd - opt;
  let fitting = 0;
  while (fitting < data.length && room >= 12 + data[fitting]!.length) room -= 12 + data[fitting++]!.length;

  const answer = Buffer.alloc(query.questionEnd + opt + data.slice(0, fitting).reduce((sum, { length }) => sum + 12 + length, 0));
  answer.writeUInt16BE(query.id, 0);
  answer.writeUInt16BE(QR | (query.flags & RD) | (rcode === RCODE.NOERROR ? RA : 0) | (fitting < data.length ? TC : 0) | rcode, 2);
  answer.writeUInt16BE(1, 4);
  answer.writeUInt16BE(fitting, 6);
  answer.writeUInt16BE(opt === 0 ? 0 : 1, 10);
  question.copy(answer, HEADER);
  let at = query.questionEnd;
  for (const bytes of data.slice(0, fitting)) {
    answer.writeUInt16BE(POINTER_TO_QUESTION, at);
    answer.writeUInt16BE(query.type, at + 2);
    answer.writeUInt16BE(IN, at + 4);
    answer.writeUInt32BE(seconds, at + 6);
    answer.writeUInt16BE(bytes.length, at + 10);
    answer.set(bytes, at + 12);
    at += 12 + bytes.length;
  }
  if (opt > 0) {
    answer.writeUInt16BE(TYPE.OPT, at + 1);
    answer.writeUInt16BE(TCP_SIZE, at + 3);
  }
  return answer;
};

const nameBytes = (name: string): Buffer => {
  const labels = name.split('.').filter((label) => label !== '' && label.length <= LONGEST_LABEL);
  return Buffer.concat([...labels.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1')), Buffer.alloc(1)]);
};

/** The same message under another id. */
export const withId = (bytes: Buffer, id: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy.writeUInt16BE(id, 0);
  return copy;
};

/** Whether a server's message is the answer to this query, sent under that id: a guess at the id alone is not enough. */
export const isAnswerTo = (answer: Buffer, query: Query, id: number): boolean => {
  if (answer.length < HEADER || answer.readUInt16BE(0) !== id) return false;
  const flags = answer.readUInt16BE(2);
  if (!(flags & QR) || flags & OPCODE) return false;
  const questions = answer.readUInt16BE(4);
  // What a server did not understand, it may not repeat either.
  if (questions === 0) return rcodeOf(answer) !== RCODE.NOERROR && rcodeOf(answer) !== RCODE.NXDOMAIN;
  if (questions !== 1) return false;
  const name = readName(answer, HEADER);
  return name !== undefined && name.text === query.name && name.end + 4 <= answer.length && answer.compare(query.bytes, query.questionEnd - 4, query.questionEnd, name.end, name.end + 4) === 0;
};

export const rcodeOf = (message: Buffer): number => message.readUInt16BE(2) & 0xf;

/**
 * A server's answer no larger than the client can take: with as many of its answers as fit, and the mark of those that did
 * not. Clients that know nothing of TCP find at least these.
 */
export const truncate = (answer: Buffer, query: Query, size: number): Buffer => {
  if (answer.length <= size) return answer;
  let [at, fitting]: [number, number] = [answer.readUInt16BE(4) === 0 ? HEADER : query.questionEnd, 0];
  for (let left = answer.readUInt16BE(6); left > 0; left--) {
    const record = recordAt(answer, at);
    if (!record || record.end > size) break;
    at = record.end;
    fitting += 1;
  }
  const short = Buffer.from(answer.subarray(0, at));
  short.writeUInt16BE(short.readUInt16BE(2) | TC, 2);
  short.writeUInt16BE(fitting, 6);
  short.writeUInt32BE(0, 8);
  return short;
};

import { attribute, text } from './netlink.ts';

/** The words of nf_tables(7) on the wire, as nft sends them: messages, and the expressions that rules are made of. */
export const NETLINK_NETFILTER = 12;
const [NFNL_SUBSYS_NFTABLES, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END] = [10, 16, 17];
export const NFPROTO = { ipv4: 2, ipv6: 10 } as const;
export const MESSAGE = { newTable: 0, deleteTable: 2, newChain: 3, newRule: 6, getRules: 7, newSet: 9, newElements: 12, getElements: 13, deleteElements: 14 } as const;
const NLM_F_REQUEST = 1;
export const FLAG = { exclusive: 0x200, create: 0x400, append: 0x800, dump: 0x300 } as const;
export const NESTED = 0x8000;
export const HOOK = { prerouting: 0, output: 3, postrouting: 4 } as const;
export const REGISTER = 1;

export const nested = (type: number, ...parts: readonly Buffer[]): Buffer => attribute(type | NESTED, Buffer.concat(parts));

/** Netfilter's numbers are in network order. */
export const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0, 0);
  return bytes;
};

export const port = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value, 0);
  return bytes;
};

export const message = (type: number, flags: number, parts: readonly Buffer[], family: keyof typeof NFPROTO = 'ipv4'): Buffer =>
  packed((NFNL_SUBSYS_NFTABLES << 8) | type, flags, NFPROTO[family], 0, parts);

/** All of the messages or none. */
export const batch = (messages: readonly Buffer[]): Buffer =>
  Buffer.concat([packed(NFNL_MSG_BATCH_BEGIN, 0, 0, NFNL_SUBSYS_NFTABLES, []), ...messages, packed(NFNL_MSG_BATCH_END, 0, 0, NFNL_SUBSYS_NFTABLES, [])]);

/** struct nlmsghdr and struct nfgenmsg */
const packed = (type: number, flags: number, family: number, resource: number, parts: readonly Buffer[]): Buffer => {
  const bytes = Buffer.concat([Buffer.alloc(20), ...parts]);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(NLM_F_REQUEST | flags, 6);
  bytes.writeUInt8(family, 16);
  bytes.writeUInt16BE(resource, 18);
  return bytes;
};

/** A chain that the kernel itself calls. */
export const baseChain = (table: Buffer, { name, type, hook, priority }: { readonly name: string; readonly type: string; readonly hook: keyof typeof HOOK; readonly priority: number }): Buffer[] => [
  table,
  attribute(3, text(name)),
  nested(4, attribute(1, word(HOOK[hook])), attribute(2, word(priority))),
  attribute(7, text(type)),
];

export const expression = (name: string, ...parts: readonly Buffer[]): Buffer => nested(1, attribute(1, text(name)), nested(2, ...parts));

export const META = { iifname: 6, oifname: 7, protocol: 16 } as const;
export const HEADER = { network: 1, transport: 2 } as const;

export const loadMeta = (key: number, register: number = REGISTER): Buffer => expression('meta', attribute(1, word(register)), attribute(2, word(key)));

export const load = (header: number, offset: number, length: number, register: number = REGISTER): Buffer =>
  expression('payload', attribute(1, word(register)), attribute(2, word(header)), attribute(3, word(offset)), attribute(4, word(length)));

export const equals = (value: Buffer): Buffer => compare(0, value);
export const differs = (value: Buffer): Buffer => compare(1, value);
const compare = (operator: number, value: Buffer): Buffer => expression('cmp', attribute(1, word(REGISTER)), attribute(2, word(operator)), nested(3, attribute(1, value)));

export const immediate = (value: Buffer): Buffer => expression('immediate', attribute(1, word(REGISTER)), nested(2, attribute(1, value)));

/** Accept is 1, drop 0: register 0 is the verdict's. */
export const drop = expression('immediate', attribute(1, word(0)), nested(2, nested(2, attribute(1, word(0)))));

/** The attributes (struct nlattr) in some bytes, by type. A type that comes again is in the list again. */
export const attributes = (bytes: Buffer): { readonly type: number; readonly value: Buffer }[] => {
  const found: { type: number; value: Buffer }[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4) break;
    found.push({ type: bytes.readUInt16LE(at + 2) & 0x3fff, value: bytes.subarray(at + 4, at + length) });
    at += (length + 3) & ~3;
  }
  return found;
};

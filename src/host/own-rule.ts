import type { Family } from '../operations/operation.ts';
import { SETS, type Field, type SetName } from '../operations/own-table.ts';
import { attribute, text } from './netlink.ts';
import { differs, drop, equals, expression, HEADER, load, loadMeta, META, NESTED, NFPROTO, REGISTER, word } from './nftables.ts';

/** A comment's type among what a rule may carry for its user. */
export const COMMENT = 0;

/** Bytes in a register, which come in fours. */
export const lengthOf = (family: Family, field: Field): number => ({ ifname: 16, address: family === 'ipv4' ? 4 : 16, protocol: 4, port: 4 })[field];

/** By which nft knows how to print it. */
export const typeOf = (family: Family, field: Field): number => ({ ifname: 41, address: family === 'ipv4' ? 7 : 8, protocol: 12, port: 13 })[field];

/** Registers of four bytes; the first of them is REGISTER, which has four of these. */
const FIRST = 8;

/** What a rule of berth's own table says, in the few of nft's phrases that these rules need. */
export const compileRule = (family: Family, rule: string): Buffer[] => {
  const done: Buffer[] = [];
  let rest = rule;
  while (rest !== '') {
    const phrase = PHRASES.find(({ begin }) => begin.test(rest));
    const found = phrase?.begin.exec(rest);
    if (!phrase || !found) throw new Error(`not a rule of ours: ${JSON.stringify(rule)}`);
    done.push(...phrase.compile(family, found));
    rest = rest.slice(found[0].length).trimStart();
  }
  return done;
};

const WORD = '(?:iifname|oifname|ip6? [sd]addr|meta l4proto|th dport)';

const PHRASES: readonly { readonly begin: RegExp; readonly compile: (family: Family, found: RegExpExecArray) => Buffer[] }[] = [
  { begin: /^fib daddr type local\b/, compile: () => [expression('fib', attribute(1, word(REGISTER)), attribute(2, word(FIB_ADDRESS_TYPE)), attribute(3, word(FIB_DESTINATION))), equals(hostWord(RTN_LOCAL))] },
  { begin: /^ct status dnat\b/, compile: () => [expression('ct', attribute(1, word(REGISTER)), attribute(2, word(CT_STATUS))), masked(IPS_DST_NAT), differs(hostWord(0))] },
  {
    begin: new RegExp(`^dnat to (${WORD}(?: \\. ${WORD})*) map @(\\w+)`),
    compile: (family, [, fields = '', set = '']) => [
      ...loads(family, fields),
      lookup(set, REGISTER),
      expression(
        'nat',
        attribute(1, word(NAT_DESTINATION)),
        attribute(2, word(NFPROTO[family])),
        // A port alone leaves the address as it is.
        ...(SETS[set as SetName].value?.length === 1 ? [attribute(5, word(REGISTER))] : [attribute(3, word(REGISTER)), attribute(5, word(FIRST + lengthOf(family, 'address') / 4))]),
      ),
    ],
  },
  { begin: new RegExp(`^(${WORD}(?: \\. ${WORD})*) @(\\w+)`), compile: (family, [, fields = '', set = '']) => [...loads(family, fields), lookup(set)] },
  { begin: /^ip ([sd])addr (\d+)\.0\.0\.0\/8(?!\d)/, compile: (_family, [, end, first]) => [load(HEADER.network, end === 's' ? 12 : 16, 1), equals(Buffer.from([Number(first)]))] },
  { begin: /^masquerade\b/, compile: () => [expression('masq')] },
  { begin: /^drop\b/, compile: () => [drop] },
];

const [FIB_ADDRESS_TYPE, FIB_DESTINATION, RTN_LOCAL] = [3, 2, 2];
const [CT_STATUS, IPS_DST_NAT, NAT_DESTINATION] = [2, 0x20, 1];

/** What the kernel keeps for itself is in the machine's order. */
const hostWord = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value, 0);
  return bytes;
};

const masked = (bits: number): Buffer =>
  expression(
    'bitwise',
    attribute(1, word(REGISTER)),
    attribute(2, word(REGISTER)),
    attribute(3, word(4)),
    attribute(4 | NESTED, attribute(1, hostWord(bits))),
    attribute(5 | NESTED, attribute(1, hostWord(0))),
  );

const lookup = (set: string, into?: number): Buffer => {
  if (!(set in SETS)) throw new Error(`no set of ours: ${set}`);
  return expression('lookup', attribute(1, text(set as SetName)), attribute(2, word(REGISTER)), ...(into === undefined ? [] : [attribute(3, word(into))]));
};

/** One field after the other in registers, as a set's key has them. */
const loads = (family: Family, fields: string): Buffer[] => {
  let register = FIRST;
  return fields.split(' . ').map((field) => {
    const at = register;
    const [source, destination] = family === 'ipv4' ? [12, 16] : [8, 24];
    const length = lengthOf(family, 'address');
    switch (field) {
      case 'iifname':
      case 'oifname':
        register += 4;
        return loadMeta(META[field], at);
      case 'meta l4proto':
        register += 1;
        return loadMeta(META.protocol, at);
      case 'th dport':
        register += 1;
        return load(HEADER.transport, 2, 2, at);
      default:
        register += length / 4;
        return load(HEADER.network, field.endsWith('saddr') ? source : destination, length, at);
    }
  });
};

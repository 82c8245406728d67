import type { Family, KindOf, Operation } from '../operations/operation.ts';
import { elementLine, nftFamily, OWN_TABLE, ruleLines, SET_NAMES, SETS, type Field, type OwnChain, type OwnLines, type SetName } from '../operations/own-table.ts';
import { addressBytes, attribute, createTransactions, NetlinkError, text } from './netlink.ts';
import { askKernel, attributesOf, textIn } from './netlink-socket.ts';
import { attributes, baseChain, batch, FLAG, MESSAGE, message, nested, NETLINK_NETFILTER, port, word } from './nftables.ts';
import { compileRule, COMMENT, lengthOf, typeOf } from './own-rule.ts';
import { plainly, type Step } from './step.ts';
import { inNetns } from './syscalls.ts';

type ElementOperation = Operation & { readonly object: KindOf<'element'> };
type Element = { readonly set: SetName; readonly element: string };

/** What was not as it should be: entries lacking, and too many. */
export type OwnDrift = { readonly missing: number; readonly extra: number };

/** Berth's own table, by netlink: no process is started, and an element more or less costs the same in a table of any size. */
export type OwnTable = {
  /** One transaction a family. There already and gone already are success. */
  apply(operations: readonly ElementOperation[]): Promise<void>;
  /** What is there; nothing where there is no table. `netns`: another namespace than the daemon's. */
  list(family: Family, netns?: string): OwnLines;
  /** Whether there is such a table: a kernel may have no nf_tables, or not all that it takes. Nothing is put into one that is not there. */
  holds(family: Family): boolean;
  /** The table is these rules and these elements from now on, as changes go on from there. What is so already is left alone. */
  become(family: Family, chains: readonly OwnChain[], elements: readonly Element[]): Promise<void>;
  /** What others have done to it is undone, if `may` says so. undefined: nothing was. */
  mend(family: Family, may: () => boolean): Promise<OwnDrift | undefined>;
};

export const createOwnTable = (step: Step = plainly): OwnTable => {
  const transaction = createTransactions(NETLINK_NETFILTER);
  const send = (family: Family, messages: readonly Buffer[]): Promise<void> =>
    step(`own table of ${family}`, () => transaction(`change table ${nftFamily(family)} ${OWN_TABLE}`, batch(messages)));
  const kept = new Map<Family, { readonly chains: readonly OwnChain[]; readonly elements: Map<string, Element> }>();

  let latest: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = latest.then(work);
    latest = mine.catch(() => {});
    return mine;
  };

  const change = async (family: Family, gone: readonly Element[], come: readonly Element[]): Promise<void> => {
    if (gone.length + come.length === 0) return;
    try {
      await send(family, [...elementMessages(family, MESSAGE.deleteElements, gone), ...elementMessages(family, MESSAGE.newElements, come)]);
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      const there = new Set(list(family).elements);
      const left = [gone.filter((one) => there.has(elementLine(one))), come.filter((one) => !there.has(elementLine(one)))] as const;
      if (left[0].length === gone.length && left[1].length === come.length) throw error;
      await change(family, ...left);
    }
  };

  const putRight = async (family: Family, may: () => boolean): Promise<OwnDrift | undefined> => {
    const wanted = kept.get(family);
    if (!wanted) return undefined;
    const there = list(family);
    const rules = ruleLines(wanted.chains);
    const whole = there.rules.join('\n') === rules.join('\n');
    const has = new Set(there.elements);
    const stale = there.elements.filter((line) => !wanted.elements.has(line));
    const lacking = [...wanted.elements].filter(([line]) => !has.has(line)).map(([, element]) => element);
    if ((whole && stale.length + lacking.length === 0) || !may()) return undefined;
    if (whole) await change(family, stale.map(elementOf), lacking);
    else {
      const table = message(MESSAGE.newTable, FLAG.create, [TABLE], family);
      const elements = elementMessages(family, MESSAGE.newElements, [...wanted.elements.values()]);
      // One that is not there can not be deleted: it is made first.
      await send(family, [table, message(MESSAGE.deleteTable, 0, [TABLE], family), table, ...skeleton(family, wanted.chains), ...elements]);
    }
    const lackingRules = rules.filter((line) => !there.rules.includes(line)).length;
    return { missing: lacking.length + lackingRules, extra: stale.length + Math.max(0, there.rules.length + lackingRules - rules.length) };
  };

  return {
    async apply(operations) {
      for (const family of ['ipv4', 'ipv6'] as const) {
        const own = operations.filter(({ object }) => object.family === family);
        const those = (which: Operation['action']) => own.flatMap(({ action, object }) => (action === which ? [object] : []));
        if (own.length === 0 || !kept.has(family)) continue;
        await inTurn(async () => {
          await change(family, those('remove'), those('add')).catch(async (error: unknown) => {
            // Where somebody has taken the table away, nothing can be put into it.
            if (!(await putRight(family, () => true))) throw error;
            await change(family, those('remove'), those('add'));
          });
          const elements = kept.get(family)?.elements;
          for (const object of those('remove')) elements?.delete(elementLine(object));
          for (const object of those('add')) elements?.set(elementLine(object), object);
        });
      }
    },
    list,
    holds: (family) => kept.has(family),
    become: (family, chains, elements) =>
      inTurn(async () => {
        kept.set(family, { chains, elements: new Map(elements.map((one) => [elementLine(one), one])) });
        await putRight(family, () => true).catch((error: unknown) => {
          kept.delete(family);
          throw error;
        });
      }),
    mend: (family, may) => inTurn(() => putRight(family, may)),
  };
};

const TABLE = attribute(1, text(OWN_TABLE));

const skeleton = (family: Family, chains: readonly OwnChain[]): Buffer[] => [
  ...SET_NAMES.map((name, index) => message(MESSAGE.newSet, FLAG.create, setParts(family, name, index + 1), family)),
  ...chains.flatMap((chain) => [
    message(MESSAGE.newChain, FLAG.create, baseChain(TABLE, chain), family),
    ...chain.rules.map((rule) =>
      message(MESSAGE.newRule, FLAG.create | FLAG.append, [TABLE, attribute(2, text(chain.name)), nested(4, ...compileRule(family, rule)), attribute(7, commentOf(rule))], family),
    ),
  ]),
];

/** The rule as text, which nft shows behind it. */
const commentOf = (rule: string): Buffer => {
  const bytes = text(rule);
  return Buffer.concat([Buffer.from([COMMENT, bytes.length]), bytes]);
};

const [MAP, INTERVAL, CONCATENATION] = [8, 4, 0x80];

const setParts = (family: Family, name: SetName, id: number): Buffer[] => {
  const { key, value, interval } = SETS[name];
  const length = (fields: readonly Field[]): number => fields.reduce((sum, field) => sum + lengthOf(family, field), 0);
  // Of a concatenation nft knows the parts by six bits each; the kernel does not look.
  const type = (fields: readonly Field[]): number => fields.reduce((sum, field) => (sum << 6) | typeOf(family, field), 0);
  return [
    TABLE,
    attribute(2, text(name)),
    attribute(3, word((value ? MAP : 0) | (interval ? INTERVAL | CONCATENATION : 0))),
    attribute(4, word(type(key))),
    attribute(5, word(length(key))),
    ...(value ? [attribute(6, word(type(value))), attribute(7, word(length(value)))] : []),
    ...(interval ? [nested(9, nested(2, ...key.map((field) => nested(1, attribute(1, word(FIELD_SIZE[family][field]))))))] : []),
    attribute(10, word(id)),
  ];
};

/** Bytes without the padding that each field of a key has up to four. */
const FIELD_SIZE = { ipv4: { ifname: 16, address: 4, protocol: 1, port: 2 }, ipv6: { ifname: 16, address: 16, protocol: 1, port: 2 } } as const;

/** So many elements stay within the 64 KiB of one attribute. */
const ELEMENTS_AT_MOST = 400;

const elementMessages = (family: Family, type: number, elements: readonly Element[]): Buffer[] =>
  SET_NAMES.flatMap((set) => {
    const own = elements.filter((one) => one.set === set);
    return Array.from({ length: Math.ceil(own.length / ELEMENTS_AT_MOST) }, (_, part) =>
      message(
        type,
        FLAG.create,
        [TABLE, attribute(2, text(set)), nested(3, ...own.slice(part * ELEMENTS_AT_MOST, (part + 1) * ELEMENTS_AT_MOST).map(({ element }) => nested(1, ...elementParts(family, set, element, type === MESSAGE.newElements))))],
        family,
      ),
    );
  });

const elementParts = (family: Family, set: SetName, element: string, withValue: boolean): Buffer[] => {
  const { key, value, interval } = SETS[set];
  const [from = '', to = ''] = element.split(' : ');
  const words = from.split(' . ');
  const bytes = (fields: readonly Field[], texts: readonly string[]): Buffer => Buffer.concat(fields.map((field, index) => fieldBytes(family, field, texts[index] ?? '')));
  return [
    nested(1, attribute(1, bytes(key, words))),
    ...(value && withValue ? [nested(2, attribute(1, bytes(value, to.split(' . '))))] : []),
    ...(interval ? [nested(10, attribute(1, bytes(key, words.map(lastWord))))] : []),
  ];
};

const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** Padded to four bytes. A subnet begins with its own address, several ports with the first. */
const fieldBytes = (family: Family, field: Field, text: string): Buffer => {
  const bytes = Buffer.alloc(lengthOf(family, field));
  switch (field) {
    case 'ifname':
      bytes.write(text);
      break;
    case 'address':
      addressBytes(text.split('/')[0] ?? '').copy(bytes);
      break;
    case 'protocol':
      bytes.writeUInt8(PROTOCOLS[text] ?? 0);
      break;
    case 'port':
      port(parseInt(text)).copy(bytes);
      break;
  }
  return bytes;
};

/** Of a subnet, or several ports, the last; else the same. */
const lastWord = (word: string): string => (word.includes('/') ? lastOf(word) : (/^\d+-(\d+)$/.exec(word)?.[1] ?? word));

const lastOf = (cidr: string): string => {
  const [address = '', prefix = ''] = cidr.split('/');
  const bytes = Buffer.from(addressBytes(address));
  for (let bit = Number(prefix); bit < bytes.length * 8; bit++) bytes[bit >> 3]! |= 0x80 >> (bit & 7);
  return textOfAddress(bytes);
};

const textOfAddress = (bytes: Buffer): string =>
  bytes.length === 4 ? [...bytes].join('.') : (bytes.toString('hex').match(/..../g) ?? []).join(':');

const elementOf = (line: string): Element => {
  const [, set = '', element = ''] = /^element (\S+) (.*)$/.exec(line) ?? [];
  return { set: set as SetName, element };
};

const list = (family: Family, netns?: string): OwnLines => {
  const rules = dump(family, MESSAGE.getRules, [TABLE], netns).map((body) => {
    const parts = attributesOf(body, AFTER_HEADER);
    return `rule ${textIn(parts.get(2))} ${textIn(parts.get(7)?.subarray(2))}`;
  });
  if (rules.length === 0) return { rules, elements: [] };
  const elements = SET_NAMES.flatMap((set) =>
    dump(family, MESSAGE.getElements, [TABLE, attribute(2, text(set))], netns).flatMap((body) =>
      attributes(attributesOf(body, AFTER_HEADER).get(3) ?? EMPTY).map(({ value }) => `element ${set} ${readElement(family, set, value)}`),
    ),
  );
  return { rules, elements };
};

/** struct nfgenmsg */
const AFTER_HEADER = 4;
const EMPTY = Buffer.alloc(0);

/** Again where others changed something while it was read; a kernel that knows of no such table refuses. */
const dump = (family: Family, type: number, parts: readonly Buffer[], netns: string | undefined): Buffer[] => {
  const request = message(type, FLAG.dump, parts, family);
  for (let attempt = 0; ; attempt++) {
    const bodies: Buffer[] = [];
    const ask = (): boolean => askKernel(NETLINK_NETFILTER, request.readUInt16LE(4), request.readUInt16LE(6), request.subarray(16), ({ body }) => void bodies.push(Buffer.from(body)));
    if ((netns === undefined ? ask() : inNetns(netns, ask)) || bodies.length === 0 || attempt === 5) return bodies;
  }
};

const readElement = (family: Family, set: SetName, bytes: Buffer): string => {
  const parts = attributesOf(bytes, 0);
  const data = (type: number): Buffer => attributesOf(parts.get(type) ?? EMPTY, 0).get(1) ?? EMPTY;
  const { key, value, interval } = SETS[set];
  const words = readFields(family, key, data(1));
  if (interval) {
    const last = readFields(family, key, data(10));
    words.forEach((one, index) => {
      const until = last[index] ?? one;
      if (key[index] === 'address') words[index] = `${one}/${prefixBetween(one, until)}`;
      else if (until !== one) words[index] = `${one}-${until}`;
    });
  }
  return `${words.join(' . ')}${value ? ` : ${readFields(family, value, data(2)).join(' . ')}` : ''}`;
};

const readFields = (family: Family, fields: readonly Field[], bytes: Buffer): string[] => {
  let at = 0;
  return fields.map((field) => {
    const own = bytes.subarray(at, (at += lengthOf(family, field)));
    switch (field) {
      case 'ifname':
        return own.toString().replace(/\0.*$/s, '');
      case 'address':
        return compressed(textOfAddress(own));
      case 'protocol':
        return Object.entries(PROTOCOLS).find(([, number]) => number === own[0])?.[0] ?? `${own[0]}`;
      case 'port':
        return `${own.readUInt16BE(0)}`;
    }
  });
};

/** IPv6 as everybody writes it: the URL parser knows how. */
const compressed = (address: string): string => (address.includes(':') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address);

const prefixBetween = (first: string, last: string): number => {
  const [a, b] = [addressBytes(first), addressBytes(last)];
  let bits = 0;
  while (bits < a.length * 8 && ((a[bits >> 3]! ^ b[bits >> 3]!) & (0x80 >> (bits & 7))) === 0) bits++;
  return bits;
};

/**
 * Tar headers, to the byte. Names are binary strings (one character a byte), because a tar does not say how its
 * names are encoded: `Buffer.from(name, 'latin1')` is the path on disk.
 */
export type TarHeader = {
  readonly name: string;
  readonly type: TarType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes that follow the header. */
  readonly size: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  readonly linkName: string;
  readonly devMajor: number;
  readonly devMinor: number;
  /** Extended records: those of the entry, the ones above included. */
  readonly pax: ReadonlyMap<string, string>;
};

/** '0' file, '1' hard link, '2' symbolic link, '3' character device, '5' directory... */
export type TarType = string;

export const BLOCK = 512;
export const endOfTar: Buffer = Buffer.alloc(2 * BLOCK);

/** What fills the last block of `size` bytes. */
export const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

export const isZeroBlock = (block: Buffer): boolean => block.equals(endOfTar.subarray(0, BLOCK));

/** How many bytes follow a header, as it has it itself. */
export const sizeField = (block: Buffer): number => ('123456'.includes(String.fromCharCode(block[156] ?? 0)) ? 0 : parseNumber(block, 124, 12));

/** Extended and GNU headers describe the entry after them. */
export const describesNext = (type: TarType): boolean => 'xgLK'.includes(type);

/** The header in this block; undefined when it is none. */
export const parseHeader = (block: Buffer): TarHeader | undefined => {
  if (parseNumber(block, 148, 8) !== checksum(block)) return undefined;
  const ustar = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = ustar ? string(block, 345, 155) : '';
  const name = (prefix === '' ? '' : `${prefix}/`) + string(block, 0, 100);
  const flag = String.fromCharCode(block[156] ?? 0);
  const type = flag === '\0' || flag === '7' ? (name.endsWith('/') ? '5' : '0') : flag;
  return {
    name,
    type,
    mode: parseNumber(block, 100, 8),
    uid: parseNumber(block, 108, 8),
    gid: parseNumber(block, 116, 8),
    size: hasContent(type) ? parseNumber(block, 124, 12) : 0,
    mtime: parseNumber(block, 136, 12),
    linkName: string(block, 157, 100),
    devMajor: parseNumber(block, 329, 8),
    devMinor: parseNumber(block, 337, 8),
    pax: new Map(),
  };
};

/** The header with what the extended records before it say. */
export const withPax = (header: TarHeader, pax: ReadonlyMap<string, string>): TarHeader => ({
  ...header,
  name: pax.get('path') ?? header.name,
  linkName: pax.get('linkpath') ?? header.linkName,
  size: pax.has('size') && hasContent(header.type) ? Number(pax.get('size')) : header.size,
  mtime: pax.has('mtime') ? Number(pax.get('mtime')) : header.mtime,
  uid: pax.has('uid') ? Number(pax.get('uid')) : header.uid,
  gid: pax.has('gid') ? Number(pax.get('gid')) : header.gid,
  pax,
});

/** `LENGTH KEY=VALUE\n`, one after the other. */
export const parsePax = (content: Buffer): Map<string, string> => {
  const text = content.toString('latin1');
  const records = new Map<string, string>();
  for (let at = 0; at < text.length; ) {
    const space = text.indexOf(' ', at);
    const length = Number(text.slice(at, space));
    const equals = text.indexOf('=', space);
    if (space < 0 || !Number.isInteger(length) || length <= 0 || equals < 0 || equals >= at + length) break;
    const [key, value] = [text.slice(space + 1, equals), text.slice(equals + 1, at + length - 1)];
    // The oldest form of a sparse file's map comes number by number, with two keys over and over.
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') records.set('GNU.sparse.map', [...(records.has('GNU.sparse.map') ? [records.get('GNU.sparse.map')] : []), value].join(','));
    else records.set(key, value);
    at += length;
  }
  return records;
};

/** The blocks of a header: an extended one before it when it says more than a plain one can. */
export const encodeHeader = (header: TarHeader): Buffer => {
  const pax = new Map(header.pax);
  if (header.name.length > 100) pax.set('path', header.name);
  if (header.linkName.length > 100) pax.set('linkpath', header.linkName);
  if (header.size >= 8 ** 11) pax.set('size', String(header.size));
  if (header.uid >= 8 ** 7) pax.set('uid', String(header.uid));
  if (header.gid >= 8 ** 7) pax.set('gid', String(header.gid));
  const block = encodeBlock(header);
  if (pax.size === 0) return block;
  const records = Buffer.from([...pax].map(([key, value]) => paxRecord(key, value)).join(''), 'latin1');
  const extended = { ...header, name: 'PaxHeader', type: 'x', mode: 0o644, linkName: '', devMajor: 0, devMinor: 0, size: records.length };
  return Buffer.concat([encodeBlock(extended), records, Buffer.alloc(padding(records.length)), block]);
};

export const plainHeader = (name: string, type: TarType, rest: Partial<TarHeader> = {}): TarHeader => ({
  name,
  type,
  mode: 0,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
  linkName: '',
  devMajor: 0,
  devMinor: 0,
  pax: new Map(),
  ...rest,
});

/** Links, devices and directories have no content, whatever their header says. */
const hasContent = (type: TarType): boolean => !'123456'.includes(type);

const encodeBlock = (header: TarHeader): Buffer => {
  const block = Buffer.alloc(BLOCK);
  block.write(header.name, 0, 100, 'latin1');
  octal(block, header.mode & 0o7777, 100, 8);
  octal(block, header.uid, 108, 8);
  octal(block, header.gid, 116, 8);
  octal(block, header.size, 124, 12);
  octal(block, Math.max(0, Math.floor(header.mtime)), 136, 12);
  block.write(header.type, 156, 1, 'latin1');
  block.write(header.linkName, 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 8, 'latin1');
  octal(block, header.devMajor, 329, 8);
  octal(block, header.devMinor, 337, 8);
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
  return block;
};

/** The record's length counts its own digits. */
const paxRecord = (key: string, value: string): string => {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return length + rest;
};

const checksum = (block: Buffer): number => {
  let sum = 8 * 32;
  for (let at = 0; at < 148; at++) sum += block[at] ?? 0;
  for (let at = 156; at < BLOCK; at++) sum += block[at] ?? 0;
  return sum;
};

const string = (block: Buffer, at: number, length: number): string => {
  const end = block.indexOf(0, at);
  return block.toString('latin1', at, end < 0 || end > at + length ? at + length : end);
};

/** Octal digits, or binary with the top bit set, as GNU tar writes what does not fit. */
export const parseNumber = (block: Buffer, at: number, length: number): number => {
  const first = block[at] ?? 0;
  if ((first & 0x80) === 0) return Number.parseInt(string(block, at, length).trim() || '0', 8);
  let value = first & 0x40 ? -1 : 0;
  value = value * 64 + (first & 0x3f);
  for (let i = at + 1; i < at + length; i++) value = value * 256 + (block[i] ?? 0);
  return value;
};

const octal = (block: Buffer, value: number, at: number, length: number): void => {
  block.write(value >= 8 ** (length - 1) ? ''.padStart(length - 1, '0') : value.toString(8).padStart(length - 1, '0'), at, length - 1, 'latin1');
};

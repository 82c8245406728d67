/**
 * Where JSON text ends or breaks, in the words of Go's scanner. It runs only when JSON.parse refused the text: to say why,
 * or to find that a whole value is followed by something.
 */
export type Scan = { readonly end: number } | { readonly fault: string };

export const scanJson = (text: string): Scan => {
  const at = skipSpace(text, 0);
  if (at >= text.length) return { fault: 'got EOF while reading request body' };
  try {
    return { end: scanValue(text, at) };
  } catch (error) {
    if (error instanceof Fault) return { fault: error.message };
    throw error;
  }
};

export const skipSpace = (text: string, from: number): number => {
  let at = from;
  while (at < text.length && SPACE.has(text.charCodeAt(at))) at += 1;
  return at;
};

const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);
const TRUNCATED = 'unexpected EOF';
/** Go goes to 10,000; no client comes near either. */
const DEPTH_LIMIT = 2000;

const scanValue = (text: string, from: number, depth = 0): number => {
  if (depth > DEPTH_LIMIT) throw new Fault('exceeded max depth');
  const at = skipSpace(text, from);
  const char = text[at];
  if (char === undefined) throw new Fault(TRUNCATED);
  if (char === '{') return scanObject(text, at, depth);
  if (char === '[') return scanArray(text, at, depth);
  if (char === '"') return scanString(text, at);
  if (char === '-' || isDigit(char)) return scanNumber(text, at);
  const literal = ['true', 'false', 'null'].find((word) => word[0] === char);
  if (literal !== undefined) return scanLiteral(text, at, literal);
  throw wrong(char, 'looking for beginning of value');
};

const scanObject = (text: string, from: number, depth: number): number => {
  let at = skipSpace(text, from + 1);
  if (text[at] === '}') return at + 1;
  for (;;) {
    expect(text, at, '"', 'looking for beginning of object key string');
    at = skipSpace(text, scanString(text, at));
    expect(text, at, ':', 'after object key');
    at = skipSpace(text, scanValue(text, at + 1, depth + 1));
    if (text[at] === '}') return at + 1;
    expect(text, at, ',', 'after object key:value pair');
    at = skipSpace(text, at + 1);
  }
};

const scanArray = (text: string, from: number, depth: number): number => {
  let at = skipSpace(text, from + 1);
  if (text[at] === ']') return at + 1;
  for (;;) {
    at = skipSpace(text, scanValue(text, at, depth + 1));
    if (text[at] === ']') return at + 1;
    expect(text, at, ',', 'after array element');
    at += 1;
  }
};

const scanString = (text: string, from: number): number => {
  for (let at = from + 1; ; at += 1) {
    const char = text[at];
    if (char === undefined) throw new Fault(TRUNCATED);
    if (char === '"') return at + 1;
    if (char < ' ') throw wrong(char, 'in string literal');
    if (char !== '\\') continue;
    at += 1;
    const escape = text[at];
    if (escape === undefined) throw new Fault(TRUNCATED);
    if (escape !== 'u') {
      if (!'bfnrt\\/"'.includes(escape)) throw wrong(escape, 'in string escape code');
      continue;
    }
    for (let digit = 0; digit < 4; digit += 1) {
      at += 1;
      const hex = text[at];
      if (hex === undefined) throw new Fault(TRUNCATED);
      if (!/[0-9a-fA-F]/.test(hex)) throw wrong(hex, 'in \\u hexadecimal character escape');
    }
  }
};

const scanNumber = (text: string, from: number): number => {
  let at = text[from] === '-' ? from + 1 : from;
  at = text[at] === '0' ? at + 1 : scanDigits(text, at, 'in numeric literal');
  if (text[at] === '.') at = scanDigits(text, at + 1, 'after decimal point in numeric literal');
  if (text[at] === 'e' || text[at] === 'E') {
    at += 1;
    if (text[at] === '+' || text[at] === '-') at += 1;
    at = scanDigits(text, at, 'in exponent of numeric literal');
  }
  return at;
};

const scanDigits = (text: string, from: number, where: string): number => {
  const first = text[from];
  if (first === undefined) throw new Fault(TRUNCATED);
  if (!isDigit(first)) throw wrong(first, where);
  let at = from;
  while (isDigit(text[at])) at += 1;
  return at;
};

const scanLiteral = (text: string, from: number, literal: string): number => {
  for (let index = 1; index < literal.length; index += 1) {
    const expected = literal.charAt(index);
    const char = text[from + index];
    if (char === undefined) throw new Fault(TRUNCATED);
    if (char !== expected) throw wrong(char, `in literal ${literal} (expecting ${quote(expected)})`);
  }
  return from + literal.length;
};

const expect = (text: string, at: number, char: string, where: string): void => {
  const found = text[at];
  if (found === undefined) throw new Fault(TRUNCATED);
  if (found !== char) throw wrong(found, where);
};

const isDigit = (char: string | undefined): boolean => char !== undefined && char >= '0' && char <= '9';

const wrong = (char: string, where: string): Fault => new Fault(`invalid character ${quote(char)} ${where}`);

class Fault extends Error {}

const quote = (char: string): string => {
  if (char === "'") return `'\\''`;
  if (char === '"') return `'"'`;
  return `'${JSON.stringify(char).slice(1, -1)}'`;
};

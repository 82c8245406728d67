import { isUtf8 } from 'node:buffer';

/** One line of Docker's json-file format: {"log":"text\n","stream":"stdout","time":"..."} */
export type LogStream = 'stdout' | 'stderr';
export type LogEntry = { readonly stream: LogStream; readonly time: string; readonly text: string };

// The keys always come in this order, so that a line can be taken apart by what is between them.
const BEFORE_TEXT = '{"log":"';
const BEFORE_STREAM = '","stream":"';
const BEFORE_TIME = '","time":"';
const AFTER_TIME = '"}';

/** `text` without its line end, already escaped. */
export const formatLine = (text: string, ending: '' | '\\n', stream: LogStream, time: string): string =>
  `${BEFORE_TEXT}${text}${ending}${BEFORE_STREAM}${stream}${BEFORE_TIME}${time}${AFTER_TIME}\n`;

const CONTROL = /[\u0000-\u0009\u000b-\u001f\u2028\u2029]/g;
const TO_ESCAPE = /[\u0000-\u0009\u000b-\u001f\u2028\u2029"\\<>&]/;

/** As the reference writes JSON strings, but for newlines, which stay: it is done for many lines at once. */
export const escapeText = (text: string): string => {
  if (!TO_ESCAPE.test(text)) return text;
  // One plain replacement after the other: a callback for every quote would cost several times as much.
  const plain = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026').replaceAll('\r', '\\r');
  return plain.replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
};

/** A line of the file without its newline; undefined when it is torn, or not one of ours. */
export const parseLine = (line: string): LogEntry | undefined => {
  const middle = line.lastIndexOf(BEFORE_STREAM);
  const streamAt = middle + BEFORE_STREAM.length;
  const timeAt = streamAt + 'stdout'.length + BEFORE_TIME.length;
  if (middle < BEFORE_TEXT.length || !line.startsWith(BEFORE_TEXT) || !line.startsWith(BEFORE_TIME, timeAt - BEFORE_TIME.length) || !line.endsWith(AFTER_TIME))
    return parseAny(line);
  const backslash = line.indexOf('\\');
  const stream = line.startsWith('stdout', streamAt) ? 'stdout' : 'stderr';
  const time = line.slice(timeAt, -AFTER_TIME.length);
  // Most lines have one escape: the newline at their end.
  if (backslash < 0 || backslash > middle) return { stream, time, text: line.slice(BEFORE_TEXT.length, middle) };
  if (backslash === middle - 2 && line[middle - 1] === 'n') return { stream, time, text: `${line.slice(BEFORE_TEXT.length, middle - 2)}\n` };
  try {
    return { stream, time, text: JSON.parse(line.slice(BEFORE_TEXT.length - 1, middle + 1)) as string };
  } catch {
    return undefined;
  }
};

/** Keys in another order, or more of them: other writers' lines. */
const parseAny = (line: string): LogEntry | undefined => {
  try {
    const { log, stream, time } = JSON.parse(line) as Record<string, unknown>;
    if (typeof time !== 'string') return undefined;
    return { stream: stream === 'stderr' ? 'stderr' : 'stdout', time, text: typeof log === 'string' ? log : '' };
  } catch {
    return undefined;
  }
};

/** Output as text: every byte that is not UTF-8 becomes one U+FFFD, as in Go. */
export const decode = (bytes: Buffer): string => (isUtf8(bytes) ? bytes.toString('utf8') : decodeInvalid(bytes));

const decodeInvalid = (bytes: Buffer): string => {
  const pieces: string[] = [];
  let start = 0;
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length > 0) at += length;
    else {
      pieces.push(bytes.toString('utf8', start, at), '\ufffd');
      at += 1;
      start = at;
    }
  }
  pieces.push(bytes.toString('utf8', start));
  return pieces.join('');
};

/** Bytes of the UTF-8 sequence that begins here; 0 when none does. */
const sequenceLength = (bytes: Buffer, at: number): number => {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  return isUtf8(bytes.subarray(at, at + length)) && at + length <= bytes.length ? length : 0;
};

/** Where to cut at most `limit` bytes off the front without cutting a character. */
export const cutBefore = (bytes: Buffer, limit: number): number => {
  let cut = limit;
  while (cut > limit - 3 && ((bytes[cut] ?? 0) & 0xc0) === 0x80) cut -= 1;
  return ((bytes[cut] ?? 0) & 0xc0) === 0x80 ? limit : cut;
};

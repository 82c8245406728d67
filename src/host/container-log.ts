import fs from 'node:fs';
import path from 'node:path';
import type { LogQuery, LogWriter } from '../model/log.ts';
import { formatTime } from '../model/time.ts';
import { cutBefore, decode, escapeText, formatLine, parseLine } from './log-line.ts';
import type { LogEntry, LogStream } from './log-line.ts';
import { linesBackwards, linesFrom } from './log-file.ts';

/** A longer line is written in pieces that share its time. */
const PIECE_BYTES = 16 * 1024;

/** Container logs below DATA_ROOT/containers, as Docker's json-file driver keeps them. */
export const createLogs = ({ dataRoot, now }: { dataRoot: string; now: () => string }) => {
  const writers = new Map<string, OpenLog>();
  const pathOf = (containerId: string): string => path.join(dataRoot, 'containers', containerId, `${containerId}-json.log`);

  const open = (containerId: string, options: Readonly<Record<string, string>>): LogWriter => {
    writers.get(containerId)?.close();
    const log = openLog(pathOf(containerId), options, now, () => {
      if (writers.get(containerId) === log) writers.delete(containerId);
    });
    writers.set(containerId, log);
    return log;
  };

  async function* read(containerId: string, query: LogQuery): AsyncGenerator<readonly LogEntry[]> {
    const log = query.follow ? writers.get(containerId) : undefined;
    const file = pathOf(containerId);
    const since = timeKey(query.since);
    const until = timeKey(query.until);
    const both = query.stdout && query.stderr;
    const wanted = query.stdout ? 'stdout' : 'stderr';

    /** Parsed and chosen lines; `done` when one is later than all that is asked for. */
    const choose = (lines: readonly string[]): { readonly batch: LogEntry[]; readonly done: boolean } => {
      const batch: LogEntry[] = [];
      for (const line of lines) {
        const entry = parseLine(line);
        if (entry === undefined) continue;
        if (until !== undefined && keyOf(entry.time) > until) return { batch, done: true };
        if (since !== undefined && keyOf(entry.time) < since) continue;
        if (both || entry.stream === wanted) batch.push(entry);
      }
      return { batch, done: false };
    };

    // What is written from now on is read by following: the two parts meet where the file ends now.
    const follower = log?.follow();
    try {
      const end = follower?.position;
      for (const lines of query.tail === undefined ? allLines(file, end) : [lastLines(file, end, query.tail)]) {
        if (query.follow?.aborted) return;
        const { batch, done } = choose(lines);
        if (batch.length > 0) yield batch;
        if (done) return;
      }
      if (!follower || !query.follow) return;
      for await (const lines of follower.lines(query.follow)) {
        const { batch, done } = choose(lines);
        if (batch.length > 0) yield batch;
        if (done) return;
      }
    } finally {
      follower?.stop();
    }
  }

  return { path: pathOf, open, read };
};

/** Times compare as text once the Z is off: a shorter fraction is a prefix of the longer. */
const keyOf = (time: string): string => (time.endsWith('Z') ? time.slice(0, -1) : time);
const timeKey = (nanoseconds: bigint | undefined): string | undefined => (nanoseconds === undefined ? undefined : keyOf(formatTime(nanoseconds)));

/** The files of a log, oldest first: LOG.2, LOG.1, LOG. */
const filesOf = (file: string): string[] => {
  const files = [file];
  for (let number = 1; fs.existsSync(`${file}.${number}`); number += 1) files.unshift(`${file}.${number}`);
  return files;
};

function* allLines(file: string, end: number | undefined): Generator<readonly string[]> {
  for (const each of filesOf(file)) for (const { lines } of linesFrom(each, 0, each === file ? end : undefined)) yield lines;
}

const lastLines = (file: string, end: number | undefined, count: number): readonly string[] => {
  let lines: readonly string[] = [];
  for (const each of filesOf(file).reverse()) {
    if (lines.length >= count) break;
    lines = [...linesBackwards(each, each === file ? end : undefined, count - lines.length), ...lines];
  }
  return lines;
};

type Follower = {
  /** Where the file ended when following began. */
  readonly position: number;
  lines(signal: AbortSignal): AsyncGenerator<readonly string[]>;
  stop(): void;
};

type OpenLog = LogWriter & { follow(): Follower };

const openLog = (file: string, options: Readonly<Record<string, string>>, now: () => string, closed: () => void): OpenLog => {
  const maximumSize = parseSize(options['max-size']);
  const maximumFiles = Math.max(1, Number(options['max-file'] ?? 1) || 1);
  let fd = openForAppend(file);
  let size = fs.fstatSync(fd).size;
  /** How often the file was replaced by a new one. */
  let rotations = 0;
  let open = true;
  /** The last line may have been written in part. */
  let torn = false;
  const pending: Record<LogStream, PendingLine> = { stdout: nothing(), stderr: nothing() };
  const listeners = new Set<() => void>();

  const rotate = (): void => {
    fs.closeSync(fd);
    if (maximumFiles === 1) fs.rmSync(file, { force: true });
    else {
      fs.rmSync(`${file}.${maximumFiles - 1}`, { force: true });
      for (let number = maximumFiles - 2; number >= 0; number -= 1) {
        const from = number === 0 ? file : `${file}.${number}`;
        if (fs.existsSync(from)) fs.renameSync(from, `${file}.${number + 1}`);
      }
    }
    fd = openForAppend(file);
    size = 0;
    rotations += 1;
  };

  /** A full disk costs lines; the container goes on. */
  const append = (text: string): void => {
    if (text === '') return;
    try {
      if (maximumSize !== undefined && size >= maximumSize) rotate();
      const bytes = Buffer.from(torn ? `\n${text}` : text);
      torn = true;
      for (let written = 0; written < bytes.length; ) written += fs.writeSync(fd, bytes, written);
      torn = false;
      size += bytes.length;
    } catch (error) {
      if (!['ENOSPC', 'EDQUOT', 'EIO', 'EFBIG'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
    for (const listener of listeners) listener();
  };

  return {
    write(stream, chunk) {
      if (open) append(takeLines(pending[stream], stream, chunk, now));
    },
    close() {
      if (!open) return;
      append(takeRest(pending.stdout, 'stdout', now) + takeRest(pending.stderr, 'stderr', now));
      open = false;
      closed();
      fs.closeSync(fd);
      for (const listener of listeners) listener();
      listeners.clear();
    },
    follow() {
      let wake = (): void => {};
      const listener = (): void => wake();
      listeners.add(listener);
      let position = size;
      let generation = rotations;
      // Its own descriptor: the file may be renamed or removed while it is read.
      let reading = fs.openSync(file, 'r');
      /** The file that came after this one, unless it is gone by now. */
      const readNext = (): void => {
        generation += 1;
        const age = rotations - generation;
        const next = age === 0 ? file : `${file}.${age}`;
        if (!fs.existsSync(next)) return;
        fs.closeSync(reading);
        reading = fs.openSync(next, 'r');
        position = 0;
      };
      return {
        position,
        stop() {
          listeners.delete(listener);
          fs.closeSync(reading);
        },
        async *lines(signal) {
          signal.addEventListener('abort', listener);
          try {
            while (!signal.aborted) {
              const woken = new Promise<void>((resolve) => (wake = resolve));
              const ended = !open;
              const last = generation === rotations;
              // Somebody emptied the file, as people do to get rid of a log.
              if (fs.fstatSync(reading).size < position) position = 0;
              for (const { lines, next } of linesFrom(reading, position, undefined)) {
                position = next;
                yield lines;
                if (signal.aborted) return;
              }
              if (last && ended) return;
              if (last) await woken;
              else readNext();
            }
          } finally {
            signal.removeEventListener('abort', listener);
          }
        },
      };
    },
  };
};

/** For appending after whatever is there; a line that a crash cut off is ended first. */
const openForAppend = (file: string): number => {
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o710 });
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_APPEND | fs.constants.O_CREAT, 0o640);
  const { size } = fs.fstatSync(fd);
  const last = Buffer.alloc(1);
  if (size > 0 && fs.readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE) fs.writeSync(fd, '\n');
  return fd;
};

const NEWLINE = 0x0a;

/** `10m`, `1g`, `1048576`: bytes; undefined: as large as it gets. */
const parseSize = (text: string | undefined): number | undefined => {
  const match = /^(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?$/i.exec(text ?? '');
  if (!match) return undefined;
  return Number(match[1]) * 1024 ** ' kmgt'.indexOf((match[2] ?? '').toLowerCase() || ' ');
};

// ---- from chunks to lines

/** The beginning of a line whose end has not come. */
type PendingLine = {
  bytes: Buffer;
  /** The time of its first piece, once one is written. */
  time: string | undefined;
};

const EMPTY = Buffer.alloc(0);
const nothing = (): PendingLine => ({ bytes: EMPTY, time: undefined });

/** The log's text for the lines that a chunk completes. */
const takeLines = (pending: PendingLine, stream: LogStream, chunk: Buffer, now: () => string): string => {
  const bytes = pending.bytes.length > 0 ? Buffer.concat([pending.bytes, chunk]) : chunk;
  const end = bytes.lastIndexOf(NEWLINE) + 1;
  let out = '';
  let start = 0;
  if (end > 0 && pending.time !== undefined) {
    start = bytes.indexOf(NEWLINE) + 1;
    out += longLine(bytes.subarray(0, start - 1), '\\n', stream, pending.time);
    pending.time = undefined;
  }
  if (start < end) out += wholeLines(bytes.subarray(start, end), stream, now);

  let rest = bytes.subarray(end);
  while (rest.length >= PIECE_BYTES) {
    pending.time ??= now();
    const cut = cutBefore(rest, PIECE_BYTES);
    out += formatLine(escapeText(decode(rest.subarray(0, cut))), '', stream, pending.time);
    rest = rest.subarray(cut);
  }
  // A copy: the chunk is the reader's, who may use it again.
  pending.bytes = rest.length > 0 ? Buffer.from(rest) : EMPTY;
  return out;
};

const takeRest = (pending: PendingLine, stream: LogStream, now: () => string): string => {
  const { bytes, time } = pending;
  pending.bytes = EMPTY;
  pending.time = undefined;
  return bytes.length > 0 ? formatLine(escapeText(decode(bytes)), '', stream, time ?? now()) : '';
};

/** Lines with their ends. */
const wholeLines = (bytes: Buffer, stream: LogStream, now: () => string): string => {
  if (bytes.length >= PIECE_BYTES && hasLongLine(bytes)) return eachLine(bytes, stream, now);
  const text = escapeText(decode(bytes));
  let out = '';
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf('\n', start);
    out += formatLine(text.slice(start, end), '\\n', stream, now());
    start = end + 1;
  }
  return out;
};

const hasLongLine = (bytes: Buffer): boolean => {
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, start);
    if (end - start >= PIECE_BYTES) return true;
    start = end + 1;
  }
  return false;
};

const eachLine = (bytes: Buffer, stream: LogStream, now: () => string): string => {
  let out = '';
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, start);
    out += longLine(bytes.subarray(start, end), '\\n', stream, now());
    start = end + 1;
  }
  return out;
};

const longLine = (bytes: Buffer, ending: '' | '\\n', stream: LogStream, time: string): string => {
  let out = '';
  let rest = bytes;
  while (rest.length >= PIECE_BYTES) {
    const cut = cutBefore(rest, PIECE_BYTES);
    out += formatLine(escapeText(decode(rest.subarray(0, cut))), '', stream, time);
    rest = rest.subarray(cut);
  }
  return out + formatLine(escapeText(decode(rest)), ending, stream, time);
};

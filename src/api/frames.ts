import type { OutputStream } from '../engine/host.ts';

export const RAW_STREAM = 'application/vnd.docker.raw-stream';
export const MULTIPLEXED_STREAM = 'application/vnd.docker.multiplexed-stream';

/** Without a terminal the two outputs share a connection in frames; clients before 1.42 are not told of it. */
export const streamType = (tty: boolean, version: number): string => (tty || version < 42 ? RAW_STREAM : MULTIPLEXED_STREAM);

const HEADER = 8;

/** A frame's header: the stream's number, three zeros, the length. */
export const frameHeader = (stream: OutputStream, length: number): Buffer => {
  const header = Buffer.alloc(HEADER);
  writeHeader(header, 0, stream, length);
  return header;
};

export const frame = (stream: OutputStream, chunk: Buffer): Buffer => {
  const whole = Buffer.allocUnsafe(HEADER + chunk.length);
  writeHeader(whole, 0, stream, chunk.length);
  chunk.copy(whole, HEADER);
  return whole;
};

/** Many lines in one buffer: one write instead of one a line. */
export const frameAll = (lines: readonly { readonly stream: OutputStream; readonly text: string }[]): Buffer => {
  const lengths = lines.map(({ text }) => Buffer.byteLength(text));
  const whole = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + HEADER + length, 0));
  let at = 0;
  lines.forEach(({ stream, text }, index) => {
    writeHeader(whole, at, stream, lengths[index] ?? 0);
    at += HEADER;
    at += whole.write(text, at);
  });
  return whole;
};

const writeHeader = (target: Buffer, at: number, stream: OutputStream, length: number): void => {
  target.writeUInt32BE(stream === 'stderr' ? 0x02000000 : 0x01000000, at);
  target.writeUInt32BE(length, at + 4);
};

import { Transform } from 'node:stream';

const DEFAULT_KEYS = Buffer.from([0x10, 0x11]); // ctrl-p, ctrl-q

/** `ctrl-p,ctrl-q` or `a,b` as bytes; undefined when a key is none. '' is the default. */
export const parseDetachKeys = (written: string): Buffer | undefined => {
  if (written === '') return DEFAULT_KEYS;
  const codes = written.split(',').map(keyCode);
  return codes.every((code) => code !== undefined) ? Buffer.from(codes) : undefined;
};

const keyCode = (key: string): number | undefined => {
  if (key.length === 1) return key.charCodeAt(0);
  if (key === 'DEL') return 127;
  const control = /^ctrl-([@a-z[\\\]^_])$/.exec(key)?.[1];
  return control === undefined ? undefined : control.toUpperCase().charCodeAt(0) - 0x40;
};

/**
 * What a client types, without the detach sequence. Keys that may begin it wait for the next, so that a program never
 * sees half of one; after it nothing more is passed on.
 */
export const untilDetached = (keys: Buffer, detached: () => void): Transform => {
  let matched = 0;
  let over = false;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (over) return done();
      const passed: number[] = [];
      for (const byte of chunk) {
        if (byte !== keys[matched]) {
          passed.push(...keys.subarray(0, matched));
          matched = 0;
        }
        if (byte === keys[matched]) matched += 1;
        else passed.push(byte);
        if (matched === keys.length) {
          over = true;
          break;
        }
      }
      if (passed.length > 0) this.push(Buffer.from(passed));
      if (over) detached();
      done();
    },
    flush(done) {
      if (!over && matched > 0) this.push(keys.subarray(0, matched));
      done();
    },
  });
};

import { invalid } from './errors.ts';

/** Linux's numbers on x86-64 (and on arm64, which has the same). */
const SIGNALS: Readonly<Record<string, number>> = {
  HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, IOT: 6, BUS: 7, FPE: 8, KILL: 9, USR1: 10, SEGV: 11, USR2: 12, PIPE: 13, ALRM: 14, TERM: 15,
  STKFLT: 16, CHLD: 17, CLD: 17, CONT: 18, STOP: 19, TSTP: 20, TTIN: 21, TTOU: 22, URG: 23, XCPU: 24, XFSZ: 25, VTALRM: 26, PROF: 27, WINCH: 28,
  IO: 29, POLL: 29, PWR: 30, SYS: 31,
};

/** The C library keeps 32 and 33 for itself; what is left has names from both ends: RTMIN to RTMIN+15, RTMAX-14 to RTMAX. */
const [RTMIN, RTMAX] = [34, 64];

/** A signal's number from its number or its name, with or without SIG, in any case. */
export const parseSignal = (text: string): number => {
  if (/^[+-]?\d+$/.test(text)) {
    const number = Number(text);
    if (number === 0) throw invalid(`invalid signal: ${text}`);
    if (number < 1 || number > RTMAX || (number > 31 && number < RTMIN)) throw invalid(`the linux daemon does not support signal ${number}`);
    return number;
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  const number = Object.hasOwn(SIGNALS, name) ? SIGNALS[name] : realTime(name);
  if (number === undefined) throw invalid(`invalid signal: ${text}`);
  return number;
};

const realTime = (name: string): number | undefined => {
  const [, end, sign, digits] = /^RT(MIN|MAX)(?:([+-])([1-9]\d?))?$/.exec(name) ?? [];
  if (end === undefined) return undefined;
  const distance = Number(digits ?? 0);
  if (end === 'MIN') return sign !== '-' && distance <= 15 ? RTMIN + distance : undefined;
  return sign !== '+' && distance <= 14 ? RTMAX - distance : undefined;
};

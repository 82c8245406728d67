import type { LogLevel } from './config.ts';

export type Log = (level: LogLevel, message: string) => void;

const ORDER: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'fatal'];
/** dockerd's own word for it. */
const SHOWN: Readonly<Record<LogLevel, string>> = { debug: 'debug', info: 'info', warn: 'warning', error: 'error', fatal: 'fatal' };

/** The daemon's log: lines on stderr as dockerd's, those below the level left out. */
export const createLog = (least: LogLevel): Log => (level, message) => {
  if (ORDER.indexOf(level) < ORDER.indexOf(least)) return;
  process.stderr.write(`time="${new Date().toISOString()}" level=${SHOWN[level]} msg=${JSON.stringify(message)}\n`);
};

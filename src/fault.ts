import fs from 'node:fs';

/**
 * For tests that kill the daemon at every step of a call: it dies, as of kill -9, just before or just after the step that the
 * number in this file counts down to, and leaves the step's name there. No file: nothing happens; no name for one (as in
 * production, where BERTH_FAULT is not set): the steps are not even counted.
 */
export const faultFrom = (file: string) => {
  const point = (name: string): void => {
    let left: number;
    try {
      left = Number(fs.readFileSync(file, 'utf8'));
    } catch {
      return;
    }
    if (!(left > 0)) return;
    if (!write(file, left > 1 ? `${left - 1}` : name)) return;
    if (left === 1) process.kill(process.pid, 'SIGKILL');
  };
  return <T>(name: string, work: () => T): T => {
    point(`before ${name}`);
    const done = work();
    if (!(done instanceof Promise)) {
      point(`after ${name}`);
      return done;
    }
    return done.then((value) => {
      point(`after ${name}`);
      return value;
    }) as T;
  };
};

type Point = <T>(name: string, work: () => T) => T;

/** The same object, each call of which is a step, and each call of what these calls give. Streams are steps only in their beginning. */
export const everyCall = <T extends object>(step: Point, room: string, object: T): T =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, typeof value === 'function' ? wrapped(step, `${room} ${name}`, value as Call) : value])) as T;

type Call = (...args: unknown[]) => unknown;

const wrapped = (step: Point, name: string, call: Call): Call => (...args) => {
  const done = step(name, () => call(...args));
  return done instanceof Promise ? done.then((value: unknown) => inner(step, name, value)) : inner(step, name, done);
};

const inner = (step: Point, name: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype ? everyCall(step, name, value) : value;

/** In one piece, so that nobody reads half of it, and only where there is a file: who has taken it away wants no more of this. */
const write = (file: string, text: string): boolean => {
  let fd: number;
  try {
    fd = fs.openSync(file, 'r+');
  } catch {
    return false;
  }
  fs.writeSync(fd, text.padEnd(WIDTH), 0);
  fs.closeSync(fd);
  return true;
};

/** Longer than any step's name. */
const WIDTH = 80;

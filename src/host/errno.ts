import os from 'node:os';

/** Of two names for one number (EAGAIN, EWOULDBLOCK) the first, as Node's own errors have it. */
const names = new Map(Object.entries(os.constants.errno).reverse().map(([name, number]) => [number, name]));

/** What the C library calls an error: ENOENT. */
export const errnoName = (errno: number): string => names.get(errno) ?? `E${errno}`;

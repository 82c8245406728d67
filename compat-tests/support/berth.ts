// What berth gives and other engines do not: its tests are skipped elsewhere.

import { describe } from 'node:test';
import { engine } from './engine.ts';
import { call } from './http.ts';

// Other engines take all of it for a volume's name.
const { text } = await call(engine.socket, 'GET', '/volumes/ct-no-such-volume/archive');
export const isBerth = text.includes('get ct-no-such-volume: no such volume');

/** As `describe`, on berth alone. */
export const describeBerth = (story: string, body: () => void) => void describe(story, { skip: isBerth ? false : 'not on this engine' }, body);

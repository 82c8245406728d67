// Engines word some things differently over the years. A test that knows the year can still be exact.

import { http } from './http.ts';

const minor = Number(((await http('GET', '/version')).json().ApiVersion as string).split('.')[1]);

/** What an engine of this API version (1.x) or later says, and what an older one says. */
export const since = <T>(api: number, newer: T, older: T): T => (minor >= api ? newer : older);

// What a check is: an endpoint, what it should do in words, and a function that throws when it does not.

import type { Lab } from './lab.ts';

export type Check = {
  /** `METHOD /path/{parameter}`, as the API's description writes it. */
  readonly endpoint: string;
  readonly behaviour: string;
  /** The first version of the API (1.x) that has it. */
  readonly since: number;
  /** Without one it can not be checked. */
  readonly needs: 'registry' | undefined;
  readonly run: (lab: Lab) => Promise<void>;
};

export type Resource = {
  readonly title: string;
  /** What people do with it, in a line. */
  readonly about: string;
  /** What berth does not have of it and no check asks for. */
  readonly later?: string;
  /** No part of Docker's API. */
  readonly own?: boolean;
  readonly checks: readonly Check[];
};

type More = { readonly since?: number; readonly needs?: 'registry' };

export const check = (endpoint: string, behaviour: string, run: Check['run'], { since = 24, needs }: More = {}): Check => ({ endpoint, behaviour, since, needs, run });

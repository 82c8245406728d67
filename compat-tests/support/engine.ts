// The engine under test. run.ts starts one or is pointed at one, and tells the test files through the environment.

import type { Hosts } from './hosts.ts';

export type Engine = Hosts & { readonly socket: string };

export const engine: Engine = {
  socket: variable('COMPAT_SOCKET'),
  netns: variable('COMPAT_NETNS'),
  clientNetns: variable('COMPAT_CLIENT_NETNS'),
};

export const engineVariables = ({ socket, netns, clientNetns }: Engine) => ({
  COMPAT_SOCKET: socket,
  COMPAT_NETNS: netns,
  COMPAT_CLIENT_NETNS: clientNetns,
});

// Empty in run.ts itself, which knows its engine from its arguments. A test file that runs without run.ts says so.
function variable(name: string): string {
  const value = process.env[name] ?? '';
  if (value === '' && process.env['NODE_TEST_CONTEXT'] !== undefined) {
    throw new Error(`${name} is not set: run the compatibility tests with 'node --import tsx compat-tests/run.ts [FILE...]'`);
  }
  return value;
}

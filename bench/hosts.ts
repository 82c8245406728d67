import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { startDaemon } from '../compat-tests/support/daemon.ts';
import { createHosts, removeHosts } from '../compat-tests/support/hosts.ts';
import type { Address } from './engines.ts';

/** An engine that the bench has started on hosts of its own; `stop` takes both away. */
export type Started = { readonly address: Address; readonly stop: () => Promise<unknown> };

/** berth, and before it the reference engine where there is one. Adds each to `started` as soon as there is something to stop. */
export async function startEngines(started: Started[]): Promise<void> {
  if (existsSync(reference)) await startReference(started);
  const { socket, netns, clientNetns, remove } = await startDaemon('b');
  started.push({ address: { name: 'berth', socket, netns, client: clientNetns }, stop: remove });
}

const reference = fileURLToPath(new URL('../../shared/reference/engine', import.meta.url));

async function startReference(started: Started[]) {
  const place = `bench${process.pid}`;
  const hosts = await createHosts(place);
  const address = { name: 'ref', socket: `/run/reference-engine/${place}/docker.sock`, netns: hosts.netns, client: hosts.clientNetns };
  started.push({
    address,
    stop: () => execa(reference, ['down', place], { reject: false }).then(() => removeHosts(hosts)),
  });
  // No pipe to it: the daemon that it leaves behind would keep it open. A session of its own: Ctrl-C is for the bench to answer.
  await execa(reference, ['up', place], { stdio: 'ignore', detached: true });
}

// Who can reach whom.

import assert from 'node:assert/strict';
import { docker, inHost, onClient, type Result } from './docker.ts';
import { eventually } from './eventually.ts';

/** Where a request comes from: the engine's host, the other host, or a container. */
export type From = 'host' | 'client' | { readonly container: string };

/** The body at `url`, as seen from there. Tries again for a moment: a server needs some time to listen. */
export const fetched = (from: From, url: string) => eventually(async () => {
  const { stdout, stderr, exitCode } = await request(from, url);
  assert.equal(exitCode, 0, `${JSON.stringify(from)} -> ${url}: ${stderr}`);
  return stdout;
});

/** The HTTP status at `url`, for a server that has nothing to give. */
export const statusOf = (from: 'host' | 'client', url: string) => eventually(async () => {
  const { stdout, stderr, exitCode } = await at(from, 'curl', '-sS', '--noproxy', '*', '-m', '2', '-o', '/dev/null', '-w', '%{http_code}', url);
  assert.equal(exitCode, 0, `${from} -> ${url}: ${stderr}`);
  return Number(stdout);
});

export async function unreachable(from: From, url: string): Promise<void> {
  const { exitCode, stdout } = await request(from, url);
  assert.notEqual(exitCode, 0, `${JSON.stringify(from)} -> ${url} was answered: ${stdout}`);
}

function request(from: From, url: string): Promise<Result> {
  // Not wget -T: where busybox is linked statically, its alarm ends in a segmentation fault.
  if (typeof from === 'object') return docker('exec', from.container, 'timeout', '2', 'wget', '-q', '-O', '-', url);
  return at(from, 'curl', '-sS', '--fail', '--noproxy', '*', '-m', '2', url);
}

const at = (from: 'host' | 'client', ...argv: readonly string[]) => (from === 'host' ? inHost(...argv) : onClient(...argv));

/** A server's command: answers every container's own name, so that one can tell who answered. */
export const serve = (words: string, port = 8080) =>
  ['sh', '-c', `mkdir -p /www; echo '${words}' >/www/index.html; exec httpd -f -p ${port} -h /www`] as const;

// The docker CLI and other programs, at a daemon of one's own and on its hosts.

import { execa } from 'execa';
import assert from 'node:assert/strict';
import type { Daemon } from './daemon.ts';
import { clientVariables } from './docker.ts';
import { enter } from './hosts.ts';

/** What a command printed; one that fails is a failed test. `daemon` is asked for at each call: it may not be there yet. */
export const onDaemon = (daemon: () => Daemon) => {
  const at = async (netns: string, ...argv: string[]) => {
    const [file, ...args] = enter(netns, argv);
    return (await execa(file!, args)).stdout;
  };
  return {
    async docker(...args: string[]) {
      const { stdout, stderr, exitCode } = await execa('docker', args, { env: { ...clientVariables, DOCKER_HOST: `unix://${daemon().socket}` }, reject: false, timeout: 30_000, stdin: 'ignore' });
      assert.equal(exitCode, 0, `docker ${args.join(' ')}: ${stderr}`);
      return stdout;
    },
    at,
    curl: (netns: string, url: string) => at(netns, 'curl', '-sS', '--fail', '--noproxy', '*', '-m', '2', url),
  };
};

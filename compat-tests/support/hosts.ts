// Two hosts on one machine, as network namespaces with a cable between them. Neither has a way to the real network.

import { execa } from 'execa';
import { resolve } from 'node:path';

export const hostAddress = '198.51.100.2';
export const clientAddress = '198.51.100.1';

export type Hosts = { readonly netns: string; readonly clientNetns: string };

export async function createHosts(prefix: string): Promise<Hosts> {
  const host = `${prefix}-host`;
  const client = `${prefix}-client`;
  await ip(
    `netns add ${host}`,
    `netns add ${client}`,
    `-n ${host} link set lo up`,
    `-n ${client} link set lo up`,
    `-n ${client} link add eth0 type veth peer name eth0 netns ${host}`,
    `-n ${client} addr add ${clientAddress}/24 dev eth0`,
    `-n ${client} link set eth0 up`,
    `-n ${host} addr add ${hostAddress}/24 dev eth0`,
    `-n ${host} link set eth0 up`,
    `-n ${host} route add default via ${clientAddress}`,
  );
  return { netns: host, clientNetns: client };
}

export async function removeHosts({ netns, clientNetns }: Hosts): Promise<void> {
  await ip(`netns del ${netns}`, `netns del ${clientNetns}`);
}

/** The command that runs `argv` on a host. Not `ip netns exec`, which remounts /sys and hides the cgroups. */
export const enter = (netns: string, argv: readonly string[]): readonly string[] => ['nsenter', `--net=${resolve('/run/netns', netns)}`, ...argv];

async function ip(...commands: readonly string[]): Promise<void> {
  for (const command of commands) await execa('ip', command.split(' '));
}

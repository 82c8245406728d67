// The host goes down and comes up: every process, namespace, mount, link and rule of the daemon's is gone, and its exec root; the data root is as it was.

import { execa } from 'execa';
import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { unmountBelow, type Daemon } from './daemon.ts';
import { enter, hostAddress } from './hosts.ts';

export async function powerOff(daemon: Daemon): Promise<void> {
  await daemon.crash();
  // Supervisors first, or one could still write down how its container ended.
  const ids = (await readdir(join(daemon.root, 'exec/processes'))).filter(name => /^[0-9a-f]{64}$/.test(name));
  for (const pid of [...(await supervisors(daemon.root)), ...(await containers(daemon.root))]) kill(pid);
  await unmountBelow(daemon.root);
  await rm(join(daemon.root, 'exec'), { recursive: true, force: true });
  const [file, ...args] = enter(daemon.netns, ['sh', '-c', FORGET]);
  await execa(file!, args);
  const cgroups = (await execa('find', ['/sys/fs/cgroup', '-depth', '-type', 'd'], { reject: false })).stdout.split('\n').filter(path => ids.some(id => path.includes(id)));
  await eventually(async () => {
    for (const path of cgroups) await rmdir(path).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'ENOENT') throw error; });
  }, { every: 100 });
}

const FORGET = `for t in iptables ip6tables; do for table in nat filter raw mangle; do $t -t $table -F; $t -t $table -X; done; $t -P FORWARD ACCEPT; done
ip -o link | sed -n 's/^[0-9]*: \\(veth[^@:]*\\|br-[^@:]*\\|docker0\\)[@:].*/\\1/p' | while read link; do ip link del $link; done
echo 0 >/proc/sys/net/ipv4/ip_forward; ip -o address show to ${hostAddress} | grep -q . `;

const supervisors = async (root: string): Promise<readonly number[]> => {
  const pids = (await readdir('/proc')).filter(entry => /^\d+$/.test(entry)).map(Number);
  const lines = await Promise.all(pids.map(async pid => ({ pid, line: await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') })));
  return lines.filter(({ line }) => line.includes(`${root}/exec/`)).map(({ pid }) => pid);
};

/** Their first processes; with these go all others of their namespaces. */
const containers = async (root: string): Promise<readonly number[]> => {
  const names = await readdir(join(root, 'exec/ends'));
  return Promise.all(names.filter(name => name.endsWith('.pid')).map(async name => Number(await readFile(join(root, 'exec/ends', name), 'utf8'))));
};

const kill = (pid: number): void => {
  try {
    if (pid > 1) process.kill(pid, 'SIGKILL');
  } catch {
    // It was quicker.
  }
};

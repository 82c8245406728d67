// What a daemon of one's own has on its host, against what it says it has: nothing may be without an owner, nothing missing.

import { execa } from 'execa';
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Daemon } from './daemon.ts';
import { enter } from './hosts.ts';
import { call } from './http.ts';
import { createOwnTable } from '../../src/host/own-table.ts';
import { ruleLines } from '../../src/operations/own-table.ts';
import { ownChains } from '../../src/plan/own-table.ts';

type Container = { readonly id: string; readonly running: boolean; readonly netns: string; readonly addresses: readonly string[]; readonly ports: readonly number[]; readonly loopbackPorts: readonly number[] };

type Link = { readonly ifname: string; readonly master?: string; readonly flags: readonly string[]; readonly ifalias?: string; readonly addr_info: readonly { readonly local: string }[] };

/** In words, what is wrong. `known`: ids of containers that have been; those there are now are added. */
export async function faultsOf(daemon: Daemon, known: Set<string>): Promise<readonly string[]> {
  const { root } = daemon;
  const ask = async (path: string) => (await call(daemon.socket, 'GET', path)).json();
  const containers: Container[] = await Promise.all(((await ask('/containers/json?all=1')) as readonly { Id: string }[]).map(async ({ Id }) => containerOf(await ask(`/containers/${Id}/json`))));
  for (const { id } of containers) known.add(id);
  const running = containers.filter(container => container.running);
  const ids = containers.map(({ id }) => id);
  const runningIds = running.map(({ id }) => id);
  const addresses = running.flatMap(container => container.addresses);
  const ports = running.flatMap(container => container.ports);
  const networks = ((await ask('/networks')) as readonly any[]).filter(({ Driver }) => Driver === 'bridge');
  const bridgeOf = ({ Id, Options }: any): string => Options['com.docker.network.bridge.name'] ?? `br-${Id.slice(0, 12)}`;
  const bridges = networks.map(bridgeOf);
  const volumes: readonly string[] = ((await ask('/volumes')).Volumes ?? []).map(({ Name }: any) => Name);
  const layers = new Set(['init', ...(await imageLayers(ask))]);
  const { links, rules } = await networkOf(daemon);

  const veths = links.filter(({ ifname }) => /^veth[0-9a-f]{7}$/.test(ifname));
  const mounts = await mountsBelow(root);
  const expectedMounts = [...running.map(({ netns }) => netns).filter(netns => netns !== ''), ...runningIds.map(id => join(root, 'data/overlay2', id, 'merged'))];
  const dnat = rules.filter(rule => rule.startsWith('nat -A DOCKER ') && rule.includes('-j DNAT')).map(rule => Number(/--dport (\d+)/.exec(rule)?.[1]));

  return [
    ...differences('link', links.map(({ ifname }) => ifname).filter(name => /^(br-|docker0)/.test(name)), bridges),
    ...networks.flatMap(network => bridgeFaults(network, links.find(({ ifname }) => ifname === bridgeOf(network)))),
    ...(veths.length === addresses.length ? [] : [`${veths.length} veths for ${addresses.length} endpoints`]),
    ...veths.filter(({ master = '' }) => !bridges.includes(master)).map(({ ifname }) => `${ifname} is in no bridge of a network`),
    ...differences('namespace', await names(root, 'exec/netns'), running.map(({ netns }) => basename(netns)).filter(name => name !== '')),
    ...differences('mount', mounts.filter(path => !path.startsWith(join(root, 'exec/cgroup/'))), expectedMounts),
    ...differences('container directory', await names(root, 'data/containers'), ids),
    ...differences('layer', await names(root, 'data/overlay2'), [...layers, ...ids]),
    ...differences('volume', await names(root, 'data/volumes'), volumes),
    ...differences('process directory', await names(root, 'exec/processes'), runningIds),
    ...differences('end', [...new Set((await names(root, 'exec/ends')).map(name => name.slice(0, name.indexOf('.'))))], runningIds),
    ...differences('runtime state', (await names(root, 'exec/runtime')).filter(name => /^[0-9a-f]{64}$/.test(name)), runningIds),
    ...(await Promise.all(['data/tmp', 'exec/tty', 'exec/shm', 'exec/subpaths'].map(async directory => differences(directory, await names(root, directory), [])))).flat(),
    ...ownTableFaults(daemon, networks.map(network => ({ ...network, bridge: bridgeOf(network) })), addresses, running.flatMap(container => container.loopbackPorts)),
    ...differences('DNAT of port', dnat.map(String), ports.map(String)),
    ...differences('listener on port', (await listening(daemon.pid())).map(String), ports.map(String)),
    ...rules.filter((rule, index) => rules.indexOf(rule) !== index).map(rule => `twice: ${rule}`),
    ...rules.filter(rule => strangersIn(rule, addresses, bridges)).map(rule => `without an owner: ${rule}`),
    ...(addresses.length === new Set(addresses).size ? [] : [`one address for two: ${addresses.join(' ')}`]),
    ...(await processesBelow(root, daemon.pid(), runningIds)),
    ...(await cgroupsOf(known, runningIds)),
    ...(await Promise.all(running.filter(({ netns }) => netns !== '').map(container => insideOf(root, container)))).flat(),
  ];
}

/** Berth's own table: whole, with each network's part, and a way from 127.0.0.1 to each port of its own. */
function ownTableFaults({ netns }: Daemon, networks: readonly any[], addresses: readonly string[], ports: readonly number[]): readonly string[] {
  const { rules, elements } = createOwnTable().list('ipv4', `/run/netns/${netns}`);
  const open = networks.filter(({ Internal }) => !Internal);
  const inSet = (set: string) => elements.filter(line => line.startsWith(`element ${set} `)).map(line => line.slice(`element ${set} `.length));
  const apart = open.filter(({ Options }) => Options['com.docker.network.bridge.enable_icc'] === 'false').map(({ bridge }) => bridge);
  const bridges = open.map(({ bridge }) => bridge);
  const ways = [...inSet('any'), ...inSet('at')];
  return [
    ...differences('rule of our own', rules, ruleLines(ownChains('ipv4'))),
    ...differences('guarded bridge', inSet('bridges'), bridges),
    ...differences('hairpin bridge', inSet('hairpin'), bridges.filter(bridge => !apart.includes(bridge))),
    ...differences('bridge with an inside', inSet('inside').map(element => element.split(' ')[0]!), bridges),
    ...differences('way from 127.0.0.1 to port', ways.filter(element => element.startsWith('lo ')).map(element => / (\d+) : /.exec(element)?.[1] ?? element), ports.map(String)),
    ...ways.filter(element => !addresses.includes(/ : (\S+) /.exec(element)?.[1] ?? '')).map(element => `a way to nobody: ${element}`),
  ];
}

/** Up, with its gateways' addresses, and it says whose it is. */
const bridgeFaults = ({ Id, Name, IPAM }: any, bridge: Link | undefined): readonly string[] => {
  if (bridge === undefined) return [];
  const there = bridge.addr_info.map(({ local }) => local);
  return [
    ...(bridge.flags.includes('UP') ? [] : [`the bridge of ${Name} is down`]),
    ...(bridge.ifalias?.includes(Id) ? [] : [`the bridge of ${Name} is called ${bridge.ifalias}`]),
    ...(IPAM.Config as readonly any[]).filter(({ Gateway }) => Gateway !== undefined && !there.includes(Gateway)).map(({ Gateway }) => `the bridge of ${Name} has no ${Gateway}`),
  ];
};

const containerOf = ({ Id, State, NetworkSettings }: any): Container => ({
  id: Id,
  running: State.Running && !State.Restarting,
  netns: NetworkSettings.SandboxKey,
  addresses: State.Running && !State.Restarting ? Object.values<any>(NetworkSettings.Networks).map(({ IPAddress }) => IPAddress).filter(address => address !== '') : [],
  ports: portsAt(State, NetworkSettings, address => !address.includes(':')),
  loopbackPorts: portsAt(State, NetworkSettings, address => address === '0.0.0.0' || address.startsWith('127.')),
});

const portsAt = ({ Running, Restarting }: any, { Ports }: any, wanted: (address: string) => boolean): readonly number[] =>
  Running && !Restarting ? Object.values<any>(Ports ?? {}).flatMap(bindings => (bindings ?? []).filter(({ HostIp }: any) => wanted(HostIp)).map(({ HostPort }: any) => Number(HostPort))) : [];

/** Names under overlay2 that some image has. */
const imageLayers = async (ask: (path: string) => Promise<any>): Promise<readonly string[]> => {
  const images: readonly any[] = await Promise.all(((await ask('/images/json?all=1')) as readonly any[]).map(({ Id }) => ask(`/images/${Id}/json`)));
  const directories = images.flatMap(({ GraphDriver: { Data } }) => [Data?.UpperDir, ...(Data?.LowerDir ?? '').split(':')]).filter(path => typeof path === 'string' && path !== '');
  return [...new Set(directories.map((path: string) => basename(dirname(path))))];
};

async function networkOf({ netns }: Daemon): Promise<{ links: readonly Link[]; rules: readonly string[] }> {
  const [file, ...args] = enter(netns, ['sh', '-c', 'ip -json link; echo; echo ==; ip -json address; echo; echo ==; iptables-save; ip6tables-save']);
  const { stdout } = await execa(file!, args);
  const [links = '[]', addresses = '[]', saved = ''] = stdout.split('\n==\n');
  const addressed: readonly Link[] = JSON.parse(addresses);
  let table = '';
  // The two families have rules of the same words: they are told apart by what comes before.
  let family = 0;
  const rules = saved.split('\n').flatMap(line => {
    if (line.startsWith('# Generated by ip6')) family = 6;
    if (line.startsWith('*')) table = line.slice(1);
    return line.startsWith('-A') ? [`${family === 6 ? 'ipv6 ' : ''}${table} ${line}`] : [];
  });
  return { links: (JSON.parse(links) as readonly Link[]).map((link, index) => ({ ...link, addr_info: addressed[index]!.addr_info })), rules };
}

/** A rule that names an address, or a bridge, that nobody has. */
const strangersIn = (rule: string, addresses: readonly string[], bridges: readonly string[]): boolean => {
  const named = [...rule.matchAll(/-[ds] (\d+\.\d+\.\d+\.\d+)\/32/g)].map(([, address = '']) => address).filter(address => !address.startsWith('127.'));
  const devices = [...rule.matchAll(/\b(br-[0-9a-f]{12}|docker0)\b/g)].map(([, device = '']) => device);
  return named.some(address => !addresses.includes(address)) || devices.some(device => !bridges.includes(device));
};

async function mountsBelow(root: string): Promise<readonly string[]> {
  return (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map(line => line.split(' ')[4] ?? '').filter(path => path.startsWith(`${root}/`));
}

/** In the daemon's network namespace. */
async function listening(pid: number): Promise<readonly number[]> {
  const lines = (await readFile(`/proc/${pid}/net/tcp`, 'utf8')).split('\n').slice(1).map(line => line.trim().split(/\s+/));
  return lines.filter(([, , , state]) => state === '0A').map(([, local = '']) => parseInt(local.slice(local.indexOf(':') + 1), 16));
}

async function processesBelow(root: string, daemon: number, running: readonly string[]): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter(entry => /^\d+$/.test(entry) && Number(entry) !== daemon);
  const lines = await Promise.all(pids.map(async pid => ({ pid, line: (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ') })));
  const own = lines.filter(({ line }) => line.includes(`${root}/exec/ends/`));
  const without = own.filter(({ line }) => !running.some(id => line.includes(`/ends/${id}.`)));
  const supervisors = own.filter(({ line }) => line.includes('berth-supervisor'));
  return [
    ...without.map(({ pid, line }) => `process without an owner: ${pid} ${line}`),
    ...running.filter(id => supervisors.filter(({ line }) => line.includes(id)).length !== 1).map(id => `not one supervisor: ${id}`),
  ];
}

async function cgroupsOf(known: ReadonlySet<string>, running: readonly string[]): Promise<readonly string[]> {
  const roots = ['/sys/fs/cgroup', ...(await names('/sys/fs', 'cgroup')).map(name => join('/sys/fs/cgroup', name))];
  const left = (await Promise.all(roots.map(async root => (await names(root, 'docker')).map(name => join(root, 'docker', name))))).flat();
  return left.filter(path => known.has(basename(path)) && !running.includes(basename(path))).map(path => `cgroup without an owner: ${path}`);
}

/** The container's own end of its network, and what it is told of it. */
async function insideOf(root: string, { id, netns, addresses }: Container): Promise<readonly string[]> {
  const { stdout } = await execa('nsenter', [`--net=${netns}`, 'sh', '-c', 'ip -o -4 address; ip route'], { reject: false });
  const there = [...stdout.matchAll(/inet (\d+\.\d+\.\d+\.\d+)\//g)].map(([, address = '']) => address).filter(address => address !== '127.0.0.1');
  const hosts = (await readFile(join(root, 'data/containers', id, 'hosts'), 'utf8')).split('\n').map(line => line.split('\t')[0] ?? '');
  return [
    ...differences(`address in ${id.slice(0, 12)}`, there, addresses),
    ...(addresses.length > 0 && !/^default via/m.test(stdout) ? [`${id} has no default route`] : []),
    ...differences(`line of /etc/hosts in ${id.slice(0, 12)}`, hosts.filter(address => /^(172|10)\./.test(address)), addresses),
  ];
}

const names = (root: string, directory: string): Promise<readonly string[]> => readdir(join(root, directory)).catch(() => []);

function differences(what: string, there: readonly string[], wanted: readonly string[]): readonly string[] {
  return [
    ...there.filter((one, index) => !wanted.includes(one) || there.indexOf(one) !== index).map(one => `${what} too many: ${one}`),
    ...wanted.filter(one => !there.includes(one)).map(one => `${what} missing: ${one}`),
  ];
}

import { isIPv4, isIPv6 } from 'node:net';
import type { ContainerSpec, CreateRequest } from '../model/container.ts';
import { invalid, systemError } from '../model/errors.ts';
import { parseSignal } from '../model/signal.ts';
import type { ContainerDefaults } from './container-create.ts';
import type { WireCreate, WireHostConfig } from './container-schema.ts';
import { checkResources } from './resource-checks.ts';

/** What is wrong with a create request whatever images, networks and volumes there are, in the reference engine's words. */
export const checkCreate = ({ spec }: CreateRequest, wire: WireCreate, defaults: ContainerDefaults): void => {
  checkConfig(spec);
  checkNetworkMode(spec, wire);
  checkModes(wire.HostConfig);
  checkRestart(wire.HostConfig.RestartPolicy, wire.HostConfig.AutoRemove);
  checkResources(spec.resources, defaults, 'create');
  checkLimits(wire.HostConfig);
  checkRuntime(wire.HostConfig, defaults);
  checkHosts(spec.extraHosts);
  for (const endpoint of spec.endpoints) checkEndpoint(endpoint);
};

const checkConfig = ({ env, workingDir, healthcheck, stopSignal }: ContainerSpec): void => {
  if (stopSignal !== undefined) parseSignal(stopSignal);
  const unnamed = env?.find((variable) => variable === '' || variable.startsWith('='));
  if (unnamed !== undefined) throw invalid(`invalid environment variable: ${unnamed}`);
  if (workingDir !== '' && !workingDir.startsWith('/')) {
    throw invalid(`the working directory '${workingDir}' is invalid, it needs to be an absolute path`);
  }
  if (!healthcheck) return;
  const durations = { Interval: healthcheck.interval, Timeout: healthcheck.timeout, StartPeriod: healthcheck.startPeriod, StartInterval: healthcheck.startInterval };
  for (const [name, nanoseconds] of Object.entries(durations)) {
    if (nanoseconds !== 0 && nanoseconds < 1_000_000) throw invalid(`${name} in Healthcheck cannot be less than 1ms`);
  }
  if (healthcheck.retries < 0) throw invalid('Retries in Healthcheck cannot be negative');
};

const checkNetworkMode = (spec: ContainerSpec, { HostConfig: host, Hostname, ExposedPorts }: WireCreate): void => {
  const mode = host.NetworkMode;
  const links = (host.Links ?? []).length > 0;
  if (mode === 'host' && links) throw invalid("conflicting options: host type networking can't be used with links. This would result in undefined behavior");
  if (host.UTSMode === 'host' && Hostname !== '') throw invalid('conflicting options: hostname and the UTS mode');
  if (!mode.startsWith('container:')) return;
  if (mode === 'container:') throw invalid('Invalid network mode: invalid container format container:<name|id>');
  if (Hostname !== '') throw invalid('conflicting options: hostname and the network mode');
  if (links) throw invalid("conflicting options: container type network can't be used with links. This would result in undefined behavior");
  if (spec.dns.length > 0) throw invalid('conflicting options: dns and the network mode');
  if (spec.extraHosts.length > 0) throw invalid('conflicting options: custom host-to-IP mapping and the network mode');
  if (Object.keys(host.PortBindings ?? {}).length > 0 || host.PublishAllPorts) {
    throw invalid('conflicting options: port publishing and the container type network mode');
  }
  if (Object.keys(ExposedPorts ?? {}).length > 0) throw invalid('conflicting options: port exposing and the container type network mode');
};

const checkModes = (host: WireHostConfig): void => {
  if (!/^(host|none|private|shareable|container:.+)$/.test(host.IpcMode)) throw invalid(`invalid IPC mode: ${host.IpcMode}`);
  if (!/^(|host|container:.+)$/.test(host.PidMode)) throw invalid(`invalid PID mode: ${host.PidMode}`);
  if (!/^(|host)$/.test(host.UTSMode)) throw invalid(`invalid UTS mode: ${host.UTSMode}`);
  if (!/^(host|private)$/.test(host.CgroupnsMode)) throw invalid(`invalid cgroup namespace mode: ${host.CgroupnsMode}`);
  if (!/^(|default)$/i.test(host.Isolation)) throw systemError(`Invalid isolation: ${JSON.stringify(host.Isolation)} - linux only supports 'default'`);
};

export const checkRestart = ({ Name, MaximumRetryCount }: WireHostConfig['RestartPolicy'], autoRemove: boolean): void => {
  if (!['no', 'always', 'on-failure', 'unless-stopped'].includes(Name)) {
    throw invalid(`invalid restart policy: unknown policy '${Name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`);
  }
  if (MaximumRetryCount > 0 && Name !== 'on-failure') throw invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'");
  if (MaximumRetryCount < 0) throw invalid('invalid restart policy: maximum retry count cannot be negative');
  if (autoRemove && Name !== 'no') throw invalid("can't create 'AutoRemove' container with restart policy");
};

const checkRuntime = ({ Runtime, StorageOpt }: WireHostConfig, { runtimes }: ContainerDefaults): void => {
  if (!runtimes.includes(Runtime)) throw invalid(`unknown or invalid runtime name: ${Runtime}`);
  // Which needs a file system that counts what each directory holds.
  if (Object.keys(StorageOpt ?? {}).length > 0) throw systemError("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
};

const checkLimits = (host: WireHostConfig): void => {
  if (host.ShmSize < 0) throw invalid('SHM size can not be less than 0');
  if (host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000) {
    throw invalid(`Invalid value ${host.OomScoreAdj}, range for oom score adj is [-1000, 1000]`);
  }
};

const checkHosts = (hosts: readonly string[]): void => {
  for (const host of hosts) {
    const at = host.indexOf(':');
    if (at <= 0) throw invalid(`bad format for add-host: ${JSON.stringify(host)}`);
    const address = host.slice(at + 1).replace(/^\[(.*)\]$/, '$1');
    if (address !== 'host-gateway' && !isIPv4(address) && !isIPv6(address)) throw invalid(`invalid IP address in add-host: ${JSON.stringify(address)}`);
  }
};

const checkEndpoint = ({ network, ipv4, ipv6, mac }: ContainerSpec['endpoints'][number]): void => {
  const faults = [
    ...(ipv4 === '' || isIPv4(ipv4) ? [] : [`invalid IPv4 address: ${ipv4}`]),
    ...(ipv6 === '' || isIPv6(ipv6) ? [] : [`invalid IPv6 address: ${ipv6}`]),
  ];
  if (faults.length > 0) throw invalid(`invalid config for network ${network}: invalid endpoint settings:\n${faults.join('\n')}`);
  if (mac !== '' && !/^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(mac)) throw invalid(`invalid config for network ${network}: invalid MAC address ${mac}`);
};

#!/usr/bin/env node
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { createApp } from './api/app.ts';
import { parseConfig, USAGE, UsageError, VERSION_LINE, type Config } from './config.ts';
import { createEngine } from './engine/engine.ts';
import { everyCall, faultFrom } from './fault.ts';
import { createHost } from './host/host.ts';
import { createLayers } from './host/layers.ts';
import { createRegistry } from './host/registry.ts';
import { createLogs } from './host/container-log.ts';
import { createFacts } from './host/facts.ts';
import { readMachine } from './host/machine.ts';
import { claimControllers, forwardPackets, lockRoot, makeInitLayer } from './host/prepare.ts';
import { findProgram } from './host/program.ts';
import { closeOnExec } from './host/syscalls.ts';
import { nowNanoseconds } from './host/clock.ts';
import { listen } from './listen.ts';
import { createLog, type Log } from './log.ts';
import { messageOf } from './model/errors.ts';
import { capabilitiesOfMask } from './plan/capabilities.ts';
import { initLayerPath } from './plan/desired.ts';
import { openStore } from './store/store.ts';

/** berthd: reads its flags, takes its roots, mends what an earlier one left, and listens. */
const main = async (argv: readonly string[]): Promise<void> => {
  const config = parseConfig(argv);
  if (config === 'help') return void process.stdout.write(USAGE);
  if (config === 'version') return void process.stdout.write(`${VERSION_LINE}\n`);
  const log = createLog(config.logLevel);
  // Directories and sockets are never wider than what is said where they are made.
  process.umask(0o022);
  for (const root of [config.dataRoot, config.execRoot]) lockRoot(root);

  const runtime = chooseRuntime(config, log);
  const layout = { dataRoot: config.dataRoot, execRoot: config.execRoot, iptables: config.iptables, ip6tables: config.ip6tables };
  makeInitLayer(initLayerPath(layout));
  const dropForward = config.ipForward && forwardPackets() && config.iptables;

  const machine = readMachine();
  // Set by tests alone (see fault.ts). Without it there is no hook, and nothing that could end the daemon.
  const faultFile = process.env['BERTH_FAULT'];
  const step = faultFile === undefined ? undefined : faultFrom(faultFile);
  const plain = createHost({ ...config, lookup: (containerId, name, type) => engine.lookup(containerId, name, type), ...(step ? { step } : {}) });
  const host = step ? { ...plain, volumeFiles: everyCall(step, 'volume', plain.volumeFiles), processes: { ...plain.processes, ...everyCall(step, 'process', { pause: plain.processes.pause, unpause: plain.processes.unpause, update: plain.processes.update, sweep: plain.processes.sweep }) } } : plain;
  const records = openStore(config.dataRoot);
  // LMDB leaves its file open for whatever we start.
  closeOnExec(`${config.dataRoot}/state`);
  const store = step ? { ...records, commit: (changes: Parameters<typeof records.commit>[0]) => step('commit', () => records.commit(changes)) } : records;
  const onDisk = createLayers({ dataRoot: config.dataRoot });
  const layers = step ? { ...onDisk, ...everyCall(step, 'layers', { unpack: onDisk.unpack, openArchive: onDisk.openArchive, remove: onDisk.remove, clean: onDisk.clean }) } : onDisk;
  const facts = createFacts({ dataRoot: config.dataRoot, defaultRuntime: runtime, addressPools: config.addressPools, liveRestore: config.liveRestore });
  const engine = createEngine({
    host: { ...host, logs: createLogs({ dataRoot: config.dataRoot, now: host.now }), nowNanoseconds },
    store,
    layers,
    registry: createRegistry({ dataRoot: config.dataRoot, openDirectory: layers.openDirectory }),
    machine: { ...machine, capabilities: capabilitiesOfMask(machine.capabilityMask), seccompProfile: undefined },
    layout,
    facts,
    hex: (bytes) => crypto.randomBytes(bytes).toString('hex'),
    network: {
      bip: config.bip,
      bip6: config.bip6,
      ipv6: config.ipv6,
      fixedCidr: config.fixedCidr,
      fixedCidr6: config.fixedCidr6,
      gateway: config.gateway,
      gateway6: config.gateway6,
      hostGateway: config.hostGateway,
      options: config.networkOptions,
      mtu: config.mtu,
      icc: config.icc,
      publishAddress: config.publishAddress,
      families: config.ip6tables ? ['ipv4', 'ipv6'] : ['ipv4'],
      dropForward,
      ipForward: config.ipForward,
      masquerade: config.ipMasquerade,
      addressPools: config.addressPools,
    },
    dns: { servers: config.dns, search: config.dnsSearch, options: config.dnsOptions },
    pause: (milliseconds) => pause(milliseconds),
    log: (message) => log('warn', message),
  });
  await engine.begin();

  const server = createApp(engine, {
    dataRoot: config.dataRoot,
    defaults: { cgroupVersion: machine.cgroupVersion, runtime, runtimes: [runtime, ...['crun', 'runc'].filter((name) => findProgram(name) !== undefined)], processors: os.availableParallelism(), cpus: machine.cpus, memoryNodes: machine.memoryNodes, blkioWeight: machine.blkioWeight },
    fault: (request, error) => log('error', `${request}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
  });
  const sockets = config.hosts.map((host) => host.slice('unix://'.length));
  for (const socket of sockets) await listen(server, socket, config.group);
  if (config.pidFile !== undefined) fs.writeFileSync(config.pidFile, `${process.pid}\n`);
  log('info', `API listen on ${sockets.join(', ')}`);

  let stopping = false;
  const stop = async (signal: string): Promise<void> => {
    if (stopping) return;
    stopping = true;
    log('info', `${signal}: the API stops, containers ${config.liveRestore ? 'go on' : 'are stopped'}`);
    // Nobody comes any more; who is there hears of the last ends.
    server.close();
    server.closeIdleConnections();
    for (const socket of sockets) fs.rmSync(socket, { force: true });
    if (!config.liveRestore) await engine.containers.quit();
    server.closeAllConnections();
    await store.close();
    if (config.pidFile !== undefined) fs.rmSync(config.pidFile, { force: true });
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal).then(() => process.exit(0), () => process.exit(1)));
  // What nobody waited for failed. The state is on disk and the daemon can go on; hiding it would help nobody.
  for (const event of ['unhandledRejection', 'uncaughtException'] as const)
    process.on(event, (error) => log('error', `unhandled: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`));
  // Whoever read the log is gone: that is no reason to end, nor something to log.
  process.stderr.on('error', () => {});
};

/** crun is the faster one; it does not run on every host. */
const chooseRuntime = (config: Config, log: Log): string => {
  const usable = claimControllers(config.execRoot);
  const wanted = config.defaultRuntime;
  if (wanted !== undefined) {
    if (findProgram(wanted) === undefined) throw new UsageError(`specified default runtime "${wanted}" does not exist`);
    return wanted;
  }
  if (findProgram('crun') !== undefined && usable) return 'crun';
  if (findProgram('runc') !== undefined) {
    log('info', 'crun is absent or can not run here (cgroups in hybrid mode): using runc');
    return 'runc';
  }
  log('error', 'neither crun nor runc is installed: containers can be made, but not started');
  return 'crun';
};

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`berthd: ${messageOf(error)}\n${error instanceof UsageError ? USAGE : ''}`);
  process.exit(1);
});

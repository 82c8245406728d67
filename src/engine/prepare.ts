import type { Container, ContainerSpec, Exec } from '../model/container.ts';
import { conflict, EngineError, invalid, systemError } from '../model/errors.ts';
import type { DeviceNode } from '../model/device.ts';
import type { JsonObject } from '../model/json.ts';
import { interfacesOf } from '../model/network.ts';
import type { State } from '../model/state.ts';
import { checkCapabilities } from '../plan/capabilities.ts';
import { hostnameFile, hostsChanged, hostsFile, ownAddresses } from '../plan/container-files.ts';
import { containerPath, overlayPath, sharedMemoryPath, subpathPath, type Layout } from '../plan/desired.ts';
import { linkEnvironment, linkHosts, linksChanged, linksOf } from '../plan/links.ts';
import { checkLog } from '../plan/log-options.ts';
import { containerSpec, execProcess, type Machine } from '../plan/oci-spec.ts';
import { resolvConfOf } from '../plan/resolver.ts';
import { parseSecurityOptions } from '../plan/security-options.ts';
import { checkPropagation, type HostMount } from '../plan/propagation.ts';
import { resolveUser, type User } from '../plan/users.ts';
import { findContainer } from './find.ts';

/** What preparing a container needs of the machine. */
export type PrepareHost = {
  readonly machine: Machine;
  writeFile(path: string, text: string): void;
  /** A file's text, looked up as a process in that root would; undefined when there is none. */
  readBeneath(root: string, path: string): string | undefined;
  /** The text of the host's /etc/resolv.conf. */
  resolvConf(): string;
  hostname(): string;
  /** Makes the directory that a bind of a missing host path stands for. */
  makeMissingDirectory(path: string): void;
  isDirectory(path: string): boolean;
  /** What is forbidden on the mount that a path lies on, as words of `mount -o`. */
  mountWords(path: string): readonly string[];
  /** The mount that a path lies on. */
  mountOf(path: string): HostMount;
  /** The nodes of a `--device`: one, or all below a directory. */
  deviceNodes(hostPath: string, containerPath: string, permissions: string): readonly DeviceNode[];
  /** Makes a working directory that is not there, with its parents. */
  makeBeneath(root: string, path: string, user: { readonly uid: number; readonly gid: number }): void;
};

export type Prepare = {
  container(container: Container, state: State): JsonObject;
  exec(container: Container, exec: Exec, state: State, consoleSize: readonly [rows: number, columns: number] | undefined): JsonObject;
  /** Tells a running container's /etc/hosts what addresses it has now, and which no more. */
  hosts(container: Container, addresses: { readonly come: readonly string[]; readonly gone: readonly string[] }): void;
  /** Tells it where those it has links to are now. */
  links(container: Container): void;
  /** Names the resolver that a running container has now in its /etc/resolv.conf. */
  resolver(before: Container, after: Container): void;
  /** What a daemon that ended in between has not told a running container's files of its networks. */
  mend(container: Container): void;
  /** Refuses at create what start could only fail on. */
  check(spec: ContainerSpec): void;
};

export const createPrepare = ({ host, layout, dns, hostGateway }: {
  host: PrepareHost;
  layout: Layout;
  /** The daemon's own --dns, --dns-search, --dns-opt. */
  dns: { readonly servers: readonly string[]; readonly search: readonly string[]; readonly options: readonly string[] };
  /** What `host-gateway` stands for; none: the default bridge's own addresses. */
  hostGateway: readonly string[];
}): Prepare => {
  const rootfsOf = (container: Container): string => `${overlayPath(layout, container.id)}/merged`;

  const userOf = (container: Container, user: string): User => {
    const root = rootfsOf(container);
    return resolveUser(user, host.readBeneath(root, '/etc/passwd'), host.readBeneath(root, '/etc/group'), container.spec.groupAdd);
  };

  const hostnameOf = ({ spec }: Container): string => (spec.utsMode === 'host' || (spec.networkMode === 'host' && spec.hostname === '') ? host.hostname() : spec.hostname);

  /** The container whose network this one shares. */
  const networkOwner = (container: Container, state: State): Container | undefined => {
    const { networkMode } = container.spec;
    return networkMode.startsWith('container:') ? runningOwner(state, networkMode.slice('container:'.length), 'joining network namespace of container: ') : undefined;
  };

  const resolvConf = ({ spec, sandbox }: Container, kind: 'internal' | 'bridge' | 'host'): string =>
    resolvConfOf(spec, kind, { hostFile: host.resolvConf(), ...dns }, sandbox?.endpoints.some(({ ipv6 }) => ipv6 !== undefined) ?? false).text;

  const writeFiles = (container: Container, state: State, owner: Container | undefined) => {
    const { spec, sandbox } = container;
    const directory = containerPath(layout, owner?.id ?? container.id);
    const files = { resolvConf: `${directory}/resolv.conf`, hostname: `${directory}/hostname`, hosts: `${directory}/hosts` };
    if (owner) return files;
    const hostname = hostnameOf(container);
    const bridge = [...state.networks.values()].find(({ name }) => name === 'bridge');
    const endpoints = sandbox?.endpoints ?? [];
    host.writeFile(files.hostname, hostnameFile(hostname));
    host.writeFile(
      files.hosts,
      hostsFile({
        hostname,
        domainname: spec.domainname,
        addresses: endpoints.flatMap((endpoint) => interfacesOf(endpoint).map(({ address }) => address)),
        links: linkHosts(linksOf(container, (ref) => findContainer(state, ref))),
        extraHosts: spec.extraHosts,
        hostGateway: hostGateway.length > 0 ? hostGateway : (bridge?.subnets ?? []).flatMap(({ gateway }) => (gateway === undefined ? [] : [gateway])),
      }),
    );
    host.writeFile(files.resolvConf, resolvConf(container, spec.networkMode === 'host' ? 'host' : sandbox?.resolver ? 'internal' : 'bridge'));
    return files;
  };

  const tellHosts: Prepare['hosts'] = (container, addresses) => {
    const directory = containerPath(layout, container.id);
    const text = host.readBeneath(directory, '/hosts');
    if (text === undefined) return;
    host.writeFile(`${directory}/hosts`, hostsChanged(text, { hostname: hostnameOf(container), domainname: container.spec.domainname, ...addresses }));
  };

  const tellLinks: Prepare['links'] = ({ id, sandbox }) => {
    const file = `${containerPath(layout, id)}/hosts`;
    const text = host.readBeneath(containerPath(layout, id), '/hosts');
    const changed = text === undefined ? undefined : linksChanged(text, sandbox?.links ?? []);
    if (changed !== undefined && changed !== text) host.writeFile(file, changed);
  };

  const nameResolver: Prepare['resolver'] = (before, after) => {
    const directory = containerPath(layout, after.id);
    // One that somebody has changed is theirs.
    if (host.readBeneath(directory, '/resolv.conf') === resolvConf(before, 'bridge')) host.writeFile(`${directory}/resolv.conf`, resolvConf(after, 'internal'));
  };

  return {
    container(container, state) {
      const { spec, sandbox, mounts } = container;
      refuseDeviceRequests(container);
      const owner = networkOwner(container, state);
      const files = writeFiles(container, state, owner);
      for (const mount of mounts) if (mount.type === 'bind' && mount.createSource) host.makeMissingDirectory(mount.source);
      const user = userOf(container, spec.user);
      if (spec.workingDir !== '' && spec.workingDir !== '/') host.makeBeneath(rootfsOf(container), spec.workingDir, user);
      const [pid, ipc] = [donorOf(state, spec.pidMode, 'PID'), donorOf(state, spec.ipcMode, 'IPC')];
      const shmPath = sharedMemoryOf(layout, container, state);
      if (ipc && shmPath === undefined) {
        throw invalid(`failed to join IPC namespace: container ${ipc.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`);
      }
      checkPropagation(mounts, host.mountOf, layout.dataRoot);
      const subpaths = new Map(mounts.flatMap(({ subpath, destination }, index) => (subpath === '' ? [] : [[destination, subpathPath(layout, container.id, index)] as const])));
      return containerSpec({
        container,
        machine: host.machine,
        rootfs: rootfsOf(container),
        files,
        hostname: hostnameOf(container),
        linkEnv: linkEnvironment(container.name, linksOf(container, (ref) => findContainer(state, ref))),
        consoleSize: spec.consoleSize,
        netnsPath: owner ? netnsOf(owner) : (sandbox?.netns ?? ''),
        joins: { ...(pid ? { pid: `/proc/${pid.state.pid}/ns/pid` } : {}), ...(ipc ? { ipc: `/proc/${ipc.state.pid}/ns/ipc` } : {}) },
        shmPath,
        user,
        directorySources: new Set([...mounts.filter(({ type }) => type === 'bind').map(({ source }) => source), ...subpaths.values()].filter((source) => host.isDirectory(source))),
        subpaths,
        mountWords: new Map(mounts.filter(({ type }) => type !== 'tmpfs').map(({ source }) => [source, host.mountWords(source)])),
        devices: spec.privileged
          ? host.deviceNodes('/dev', '/dev', 'rwm')
          : spec.devices.flatMap(({ hostPath, containerPath: at, permissions }) => host.deviceNodes(hostPath, at, permissions)),
      });
    },
    exec: (container, exec, _state, consoleSize) =>
      execProcess({
        container,
        exec,
        machine: host.machine,
        user: userOf(container, exec.user || container.spec.user),
        hostname: hostnameOf(container),
        consoleSize,
      }),
    hosts: tellHosts,
    links: tellLinks,
    resolver: nameResolver,
    mend(container) {
      const { sandbox, spec } = container;
      const text = host.readBeneath(containerPath(layout, container.id), '/hosts');
      if (!sandbox || text === undefined) return;
      const is = sandbox.endpoints.flatMap((endpoint) => interfacesOf(endpoint).map(({ address }) => address));
      const was = ownAddresses(text, { hostname: hostnameOf(container), domainname: spec.domainname });
      const come = is.filter((address) => !was.includes(address));
      const gone = was.filter((address) => !is.includes(address) && !spec.extraHosts.some((entry) => entry.endsWith(`:${address}`)));
      if (come.length + gone.length > 0) tellHosts(container, { come, gone });
      tellLinks(container);
      if (sandbox.resolver) nameResolver(container, container);
    },
    check(spec) {
      checkLog(spec.log);
      checkCapabilities(spec, host.machine.capabilities);
      parseSecurityOptions(spec.securityOpt);
    },
  };
};

/** `--gpus`: there is no driver that could give any. */
const refuseDeviceRequests = ({ asked }: Container): void => {
  const [request] = (asked.hostConfig['DeviceRequests'] as readonly JsonObject[] | null | undefined) ?? [];
  if (!request) return;
  const sets = (request['Capabilities'] as readonly (readonly string[])[] | null) ?? [];
  throw systemError(`could not select device driver ${JSON.stringify(request['Driver'] ?? '')} with capabilities: [${sets.map((set) => `[${set.join(' ')}]`).join(' ')}]`);
};

/** Where a container's /dev/shm is on the host; undefined: it has one of its own, or none. */
const sharedMemoryOf = (layout: Layout, { id, spec }: Container, state: State): string | undefined => {
  if (spec.ipcMode === 'host') return '/dev/shm';
  if (spec.ipcMode === 'shareable') return sharedMemoryPath(layout, id);
  const donor = donorOf(state, spec.ipcMode, 'IPC');
  return donor && sharedMemoryOf(layout, donor, state);
};

/** The container whose namespace a mode of `container:REF` names. */
const donorOf = (state: State, mode: string, namespace: 'PID' | 'IPC'): Container | undefined => {
  if (!mode.startsWith('container:')) return undefined;
  const donor = findContainer(state, mode.slice('container:'.length));
  if (donor.state.status !== 'running' && donor.state.status !== 'paused') throw conflict(`failed to join ${namespace} namespace: container ${donor.id} is not running`);
  return donor;
};

/** A path that leads to a network namespace whether it has a name of its own or is a process's. */
const netnsOf = (owner: Container): string => (owner.sandbox?.netns !== undefined && owner.sandbox.netns !== '' ? owner.sandbox.netns : `/proc/${owner.state.pid}/ns/net`);

const runningOwner = (state: State, ref: string, prefix: string): Container => {
  let owner: Container;
  try {
    owner = findContainer(state, ref);
  } catch (error) {
    throw error instanceof EngineError ? systemError(`${prefix}${error.message}`) : error;
  }
  if (owner.state.status !== 'running' && owner.state.status !== 'paused') throw conflict(`cannot join network namespace of a non running container: ${owner.id}`);
  return owner;
};

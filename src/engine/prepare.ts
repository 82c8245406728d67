import type { Container, ContainerSpec, Exec } from '../model/container.ts';
import { conflict, EngineError, systemError } from '../model/errors.ts';
import type { JsonObject } from '../model/json.ts';
import type { State } from '../model/state.ts';
import { checkCapabilities } from '../plan/capabilities.ts';
import { hostnameFile, hostsFile, resolvConfFile } from '../plan/container-files.ts';
import { containerPath, overlayPath, type Layout } from '../plan/desired.ts';
import { containerSpec, execProcess, type DeviceNode, type Machine } from '../plan/oci-spec.ts';
import { parseSecurityOptions } from '../plan/security-options.ts';
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
  /** The nodes of a `--device`: one, or all below a directory. */
  deviceNodes(hostPath: string, containerPath: string, permissions: string): readonly DeviceNode[];
  /** Makes a working directory that is not there, with its parents. */
  makeBeneath(root: string, path: string, user: { readonly uid: number; readonly gid: number }): void;
};

export type Prepare = {
  container(container: Container, state: State): JsonObject;
  exec(container: Container, exec: Exec, state: State, consoleSize: readonly [rows: number, columns: number] | undefined): JsonObject;
  /** Refuses at create what start could only fail on. */
  check(spec: ContainerSpec): void;
};

export const createPrepare = ({ host, layout, dns }: {
  host: PrepareHost;
  layout: Layout;
  /** The daemon's own --dns, --dns-search, --dns-opt. */
  dns: { readonly servers: readonly string[]; readonly search: readonly string[]; readonly options: readonly string[] };
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
        addresses: endpoints.map(({ address }) => address),
        extraHosts: spec.extraHosts,
        hostGateway: (bridge?.subnets ?? []).flatMap(({ gateway }) => (gateway === undefined ? [] : [gateway])),
      }),
    );
    const given = <T>(own: readonly T[], daemon: readonly T[]): readonly T[] => (own.length > 0 ? own : daemon);
    const { text } = resolvConfFile({
      kind: spec.networkMode === 'host' ? 'host' : 'bridge',
      hostFile: host.resolvConf(),
      dns: given(spec.dns, dns.servers),
      dnsSearch: given(spec.dnsSearch, dns.search),
      dnsOptions: given(spec.dnsOptions, dns.options),
    });
    host.writeFile(files.resolvConf, text);
    return files;
  };

  return {
    container(container, state) {
      const { spec, sandbox, mounts } = container;
      const owner = networkOwner(container, state);
      const files = writeFiles(container, state, owner);
      for (const mount of mounts) if (mount.type === 'bind' && mount.createSource) host.makeMissingDirectory(mount.source);
      const user = userOf(container, spec.user);
      if (spec.workingDir !== '' && spec.workingDir !== '/') host.makeBeneath(rootfsOf(container), spec.workingDir, user);
      const joined = (mode: string, namespace: string): string | undefined =>
        mode.startsWith('container:') ? `/proc/${runningOwner(state, mode.slice('container:'.length), '').state.pid}/ns/${namespace}` : undefined;
      const [pid, ipc] = [joined(spec.pidMode, 'pid'), joined(spec.ipcMode, 'ipc')];
      return containerSpec({
        container,
        machine: host.machine,
        rootfs: rootfsOf(container),
        files,
        hostname: hostnameOf(container),
        netnsPath: owner ? netnsOf(owner) : (sandbox?.netns ?? ''),
        joins: { ...(pid === undefined ? {} : { pid }), ...(ipc === undefined ? {} : { ipc }) },
        shmPath: spec.ipcMode === 'host' ? '/dev/shm' : undefined,
        user,
        directorySources: new Set(mounts.filter(({ type, source }) => type === 'bind' && host.isDirectory(source)).map(({ source }) => source)),
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
    check(spec) {
      checkCapabilities(spec, host.machine.capabilities);
      parseSecurityOptions(spec.securityOpt);
    },
  };
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

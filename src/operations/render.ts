import type { HostObject, Operation } from './operation.ts';
import { nftFamily, OWN_TABLE } from './own-table.ts';

/** An operation as one line for people: logs, `explain`, tests. */
export const render = (operation: Operation): string => `${operation.action === 'add' ? '+' : '-'} ${renderObject(operation.object)}`;

export const renderAll = (operations: readonly Operation[]): string => operations.map(render).join('\n');

export const renderObject = (object: HostObject): string => {
  switch (object.kind) {
    case 'sysctl':
      return `sysctl ${object.key}=${object.value}`;
    case 'directory':
      return `directory ${object.path}`;
    case 'file':
      return `file ${object.path}`;
    case 'overlay':
      return `overlay ${object.merged} of ${object.lower.length} layers`;
    case 'mount':
      return `mount ${object.type} ${object.source} at ${object.target}${object.options === '' ? '' : ` (${object.options})`} for ${object.user.slice(0, 12)}`;
    case 'shared-memory':
      return `shared memory ${object.path} of ${object.size} bytes`;
    case 'subpath':
      return `subpath ${object.path} of ${object.volume} at ${object.target}`;
    case 'bridge':
      return `bridge ${[object.name, ...object.addresses].join(' ')}`;
    case 'netns':
      return `netns ${object.path}`;
    case 'veth':
      return `veth ${object.name} in ${object.bridge} to ${object.device} (${object.mac})`;
    case 'address':
      return `address ${object.cidr} on ${object.device}`;
    case 'route':
      return `route ${object.to} via ${object.via} on ${object.device}`;
    case 'chain':
      return `${object.family === 'ipv6' ? 'ipv6 ' : ''}${object.table} chain ${object.name}`;
    case 'rule':
      return `${object.family === 'ipv6' ? 'ipv6 ' : ''}${object.table} ${object.at === 'top' ? '-I' : '-A'} ${object.chain} ${object.spec.join(' ')}`;
    case 'element':
      return `nft ${nftFamily(object.family)} ${OWN_TABLE} ${object.set} ${object.element}`;
    case 'hairpin':
      return `hairpin on ${object.veth}`;
    case 'resolver':
      return `resolver ${object.address} of ${object.containerId.slice(0, 12)} asking ${object.servers.map(({ address, fromHost }) => (fromHost ? `host(${address})` : address)).join(' ') || 'nobody'}`;
    case 'host-port':
      return `host-port ${object.hostAddress}:${object.hostPort}${object.count === undefined ? '' : `-${object.hostPort + object.count - 1}`}/${object.protocol} to ${object.address}:${object.port}`;
  }
};

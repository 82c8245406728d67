import type { PortBinding } from './port.ts';

export type NetworkDriver = 'bridge' | 'host' | 'null';

/** One subnet of a network's IPAM, in CIDR form, with the bridge's own address in it. */
export type Subnet = {
  readonly cidr: string;
  /** The gateway, without the prefix length; undefined on networks that have none. */
  readonly gateway: string | undefined;
  readonly ipRange: string | undefined;
  readonly reserved: Readonly<Record<string, string>>;
};

/** A network: an id, a name, and for driver `bridge` a Linux bridge with its subnets. */
export type Network = {
  readonly id: string;
  readonly name: string;
  /** RFC 3339 with nanoseconds. */
  readonly created: string;
  readonly driver: NetworkDriver;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly subnets: readonly Subnet[];
  /** True for a subnet the client asked for, which alone allows addresses of the client's choosing. */
  readonly subnetsAsked: boolean;
  readonly ipamOptions: Readonly<Record<string, string>> | undefined;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Device name of the bridge: docker0 or br-<12 of the id>. Undefined for host and null networks. */
  readonly bridge: string | undefined;
};

/** Where one sandbox joins one network: a veth pair, its addresses and MAC. */
export type Endpoint = {
  readonly id: string;
  readonly networkId: string;
  readonly networkName: string;
  readonly bridge: string;
  /** The host's end of the pair: veth<7 hex>. */
  readonly veth: string;
  /** The name inside the sandbox: eth0, eth1... */
  readonly device: string;
  readonly mac: string;
  readonly address: string;
  readonly prefixLength: number;
  /** Undefined when the network has none. */
  readonly gateway: string | undefined;
  readonly mtu: number;
};

/** A container's network stack while it has one: everything about it on the host follows from this record. */
export type Sandbox = {
  readonly id: string;
  /** The namespace's path; '' when the container uses the host's network or another container's. */
  readonly netns: string;
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly PortBinding[];
};

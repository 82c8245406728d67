import type { ExposedPort, PortBinding } from './port.ts';

export type Family = 'ipv4' | 'ipv6';

export const familyOf = (address: string): Family => (address.includes(':') ? 'ipv6' : 'ipv4');

export type NetworkDriver = 'bridge' | 'host' | 'null';

/** One subnet of a network's IPAM, in CIDR form, with the bridge's own address in it. */
export type Subnet = {
  readonly cidr: string;
  /** The gateway, without the prefix length; undefined on networks that have none. */
  readonly gateway: string | undefined;
  readonly ipRange: string | undefined;
  readonly reserved: Readonly<Record<string, string>>;
  /** True for one the client chose, which alone allows addresses of the client's choosing. */
  readonly asked: boolean;
  readonly gatewayAsked: boolean;
};

/** A network as a client asks for it. */
export type NetworkRequest = {
  readonly name: string;
  readonly driver: string;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ipamDriver: string;
  readonly ipamOptions: Readonly<Record<string, string>> | undefined;
  /** `--config-only`: a configuration for others, no network of its own. */
  readonly configOnly: boolean;
  /** `--config-from`: the name of one; '' for none. */
  readonly configFrom: string;
  readonly subnets: readonly { readonly cidr: string; readonly ipRange: string; readonly gateway: string; readonly reserved: Readonly<Record<string, string>> }[];
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
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
  readonly ipamOptions: Readonly<Record<string, string>> | undefined;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Device name of the bridge: docker0 or br-<12 of the id>. Undefined for host and null networks. */
  readonly bridge: string | undefined;
  /** A configuration that networks are made from: on the host there is nothing of it. */
  readonly configOnly?: true;
  /** The name of the one that this network was made from. */
  readonly configFrom?: string;
};

/**
 * What a network's gateway does for its containers. `nat`: masks them and forwards published ports; `nat-unprotected`: and lets
 * in whoever knows a container's address; `routed`: opens published ports at the container's own address; `isolated`: nothing,
 * not even having an address there.
 */
export type GatewayMode = 'nat' | 'nat-unprotected' | 'routed' | 'isolated';

export type Interface = { readonly address: string; readonly prefixLength: number; /** Undefined when the network has none. */ readonly gateway: string | undefined };

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
  /** IPv4; '' on networks without it. */
  readonly address: string;
  readonly prefixLength: number;
  /** Undefined when the network has none. */
  readonly gateway: string | undefined;
  readonly ipv6: Interface | undefined;
  readonly mtu: number;
  readonly gatewayModes: Readonly<Record<Family, GatewayMode>>;
  readonly gwPriority: number;
  /** Names it has on this network besides the container's own, and NAME:ALIAS of others that it alone knows. */
  readonly aliases: readonly string[];
  readonly links: readonly string[];
  /** Kernel settings of its interface, from `--driver-opt`. */
  readonly sysctls: Readonly<Record<string, string>>;
};

/** What an endpoint has of each family it takes part in. */
export const interfacesOf = ({ address, prefixLength, gateway, ipv6 }: Endpoint): readonly Interface[] => [
  ...(address === '' ? [] : [{ address, prefixLength, gateway }]),
  ...(ipv6 ? [ipv6] : []),
];

/** A container's network stack while it has one: everything about it on the host follows from this record. */
export type Sandbox = {
  readonly id: string;
  /** The namespace's path; '' when the container uses the host's network or another container's. */
  readonly netns: string;
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly PortBinding[];
  /** The name server at 127.0.0.11 in it, which containers on a network of a user's have. */
  readonly resolver?: Resolver;
  /** Containers of the default bridge that it knows by names of its own (`--link`); absent: none. */
  readonly links?: readonly SandboxLink[];
};

/** Where a linked container is for as long as both run. */
export type SandboxLink = {
  readonly childId: string;
  /** As /etc/hosts has them: the alias first. */
  readonly names: readonly string[];
  readonly addresses: readonly string[];
  /** What the network shuts for others (enable_icc=false) and opens for this one; none where nothing is shut. */
  readonly opens: readonly ExposedPort[];
};

export type Resolver = {
  /** Whom it asks what it does not know, in this order. */
  readonly servers: readonly NameServer[];
  /** The user or the host chose `ndots`: names of one label are not asked elsewhere. */
  readonly ndots: boolean;
};

export type NameServer = {
  readonly address: string;
  /** To be asked from the host's own network: a loopback address of the host, or one the container has no way to. */
  readonly fromHost: boolean;
};

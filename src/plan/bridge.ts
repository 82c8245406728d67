import { isIP, isIPv4, isIPv6 } from 'node:net';
import { invalid } from '../model/errors.ts';
import { familyOf, type Family, type GatewayMode, type Network } from '../model/network.ts';
import type { HostObject } from '../operations/operation.ts';

/** A bridge network's options, read. */
export type BridgeSettings = {
  /** '': br- and the start of the network's id. */
  readonly name: string;
  readonly mtu: number;
  /** Whether its containers may reach each other. */
  readonly icc: boolean;
  readonly masquerade: boolean;
  /** The source address that containers get on their way out instead of the one that leads there. */
  readonly sources: Readonly<Record<Family, string | undefined>>;
  readonly gatewayModes: Readonly<Record<Family, GatewayMode>>;
  /** The bridge goes without its IPv4 address. */
  readonly inhibitIpv4: boolean;
  /** Where ports are published that name no address; undefined: as the daemon says. */
  readonly hostBinding: string | undefined;
  readonly devicePrefix: string;
};

const [BRIDGE, DRIVER] = ['com.docker.network.bridge.', 'com.docker.network.driver.'];
const DEVICE_PREFIX = 'com.docker.network.container_iface_prefix';

const DEFAULT_MTU = 1500;

/** Refuses what can not be read, in the reference engine's words. */
export const bridgeSettings = ({ options }: Pick<Network, 'options'>): BridgeSettings => ({
  name: options[`${BRIDGE}name`] ?? '',
  mtu: mtuOf(options),
  icc: flag(options, `${BRIDGE}enable_icc`, true),
  masquerade: flag(options, `${BRIDGE}enable_ip_masquerade`, true),
  sources: { ipv4: address(options, 'com.docker.network.host_ipv4', isIPv4), ipv6: address(options, 'com.docker.network.host_ipv6', isIPv6) },
  gatewayModes: { ipv4: gatewayMode(options, `${BRIDGE}gateway_mode_ipv4`), ipv6: gatewayMode(options, `${BRIDGE}gateway_mode_ipv6`) },
  inhibitIpv4: flag(options, `${BRIDGE}inhibit_ipv4`, false),
  hostBinding: address(options, `${BRIDGE}host_binding_ipv4`, (text) => isIP(text) !== 0),
  devicePrefix: devicePrefix(options[DEVICE_PREFIX]),
});

/** The bridge itself. Without a gateway's address in isolated mode: then the host is not there either. */
export const bridgeObject = (network: Network & { readonly bridge: string }): HostObject => {
  const { mtu, icc, inhibitIpv4, gatewayModes } = bridgeSettings(network);
  return {
    kind: 'bridge',
    name: network.bridge,
    addresses: network.subnets.flatMap(({ cidr, gateway }) => {
      const family = familyOf(cidr);
      if (gateway === undefined || gatewayModes[family] === 'isolated' || (family === 'ipv4' && inhibitIpv4)) return [];
      return [`${gateway}/${cidr.split('/')[1]}`];
    }),
    mtu,
    // Its own, and the same for ever: else it would have that of a port, and another when that one goes.
    mac: ['02', ...(network.id.slice(0, 10).match(/../g) ?? [])].join(':'),
    networkId: network.id,
    // What goes from one port to another is not routed, and passes no rule by itself.
    ...(icc ? {} : { filtered: true }),
  };
};

/** What a device may be called: 15 bytes, and none that a rule or a path would understand otherwise. */
export const checkDeviceName = (name: string, what: string): void => {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(name))
    throw invalid(`invalid ${what} ${JSON.stringify(name)}: 1 to 15 letters, digits, '_', '.' and '-' expected, beginning with a letter, a digit or '_'`);
};

type Options = Network['options'];

const refused = (key: string, value: string, why: string): Error => invalid(`failed to parse ${key} value: ${value} (${why})`);

const flag = (options: Options, key: string, absent: boolean): boolean => {
  const value = options[key];
  if (value === undefined) return absent;
  if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false;
  throw refused(key, value, `strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
};

const mtuOf = (options: Options): number => {
  const key = `${DRIVER}mtu`;
  const value = options[key] ?? '0';
  if (!/^[+-]?\d+$/.test(value)) throw refused(key, value, `strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`);
  // 65535 is the kernel's own limit for a bridge.
  if (Number(value) < 0 || Number(value) > 65535) throw invalid(`invalid MTU number: ${value}`);
  return Number(value) || DEFAULT_MTU;
};

const address = (options: Options, key: string, fits: (text: string) => boolean): string | undefined => {
  const value = options[key];
  if (value !== undefined && !fits(value)) throw refused(key, value, 'nil ip');
  return value;
};

const MODES: readonly string[] = ['nat', 'nat-unprotected', 'routed', 'isolated'] satisfies GatewayMode[];

const gatewayMode = (options: Options, key: string): GatewayMode => {
  const value = options[key] ?? 'nat';
  if (!MODES.includes(value)) throw refused(key, value, `unknown gateway mode ${value}`);
  return value as GatewayMode;
};

/** With a number behind it, it has to be a device's name still. */
const devicePrefix = (prefix = 'eth'): string => {
  checkDeviceName(`${prefix}0`, 'interface prefix');
  if (prefix.length > 12) throw invalid(`invalid interface prefix ${JSON.stringify(prefix)}: at most 12 bytes`);
  return prefix;
};

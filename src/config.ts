import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { flagsOfFile } from './config-file.ts';
import { messageOf } from './model/errors.ts';
import { parseAddressPool, type AddressPool } from './plan/subnets.ts';
import { UsageError } from './usage-error.ts';

export { UsageError };

/** What the daemon was told at its start, in dockerd's own flag names. */
export type Config = {
  readonly hosts: readonly string[];
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly pidFile: string | undefined;
  /** Address of docker0 with its prefix length. */
  readonly bip: string | undefined;
  readonly bip6: string | undefined;
  /** Whether the default bridge has IPv6. */
  readonly ipv6: boolean;
  /** Where containers of the default bridge get their addresses from. */
  readonly fixedCidr: string | undefined;
  readonly fixedCidr6: string | undefined;
  readonly gateway: string | undefined;
  readonly gateway6: string | undefined;
  readonly hostGateway: readonly string[];
  /** Options of new bridge networks. */
  readonly networkOptions: Readonly<Record<string, string>>;
  readonly addressPools: readonly AddressPool[];
  readonly mtu: number;
  readonly icc: boolean;
  readonly iptables: boolean;
  readonly ip6tables: boolean;
  readonly ipForward: boolean;
  readonly ipMasquerade: boolean;
  /** Where ports are published that name no address. */
  readonly publishAddress: string;
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly defaultRuntime: string | undefined;
  readonly logLevel: LogLevel;
  /** --group; undefined: docker, where there is such a group. */
  readonly group: string | undefined;
  /** Containers go on when the daemon is told to end. */
  readonly liveRestore: boolean;
  readonly labels: readonly string[];
};

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'fatal';
const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'fatal'];

export const VERSION_LINE = 'berthd version 0.1.0, Docker Engine API 1.51 (minimum 1.24)';

const string = { type: 'string' } as const;
const strings = { type: 'string', multiple: true } as const;
const FLAGS = {
  host: { ...strings, short: 'H' },
  'data-root': string,
  'exec-root': string,
  pidfile: { ...string, short: 'p' },
  'config-file': string,
  bip: string,
  bip6: string,
  ipv6: string,
  'fixed-cidr': string,
  'fixed-cidr-v6': string,
  'default-gateway': string,
  'default-gateway-v6': string,
  'host-gateway-ip': strings,
  'default-network-opt': strings,
  'default-address-pool': strings,
  mtu: string,
  icc: string,
  iptables: string,
  ip6tables: string,
  'ip-forward': string,
  'ip-masq': string,
  ip: string,
  dns: strings,
  'dns-search': strings,
  'dns-opt': strings,
  'default-runtime': string,
  'log-level': { ...string, short: 'l' },
  debug: { type: 'boolean', short: 'D' },
  group: { ...string, short: 'G' },
  label: strings,
  'userland-proxy': string,
  'live-restore': string,
  version: { type: 'boolean', short: 'v' },
  help: { type: 'boolean', short: 'h' },
} as const;

const BOOLEANS: ReadonlySet<string> = new Set(['ipv6', 'icc', 'iptables', 'ip6tables', 'ip-forward', 'ip-masq', 'userland-proxy', 'live-restore', 'debug']);

export const USAGE = `Usage: berthd [OPTIONS]

A Docker Engine API-compatible engine.

  -H, --host list                  unix:// socket(s) to listen on (default unix:///run/berth/berth.sock)
      --data-root string           where images, volumes and containers are kept (default /var/lib/berth)
      --exec-root string           where running state is kept (default /run/berth)
      --config-file string         a file of these flags in JSON, as dockerd's daemon.json
  -p, --pidfile string             file for the daemon's process id
      --bip string                 address of the default bridge, with its prefix length (default 172.17.0.1/16)
      --bip6 string                IPv6 address of the default bridge, with its prefix length
      --ipv6 bool                  IPv6 on the default bridge (default false)
      --fixed-cidr string, --fixed-cidr-v6 string
                                   where containers of the default bridge get their addresses from
      --default-gateway ip, --default-gateway-v6 ip
                                   where they send what is for elsewhere (default: the bridge)
      --host-gateway-ip list       what host-gateway stands for in --add-host (default: the default bridge)
      --default-network-opt list   bridge=OPTION=VALUE: options of new networks
      --default-address-pool list  base=CIDR,size=BITS: where subnets of new networks are cut from
      --mtu int                    MTU of the default bridge (default 1500)
      --icc bool                   let containers of the default bridge reach each other (default true)
      --iptables bool              make firewall rules (default true)
      --ip6tables bool             make IPv6 firewall rules (default true)
      --ip-forward bool            switch the kernel's forwarding on (default true)
      --ip-masq bool               masquerade what leaves the default bridge (default true)
      --ip ip                      host address of published ports that name none (default 0.0.0.0)
      --dns list, --dns-search list, --dns-opt list
      --default-runtime string     crun or runc (default: crun where it works, else runc)
  -l, --log-level string           debug, info, warn, error or fatal (default info)
  -G, --group string               group that may use the socket (default docker, where there is one)
      --live-restore bool          let containers go on when the daemon ends (default true)
      --label list                 key=value labels of the daemon
  -v, --version                    print the version and exit
`;

/** Reads the command line as dockerd does; UsageError says what is wrong with it. */
export const parseConfig = (argv: readonly string[]): Config | 'help' | 'version' => {
  const given = parse(argv);
  const file = given.values['config-file'];
  const { values } = file === undefined ? given : parse([...argv, ...flagsOfFile(file, new Set(Object.keys(given.values)), new Set(Object.keys(FLAGS)))]);
  if (values.help) return 'help';
  if (values.version) return 'version';
  const hosts = values.host ?? ['unix:///run/berth/berth.sock'];
  for (const host of hosts) if (!/^unix:\/\/\/./.test(host)) throw new UsageError(`unsupported host "${host}": berth listens on unix:///PATH`);
  const logLevel = values.debug ? 'debug' : (values['log-level'] ?? 'info');
  if (!isLevel(logLevel)) throw new UsageError(`invalid logging level: ${logLevel}`);
  return {
    hosts,
    dataRoot: absolute('data-root', values['data-root'] ?? '/var/lib/berth'),
    execRoot: absolute('exec-root', values['exec-root'] ?? '/run/berth'),
    pidFile: values.pidfile,
    bip: values.bip,
    bip6: values.bip6,
    ipv6: flag('ipv6', values.ipv6 ?? 'false'),
    fixedCidr: values['fixed-cidr'],
    fixedCidr6: values['fixed-cidr-v6'],
    gateway: address('default-gateway', values['default-gateway']),
    gateway6: address('default-gateway-v6', values['default-gateway-v6']),
    hostGateway: (values['host-gateway-ip'] ?? []).map((value) => address('host-gateway-ip', value) ?? ''),
    networkOptions: Object.fromEntries((values['default-network-opt'] ?? []).map(networkOption)),
    addressPools: (values['default-address-pool'] ?? []).map(pool),
    mtu: number('mtu', values.mtu ?? '1500'),
    icc: flag('icc', values.icc),
    iptables: flag('iptables', values.iptables),
    ip6tables: flag('ip6tables', values.ip6tables),
    ipForward: flag('ip-forward', values['ip-forward']),
    ipMasquerade: flag('ip-masq', values['ip-masq']),
    publishAddress: address('ip', values.ip) ?? '0.0.0.0',
    dns: (values.dns ?? []).map((value) => address('dns', value) ?? ''),
    dnsSearch: values['dns-search'] ?? [],
    dnsOptions: values['dns-opt'] ?? [],
    defaultRuntime: values['default-runtime'],
    logLevel,
    group: values.group,
    liveRestore: flag('live-restore', values['live-restore']),
    labels: values.label ?? [],
  };
};

const parse = (argv: readonly string[]) => {
  // dockerd takes `--icc=false` and a bare `--icc`; a bare one means true.
  const args = argv.map((arg) => (arg.startsWith('--') && BOOLEANS.has(arg.slice(2)) && arg !== '--debug' ? `${arg}=true` : arg));
  try {
    return parseArgs({ args, options: FLAGS, strict: true, allowPositionals: false });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
};

const isLevel = (text: string): text is LogLevel => (LEVELS as readonly string[]).includes(text);

const absolute = (name: string, value: string): string => {
  if (!value.startsWith('/') || /[,:\n]/.test(value)) throw new UsageError(`--${name} must be an absolute path without commas, colons or line breaks: ${value}`);
  return value.length > 1 ? value.replace(/\/+$/, '') : value;
};

const address = (name: string, value: string | undefined): string | undefined => {
  if (value !== undefined && isIP(value) === 0) throw new UsageError(`invalid argument "${value}" for --${name}: ip address is not correctly formatted`);
  return value;
};

const networkOption = (text: string): readonly [string, string] => {
  const [, key = '', value = ''] = /^bridge=([^=]+)=(.*)$/.exec(text) ?? [];
  if (key === '') throw new UsageError(`invalid argument "${text}" for --default-network-opt: bridge=OPTION=VALUE expected`);
  return [key, value];
};

const number = (name: string, value: string): number => {
  if (!/^\d{1,9}$/.test(value)) throw new UsageError(`invalid argument "${value}" for --${name}`);
  return Number(value);
};

const flag = (name: string, value: string | undefined): boolean => {
  if (value === undefined || ['true', '1', 't'].includes(value.toLowerCase())) return true;
  if (['false', '0', 'f'].includes(value.toLowerCase())) return false;
  throw new UsageError(`invalid argument "${value}" for --${name}`);
};

const pool = (text: string): AddressPool => {
  try {
    return parseAddressPool(text);
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
};

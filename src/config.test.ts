import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { parseConfig, UsageError } from './config.ts';

const parsed = (...argv: string[]) => {
  const config = parseConfig(argv);
  assert.ok(typeof config === 'object');
  return config;
};

test('without a flag: a socket, roots, everything on', () => {
  const { hosts, dataRoot, execRoot, mtu, iptables, ipForward, icc, defaultRuntime } = parsed();
  assert.deepEqual({ hosts, dataRoot, execRoot, mtu, iptables, ipForward, icc, defaultRuntime }, {
    hosts: ['unix:///run/berth/berth.sock'], dataRoot: '/var/lib/berth', execRoot: '/run/berth', mtu: 1500, iptables: true, ipForward: true, icc: true, defaultRuntime: undefined,
  });
});

test('dockerd’s own flags, in its spellings', () => {
  const config = parsed('-H', 'unix:///a.sock', '-H', 'unix:///b.sock', '--data-root', '/d/', '--exec-root=/e', '-p', '/p', '--bip', '10.1.0.1/24', '--icc=false', '--iptables', '--ip-forward=0',
    '--default-address-pool', 'base=10.9.0.0/16,size=24', '--dns', '1.2.3.4', '--dns', '1.2.3.5', '--mtu', '1400', '--default-runtime', 'runc', '-l', 'warn');
  const { hosts, dataRoot, execRoot, pidFile, bip, icc, iptables, ipForward, addressPools, dns, mtu, defaultRuntime, logLevel } = config;
  assert.deepEqual({ hosts, dataRoot, execRoot, pidFile, bip, icc, iptables, ipForward, addressPools, dns, mtu, defaultRuntime, logLevel }, {
    hosts: ['unix:///a.sock', 'unix:///b.sock'], dataRoot: '/d', execRoot: '/e', pidFile: '/p', bip: '10.1.0.1/24', icc: false, iptables: true, ipForward: false,
    addressPools: [{ base: '10.9.0.0/16', size: 24 }], dns: ['1.2.3.4', '1.2.3.5'], mtu: 1400, defaultRuntime: 'runc', logLevel: 'warn',
  });
});

test('mistakes are said before anything is touched', () => {
  for (const [argv, words] of [
    [['--nosuch'], /nosuch/],
    [['-H', 'tcp://0.0.0.0:2375'], /unsupported host "tcp:\/\/0\.0\.0\.0:2375"/],
    [['--data-root', 'relative'], /--data-root must be an absolute path/],
    [['--data-root', '/with,comma'], /--data-root must be an absolute path/],
    [['--mtu', 'x'], /invalid argument "x" for --mtu/],
    [['--icc=maybe'], /invalid argument "maybe" for --icc/],
    [['--log-level', 'loud'], /invalid logging level: loud/],
    [['--default-address-pool', 'size=24'], /invalid address pool/],
    [['--dns', 'example'], /invalid argument "example" for --dns: ip address is not correctly formatted/],
    [['--default-network-opt', 'overlay=a=b'], /bridge=OPTION=VALUE expected/],
    [['left', 'over'], /left/],
  ] as const)
    assert.throws(() => parseConfig(argv), (error) => error instanceof UsageError && words.test(error.message), argv.join(' '));
});

test('--config-file: the same flags, in the spellings of daemon.json', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'berth-config-'));
  const file = path.join(directory, 'daemon.json');
  const written = (content: unknown, ...argv: string[]) => {
    fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    return parsed('--config-file', file, ...argv);
  };
  try {
    const { hosts, mtu, icc, addressPools, dns, networkOptions, labels } = written({
      hosts: ['unix:///a.sock'], debug: true, mtu: 1400, icc: false, dns: ['192.0.2.1', '192.0.2.2'], labels: ['a=b'],
      'default-address-pools': [{ base: '10.9.0.0/16', size: 24 }], 'default-network-opts': { bridge: { 'com.docker.network.driver.mtu': '1300' } },
    });
    assert.deepEqual({ hosts, mtu, icc, addressPools, dns, networkOptions, labels }, {
      hosts: ['unix:///a.sock'], mtu: 1400, icc: false, addressPools: [{ base: '10.9.0.0/16', size: 24 }], dns: ['192.0.2.1', '192.0.2.2'],
      networkOptions: { 'com.docker.network.driver.mtu': '1300' }, labels: ['a=b'],
    });
    assert.equal(written({ debug: true }).logLevel, 'debug');
    assert.equal(written('').mtu, 1500);
    for (const [content, argv, words] of [
      [{ nosuch: 1 }, [], /the following directives don't match any configuration option: nosuch/],
      [{ host: 'unix:///a' }, [], /don't match any configuration option: host/],
      [{ mtu: 1400 }, ['--mtu', '1300'], /specified both as a flag and in the configuration file: mtu/],
      ['{', [], /unable to configure the daemon with file /],
      ['[]', [], /an object expected/],
      [{ mtu: { a: 1 } }, [], /mtu: a string, a number or a boolean expected/],
    ] as const)
      assert.throws(() => written(content, ...argv), (error) => error instanceof UsageError && words.test(error.message), JSON.stringify(content));
    fs.rmSync(file);
    assert.throws(() => parsed('--config-file', file), UsageError);
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
});

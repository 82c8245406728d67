import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exposedPort } from '../model/port.ts';
import { parseCreate } from './container-create.ts';
import { options } from './fake.ts';

const parse = (body: unknown, query = '') => parseCreate(body, new URLSearchParams(query), options.defaults);
const withHost = (HostConfig: object) => parse({ Image: 'busybox', HostConfig });

/** Each tried on a reference engine. */
const refused: readonly (readonly [body: object, message: string])[] = [
  [{}, 'config cannot be empty in order to create a container'],
  [{ HostConfig: {} }, 'config cannot be empty in order to create a container'],
  [{ Image: 'a', Env: [''] }, 'invalid environment variable: '],
  [{ Image: 'a', WorkingDir: 'rel' }, "the working directory 'rel' is invalid, it needs to be an absolute path"],
  [{ Image: 'a', Healthcheck: { Interval: 5 } }, 'Interval in Healthcheck cannot be less than 1ms'],
  [{ Image: 'a', HostConfig: { Memory: 1 } }, 'Minimum memory limit allowed is 6MB'],
  [{ Image: 'a', HostConfig: { Memory: -1 } }, 'Minimum memory limit allowed is 6MB'],
  [{ Image: 'a', HostConfig: { MemorySwap: 5 } }, 'You should always set the Memory limit when using Memoryswap limit, see usage'],
  [{ Image: 'a', HostConfig: { NanoCpus: 99999999999999 } }, 'Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available'],
  [{ Image: 'a', HostConfig: { PortBindings: { x: [{}] } } }, 'invalid port specification: "x"'],
  [{ Image: 'a', HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '99999' }] } } }, 'invalid port specification: "99999"'],
  [{ Image: 'a', HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '90-80' }] } } }, 'invalid port specification: "90-80"'],
  [{ Image: 'a', HostConfig: { RestartPolicy: { Name: 'bad' } } }, "invalid restart policy: unknown policy 'bad'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"],
  [{ Image: 'a', HostConfig: { RestartPolicy: { Name: 'always' }, AutoRemove: true } }, "can't create 'AutoRemove' container with restart policy"],
  [{ Image: 'a', HostConfig: { NetworkMode: 'container:x', PublishAllPorts: true } }, 'conflicting options: port publishing and the container type network mode'],
  [{ Image: 'a', HostConfig: { IpcMode: 'bad' } }, 'invalid IPC mode: bad'],
  [{ Image: 'a', HostConfig: { ExtraHosts: ['bad'] } }, 'bad format for add-host: "bad"'],
  [{ Image: 'a', MacAddress: 'bad' }, 'invalid config for network bridge: invalid MAC address bad'],
  [{ Image: 'a', NetworkingConfig: { EndpointsConfig: { a: { IPAMConfig: { IPv4Address: 'bad' } } } } }, 'invalid config for network a: invalid endpoint settings:\ninvalid IPv4 address: bad'],
  [{ Image: 'a', NetworkingConfig: { EndpointsConfig: { a: null } } }, 'invalid config for network a: EndpointsConfig is nil'],
];

for (const [body, message] of refused) test(`refused: ${message.slice(0, 70)}`, () => assert.throws(() => parse(body), { message, kind: 'invalid-parameter' }));

test('what is left open is filled in', () => {
  const { spec, asked } = withHost({ Memory: 33554432, PidsLimit: -1, MemorySwappiness: -1, CapAdd: 'NET_ADMIN' }).request;
  assert.equal(asked.hostConfig['MemorySwap'], 67108864);
  assert.equal(spec.resources.memorySwap, 67108864);
  assert.equal(asked.hostConfig['PidsLimit'], null);
  assert.equal(asked.hostConfig['MemorySwappiness'], null);
  assert.equal(asked.hostConfig['OomKillDisable'], false);
  assert.equal(asked.hostConfig['PortBindings'], null);
  assert.deepEqual(asked.hostConfig['CapAdd'], ['NET_ADMIN']);
  assert.equal(spec.maskedPaths, undefined);
  assert.deepEqual(spec.restart, { name: 'no', maximum: 0 });
});

test('privileged: nothing masked, no labels', () => {
  const { spec, asked } = withHost({ Privileged: true }).request;
  assert.deepEqual(spec.maskedPaths, []);
  assert.equal(asked.hostConfig['MaskedPaths'], null);
  assert.deepEqual(asked.hostConfig['SecurityOpt'], ['label=disable']);
});

test('empty options are left out of what is shown, and pointers are not', () => {
  const asked = withHost({ Annotations: {}, Init: false, Tmpfs: { '/t': '' }, Mounts: [{ Type: 'volume', Target: '/a', VolumeOptions: { NoCopy: true, DriverConfig: {} } }] }).request.asked.hostConfig;
  assert.ok(!('Annotations' in asked) && !('Sysctls' in asked));
  assert.equal(asked['Init'], false);
  assert.deepEqual(asked['Tmpfs'], { '/t': '' });
  assert.deepEqual(asked['Mounts'], [{ Type: 'volume', Target: '/a', VolumeOptions: { NoCopy: true, DriverConfig: {} } }]);
});

test('networks: configured ones instead of the mode, its own first; none for host and none', () => {
  const networks = (body: object): string[] => parse({ Image: 'a', ...body }).request.spec.endpoints.map(({ network }) => network);
  assert.deepEqual(networks({}), ['bridge']);
  assert.deepEqual(networks({ NetworkingConfig: { EndpointsConfig: { default: {} } } }), ['bridge']);
  assert.deepEqual(networks({ NetworkingConfig: { EndpointsConfig: { b: {}, a: {} } }, HostConfig: { NetworkMode: 'a' } }), ['a', 'b']);
  assert.deepEqual(networks({ HostConfig: { NetworkMode: 'host' } }), []);
  assert.deepEqual(networks({ HostConfig: { NetworkMode: 'container:x' } }), []);
});

test('ports', () => {
  const { spec } = parse({
    Image: 'a',
    ExposedPorts: { '80': {}, '53/UDP': {}, '90-91/tcp': {} },
    HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '' }, { HostIp: '127.0.0.1', HostPort: '8000-8010' }], '81/tcp': null } },
  }).request;
  assert.deepEqual(new Set(spec.exposedPorts.map(exposedPort)), new Set(['80/tcp', '53/udp', '90/tcp', '91/tcp']));
  assert.deepEqual(spec.portRequests, [
    { port: 80, protocol: 'tcp', hostAddress: '', hostPorts: undefined },
    { port: 80, protocol: 'tcp', hostAddress: '127.0.0.1', hostPorts: { first: 8000, last: 8010 } },
  ]);
});

test('a MAC for the whole container goes to its first network, with a warning', () => {
  const { request, warnings } = parse({ Image: 'a', MacAddress: '02:42:ac:11:00:09' });
  assert.equal(request.spec.endpoints[0]?.mac, '02:42:ac:11:00:09');
  assert.match(warnings[0] ?? '', /MacAddress field is now deprecated/);
});

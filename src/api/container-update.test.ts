import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseUpdate } from './container-update.ts';
import { options } from './fake.ts';

const parse = (body: unknown) => parseUpdate(body, { ...options.defaults, blkioWeight: false });

test('zero and nothing are silence', () => {
  assert.deepEqual(parse({ Memory: 0, CpusetCpus: '', PidsLimit: null, CpuShares: 5, RestartPolicy: { Name: '' } }).request, {
    resources: { cpuShares: 5 },
    restart: undefined,
    ports: undefined,
    asked: { CpuShares: 5 },
  });
  assert.deepEqual(parse(undefined).request, { resources: {}, restart: undefined, ports: undefined, asked: {} });
});

test('a restart policy', () => {
  const { restart, asked } = parse({ RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 4 } }).request;
  assert.deepEqual([restart, asked], [{ name: 'on-failure', maximum: 4 }, { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 4 } }]);
});

test('ports, beside the limits or in a HostConfig; nothing is silence, and none is none', () => {
  const bindings = { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }] };
  const ports = [{ port: 80, protocol: 'tcp', hostAddress: '127.0.0.1', hostPorts: { first: 8080, last: 8080 } }];
  for (const body of [{ PortBindings: bindings }, { HostConfig: { PortBindings: bindings } }]) {
    const { request } = parse(body);
    assert.deepEqual([request.ports, request.asked], [ports, { PortBindings: bindings }]);
  }
  for (const body of [{ PortBindings: null }, { HostConfig: {} }, { HostConfig: null }]) assert.equal(parse(body).request.ports, undefined);
  assert.deepEqual(parse({ HostConfig: { PortBindings: {} } }).request.ports, []);
});

test('what the kernel can not do is left out, and told', () => {
  const { request, warnings } = parse({ BlkioWeight: 500 });
  assert.deepEqual(request.resources, {});
  assert.deepEqual(warnings, ['Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.']);
});

for (const [body, message] of [
  [{ Memory: 1000 }, 'Minimum memory limit allowed is 6MB'],
  [{ NanoCpus: 90e9 }, 'Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available'],
  [{ CpusetCpus: '0-99' }, 'Requested CPUs are not available - requested 0-99, available: 0-1'],
  [{ CpusetMems: '1' }, 'Requested memory nodes are not available - requested 1, available: 0'],
  [{ CpusetCpus: '1-0' }, 'Invalid value 1-0 for cpuset cpus: invalid format: 1-0'],
  [{ PortBindings: { '80/foo': [{}] } }, 'invalid protocol: foo'],
  [{ HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '90-80' }] } } }, 'invalid port specification: "90-80"'],
  [{ HostConfig: { PortBindings: [] } }, 'invalid JSON: json: cannot unmarshal array into Go struct field HostConfig.HostConfig.PortBindings of type nat.PortMap'],
  [{ Memory: 'x' }, 'invalid JSON: json: cannot unmarshal string into Go struct field UpdateConfig.Resources.Memory of type int64'],
] as const) {
  test(message, () => assert.throws(() => parse(body), { message, kind: 'invalid-parameter' }));
}

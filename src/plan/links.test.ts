import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import { linkEnvironment, linkHosts, linksOf } from './links.ts';

const child = {
  name: 'db', spec: { networkMode: 'bridge', hostname: '20469cabbfbe', exposedPorts: [{ port: 53, protocol: 'udp' }, { port: 5433, protocol: 'tcp' }, { port: 5432, protocol: 'tcp' }], env: ['A=b', 'PATH=/bin', 'HOME=/', 'EMPTY'] },
  sandbox: { endpoints: [{ networkName: 'bridge', address: '172.17.0.2' }] },
} as unknown as Container;
const parent = (...links: string[]): Container => ({ name: 'web', spec: { networkMode: 'bridge', links } }) as unknown as Container;
const find = (one: Container) => () => one;

test('a name of one\'s own for another container', () => {
  const links = linksOf(parent('db:my-db'), find(child));
  assert.deepEqual(linkHosts(links), [{ address: '172.17.0.2', names: ['my-db', '20469cabbfbe', 'db'] }]);
  assert.deepEqual(linkHosts(linksOf(parent('/db'), find(child))), [{ address: '172.17.0.2', names: ['db', '20469cabbfbe'] }]);
  assert.deepEqual(linkEnvironment('web', links), [
    'MY_DB_PORT=tcp://172.17.0.2:5432',
    'MY_DB_PORT_5432_TCP=tcp://172.17.0.2:5432', 'MY_DB_PORT_5432_TCP_ADDR=172.17.0.2', 'MY_DB_PORT_5432_TCP_PORT=5432', 'MY_DB_PORT_5432_TCP_PROTO=tcp',
    'MY_DB_PORT_5433_TCP=tcp://172.17.0.2:5433', 'MY_DB_PORT_5433_TCP_ADDR=172.17.0.2', 'MY_DB_PORT_5433_TCP_PORT=5433', 'MY_DB_PORT_5433_TCP_PROTO=tcp',
    'MY_DB_PORT_53_UDP=udp://172.17.0.2:53', 'MY_DB_PORT_53_UDP_ADDR=172.17.0.2', 'MY_DB_PORT_53_UDP_PORT=53', 'MY_DB_PORT_53_UDP_PROTO=udp',
    'MY_DB_PORT_5432_TCP_START=tcp://172.17.0.2:5432', 'MY_DB_PORT_5432_TCP_PORT_START=5432', 'MY_DB_PORT_5432_TCP_END=tcp://172.17.0.2:5433', 'MY_DB_PORT_5432_TCP_PORT_END=5433',
    'MY_DB_NAME=/web/my-db', 'MY_DB_ENV_A=b',
  ]);
});

test('only to those who run, on the default bridge', () => {
  assert.throws(() => linksOf(parent('db:x'), find({ ...child, sandbox: undefined })), { message: 'Cannot link to a non running container: /db AS /web/x' });
  assert.throws(() => linksOf(parent('db:x'), find({ ...child, spec: { ...child.spec, networkMode: 'front' } })), { message: 'Cannot link to /db, as it does not belong to the default network' });
});

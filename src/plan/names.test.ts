import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Container } from '../model/container.ts';
import type { Endpoint, Network, NameServer } from '../model/network.ts';
import { emptyState, type State } from '../model/state.ts';
import { lookupName } from './names.ts';

type Joined = { readonly network: string; readonly address: string; readonly ipv6?: string; readonly aliases?: readonly string[]; readonly links?: readonly string[] };

const id = (name: string): string => Buffer.from(name).toString('hex').padEnd(64, '0');
const servers: readonly NameServer[] = [{ address: '192.0.2.53', fromHost: false }];

const container = (name: string, joined: readonly Joined[], { hostname = id(name).slice(0, 12), ndots = false, stopped = false } = {}): Container =>
  ({
    id: id(name),
    name,
    spec: { hostname },
    sandbox: stopped
      ? undefined
      : {
          endpoints: joined.map(
            ({ network, address, ipv6, aliases = [], links = [] }) =>
              ({ networkId: id(network), networkName: network, address, ipv6: ipv6 === undefined ? undefined : { address: ipv6 }, aliases, links, gwPriority: 0 }) as unknown as Endpoint,
          ),
          resolver: { servers, ndots },
        },
  }) as unknown as Container;

const networks = new Map<string, Network>(['bridge', 'n1', 'n2', 'n6', 'a.dot', 'shut'].map((name) => [id(name), { id: id(name), name, internal: name === 'shut' } as Network]));

const state = (...containers: readonly Container[]): State => ({ ...emptyState, networks, containers: new Map(containers.map((each) => [each.id, each])) });

const everybody = state(
  container('web', [{ network: 'n1', address: '172.18.0.2', aliases: ['www', 'MiXed'] }], { hostname: 'webhost' }),
  container('w2', [{ network: 'n1', address: '172.18.0.4', aliases: ['www'] }]),
  container('cli', [
    { network: 'n1', address: '172.18.0.3', links: ['web:linked', 'nosuch:broken'] },
    { network: 'n2', address: '172.19.0.2' },
    { network: 'a.dot', address: '172.25.0.3' },
    { network: 'bridge', address: '172.17.0.2' },
  ]),
  container('far', [{ network: 'n2', address: '172.19.0.3' }]),
  container('dotted', [{ network: 'a.dot', address: '172.25.0.2' }]),
  container('gone', [{ network: 'n1', address: '' }], { stopped: true }),
  container('plain', [{ network: 'bridge', address: '172.17.0.3' }]),
  container('both', [{ network: 'n6', address: '172.24.0.2', ipv6: 'fd00:5::2' }]),
  container('only6', [{ network: 'n6', address: '', ipv6: 'fd00:5::3' }]),
  container('searcher', [{ network: 'n1', address: '172.18.0.6' }], { ndots: true }),
  container('inmate', [{ network: 'shut', address: '172.23.0.2' }]),
  container('go-between', [{ network: 'shut', address: '172.23.0.3' }, { network: 'n1', address: '172.18.0.5' }]),
);
const asked = (from: string, name: string, type: Parameters<typeof lookupName>[3] = 'A') => lookupName(everybody, id(from), name, type);

describe('names on a network', () => {
  for (const [name, answer] of [
    ['web', ['172.18.0.2']],
    ['www', ['172.18.0.2', '172.18.0.4']],
    ['mixed', ['172.18.0.2']],
    ['webhost', ['172.18.0.2']],
    [id('web').slice(0, 12), ['172.18.0.2']],
    ['linked', ['172.18.0.2']],
    ['linked.n1', ['172.18.0.2']],
    ['linked.n2', 'forward'],
    ['broken', 'forward'],
    ['web.n1', ['172.18.0.2']],
    ['web.n2', 'forward'],
    ['dotted.a.dot', ['172.25.0.2']],
    ['far', ['172.19.0.3']],
    ['cli', ['172.25.0.3']],
    ['gone', 'forward'],
    ['plain', 'forward'],
    ['plain.bridge', 'forward'],
    ['nosuch', 'forward'],
    ['example.test', 'forward'],
    ['', 'forward'],
  ] as const)
    test(`${name}: ${answer}`, () => assert.deepEqual(asked('cli', name), answer));

  test('a link is known to nobody else', () => assert.equal(asked('w2', 'linked'), 'forward'));
  test('of other networks are not known', () => assert.equal(asked('web', 'far'), 'forward'));
  test('a new name takes the place of the old one', () => {
    const renamed = state(container('web3', [{ network: 'n1', address: '172.18.0.2' }]), container('cli', [{ network: 'n1', address: '172.18.0.3' }]));
    assert.deepEqual(lookupName(renamed, id('cli'), 'web3', 'A'), ['172.18.0.2']);
    assert.equal(lookupName(renamed, id('cli'), 'web', 'A'), 'forward');
  });
});

describe('other questions', () => {
  test('the family that a name does not have', () => {
    assert.deepEqual(asked('cli', 'web', 'AAAA'), []);
    assert.deepEqual(asked('both', 'both', 'AAAA'), ['fd00:5::2']);
    assert.deepEqual(asked('both', 'only6'), []);
  });
  test('mail goes to the address', () => assert.deepEqual(asked('cli', 'web', 'MX'), []));
  test('what else a name may have, others may know', () => assert.equal(asked('cli', 'web', 'other'), 'forward'));
  for (const [name, answer] of [
    ['2.0.18.172.in-addr.arpa', ['web.n1']],
    ['3.0.19.172.in-addr.arpa', ['far.n2']],
    ['1.0.18.172.in-addr.arpa', 'forward'],
    ['3.0.17.172.in-addr.arpa', 'forward'],
    ['999.0.18.172.in-addr.arpa', 'forward'],
    ['in-addr.arpa', 'forward'],
  ] as const)
    test(`PTR ${name}: ${answer}`, () => assert.deepEqual(asked('cli', name, 'PTR'), answer));
  test('PTR of an IPv6 address', () =>
    assert.deepEqual(asked('both', `2.${'0.'.repeat(23)}5.0.0.0.0.0.d.f.ip6.arpa`, 'PTR'), ['both.n6']));
});

describe('who may be asked', () => {
  test('nobody, from an internal network', () => {
    assert.equal(asked('inmate', 'example.test'), 'fail');
    assert.equal(asked('inmate', 'example.test', 'other'), 'fail');
    assert.deepEqual(asked('inmate', 'go-between'), ['172.23.0.3']);
  });
  test('all, from one that is also on another', () => assert.equal(asked('go-between', 'example.test'), 'forward'));
  test('nobody, about one label, when ndots was set', () => {
    assert.deepEqual(asked('searcher', 'nosuch'), []);
    assert.equal(asked('searcher', 'nosuch.test'), 'forward');
    assert.equal(asked('searcher', 'nosuch', 'MX'), 'forward');
  });
  test('nobody, for a container that is none', () => assert.equal(lookupName(everybody, 'f00', 'web', 'A'), 'fail'));
});

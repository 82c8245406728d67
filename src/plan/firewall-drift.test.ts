import assert from 'node:assert/strict';
import test from 'node:test';
import type { Endpoint, Network } from '../model/network.ts';
import type { HostObject } from '../operations/operation.ts';
import { keptRuleset } from '../operations/ruleset.ts';
import { baseFirewall, foldChains, networkFirewall, portsFirewall } from './firewall.ts';
import { describeDrift, firewallDrift } from './firewall-drift.ts';

const network = { bridge: 'docker0', subnets: [{ cidr: '172.17.0.0/16' }], internal: false, options: {} } as unknown as Network;
const web = (address: string, hostPort: number): HostObject[] =>
  portsFirewall({ address, bridge: 'docker0', ipv6: undefined, gatewayModes: { ipv4: 'nat', ipv6: 'nat' } } as Endpoint, [{ hostAddress: '0.0.0.0', hostPort, port: 80, protocol: 'tcp' }]);

type Tables = Map<string, string[]>;

/** What berth has put there, and the tables as they are then. */
const placed = () => {
  const kept = keptRuleset();
  const { chains, shared } = foldChains([...baseFirewall('ipv4'), ...networkFirewall(network), ...web('172.17.0.2', 8080)], 'ipv4');
  kept.become(chains, shared);
  const there: Tables = new Map(['filter FORWARD', 'filter DOCKER-USER', 'nat PREROUTING', 'nat OUTPUT', 'nat POSTROUTING', 'raw PREROUTING'].map((key) => [key, []]));
  for (const [key, rules] of chains) there.set(key, [...rules]);
  for (const { table, chain, spec, at } of shared) {
    const list = there.get(`${table} ${chain}`)!;
    if (at === 'top') list.unshift(spec.join(' '));
    else list.push(spec.join(' '));
  }
  return { kept, there };
};

const bridges = new Set(['docker0']);

/** As iptables-restore --noflush would. */
const mend = (there: Tables, kept: ReturnType<typeof keptRuleset>): string[] => {
  const drift = firewallDrift(there, kept, bridges);
  for (const { table, chains, lines } of drift) {
    for (const [key, rules] of chains) there.set(key, [...rules]);
    for (const line of lines) {
      const [, what = '', chain = '', rule = ''] = /^(:|-[ADI] )(\S+) (.*)$/.exec(line) ?? [];
      const key = `${table} ${chain}`;
      const list = there.get(key) ?? [];
      there.set(key, list);
      if (what === '-A ') list.push(rule);
      if (what === '-I ') list.unshift(rule);
      if (what === '-D ') {
        assert.ok(list.includes(rule), line);
        list.splice(list.indexOf(rule), 1);
      }
    }
  }
  return drift.map((each) => describeDrift('ipv4', each));
};

const sorted = (tables: Tables): [string, string[]][] => [...tables].filter(([, rules]) => rules.length > 0).sort();

test('nothing is done to tables as they should be', () => {
  const { kept, there } = placed();
  assert.deepEqual(firewallDrift(there, kept, bridges), []);
});

for (const [what, undo, words] of [
  ['iptables -F', (there: Tables) => { for (const [key, rules] of there) if (key.startsWith('filter ')) rules.splice(0); }, ['ipv4 filter: rules 12 missing']],
  ['iptables -t nat -F', (there: Tables) => { for (const [key, rules] of there) if (key.startsWith('nat ')) rules.splice(0); }, ['ipv4 nat: rules 5 missing']],
  ['iptables -F, iptables -X', (there: Tables) => { for (const [key, rules] of there) if (key.startsWith('filter DOCKER')) there.delete(key); else if (key === 'filter FORWARD') rules.splice(0); }, ['ipv4 filter: rules 12 missing']],
  ['nft flush ruleset', (there: Tables) => there.clear(), ['ipv4 raw: rules 1 missing', 'ipv4 filter: rules 12 missing', 'ipv4 nat: rules 5 missing']],
  ['one rule deleted', (there: Tables) => void there.get('nat DOCKER')!.pop(), ['ipv4 nat: rules 1 missing']],
  ['one jump deleted', (there: Tables) => void there.get('filter FORWARD')!.pop(), ['ipv4 filter: rules 1 missing']],
  ['a chain deleted', (there: Tables) => void there.delete('filter DOCKER-USER'), ['ipv4 filter: chains missing or out of order']],
  ['all of it put there twice', (there: Tables) => { for (const rules of there.values()) rules.push(...rules); }, ['ipv4 raw: rules 1 too many', 'ipv4 filter: rules 12 too many', 'ipv4 nat: rules 5 too many']],
  ['jumps in another order', (there: Tables) => void there.get('filter FORWARD')!.reverse(), ['ipv4 filter: chains missing or out of order']],
] as const)
  test(what, () => {
    const { kept, there } = placed();
    const before = sorted(structuredClone(there));
    undo(there);
    assert.deepEqual(mend(there, kept), words);
    assert.deepEqual(sorted(there), before);
    assert.deepEqual(firewallDrift(there, kept, bridges), []);
  });

test('what others have is left where it is, and DOCKER-USER comes first after a reload', () => {
  const { kept, there } = placed();
  there.set('filter DOCKER-USER', ['-s 203.0.113.0/24 -j DROP']);
  there.set('filter FORWARD', ['-j FWD_in_ZONES', '-j REJECT']);
  there.set('filter FWD_in_ZONES', ['-j ACCEPT']);
  there.set('nat POSTROUTING', ['-s 10.0.0.0/8 -o eth0 -j MASQUERADE']);
  mend(there, kept);
  assert.deepEqual(there.get('filter DOCKER-USER'), ['-s 203.0.113.0/24 -j DROP']);
  assert.deepEqual(there.get('filter FORWARD'), ['-j DOCKER-USER', '-j DOCKER-FORWARD', '-j FWD_in_ZONES', '-j REJECT']);
  assert.deepEqual(there.get('filter FWD_in_ZONES'), ['-j ACCEPT']);
  assert.deepEqual(there.get('nat POSTROUTING'), ['-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE', '-s 10.0.0.0/8 -o eth0 -j MASQUERADE']);
});

test('a rule of theirs before ours is no drift; where one of our jumps is gone, ours come to stand together at the top', () => {
  const { kept, there } = placed();
  there.get('filter FORWARD')!.unshift('-i tun0 -j DROP');
  assert.deepEqual(firewallDrift(there, kept, bridges), []);
  there.set('filter FORWARD', ['-i tun0 -j DROP', '-j DOCKER-USER', '-i tun1 -j DROP']);
  mend(there, kept);
  assert.deepEqual(there.get('filter FORWARD'), ['-j DOCKER-USER', '-j DOCKER-FORWARD', '-i tun0 -j DROP', '-i tun1 -j DROP']);
});

test('rules restored from an old file are those of containers that are gone', () => {
  const { kept, there } = placed();
  const before = sorted(structuredClone(there));
  there.get('nat DOCKER')!.push('! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.9:80');
  there.get('raw PREROUTING')!.push('-d 172.17.0.9/32 ! -i docker0 -j DROP');
  assert.deepEqual(mend(there, kept), ['ipv4 raw: rules 1 too many', 'ipv4 nat: rules 1 too many']);
  assert.deepEqual(sorted(there), before);
});

test('the policy comes back with the table that had it, and is not insisted upon', () => {
  const { kept, there } = placed();
  kept.policy('filter', 'FORWARD', 'DROP');
  assert.deepEqual(firewallDrift(there, kept, bridges), []);
  there.clear();
  assert.equal(firewallDrift(there, kept, bridges).find(({ table }) => table === 'filter')?.lines[0], ':FORWARD DROP [0:0]');
});

test('what is kept follows what is done', () => {
  const { kept, there } = placed();
  for (const object of web('172.17.0.3', 8081)) if (object.kind === 'rule') kept.follow({ action: 'add', object });
  assert.deepEqual(firewallDrift(there, kept, bridges).map((each) => describeDrift('ipv4', each)), ['ipv4 raw: rules 1 missing', 'ipv4 filter: rules 1 missing', 'ipv4 nat: rules 1 missing']);
  assert.ok(kept.concerns('raw', 'PREROUTING') && kept.concerns('nat', 'DOCKER') && !kept.concerns('filter', 'INPUT'));
  for (const [address, port] of [['172.17.0.3', 8081], ['172.17.0.2', 8080]] as const)
    for (const object of web(address, port)) if (object.kind === 'rule') kept.follow({ action: 'remove', object });
  assert.ok(!kept.concerns('raw', 'PREROUTING'));
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { contains, parseAddress, parseCidr } from '../model/cidr.ts';
import type { Endpoint, GatewayMode, Network } from '../model/network.ts';
import type { PortBinding } from '../model/port.ts';
import type { Family, HostObject } from '../operations/operation.ts';
import type { OwnChain } from '../operations/own-table.ts';
import { baseFirewall, networkFirewall as networkRules, portsFirewall as portRules } from './firewall.ts';
import { networkElements, ownChains, portElements } from './own-table.ts';
import { rangeFirewall } from './range-firewall.ts';

// What berth's own table has for them belongs to it.
const networkFirewall = (network: Network): HostObject[] => [...networkRules(network), ...networkElements(network)];
const portsFirewall = (endpoint: Endpoint, ports: readonly PortBinding[]): HostObject[] => [...portRules(endpoint, ports), ...portElements(endpoint, ports)];

/**
 * What the planned rules do to a packet: the kernel's tables in small. The host has eth0 (198.51.100.2), docker0, two more
 * bridges and what the tests add; 198.51.100.9 and all else are out there.
 */
type Packet = {
  /** The device it comes in by; '' for the host's own. */
  readonly in: string;
  readonly src: string;
  readonly dst: string;
  readonly protocol: 'tcp' | 'udp' | 'icmp' | 'ipv6-icmp';
  readonly port: number;
  readonly state: 'NEW' | 'ESTABLISHED';
};
/** `dnat`: it is no longer for whom it was for. */
type InFlight = Packet & { readonly out: string; readonly dnat: boolean };
type Verdict = { readonly target: string; readonly argument: string; readonly chain: string };

const LOCAL = ['198.51.100.2', '127.0.0.1', '127.0.0.2', '172.17.0.1', '172.18.0.1', '172.19.0.1', '2001:db8::2', '::1', 'fd00:55::1'];
const ROUTES = [['172.17.0.0/16', 'docker0'], ['172.18.0.0/16', 'br-web'], ['172.19.0.0/16', 'br-db'], ['fd00:55::/64', 'br-six'], ['127.0.0.0/8', 'lo'], ['0.0.0.0/0', 'eth0'], ['::/0', 'eth0']] as const;

const within = (cidr: string, address: string): boolean => {
  const [range, one] = [parseCidr(cidr), parseAddress(address)];
  assert.ok(range && one, `${cidr} ${address}`);
  return contains(range, one);
};
const routeTo = (address: string): string => ROUTES.find(([cidr]) => within(cidr, address))?.[1] ?? assert.fail(address);

const createFirewall = (objects: readonly HostObject[], family: Family = 'ipv4', policy: 'ACCEPT' | 'DROP' = 'ACCEPT') => {
  const chains = new Map<string, (readonly string[])[]>();
  for (const object of objects) {
    if (object.kind !== 'rule' || object.family !== family) continue;
    const key = `${object.table} ${object.chain}`;
    const rules = chains.get(key) ?? [];
    chains.set(key, object.at === 'top' ? [object.spec, ...rules] : [...rules, object.spec]);
  }

  /** The first rule with the last word; undefined: back to where the chain was called. */
  const walk = (table: string, chain: string, packet: InFlight): Verdict | undefined => {
    for (const spec of chains.get(`${table} ${chain}`) ?? []) {
      const { matches, target, argument } = read(spec, packet);
      if (!matches) continue;
      if (target === 'RETURN') return undefined;
      const verdict = ['ACCEPT', 'DROP', 'DNAT', 'MASQUERADE', 'SNAT'].includes(target) ? { target, argument, chain } : walk(table, target, packet);
      if (verdict) return verdict;
    }
    return undefined;
  };

  const own = walkOwn(objects.flatMap((object) => (object.kind === 'element' && object.family === family ? [`${object.set} ${object.element}`] : [])), ownChains(family));

  return (partial: Partial<Packet> & { readonly dst: string }): string => {
    let packet: InFlight = { in: '', out: '', src: '198.51.100.2', protocol: 'tcp', port: 0, state: 'NEW', dnat: false, ...partial };
    const hook = packet.in === '' ? 'output' : 'prerouting';
    if (packet.in === '') packet = { ...packet, out: LOCAL.includes(packet.dst) ? 'lo' : routeTo(packet.dst) };
    if (own('filter', hook, packet)?.target === 'DROP') return 'dropped by the guard';
    const raw = walk('raw', hook.toUpperCase(), packet);
    if (raw?.target === 'DROP') return 'dropped in raw';
    const changed = packet.state === 'NEW' ? (walk('nat', hook.toUpperCase(), packet) ?? own('nat', hook, packet)) : undefined;
    if (changed?.argument.startsWith('listener ')) return `to the listener at ${changed.argument.slice('listener '.length)}`;
    if (changed?.target === 'DNAT') {
      const [, six, four, port = '', base] = /^(?:\[(.*)\]|([^:]*))(?::(\d+)(?:-\d+\/(\d+))?)?$/.exec(changed.argument) ?? [];
      const dst = six ?? four ?? '';
      packet = { ...packet, dst, dnat: true, port: port === '' ? packet.port : Number(port) + (base === undefined ? 0 : packet.port - Number(base)) };
    }
    if (LOCAL.includes(packet.dst)) return 'to the host itself';
    packet = { ...packet, out: routeTo(packet.dst) };
    const verdict = walk('filter', packet.in === '' ? 'OUTPUT' : 'FORWARD', packet);
    if (verdict?.target === 'DROP') return `dropped in ${verdict.chain}`;
    if (!verdict && packet.in !== '' && policy === 'DROP') return 'dropped by policy';
    const left = packet.state === 'NEW' ? (walk('nat', 'POSTROUTING', packet) ?? own('nat', 'postrouting', packet)) : undefined;
    const masked = left?.target === 'MASQUERADE' ? ', masqueraded' : left?.target === 'SNAT' ? `, as ${left.argument}` : '';
    return `to ${packet.dst}:${packet.port} by ${packet.out}${masked}`;
  };
};

/** One rule against one packet. A word the evaluator does not know is an error: it would be a wrong answer. */
const read = (spec: readonly string[], packet: InFlight): { matches: boolean; target: string; argument: string } => {
  let [matches, not, target, argument] = [true, false, '', ''];
  const check = (fits: boolean): void => {
    if (fits === not) matches = false;
    not = false;
  };
  for (let i = 0; i < spec.length; i += 2) {
    if (spec[i] === '!') {
      not = true;
      i++;
    }
    const [word = '', value = ''] = [spec[i], spec[i + 1]];
    switch (word) {
      case '-i': check(packet.in === value); break;
      case '-o': check(packet.out === value); break;
      case '-s': check(within(value, packet.src)); break;
      case '-d': check(within(value, packet.dst)); break;
      case '-p': check(packet.protocol === value); break;
      case '-m': break;
      case '--dport': {
        const [low = 0, high = low] = value.split(':').map(Number);
        check(packet.port >= low && packet.port <= high);
        break;
      }
      case '--ctstate': check(value.split(',').includes(packet.state) || (value === 'DNAT' && packet.dnat)); break;
      case '--dst-type': check(value === 'LOCAL' && LOCAL.includes(packet.dst)); break;
      case '-j': target = value; break;
      case '--comment': break;
      case '--to-source':
      case '--to-destination': argument = value; break;
      default: assert.fail(`${word} in ${spec.join(' ')}`);
    }
  }
  return { matches, target, argument };
};

/** The same for berth's own table. */
const walkOwn = (elements: readonly string[], chains: readonly OwnChain[]) => {
  const leadsTo = (set: string, key: string): string | undefined => {
    const [address = '', protocol, port = ''] = key.split(' . ');
    if (set === 'relay')
      return elements.flatMap((element) => {
        const [, cidr = '', of, first, last, listener] = /^relay (\S+) \. (\w+) \. (\d+)-(\d+) : (\d+)$/.exec(element) ?? [];
        return of === protocol && within(cidr, address) && Number(port) >= Number(first) && Number(port) <= Number(last) ? [`listener ${listener}`] : [];
      })[0];
    const found = elements.find((element) => element === `${set} ${key}` || element.startsWith(`${set} ${key} : `));
    return found?.split(' : ')[1]?.replace(/^(.*) \. (\d+)$/, (_, address: string, port: string) => `${address.includes(':') ? `[${address}]` : address}:${port}`) ?? found;
  };
  const fields = (words: string, packet: InFlight): string =>
    words.replace(/iifname|oifname|ip6? saddr|ip6? daddr|meta l4proto|th dport/g, (word) =>
      ({ iifname: packet.in, oifname: packet.out, 'meta l4proto': packet.protocol, 'th dport': `${packet.port}` })[word] ?? (word.endsWith('saddr') ? packet.src : packet.dst));
  const fits = (condition: string, packet: InFlight): boolean => {
    if (condition === 'fib daddr type local') return LOCAL.includes(packet.dst);
    if (condition === 'ct status dnat') return packet.dnat;
    const [, end, cidr = ''] = /^ip ([sd])addr ([\d./]+)$/.exec(condition) ?? [];
    if (end !== undefined) return within(cidr, end === 's' ? packet.src : packet.dst);
    const [, words = '', set = ''] = /^(.*) @(\w+)$/.exec(condition) ?? assert.fail(condition);
    if (set !== 'inside') return leadsTo(set, fields(words, packet)) !== undefined;
    return elements.some((element) => element.startsWith(`inside ${packet.out} . `) && within(element.split(' . ')[1] ?? '', packet.src));
  };
  const CONDITION = /^(fib daddr type local|ct status dnat|ip [sd]addr [\d./]+|(?:iifname|oifname)(?: \. ip6? saddr)? @\w+) /;

  return (type: OwnChain['type'], hook: OwnChain['hook'], packet: InFlight): Verdict | undefined => {
    for (const { name, rules } of chains.filter((chain) => chain.type === type && chain.hook === hook))
      for (let rest of rules) {
        let matches = true;
        for (let found = CONDITION.exec(rest); found; found = CONDITION.exec(rest)) {
          matches &&= fits(found[1] ?? '', packet);
          rest = rest.slice(found[0].length);
        }
        const [, words = '', set = ''] = /^dnat to (.*) map @(\w+)$/.exec(rest) ?? [];
        const target = set === '' ? rest : leadsTo(set, fields(words, packet));
        if (!matches || target === undefined) continue;
        if (set !== '') return { target: 'DNAT', argument: target, chain: name };
        return { target: { drop: 'DROP', masquerade: 'MASQUERADE' }[rest] ?? assert.fail(rest), argument: '', chain: name };
      }
    return undefined;
  };
};

const network = (bridge: string, cidrs: readonly string[], fields: Partial<Network> = {}): Network =>
  ({ bridge, subnets: cidrs.map((cidr) => ({ cidr })), internal: false, options: {}, ...fields }) as Network;
const endpoint = (address: string, bridge: string, mode: GatewayMode = 'nat'): Endpoint =>
  ({
    ...(address.includes(':') ? { address: '', ipv6: { address } } : { address, ipv6: undefined }),
    bridge,
    gatewayModes: { ipv4: mode, ipv6: mode },
  }) as Endpoint;
const binding = (hostAddress: string, hostPort: number, port: number): PortBinding => ({ hostAddress, hostPort, port, protocol: 'tcp' });

const docker0 = networkFirewall(network('docker0', ['172.17.0.0/16']));
const web = networkFirewall(network('br-web', ['172.18.0.0/16']));
const db = networkFirewall(network('br-db', ['172.19.0.0/16']));
const six = networkFirewall(network('br-six', ['fd00:55::/64']));
const ports = [
  ...portsFirewall(endpoint('172.17.0.2', 'docker0'), [binding('0.0.0.0', 32768, 8080), binding('::', 32768, 8080)]),
  ...portsFirewall(endpoint('172.17.0.3', 'docker0'), [binding('127.0.0.1', 8082, 8080)]),
  ...portsFirewall(endpoint('172.18.0.2', 'br-web'), [binding('198.51.100.2', 80, 8080)]),
];
const objects = [...baseFirewall('ipv4'), ...baseFirewall('ipv6'), ...docker0, ...web, ...db, ...six, ...ports];
const ask = createFirewall(objects);

const outside = { in: 'eth0', src: '198.51.100.9' } as const;
const container = { in: 'docker0', src: '172.17.0.2' } as const;
const host = '198.51.100.2';

const cases: readonly [what: string, packet: Partial<Packet> & { dst: string }, fate: string][] = [
  ['from outside to a published port', { ...outside, dst: host, port: 32768 }, 'to 172.17.0.2:8080 by docker0'],
  ['from outside to a port published on that one address', { ...outside, dst: host, port: 80 }, 'to 172.18.0.2:8080 by br-web'],
  ['from outside to a port that is not published', { ...outside, dst: host, port: 8080 }, 'to the host itself'],
  ['from outside to a published port, with another protocol', { ...outside, dst: host, port: 32768, protocol: 'udp' }, 'to the host itself'],
  ['from outside to a container whose port is published, by a route to its address', { ...outside, dst: '172.17.0.2', port: 8080 }, 'dropped in raw'],
  ['from outside to the same container, another port', { ...outside, dst: '172.17.0.2', port: 22 }, 'dropped in raw'],
  ['from outside to a container without published ports', { ...outside, dst: '172.17.0.9', port: 8080 }, 'dropped in DOCKER'],
  ['from outside, a ping to a container', { ...outside, dst: '172.19.0.2', protocol: 'icmp' }, 'dropped in DOCKER'],
  ['from outside with the address of a neighbour', { ...outside, src: '172.17.0.3', dst: '172.17.0.9', port: 8080 }, 'dropped in DOCKER'],
  ['from outside to a port bound to 127.0.0.1', { ...outside, dst: host, port: 8082 }, 'to the host itself'],
  ['from outside to 127.0.0.1, by a route to it', { ...outside, dst: '127.0.0.1', port: 8082 }, 'dropped in raw'],
  ['from a container to 127.0.0.1 of the host, by a route to it', { ...container, dst: '127.0.0.1', port: 8082 }, 'dropped by the guard'],
  ['the same, to what the host keeps to itself', { ...container, dst: '127.0.0.1', port: 631 }, 'dropped by the guard'],
  ['from a container with an address of the host\'s loopback', { ...container, src: '127.0.0.1', dst: host, port: 22 }, 'dropped by the guard'],
  ['the same, to a neighbour', { ...container, src: '127.0.0.1', dst: '172.17.0.3', port: 8080 }, 'dropped by the guard'],
  ['from outside to outside is not ours to judge', { ...outside, dst: '203.0.113.5', port: 80 }, 'to 203.0.113.5:80 by eth0'],
  ['from a container to outside', { ...container, dst: '203.0.113.5', port: 443 }, 'to 203.0.113.5:443 by eth0, masqueraded'],
  ['the answer to a container', { ...outside, src: '203.0.113.5', dst: '172.17.0.9', port: 40000, state: 'ESTABLISHED' }, 'to 172.17.0.9:40000 by docker0'],
  ['the answer of a container', { ...container, dst: '198.51.100.9', port: 40000, state: 'ESTABLISHED' }, 'to 198.51.100.9:40000 by eth0'],
  ['from container to container on one bridge', { ...container, dst: '172.17.0.3', port: 9999 }, 'to 172.17.0.3:9999 by docker0'],
  ['from container to container on another bridge', { ...container, dst: '172.18.0.9', port: 8080 }, 'dropped in DOCKER-ISOLATION-STAGE-2'],
  ['the same, where its port is published', { ...container, dst: '172.18.0.2', port: 8080 }, 'dropped in raw'],
  ['from the later bridge to the earlier one', { in: 'br-db', src: '172.19.0.2', dst: '172.17.0.9', port: 8080 }, 'dropped in DOCKER-ISOLATION-STAGE-2'],
  ['from a container to a port of another bridge, by the host\'s address', { ...container, dst: host, port: 80 }, 'to the host itself'],
  ['from a container to its own published port', { ...container, dst: host, port: 32768 }, 'to 172.17.0.2:8080 by docker0, masqueraded'],
  ['from a container to a neighbour\'s published port', { ...container, src: '172.17.0.9', dst: host, port: 32768 }, 'to 172.17.0.2:8080 by docker0, masqueraded'],
  ['the same, by the gateway\'s address', { ...container, src: '172.17.0.9', dst: '172.17.0.1', port: 32768 }, 'to 172.17.0.2:8080 by docker0, masqueraded'],
  ['from a container to a port published on 127.0.0.1, by the host\'s address', { ...container, dst: host, port: 8082 }, 'to the host itself'],
  ['from a container to a published port\'s number somewhere else', { ...container, dst: '203.0.113.5', port: 32768 }, 'to 203.0.113.5:32768 by eth0, masqueraded'],
  ['from a container to a published port of its bridge, with another protocol', { ...container, dst: host, port: 32768, protocol: 'udp' }, 'to the host itself'],
  ['from a container to the host', { ...container, dst: '172.17.0.1', port: 22 }, 'to the host itself'],
  ['from the host to a published port, by its address', { dst: host, port: 32768 }, 'to 172.17.0.2:8080 by docker0'],
  ['from the host to a published port, by 127.0.0.1', { src: '127.0.0.1', dst: '127.0.0.1', port: 32768 }, 'to 172.17.0.2:8080 by docker0, masqueraded'],
  ['from the host to a port published on 127.0.0.1', { src: '127.0.0.1', dst: '127.0.0.1', port: 8082 }, 'to 172.17.0.3:8080 by docker0, masqueraded'],
  ['from the host to 127.0.0.2, where a port is published on every address', { src: '127.0.0.1', dst: '127.0.0.2', port: 32768 }, 'to 172.17.0.2:8080 by docker0, masqueraded'],
  ['from the host to itself, a port that is not published', { src: '127.0.0.1', dst: '127.0.0.1', port: 22 }, 'to the host itself'],
  ['from the host to a port published on 127.0.0.1, by another address', { dst: host, port: 8082 }, 'to the host itself'],
  ['from the host to a container', { src: '172.17.0.1', dst: '172.17.0.9', port: 8080 }, 'to 172.17.0.9:8080 by docker0'],
];
for (const [what, packet, fate] of cases) test(what, () => assert.equal(ask(packet), fate));

test('where the kernel drops what no rule allows, the same holds', () => {
  const strict = createFirewall(objects, 'ipv4', 'DROP');
  for (const [what, packet, fate] of cases) assert.equal(strict(packet), packet.in === 'eth0' && packet.dst === '203.0.113.5' ? 'dropped by policy' : fate, what);
});

test('a long range: its ports are the container\'s, by every way but the listener\'s, which is for other networks', () => {
  const its = endpoint('172.17.0.4', 'docker0');
  const range = (hostAddress: string, first: number, port: number, protocol: 'tcp' | 'udp' = 'tcp') => {
    const all = Array.from({ length: 100 }, (_, index) => ({ ...binding(hostAddress, first + index, port + index), protocol }));
    return [...portRules(its, all), ...rangeFirewall({ ...binding(hostAddress, first, port), protocol, count: 100 }, its)];
  };
  const judge6 = createFirewall([...objects, ...rangeFirewall({ ...binding('::', 20_000, 7000), count: 100 }, undefined)], 'ipv6');
  for (const from of [{ in: 'eth0', src: '2001:db8::9' }, { src: '::1' }]) assert.equal(judge6({ ...from, dst: '2001:db8::2', port: 20_007 }), 'to the listener at 20000');
  assert.equal(judge6({ src: '::1', dst: '::1', port: 20_007 }), 'to the listener at 20000');
  assert.equal(judge6({ in: 'br-six', src: 'fd00:55::2', dst: '2001:db8:9::1', port: 20_007 }), 'to 2001:db8:9::1:20007 by eth0, masqueraded', 'not the host\'s');
  const judge = createFirewall([...objects, ...range('0.0.0.0', 20_000, 7000), ...range('127.0.0.1', 30_000, 30_000), ...range('0.0.0.0', 20_000, 7000, 'udp')]);
  const neighbour = { in: 'br-web', src: '172.18.0.2' } as const;
  for (const protocol of ['tcp', 'udp'] as const) {
    assert.equal(judge({ ...outside, protocol, dst: host, port: 20_007 }), 'to 172.17.0.4:7007 by docker0');
    assert.equal(judge({ ...outside, protocol, dst: host, port: 20_100 }), 'to the host itself');
    assert.equal(judge({ ...outside, protocol, dst: '172.17.0.4', port: 7007 }), 'dropped in raw');
    assert.equal(judge({ dst: host, protocol, port: 20_099 }), 'to 172.17.0.4:7099 by docker0');
    assert.equal(judge({ src: '127.0.0.1', protocol, dst: '127.0.0.1', port: 20_007 }), 'to 172.17.0.4:7007 by docker0, masqueraded');
    assert.equal(judge({ ...container, protocol, dst: host, port: 20_007 }), 'to 172.17.0.4:7007 by docker0, masqueraded', 'a neighbour, and the container itself');
    assert.equal(judge({ ...container, protocol, dst: '203.0.113.5', port: 20_007 }), 'to 203.0.113.5:20007 by eth0, masqueraded', 'not the host\'s');
    assert.equal(judge({ ...neighbour, protocol, dst: '172.17.0.4', port: 7007 }), 'dropped in raw', 'from another network, by its own address');
  }
  assert.equal(judge({ ...neighbour, dst: host, port: 20_007 }), 'to the listener at 20000', 'from another network');
  assert.equal(judge({ ...neighbour, protocol: 'udp', dst: host, port: 20_007 }), 'to 172.17.0.4:7007 by docker0, masqueraded', 'from another network');
  assert.equal(judge({ ...outside, dst: host, port: 30_007 }), 'to the host itself');
  assert.equal(judge({ ...container, dst: host, port: 30_007 }), 'to the host itself');
  assert.equal(judge({ ...outside, dst: '127.0.0.1', port: 30_007 }), 'dropped in raw');
  assert.equal(judge({ ...container, dst: '127.0.0.1', port: 30_007 }), 'dropped by the guard');
  assert.equal(judge({ src: '127.0.0.1', dst: '127.0.0.1', port: 30_007 }), 'to 172.17.0.4:30007 by docker0, masqueraded');
});

test('networks keep apart in whatever order they came', () => {
  const all = [docker0, web, db];
  const addresses = [['docker0', '172.17.0.9'], ['br-web', '172.18.0.9'], ['br-db', '172.19.0.9']] as const;
  for (const order of permutations(all)) {
    const judge = createFirewall([...baseFirewall('ipv4'), ...order.flat(), ...ports]);
    for (const [device, src] of addresses)
      for (const [, dst] of addresses)
        assert.equal(judge({ in: device, src, dst, port: 80 }).startsWith('to '), src === dst, `${src} to ${dst}`);
  }
});

const permutations = <T>(items: readonly T[]): T[][] =>
  items.length < 2 ? [[...items]] : items.flatMap((item, i) => permutations(items.filter((_, j) => j !== i)).map((rest) => [item, ...rest]));

test('an internal network: among themselves, and nothing else', () => {
  const internal = networkFirewall(network('br-web', ['172.18.0.0/16'], { internal: true }));
  for (const order of permutations([docker0, internal, db])) {
    const judge = createFirewall([...baseFirewall('ipv4'), ...order.flat()]);
    const inside = { in: 'br-web', src: '172.18.0.2' } as const;
    assert.equal(judge({ ...inside, dst: '172.18.0.3', port: 80 }), 'to 172.18.0.3:80 by br-web');
    assert.equal(judge({ ...inside, dst: '203.0.113.5', port: 80 }), 'dropped in DOCKER-ISOLATION-STAGE-1');
    assert.equal(judge({ ...inside, dst: '172.17.0.2', port: 80 }), 'dropped in DOCKER-ISOLATION-STAGE-1');
    assert.equal(judge({ ...container, dst: '172.18.0.2', port: 80 }), 'dropped in DOCKER-ISOLATION-STAGE-1');
    assert.equal(judge({ ...outside, dst: '172.18.0.2', port: 80 }), 'dropped in DOCKER-ISOLATION-STAGE-1');
  }
});

test('without inter-container communication: out, and published ports, but not to each other', () => {
  const silent = networkFirewall(network('docker0', ['172.17.0.0/16'], { options: { 'com.docker.network.bridge.enable_icc': 'false' } }));
  const judge = createFirewall([...baseFirewall('ipv4'), ...silent, ...ports]);
  assert.equal(judge({ ...container, dst: '172.17.0.3', port: 80 }), 'dropped in DOCKER-FORWARD');
  assert.equal(judge({ ...container, dst: '203.0.113.5', port: 80 }), 'to 203.0.113.5:80 by eth0, masqueraded');
  assert.equal(judge({ ...outside, dst: host, port: 32768 }), 'to 172.17.0.2:8080 by docker0');
  assert.equal(judge({ ...container, dst: host, port: 32768 }), 'to the host itself', 'to its listener, which is not a neighbour');
  assert.equal(judge({ src: '127.0.0.1', dst: '127.0.0.1', port: 32768 }), 'to 172.17.0.2:8080 by docker0, masqueraded');
});

test('IPv6', () => {
  const judge = createFirewall([...objects, ...portsFirewall(endpoint('fd00:55::2', 'br-six'), [binding('::', 80, 8080), binding('0.0.0.0', 80, 8080)])], 'ipv6');
  const inside = { in: 'br-six', src: 'fd00:55::2' } as const;
  const out = { in: 'eth0', src: '2001:db8::9' } as const;
  assert.equal(judge({ ...inside, dst: '2001:db8:9::1', port: 80 }), 'to 2001:db8:9::1:80 by eth0, masqueraded');
  assert.equal(judge({ ...inside, dst: 'fd00:55::3', port: 80 }), 'to fd00:55::3:80 by br-six');
  assert.equal(judge({ ...out, dst: 'fd00:55::3', port: 80 }), 'dropped in DOCKER');
  assert.equal(judge({ ...out, dst: '2001:db8::2', port: 80 }), 'to fd00:55::2:8080 by br-six');
  assert.equal(judge({ ...out, dst: 'fd00:55::2', port: 8080 }), 'dropped in raw');
  assert.equal(judge({ ...inside, dst: '2001:db8::2', port: 80 }), 'to fd00:55::2:8080 by br-six, masqueraded', 'the container itself');
  assert.equal(judge({ src: '::1', dst: '::1', port: 80 }), 'to the host itself', 'its listener');
  assert.equal(judge({ ...out, src: 'fe80::9', dst: '2001:db8::2', port: 80 }), 'to the host itself', 'its answer could not be sent back');
  assert.equal(judge({ ...out, dst: '2001:db8::2', port: 32768 }), 'to the host itself', 'its container has no IPv6: the listener carries it');
});

const MODE = 'com.docker.network.bridge.gateway_mode_ipv4';
const withMode = (mode: GatewayMode, ...more: readonly (readonly HostObject[])[]) =>
  createFirewall([
    ...baseFirewall('ipv4'),
    ...networkFirewall(network('docker0', ['172.17.0.0/16'], { options: { [MODE]: mode } })),
    ...portsFirewall(endpoint('172.17.0.2', 'docker0', mode), [binding('0.0.0.0', 32768, 8080)]),
    ...more.flat(),
  ]);

test('routed: published ports at the container\'s own address, and pings; nothing masked', () => {
  const judge = withMode('routed', web);
  assert.equal(judge({ ...outside, dst: '172.17.0.2', port: 8080 }), 'to 172.17.0.2:8080 by docker0');
  assert.equal(judge({ ...outside, dst: '172.17.0.2', port: 22 }), 'dropped in DOCKER');
  assert.equal(judge({ ...outside, dst: '172.17.0.9', protocol: 'icmp' }), 'to 172.17.0.9:0 by docker0');
  assert.equal(judge({ ...container, dst: '203.0.113.5', port: 443 }), 'to 203.0.113.5:443 by eth0');
});

test('nat-unprotected: whoever knows the address', () => {
  const judge = withMode('nat-unprotected', web);
  assert.equal(judge({ ...outside, dst: '172.17.0.2', port: 22 }), 'to 172.17.0.2:22 by docker0');
  assert.equal(judge({ ...outside, dst: host, port: 32768 }), 'to 172.17.0.2:8080 by docker0');
  assert.equal(judge({ in: 'br-web', src: '172.18.0.2', dst: '172.17.0.2', port: 22 }), 'dropped in DOCKER-ISOLATION-STAGE-2', 'but no other network');
});

test('a source address of the network\'s own choosing', () => {
  const judge = createFirewall([...baseFirewall('ipv4'), ...networkFirewall(network('docker0', ['172.17.0.0/16'], { options: { 'com.docker.network.host_ipv4': '198.51.100.77' } }))]);
  assert.equal(judge({ ...container, dst: '203.0.113.5', port: 443 }), 'to 203.0.113.5:443 by eth0, as 198.51.100.77');
});

test('an internal network of IPv6: among themselves, by any address', () => {
  const judge = createFirewall([...baseFirewall('ipv6'), ...networkFirewall(network('br-six', ['fd00:55::/64'], { internal: true }))], 'ipv6');
  const inside = { in: 'br-six', src: 'fd00:55::2' } as const;
  assert.equal(judge({ ...inside, dst: 'fd00:55::3', port: 80 }), 'to fd00:55::3:80 by br-six');
  assert.equal(judge({ ...inside, src: 'fe80::2', dst: 'fd00:55::3', port: 80 }), 'to fd00:55::3:80 by br-six');
  assert.equal(judge({ ...inside, dst: '2001:db8:9::1', port: 80 }), 'dropped in DOCKER-ISOLATION-STAGE-1');
  assert.equal(judge({ in: 'eth0', src: '2001:db8::9', dst: 'fd00:55::3', port: 80 }), 'dropped in DOCKER-ISOLATION-STAGE-1');
});

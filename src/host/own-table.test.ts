import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { Operation } from '../operations/operation.ts';
import { elementLine, ruleLines, type SetName } from '../operations/own-table.ts';
import type { Family } from '../model/network.ts';
import { ownChains } from '../plan/own-table.ts';
import { createOwnTable } from './own-table.ts';
import { libc } from './syscalls.ts';

// A host of its own: this process's main thread moves to a network namespace that goes with it.
assert.equal(libc.func('int unshare(int flags)')(0x40000000), 0);

const table = createOwnTable();
const of = (family: Family) => (set: SetName, element: string) => ({ kind: 'element', family, set, element }) as const;
const [four, six] = [of('ipv4'), of('ipv6')];
const add = (...objects: readonly ReturnType<typeof four>[]): Operation[] => objects.map((object) => ({ action: 'add', object }));
const remove = (...objects: readonly ReturnType<typeof four>[]): Operation[] => objects.map((object) => ({ action: 'remove', object }));
const apply = (operations: readonly Operation[]) => table.apply(operations as Parameters<typeof table.apply>[0]);
const elements = (family: Family): string[] => [...table.list(family).elements].sort();

const elements4 = [
  four('bridges', 'docker0'), four('hairpin', 'docker0'), four('inside', 'docker0 . 172.17.0.0/16'), four('inside', 'br-0123456789ab . 10.0.0.0/29'),
  four('any', 'lo . tcp . 8080 : 172.17.0.2 . 80'), four('any', 'docker0 . udp . 53 : 172.17.0.2 . 5353'), four('any', 'docker0 . sctp . 9 : 172.17.0.2 . 9'),
  four('relay', '0.0.0.0/0 . tcp . 20000-29999 : 20000'), four('relay', '192.0.2.7/32 . tcp . 30000-30099 : 30000'),
  four('at', 'lo . 127.0.0.1 . tcp . 8081 : 172.17.0.3 . 80'),
];
const elements6 = [six('relay', '::/0 . udp . 20000-29999 : 20000'), six('inside', 'docker0 . fd00:55::/64'), six('any', 'docker0 . tcp . 8080 : fd00:55::2 . 80'), six('at', 'docker0 . 2001:db8::1 . tcp . 81 : fd00:55::2 . 80')];

test('no table, nothing there, and nothing put there', async () => {
  await apply(add(four('bridges', 'docker0')));
  assert.deepEqual([table.list('ipv4'), table.holds('ipv4')], [{ rules: [], elements: [] }, false]);
  await assert.rejects(table.become('ipv4', [{ name: 'x', type: 'nat', hook: 'output', priority: -400, rules: ['drop'] }], []));
  assert.equal(table.holds('ipv4'), false);
});

for (const [family, all] of [['ipv4', elements4], ['ipv6', elements6]] as const)
  test(`${family}: what is put there is read back`, async () => {
    await table.become(family, ownChains(family), all);
    assert.deepEqual(table.list(family).rules, ruleLines(ownChains(family)));
    assert.deepEqual(elements(family), all.map(elementLine).sort());
  });

test('an element more, an element less; there already and gone already are success', async () => {
  const more = four('any', 'lo . tcp . 8090 : 172.17.0.9 . 80');
  await apply(add(more));
  await apply(add(more, four('bridges', 'br-x')));
  assert.ok(elements('ipv4').includes(elementLine(more)));
  await apply(remove(more, four('bridges', 'br-x'), four('at', 'lo . 127.0.0.1 . tcp . 1 : 172.17.0.3 . 1')));
  await apply(remove(more));
  assert.deepEqual(elements('ipv4'), elements4.map(elementLine).sort());
});

test('made anew: the same again changes nothing, what is missing comes, what nobody wants goes', async () => {
  const counters = () => JSON.stringify(table.list('ipv4'));
  const before = counters();
  await table.become('ipv4', ownChains('ipv4'), elements4);
  assert.equal(counters(), before);
  await apply(remove(elements4[6]!));
  await apply(add(four('any', 'lo . tcp . 1 : 172.17.0.9 . 1')));
  await table.become('ipv4', ownChains('ipv4'), elements4);
  assert.deepEqual(elements('ipv4'), elements4.map(elementLine).sort());
  const fewer = ownChains('ipv4').slice(1);
  await table.become('ipv4', fewer, elements4);
  assert.deepEqual(table.list('ipv4').rules, ruleLines(fewer));
});

test('what others do to it is undone, if it may be', async () => {
  await table.become('ipv4', ownChains('ipv4'), elements4);
  assert.equal(await table.mend('ipv4', () => true), undefined);
  const stranger = createOwnTable();
  await stranger.become('ipv4', ownChains('ipv4'), elements4);
  await stranger.apply([...remove(elements4[4]!, elements4[5]!), ...add(four('any', 'lo . tcp . 1 : 172.17.0.9 . 1'))] as Parameters<typeof table.apply>[0]);
  assert.equal(await table.mend('ipv4', () => false), undefined);
  assert.deepEqual(await table.mend('ipv4', () => true), { missing: 2, extra: 1 });
  assert.deepEqual(elements('ipv4'), elements4.map(elementLine).sort());
  await stranger.become('ipv4', ownChains('ipv4').slice(1), []);
  assert.deepEqual(await table.mend('ipv4', () => true), { missing: elements4.length + 2, extra: 0 });
  assert.deepEqual(table.list('ipv4').rules, ruleLines(ownChains('ipv4')));
  assert.equal(await createOwnTable().mend('ipv4', () => true), undefined, 'nothing is known of it');
});

test('thousands in one transaction', async () => {
  const many = Array.from({ length: 10_000 }, (_, index) => four('any', `lo . tcp . ${index + 20_000} : 172.17.0.2 . ${index + 7000}`));
  await apply(add(...many));
  assert.equal(elements('ipv4').length, elements4.length + many.length);
  await apply(remove(...many));
  assert.deepEqual(elements('ipv4'), elements4.map(elementLine).sort());
});

test('iptables does not list it', () => assert.equal(execFileSync('iptables-save', { encoding: 'utf8' }), ''));

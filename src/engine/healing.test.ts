import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Network } from '../model/network.ts';
import { emptyState, type RecordChange } from '../model/state.ts';
import type { HostObject } from '../operations/operation.ts';
import { keptRuleset } from '../operations/ruleset.ts';
import { renderObject } from '../operations/render.ts';
import { createHealing, type HealingHost } from './healing.ts';
import { createLedger } from './ledger.ts';

const network = { id: 'n1', name: 'bridge', created: '', driver: 'bridge', bridge: 'docker0', internal: false, options: {}, subnets: [{ cidr: '172.17.0.0/16', gateway: '172.17.0.1' }] } as unknown as Network;
const record = (value: Network | undefined): RecordChange => ({ collection: 'networks', key: 'n1', record: value });
const LOCALNET = 'sysctl net.ipv4.conf.docker0.route_localnet=1';
const nothing = { families: new Set<'ipv4'>(), links: new Map(), bare: new Set<string>(), lost: false };

/** A host that has what it is told, until somebody takes it away; changes of its own last until they are let go. */
const world = () => {
  const said: string[] = [];
  const done: string[] = [];
  const events: string[] = [];
  let told: Parameters<HealingHost['watch']>[1] = () => {};
  let remedy: Parameters<HealingHost['firewall']['heal']>[0] = () => undefined;
  let bridge = true;
  let [attempts, broken] = [0, false];
  let held: Promise<void> = Promise.resolve();
  const kept = keptRuleset();
  kept.become(new Map([['nat DOCKER', ['-i docker0 -j RETURN']]]), []);
  const tables = new Map([['nat DOCKER', ['-i docker0 -j RETURN']], ['filter DOCKER-USER', []]]);
  const host: HealingHost = {
    watch: (_families, listener) => void (told = listener),
    hostLinks: () => ({ devices: new Map(bridge ? [['docker0', { up: true, master: undefined }]] : []), addresses: new Map([['docker0', new Set(['172.17.0.1/16'])]]), routes: new Map([['docker0', new Set(['172.17.0.0/16'])]]) }),
    async mendLinks(objects: readonly HostObject[]) {
      bridge = true;
      done.push(...objects.map(renderObject));
    },
    leadFlows: () => {},
    ownTable: { mend: async () => undefined },
    firewall: {
      heal: (given) => void (remedy = given),
      async mend(family) {
        attempts += 1;
        if (broken) throw new Error('no such table');
        const wanted = remedy(family, tables, kept);
        if (!wanted) return;
        for (const [key, rules] of wanted.chains) tables.set(key, [...rules]);
        done.push(...wanted.chains.keys());
        wanted.done();
      },
    },
  };
  const apply = async (): Promise<void> => held;
  const ledger = createLedger({
    store: { load: () => ({ ...emptyState, networks: new Map([['n1', network]]) }), commit: async () => {}, close: async () => {} },
    execute: apply,
    attempt: apply,
    diff: () => [{ action: 'remove', object: { kind: 'directory', path: '/', mode: 0 } }],
  });
  createHealing({
    ledger,
    host,
    layout: { dataRoot: '/d', execRoot: '/e', iptables: true, ip6tables: true },
    families: ['ipv4'],
    events: { emit: ({ type, action, attributes }) => void events.push(`${type} ${action} ${attributes['mended']}`) },
    identity: async () => ({ id: 'id', hostname: 'host' }),
    now: () => performance.now(),
    log: (message) => void said.push(message),
  }).begin();
  return {
    said, done, events, ledger, tables,
    breakTool: () => void (broken = true),
    tries: () => attempts,
    losesBridge() {
      bridge = false;
      told({ ...nothing, links: new Map([['docker0', undefined]]) });
    },
    losesRules() {
      tables.get('nat DOCKER')?.splice(0);
      told({ ...nothing, families: new Set(['ipv4']) });
    },
    hears: (news: Partial<Parameters<typeof told>[0]>) => told({ ...nothing, ...news }),
    /** From now on changes last until the returned function is called. */
    hold() {
      let letGo = (): void => {};
      held = new Promise((resolve) => (letGo = resolve));
      return letGo;
    },
  };
};

const until = async (fact: () => boolean): Promise<void> => {
  for (let waited = 0; !fact(); waited += 10) {
    assert.ok(waited < 5000, 'it does not come to be');
    await pause(10);
  }
};

test('what is lost is mended, and told once as an event and a line each', async () => {
  const { losesBridge, losesRules, done, said, events } = world();
  losesBridge();
  losesRules();
  await until(() => events.length > 0);
  assert.deepEqual(done.sort(), ['bridge docker0 172.17.0.1/16', 'nat DOCKER', LOCALNET]);
  assert.deepEqual([...said].sort(), ['mended bridge docker0: gone', 'mended ipv4 nat: rules 1 missing']);
  assert.equal(events.join().split('; ').length, 2);
  assert.match(events.join(), /^daemon heal /);
});

test('news of others, or of what is as it should be, do nothing', async () => {
  const { hears, done, events } = world();
  hears({ links: new Map([['eth7', undefined], ['docker0', { up: true, master: undefined }]]), bare: new Set(['eth7']) });
  hears({ families: new Set(['ipv4']) });
  hears({ lost: true });
  await pause(300);
  assert.deepEqual([done, events], [[], []]);
});

test('what is being removed is not made anew', async () => {
  const { ledger, hold, losesBridge, done } = world();
  const letGo = hold();
  const removal = ledger.settle(() => ({ changes: [record(undefined)], result: undefined }));
  losesBridge();
  await pause(300);
  letGo();
  await removal;
  await pause(300);
  assert.deepEqual(done, []);
});

test('what is being changed is mended when that is done', async () => {
  const { ledger, hold, losesBridge, done } = world();
  const letGo = hold();
  const change = ledger.change(() => ({ changes: [record({ ...network, labels: { a: 'b' } })], result: undefined }));
  losesBridge();
  await pause(300);
  assert.deepEqual(done, []);
  letGo();
  await change;
  await until(() => done.length > 0);
  assert.deepEqual(done, ['bridge docker0 172.17.0.1/16', LOCALNET]);
});

test('what cannot be mended is tried ever more rarely, and said a few times', async () => {
  const { breakTool, losesRules, said, tries } = world();
  breakTool();
  losesRules();
  await until(() => tries() >= 4);
  await pause(1500);
  assert.equal(tries(), 4);
  assert.deepEqual(said, Array(3).fill('cannot mend rules of ipv4: no such table'));
});

test('who goes on is told of once, and then not answered at once any more', async () => {
  const { losesRules, said, done, tables } = world();
  for (let round = 1; round <= 4; round++) {
    losesRules();
    await until(() => done.length === round);
  }
  assert.equal(said.length, 4);
  assert.match(said[3] ?? '', /^mended ipv4 nat: rules 1 missing: somebody undoes this again and again/);
  losesRules();
  await pause(1000);
  assert.deepEqual([done.length, tables.get('nat DOCKER')], [4, []]);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Container } from '../model/container.ts';
import type { ExposedPort, PortBinding, PortRequest, Protocol } from '../model/port.ts';
import { emptyState } from '../model/state.ts';
import { allocatePorts, chosenPorts, takenPorts, type TakenPorts } from './ports.ts';

/** `8081:80`, `127.0.0.1:8082:8080`, `9000-9002:80/udp`, `80`: as after `-p`. */
const request = (text: string): PortRequest => {
  const [, hostAddress = '', hostPorts, port = '', protocol = 'tcp'] = /^(?:(\d+\.[\d.]+|\[[\d:]+\]):)?(?:([\d-]*):)?(\d+)(?:\/(\w+))?$/.exec(text) ?? [];
  const [first, last = first] = (hostPorts ?? '').split('-').filter(Boolean).map(Number);
  return {
    port: Number(port),
    protocol: protocol as Protocol,
    hostAddress: hostAddress.replace(/[[\]]/g, ''),
    hostPorts: first === undefined || last === undefined ? undefined : { first, last },
  };
};
const show = ({ hostAddress, hostPort, port, protocol }: PortBinding): string => `${hostAddress}:${hostPort}->${port}/${protocol}`;
const exposed = (...ports: string[]): ExposedPort[] => ports.map((port) => ({ port: parseInt(port), protocol: (port.split('/')[1] ?? 'tcp') as Protocol }));

const allocate = (
  requests: readonly string[],
  options: { publishAll?: readonly string[]; taken?: TakenPorts; busy?: readonly string[]; last?: number; next?: number; before?: readonly string[]; defaultAddress?: string } = {},
): string[] => {
  const { publishAll, taken = new Map(), busy = [], last = 60999, next = 0, before = [], defaultAddress = '0.0.0.0' } = options;
  return allocatePorts({
    requests: requests.map(request),
    exposed: exposed(...(publishAll ?? [])),
    publishAll: publishAll !== undefined,
    taken,
    busy: new Set(busy),
    ephemeral: { first: 32768, last },
    next: () => next,
    before: before.map((text) => ({ hostAddress: '0.0.0.0', hostPort: Number(text.split(':')[0]), port: Number(text.split(':')[1]), protocol: 'tcp' })),
    defaultAddress,
  }).map(show);
};

test('-P: every exposed port, by number, on every address of both families', () => {
  assert.deepEqual(allocate([], { publishAll: ['8080', '53/udp', '53'] }), [
    '0.0.0.0:32768->53/tcp', ':::32768->53/tcp', '0.0.0.0:32768->53/udp', ':::32768->53/udp', '0.0.0.0:32769->8080/tcp', ':::32769->8080/tcp',
  ]);
  assert.deepEqual(allocate(['8080:80'], { publishAll: ['80'] }), ['0.0.0.0:8080->80/tcp', ':::8080->80/tcp'], 'not once more');
});

test('-p: one address, several bindings of one port, another default address', () => {
  assert.deepEqual(allocate(['127.0.0.1:8082:8080', '[::1]:8083:8080']), ['127.0.0.1:8082->8080/tcp', '::1:8083->8080/tcp']);
  assert.deepEqual(allocate(['80:80'], { defaultAddress: '192.0.2.1' }), ['192.0.2.1:80->80/tcp']);
});

test('who wants one certain port gets it first', () => {
  assert.deepEqual(allocate(['7777', '32768:8080', '127.0.0.1::90']), [
    '0.0.0.0:32768->8080/tcp', ':::32768->8080/tcp', '127.0.0.1:32769->90/tcp', '0.0.0.0:32770->7777/tcp', ':::32770->7777/tcp',
  ]);
  assert.deepEqual(allocate(['0.0.0.0:9000-9001:80', '0.0.0.0:9000:81']), ['0.0.0.0:9000->81/tcp', '0.0.0.0:9001->80/tcp']);
});

test('a range of host ports for one container port: the first that is free', () => {
  const taken = new Map([['tcp 9100', ['127.0.0.1']]]);
  assert.deepEqual(allocate(['9100-9110:80'], { taken }), ['0.0.0.0:9101->80/tcp', ':::9101->80/tcp']);
  assert.deepEqual(allocate(['[::1]:9100-9110:80'], { taken }), ['::1:9100->80/tcp'], 'the other family is free');
});

test('going round: not the one just given back', () => {
  assert.deepEqual(allocate(['0.0.0.0::80'], { next: 32770 }), ['0.0.0.0:32770->80/tcp']);
  assert.deepEqual(allocate(['0.0.0.0::80'], { next: 32770, last: 32769 }), ['0.0.0.0:32768->80/tcp']);
  assert.deepEqual(allocate(['0.0.0.0::80', '0.0.0.0::81'], { next: 32769, last: 32769 }), ['0.0.0.0:32769->80/tcp', '0.0.0.0:32768->81/tcp']);
});

test('what is in the way, and what is not', () => {
  const taken = new Map([['tcp 80', ['0.0.0.0', '::']], ['tcp 81', ['127.0.0.1']]]);
  assert.throws(() => allocate(['80:8080'], { taken }), { kind: 'system', message: 'Bind for 0.0.0.0:80 failed: port is already allocated' });
  assert.throws(() => allocate(['127.0.0.1:80:8080'], { taken }), { message: 'Bind for 127.0.0.1:80 failed: port is already allocated' });
  assert.throws(() => allocate(['81:8080'], { taken }), { message: 'Bind for 0.0.0.0:81 failed: port is already allocated' });
  assert.deepEqual(allocate(['192.0.2.1:81:8080', '80:8080/udp'], { taken }), ['192.0.2.1:81->8080/tcp', '0.0.0.0:80->8080/udp', ':::80->8080/udp']);
  assert.throws(() => allocate(['80:1', '80:2']), /already allocated/);
  assert.throws(() => allocate(['0.0.0.0::1', '0.0.0.0::2'], { last: 32768 }), { message: 'all ports are allocated' });
  assert.deepEqual(allocate(['0.0.0.0::1'], { busy: ['tcp 32768'] }), ['0.0.0.0:32769->1/tcp'], 'someone else on the host has it');
});

test('the ports that sandboxes have', () => {
  const ports: PortBinding[] = [
    { port: 80, protocol: 'tcp', hostAddress: '0.0.0.0', hostPort: 8080 },
    { port: 80, protocol: 'tcp', hostAddress: '::', hostPort: 8080 },
  ];
  const state = { ...emptyState, containers: new Map([['a', { sandbox: { ports } }], ['b', { sandbox: undefined }]]) as unknown as ReadonlyMap<string, Container> };
  assert.deepEqual([...takenPorts(state)], [['tcp 8080', ['0.0.0.0', '::']]]);
});

test('what was chosen the last time is chosen again where it is free, and where it was not asked for by number', () => {
  const both = (port: number, to: number): string[] => ['0.0.0.0', '::'].map((address) => `${address}:${port}->${to}/tcp`);
  assert.deepEqual(allocate(['80', '81'], { before: ['40000:80', '40001:81'] }), [...both(40000, 80), ...both(40001, 81)]);
  assert.deepEqual(allocate(['80', '80'], { before: ['40000:80', '40001:80'] }), [...both(40000, 80), ...both(40001, 80)]);
  assert.deepEqual(allocate(['80'], { before: ['40000:80'], busy: ['tcp 40000'] }), both(32768, 80));
  assert.deepEqual(allocate(['9000-9005:80'], { before: ['9003:80'] }), both(9003, 80));
  assert.deepEqual(allocate(['9000-9005:80'], { before: ['40000:80'] }), both(9000, 80), 'the range is another now');
  assert.deepEqual(allocate(['8080:80'], { before: ['40000:80'] }), both(8080, 80));
  const ports = ['0.0.0.0', '::'].flatMap((hostAddress) => [[8080, 80], [40000, 81]].map(([hostPort = 0, port = 0]) => ({ hostAddress, hostPort, port, protocol: 'tcp' }) as const));
  assert.deepEqual(chosenPorts(['8080:80', '81'].map(request), ports).map(show), ['0.0.0.0:40000->81/tcp', ':::40000->81/tcp']);
});

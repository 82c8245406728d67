import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStatistics, ioStat, networksOf, parseBlkio } from './statistics.ts';

test('blkio counts', () => {
  assert.deepEqual(parseBlkio('8:0 Read 4096\n8:0 Write 0\nTotal 4096\n'), [
    { major: 8, minor: 0, operation: 'Read', value: 4096 },
    { major: 8, minor: 0, operation: 'Write', value: 0 },
  ]);
  assert.deepEqual(parseBlkio('Total 0\n'), []);
});

test('io.stat', () => {
  assert.deepEqual(ioStat('259:1 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n'), {
    bytes: [{ major: 259, minor: 1, operation: 'read', value: 10 }, { major: 259, minor: 1, operation: 'write', value: 20 }],
    operations: [{ major: 259, minor: 1, operation: 'read', value: 1 }, { major: 259, minor: 1, operation: 'write', value: 2 }],
  });
});

const DEV = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:1234567890      10    1    2    0     0          0         0      746       7    3    4    0     0       0          0
`;

test('the devices of a network, without the loopback', () => {
  assert.deepEqual(networksOf(DEV), {
    eth0: { received: { bytes: 1234567890, packets: 10, errors: 1, dropped: 2 }, sent: { bytes: 746, packets: 7, errors: 3, dropped: 4 } },
  });
  assert.equal(networksOf(DEV.split('\n').slice(0, 3).join('\n')), undefined);
});

test('a process that is not there', () => {
  assert.equal(createStatistics(() => '').read({ id: 'x'.repeat(64), pid: 2 ** 22 + 1, pidStart: 1, network: true }), undefined);
});

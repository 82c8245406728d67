import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL_CAPABILITIES, DEFAULT_CAPABILITIES, capabilitiesOfMask, checkCapabilities, resolveCapabilities } from './capabilities.ts';

const resolve = (capAdd: string[], capDrop: string[], privileged = false): readonly string[] => resolveCapabilities({ privileged, capAdd, capDrop });
const mask = (names: readonly string[]): string => names.reduce((sum, name) => sum | (1n << BigInt(ALL_CAPABILITIES.indexOf(name))), 0n).toString(16);

test('what the kernel shows as CapBnd', () => {
  assert.equal(mask(resolve([], [])), 'a80425fb');
  assert.equal(mask(resolve(['NET_ADMIN'], ['ALL'])), '1000');
  assert.equal(mask(resolve(['chown'], ['ALL', 'CAP_CHOWN'])), '1');
  assert.equal(mask(resolve(['all'], ['ALL'])), '1ffffffffff');
  assert.equal(mask(resolve(['ALL', 'chown'], ['chown'])), '1fffffffffe');
  assert.equal(mask(resolve(['chown'], ['chown'])), 'a80425fb');
  assert.equal(mask(resolve(['cap_net_admin'], ['net_raw'])), 'a80415fb');
  assert.equal(mask(resolve([], ['chown'], true)), '1ffffffffff');
  assert.equal(mask(resolve([], ['ALL'])), '0');
});

test('only what the daemon has', () => {
  const available = capabilitiesOfMask('000001fffeffffff');
  assert.equal(available.includes('CAP_SYS_RESOURCE'), false);
  assert.equal(mask(resolveCapabilities({ privileged: true, capAdd: [], capDrop: [] }, available)), '1fffeffffff');
  assert.equal(resolveCapabilities({ privileged: false, capAdd: [], capDrop: [] }, available).length, DEFAULT_CAPABILITIES.length);
  assert.throws(() => checkCapabilities({ capAdd: ['SYS_RESOURCE'], capDrop: [] }, available), {
    message: 'invalid CapAdd: capability not supported by your kernel or not available in the current environment: "CAP_SYS_RESOURCE"',
  });
});

test('names that are none', () => {
  assert.throws(() => checkCapabilities({ capAdd: ['nosuch'], capDrop: [] }), { kind: 'invalid-parameter', message: 'invalid CapAdd: unknown capability: "CAP_NOSUCH"' });
  assert.throws(() => checkCapabilities({ capAdd: ['ALL'], capDrop: ['CAP_ALL'] }), { message: 'invalid CapDrop: unknown capability: "CAP_ALL"' });
});

import assert from 'node:assert/strict';
import { constants } from 'node:os';
import test from 'node:test';
import { parseSignal } from './signal.ts';

test('names, with or without SIG, in any case; numbers', () => {
  for (const text of ['KILL', 'SIGKILL', 'kill', 'sigkill', '9', '+9', '09']) assert.equal(parseSignal(text), 9, text);
  assert.equal(parseSignal('CLD'), parseSignal('SIGCHLD'));
  assert.equal(parseSignal('64'), 64);
});

test('the numbers are those of this machine', () => {
  for (const [name, number] of Object.entries(constants.signals)) if (name !== 'SIGUNUSED') assert.equal(parseSignal(name), number, name);
});

test('real-time signals count from both ends', () => {
  for (const [text, number] of [['RTMIN', 34], ['SIGRTMIN+1', 35], ['rtmin+15', 49], ['RTMAX-14', 50], ['RTMAX', 64]] as const)
    assert.equal(parseSignal(text), number, text);
});

test('refusals, in the reference engine\'s words', () => {
  for (const text of ['NOSUCH', '', '0', ' 9', '1.0', '0x1', 'UNUSED', 'SIGSIGUSR1', 'RTMIN+16', 'RTMIN-1', 'RTMIN+0', 'RTMAX-15', 'RTMAX+1', 'constructor'])
    assert.throws(() => parseSignal(text), { kind: 'invalid-parameter', message: `invalid signal: ${text}` });
  for (const text of ['65', '32', '33', '-1', '99'])
    assert.throws(() => parseSignal(text), { kind: 'invalid-parameter', message: `the linux daemon does not support signal ${text}` });
});

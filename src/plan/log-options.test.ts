import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container } from '../model/container.ts';
import { checkLog, logDetails, logFault } from './log-options.ts';

const log = (driver: string, options: Readonly<Record<string, string>> = {}) => ({ driver, options });

/** Each tried on a reference engine. */
const refused: readonly (readonly [driver: string, options: Readonly<Record<string, string>>, message: string])[] = [
  ['nosuch', {}, 'error looking up logging plugin nosuch: plugin "nosuch" not found'],
  ['json-file', { foo: '1' }, "unknown log opt 'foo' for json-file log driver"],
  ['local', { foo: '1' }, "unknown log opt 'foo' for log driver local"],
  ['json-file', { mode: 'foo' }, 'logger: logging mode not supported: foo'],
];
for (const [driver, options, message] of refused) test(message, () => assert.throws(() => checkLog(log(driver, options)), { message, kind: 'invalid-parameter' }));

test('fine ones', () => {
  for (const each of [log('json-file', { 'max-size': '1k', tag: 't' }), log('local', { compress: 'false' }), log('none', { any: 'thing' }), log('json-file', { mode: 'non-blocking', 'max-buffer-size': '1k' })]) {
    checkLog(each);
    assert.equal(logFault(each), undefined);
  }
});

test('what is wrong at start', () => {
  const fault = (options: Readonly<Record<string, string>>) => logFault(log('json-file', options));
  assert.equal(fault({ 'max-size': 'abc' }), "invalid size: 'abc'");
  assert.equal(fault({ 'max-file': '0' }), 'max-file cannot be less than 1');
  assert.equal(fault({ 'max-size': '1k', compress: 'true' }), 'compress cannot be true when max-file is less than 2 or max-size is not set');
  assert.equal(fault({ 'max-size': '1k', 'max-file': '2', compress: 'true' }), undefined);
  assert.equal(logFault(log('local', { compress: 'perhaps' })), 'error reading compress log option: strconv.ParseBool: parsing "perhaps": invalid syntax');
});

test('details', () => {
  const container = (options: Readonly<Record<string, string>>) =>
    ({ id: 'f'.repeat(64), name: 'web', imageId: `sha256:${'a'.repeat(64)}`, spec: { image: 'busybox', labels: { a: '1', b: 'x y' }, env: ['B=2', 'C=3=4'], log: log('json-file', options) } }) as unknown as Container;
  assert.equal(logDetails(container({ labels: 'a', env: 'B', tag: 't' })), 'B=2,a=1,tag=t');
  assert.equal(logDetails(container({ labels: 'b,nosuch', 'env-regex': '^C' })), 'C=3%3D4,b=x+y');
  assert.equal(logDetails(container({ tag: '{{.Name}}/{{.ID}}' })), `tag=web%2F${'f'.repeat(12)}`);
  assert.equal(logDetails(container({})), '');
});

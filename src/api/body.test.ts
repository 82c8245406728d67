import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseJson } from './body.ts';
import { createRequest } from './container-schema.ts';
import { decode } from './decode.ts';

const faults: readonly (readonly [text: string, message: string])[] = [
  ['{bad', `invalid JSON: invalid character 'b' looking for beginning of object key string`],
  ['', 'invalid JSON: got EOF while reading request body'],
  ['  ', 'invalid JSON: got EOF while reading request body'],
  ['{', 'invalid JSON: unexpected EOF'],
  ['{"a":', 'invalid JSON: unexpected EOF'],
  ['{"a":1', 'invalid JSON: unexpected EOF'],
  ['{"a" 1}', `invalid JSON: invalid character '1' after object key`],
  ['{"a":1 2}', `invalid JSON: invalid character '2' after object key:value pair`],
  ['{"a":1,}', `invalid JSON: invalid character '}' looking for beginning of object key string`],
  ['[1,]', `invalid JSON: invalid character ']' looking for beginning of value`],
  ['[1 2]', `invalid JSON: invalid character '2' after array element`],
  [`{'a':1}`, `invalid JSON: invalid character '\\'' looking for beginning of object key string`],
  ['tru e', `invalid JSON: invalid character ' ' in literal true (expecting 'e')`],
  ['"a\nb"', `invalid JSON: invalid character '\\n' in string literal`],
  ['"\\q"', `invalid JSON: invalid character 'q' in string escape code`],
  ['"\\u12x4"', `invalid JSON: invalid character 'x' in \\u hexadecimal character escape`],
  ['-x', `invalid JSON: invalid character 'x' in numeric literal`],
  ['1.x', `invalid JSON: invalid character 'x' after decimal point in numeric literal`],
  ['['.repeat(100_000), 'invalid JSON: exceeded max depth'],
  ['{} {}', 'unexpected content after JSON'],
  ['{}x', 'unexpected content after JSON'],
];

for (const [text, message] of faults) test(`syntax: ${JSON.stringify(text).slice(0, 60)}`, () => assert.throws(() => parseJson(text), { message, kind: 'invalid-parameter' }));

test('a closing bracket too many is not looked at, as in Go', () => assert.deepEqual(parseJson('{"a":1}}'), { a: 1 }));

const mismatches: readonly (readonly [value: unknown, message: string])[] = [
  [[], 'array into Go value of type container.CreateRequest'],
  [5, 'number into Go value of type container.CreateRequest'],
  [{ Image: 5 }, 'number into Go struct field CreateRequest.Config.Image of type string'],
  [{ Cmd: 5 }, 'number into Go struct field CreateRequest.Config.Cmd of type string'],
  [{ Cmd: [5] }, 'array into Go struct field CreateRequest.Config.Cmd of type string'],
  [{ Env: ['a', 5] }, 'number into Go struct field CreateRequest.Config.Env of type string'],
  [{ Env: { a: 5 } }, 'object into Go struct field CreateRequest.Config.Env of type []string'],
  [{ Tty: 'x' }, 'string into Go struct field CreateRequest.Config.Tty of type bool'],
  [{ Volumes: [] }, 'array into Go struct field CreateRequest.Config.Volumes of type map[string]struct {}'],
  [{ Volumes: { '/a': 5 } }, 'number into Go struct field CreateRequest.Config.Volumes of type struct {}'],
  [{ HostConfig: 5 }, 'number into Go struct field CreateRequest.HostConfig of type container.HostConfig'],
  [{ HostConfig: { Memory: 'x' } }, 'string into Go struct field HostConfig.HostConfig.Resources.Memory of type int64'],
  [{ HostConfig: { Memory: 1.5 } }, 'number 1.5 into Go struct field HostConfig.HostConfig.Resources.Memory of type int64'],
  [{ HostConfig: { BlkioWeight: 70000 } }, 'number 70000 into Go struct field HostConfig.HostConfig.Resources.BlkioWeight of type uint16'],
  [{ HostConfig: { PortBindings: { '80/tcp': [{ HostPort: 80 }] } } }, 'number into Go struct field PortBinding.HostConfig.PortBindings.HostPort of type string'],
  [{ HostConfig: { PortBindings: { '80/tcp': {} } } }, 'object into Go struct field HostConfig.HostConfig.PortBindings of type []nat.PortBinding'],
  [{ HostConfig: { Mounts: [{ Source: 5 }] } }, 'number into Go struct field Mount.HostConfig.Mounts.Source of type string'],
  [{ NetworkingConfig: { EndpointsConfig: 5 } }, 'number into Go struct field NetworkingConfig.NetworkingConfig.EndpointsConfig of type map[string]*network.EndpointSettings'],
];

for (const [value, message] of mismatches) {
  test(`types: ${JSON.stringify(value)}`, () => assert.throws(() => decode(createRequest, value), { message: `invalid JSON: json: cannot unmarshal ${message}` }));
}

test('keys in any case, unknown keys, null and absent values', () => {
  const wire = decode(createRequest, { image: 'a', nosuch: 1, TTY: null, hostconfig: { shmsize: 5, binds: [] }, Cmd: 'one two' });
  assert.equal(wire.Image, 'a');
  assert.equal(wire.Tty, false);
  assert.equal(wire.HostConfig.ShmSize, 5);
  assert.deepEqual(wire.HostConfig.Binds, []);
  assert.equal(wire.HostConfig.CapAdd, null);
  assert.deepEqual(wire.Cmd, ['one two']);
});

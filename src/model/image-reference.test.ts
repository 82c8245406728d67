import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonical, familiar, familiarMatch, parseName, parseNewName, parseReference, sortedNames, withDefaultTag } from './image-reference.ts';

const hex = 'a'.repeat(64);

test('familiar and full forms', () => {
  for (const [text, full, short] of [
    ['busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['library/x', 'docker.io/library/x:latest', 'x:latest'],
    ['docker.io/x', 'docker.io/library/x:latest', 'x:latest'],
    ['index.docker.io/my/x:1', 'docker.io/my/x:1', 'my/x:1'],
    ['docker-registry.sh/myapp:v0.0.1', 'docker-registry.sh/myapp:v0.0.1', 'docker-registry.sh/myapp:v0.0.1'],
    ['foo:5000/x', 'foo:5000/x:latest', 'foo:5000/x:latest'],
    ['registry:5000', 'docker.io/library/registry:5000', 'registry:5000'],
    ['HOST/a', 'HOST/a:latest', 'HOST/a:latest'],
    ['[::1]:5000/x', '[::1]:5000/x:latest', '[::1]:5000/x:latest'],
    ['localhost/a', 'localhost/a:latest', 'localhost/a:latest'],
    ['a__b', 'docker.io/library/a__b:latest', 'a__b:latest'],
    ['a--b', 'docker.io/library/a--b:latest', 'a--b:latest'],
    [`x:y@sha256:${hex}`, `docker.io/library/x:y@sha256:${hex}`, `x:y@sha256:${hex}`],
  ] as const) {
    const named = withDefaultTag(parseName(text));
    assert.equal(canonical(named), full);
    assert.equal(familiar(named), short);
  }
});

test('ids', () => {
  assert.deepEqual(parseReference(hex), { id: `sha256:${hex}` });
  assert.deepEqual(parseReference(`sha256:${hex}`), { id: `sha256:${hex}` });
  assert.equal(familiar(parseReference('sha256:abc')), 'sha256:abc');
});

test('what is refused, in the words of the reference engine', () => {
  for (const [text, message] of [
    ['BAD', 'invalid reference format: repository name (library/BAD) must be lowercase'],
    ['Bad:Name', 'invalid reference format: repository name (library/Bad) must be lowercase'],
    ['localhost/A', 'invalid reference format: repository name (A) must be lowercase'],
    ['a b', 'invalid reference format'],
    ['-a', 'invalid reference format'],
    ['', 'invalid reference format'],
    ['a:', 'invalid reference format'],
    ['a:b:c', 'invalid reference format'],
    [`a:${'b'.repeat(129)}`, 'invalid reference format'],
    ['a___b', 'invalid reference format'],
    ['a@sha256:abc', 'invalid reference format'],
    [`a@sha256:${'A'.repeat(64)}`, 'invalid checksum digest format'],
    ['x'.repeat(248), 'repository name must not be more than 255 characters'],
    [hex, `invalid repository name (${hex}), cannot specify 64-byte hexadecimal strings`],
  ] as const)
    assert.throws(() => parseName(text), { message, kind: 'invalid-parameter' }, text);
  assert.equal(parseName('x'.repeat(247)).path.length, 255);
});

test('a new name', () => {
  assert.equal(familiar(parseNewName('it/t:b', 'c')), 'it/t:c');
  assert.equal(familiar(parseNewName('docker.io/it/t', '')), 'it/t:latest');
  assert.throws(() => parseNewName('it/t', '-'), { message: 'invalid tag format' });
  assert.throws(() => parseNewName('sha256', 'x'), { message: 'refusing to create an ambiguous tag using digest algorithm as name' });
  assert.throws(() => parseNewName(`a@sha256:${hex}`, ''), { message: 'cannot import digest reference' });
});

test('the reference filter', () => {
  const matches = (pattern: string) => ['busybox:latest', 'it/t:b'].filter((name) => familiarMatch(pattern, name));
  for (const pattern of ['busybox', 'busy*', 'busybox:*', 'busybox:latest', '*', '*:*', '**', 'b?sybox', '[a-c]usybox', 'busy\\box'])
    assert.deepEqual(matches(pattern), ['busybox:latest'], pattern);
  for (const pattern of ['it/*', '*/*', 'it/t']) assert.deepEqual(matches(pattern), ['it/t:b'], pattern);
  for (const pattern of ['*/busybox', 'library/busybox', 'bus', 'it.t', '[^b]usybox']) assert.deepEqual(matches(pattern), [], pattern);
  assert.throws(() => matches('['), { message: 'syntax error in pattern' });
});

test('names are sorted in full', () => {
  assert.deepEqual(sortedNames(['my/bb:1', 'busybox:latest', 'docker-registry.sh/x:1', 'my/bb:1']), ['docker-registry.sh/x:1', 'busybox:latest', 'my/bb:1']);
});

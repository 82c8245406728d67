import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemError } from '../model/errors.ts';
import { parseName } from '../model/image-reference.ts';
import { mayBePlain } from '../model/registry.ts';
import { pullError, pushError } from './registry-errors.ts';
import { imageFor, parseManifest, type IndexEntry } from './registry-manifest.ts';

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const entry = (digit: string, platform: string): IndexEntry => {
  const [os = '', architecture = '', variant = ''] = platform.split('/');
  return { digest: digest(digit), platform: { os, architecture, variant } };
};

test('of several machines, the one that was meant', () => {
  const images = [entry('0', 'linux/amd64'), entry('1', 'linux/arm/v6'), entry('2', 'linux/arm/v7'), entry('3', 'linux/arm64/v8'), entry('4', 'windows/amd64'), entry('5', 'unknown/unknown')];
  const found = (platform: string) => imageFor(images, entry('', platform).platform);
  assert.deepEqual(['linux/amd64', 'linux/arm', 'linux/arm/v6', 'linux/arm64', 'linux/arm64/v8', 'windows/amd64'].map(found), ['0', '2', '1', '3', '3', '4'].map(digest));
  assert.throws(() => found('linux/s390x'), { kind: 'not-found', message: 'no matching manifest for linux/s390x in the manifest list entries' });
  assert.throws(() => found('linux/arm/v5'), { message: 'no matching manifest for linux/arm/v5 in the manifest list entries' });
});

test('a manifest, and what is none', () => {
  const manifest = { schemaVersion: 2, config: { digest: digest('a') }, layers: [{ digest: digest('b'), size: 3 }] };
  assert.deepEqual(parseManifest(JSON.stringify(manifest)), { kind: 'image', manifest: { config: digest('a'), layers: [{ digest: digest('b'), size: 3 }] } });
  assert.throws(() => parseManifest('{"schemaVersion":1}'), /schema 1 are not supported/);
  assert.throws(() => parseManifest('{}'), /no image manifest/);
  assert.throws(() => parseManifest(JSON.stringify({ ...manifest, config: { digest: 'sha256:../../etc/passwd' } })), /invalid digest/);
});

test('failures in the words of the reference engine', () => {
  const pulled = (words: string, ref: string, hasCredentials = false) => pullError(systemError(words), parseName(ref), hasCredentials);
  for (const [words, ref, kind, message] of [
    ['manifest unknown: manifest unknown', 'x:1', 'not-found', 'manifest for x:1 not found: manifest unknown: manifest unknown'],
    ['denied: requested access to the resource is denied', 'x:1', 'not-found', "pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"],
    ['unauthorized: authentication required', '127.0.0.1:5000/x:1', 'system', 'Head "http://127.0.0.1:5000/v2/x/manifests/1": no basic auth credentials'],
    ['Get "https://h.test/v2/": dial tcp: lookup h.test: no such host', 'h.test/x:1', 'system', 'Get "https://h.test/v2/": dial tcp: lookup h.test: no such host'],
  ] as const) {
    const error = pulled(words, ref);
    assert.deepEqual([error.kind, error.message], [kind, message]);
  }
  assert.equal(pulled('unauthorized: authentication required', 'x:1', true).message, 'unauthorized: authentication required');
  assert.equal(pushError(systemError('unauthorized: authentication required'), false).message, 'no basic auth credentials');
});

test('only this machine may do without TLS', () => {
  for (const domain of ['localhost', 'localhost:5000', '127.0.0.1', '127.1.2.3:80', '[::1]:5000']) assert.ok(mayBePlain(domain), domain);
  for (const domain of ['docker.io', '127.0.0.1.test', 'localhost.test:5000', '10.0.0.1:5000', '[::2]']) assert.ok(!mayBePlain(domain), domain);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reasonIn } from './skopeo.ts';

test('what the registry said, without what skopeo was about to do', () => {
  for (const [words, reason] of [
    ['Error parsing image name "docker://127.0.0.1:1/x:1": reading manifest 1 in 127.0.0.1:1/x: manifest unknown: manifest unknown', 'manifest unknown: manifest unknown'],
    ['Error parsing image name "docker://127.0.0.1:1/x:1": reading manifest 1 in 127.0.0.1:1/x: unauthorized: authentication required', 'unauthorized: authentication required'],
    ['Error parsing image name "docker://x:1": reading manifest 1 in docker.io/library/x: errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required\n', 'denied: requested access to the resource is denied'],
    ['pinging container registry 127.0.0.1:1: Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused', 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'],
    ['something else altogether', 'something else altogether'],
  ] as const)
    assert.equal(reasonIn(words), reason);
});

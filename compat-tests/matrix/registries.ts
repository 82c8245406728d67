// Registries: pull, push, login, search. What needs one is checked where one is given.

import assert from 'node:assert/strict';
import { check, type Resource } from './check.ts';
import type { Lab } from './lab.ts';

const NOBODY = { 'X-Registry-Auth': 'e30=' };
const lines = (text: string): any[] => text.trim().split(/\r?\n/).map(line => JSON.parse(line));

const pushed = async (lab: Lab) => {
  const repository = lab.image(`${lab.registry}/${lab.name('x')}`);
  await lab.ask(201, 'POST', `/images/busybox/tag?repo=${repository}&tag=1`);
  lab.image(`${repository}:1`);
  const { status, text } = await lab.call('POST', `/images/${repository}/push?tag=1`, undefined, NOBODY);
  assert.equal(status, 200, text);
  return { repository, told: lines(text) };
};

export const registries: Resource = {
  title: 'registries',
  about: 'pull by tag, digest and platform, push with progress, login, what a name stands for',
  later: 'searching Docker Hub',
  checks: [
    check('POST /images/{name}/push', 'its lines, and the digest at the end', async lab => {
      const { repository, told } = await pushed(lab);
      assert.deepEqual(told[0], { status: `The push refers to repository [${repository}]` });
      const { aux } = told.at(-1);
      assert.equal(aux.Tag, '1');
      assert.match(aux.Digest, /^sha256:[0-9a-f]{64}$/);
      assert.ok((await lab.ask(200, 'GET', `/images/${repository}:1/json`)).RepoDigests.includes(`${repository}@${aux.Digest}`));
    }, { needs: 'registry' }),
    check('POST /images/{name}/push', 'without credentials; what is not here', async lab => {
      await lab.refuses(400, /^bad parameters and missing X-Registry-Auth/, 'POST', '/images/mx-nosuch/push');
      const { text } = await lab.call('POST', '/images/127.0.0.1:1/mx-nosuch/push?tag=1', undefined, NOBODY);
      assert.match(text, /An image does not exist locally with the tag: 127\.0\.0\.1:1\/mx-nosuch/);
    }),
    check('POST /images/create', 'a pull, and the next, by tag and by digest', async lab => {
      const { repository, told } = await pushed(lab);
      const { Digest } = told.at(-1).aux;
      await lab.ask(200, 'DELETE', `/images/${repository}:1`);
      const pull = async (tag: string) => lines((await lab.call('POST', `/images/create?fromImage=${repository}&tag=${encodeURIComponent(tag)}`, undefined, NOBODY)).text).map(({ status }) => status);
      assert.deepEqual((await pull('1')).slice(-2), [`Digest: ${Digest}`, `Status: Downloaded newer image for ${repository}:1`]);
      assert.equal((await pull('1')).at(-1), `Status: Image is up to date for ${repository}:1`);
      await pull(Digest);
      const { RepoTags, RepoDigests } = await lab.ask(200, 'GET', `/images/${repository}@${Digest}/json`);
      assert.ok(RepoTags.includes(`${repository}:1`) && RepoDigests.includes(`${repository}@${Digest}`));
      await lab.call('DELETE', `/images/${repository}@${Digest}`);
    }, { needs: 'registry' }),
    check('POST /images/create', 'a tag that the registry does not have', async lab => {
      const { repository } = await pushed(lab);
      await lab.refuses(404, `manifest for ${repository}:nosuch not found: manifest unknown: manifest unknown`, 'POST', `/images/create?fromImage=${repository}&tag=nosuch`, undefined, NOBODY);
    }, { needs: 'registry' }),
    check('GET /distribution/{name}/json', 'what a name stands for', async lab => {
      const { repository, told } = await pushed(lab);
      const { Digest, Size } = told.at(-1).aux;
      const { Descriptor, Platforms } = await lab.ask(200, 'GET', `/distribution/${repository}:1/json`);
      assert.deepEqual([Descriptor.digest, Descriptor.size, Platforms[0].os], [Digest, Size, 'linux']);
      await lab.refuses(404, 'manifest unknown: manifest unknown', 'GET', `/distribution/${repository}:nosuch/json`);
    }, { needs: 'registry' }),
    check('GET /distribution/{name}/json', 'a name that is none, a registry that is not there', async lab => {
      await lab.refuses(400, 'invalid reference format: repository name (library/Bad) must be lowercase', 'GET', '/distribution/Bad:Name/json');
      await lab.refuses(500, 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused', 'GET', '/distribution/127.0.0.1:1/x:1/json');
    }),
    check('POST /auth', 'a registry that lets everyone in', async lab => {
      const { Status } = await lab.ask(200, 'POST', '/auth', { username: 'u', password: 'p', serveraddress: lab.registry });
      assert.equal(Status, 'Login Succeeded');
    }, { needs: 'registry' }),
    check('POST /auth', 'a registry that is not there', async lab => {
      await lab.refuses(500, 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused', 'POST', '/auth', { username: 'u', password: 'p', serveraddress: '127.0.0.1:1' });
    }),
    check('GET /images/search', 'limits and filters that are none', async lab => {
      await lab.refuses(400, 'limit 1000 is outside the range of [1, 100]', 'GET', '/images/search?term=x&limit=1000');
      await lab.refuses(400, 'invalid limit specified: strconv.Atoi: parsing "x": invalid syntax', 'GET', '/images/search?term=x&limit=x');
      await lab.refuses(400, "invalid filter 'nosuch'", 'GET', '/images/search?term=x&filters={"nosuch":["x"]}');
    }),
  ],
};

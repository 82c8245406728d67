// What berth gives beyond Docker's API.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { names, tar, untar } from '../support/tars.ts';
import { check, type Resource } from './check.ts';
import type { Lab } from './lab.ts';

const TAR = { 'content-type': 'application/x-tar' };
const filled = async (lab: Lab) => {
  const volume = await lab.volume();
  await lab.ask(200, 'PUT', `/volumes/${volume}/archive`, await tar([{ name: 'f', body: 'precious\n' }]), TAR);
  return volume;
};
const contents = async (lab: Lab, path: string) => untar((await lab.call('GET', path)).bytes);

export const extensions: Resource = {
  title: 'extensions',
  about: 'whole volumes as archives, clone, rename; the files of a volume without a container; ports of a running container; what a call would do',
  own: true,
  checks: [
    check('GET /volumes/{name}/archive', 'a volume as a tar, with its digest', async lab => {
      const volume = await filled(lab);
      const { bytes, headers } = await lab.call('GET', `/volumes/${volume}/archive`);
      assert.equal(headers['content-type'], 'application/x-tar');
      assert.ok(names(await untar(bytes)).some(name => /(^|\/)f$/.test(name)));
    }),
    check('PUT /volumes/{name}/archive', 'a tar becomes the volume; a digest that does not fit changes nothing', async lab => {
      const volume = await filled(lab);
      const body = await tar([{ name: 'g', body: 'new\n' }]);
      const digest = (of: Buffer) => `sha-256=:${createHash('sha256').update(of).digest('base64')}:`;
      assert.ok((await lab.call('PUT', `/volumes/${volume}/archive`, body, { ...TAR, 'content-digest': digest(Buffer.from('other')) })).status >= 400);
      assert.ok(names(await contents(lab, `/volumes/${volume}/archive`)).some(name => /(^|\/)f$/.test(name)));
      await lab.ask(200, 'PUT', `/volumes/${volume}/archive`, body, { ...TAR, 'content-digest': digest(body) });
      const found = names(await contents(lab, `/volumes/${volume}/archive`));
      assert.deepEqual([found.some(name => /(^|\/)g$/.test(name)), found.some(name => /(^|\/)f$/.test(name))], [true, false]);
    }),
    check('POST /volumes/{name}/clone', 'a copy under another name', async lab => {
      const volume = await filled(lab);
      await lab.volume({}, lab.name('gone'));
      await lab.ask(204, 'DELETE', `/volumes/${lab.name('gone')}`);
      await lab.ask(201, 'POST', `/volumes/${volume}/clone?name=${lab.name('gone')}`);
      assert.ok(names(await contents(lab, `/volumes/${lab.name('gone')}/archive`)).some(name => /(^|\/)f$/.test(name)));
    }),
    check('POST /volumes/{name}/rename', 'another name', async lab => {
      const volume = await filled(lab);
      await lab.ask(204, 'POST', `/volumes/${volume}/rename?name=${lab.name('renamed')}`);
      await lab.ask(404, 'GET', `/volumes/${volume}`);
      await lab.ask(204, 'DELETE', `/volumes/${lab.name('renamed')}`);
    }),
    check('GET /containers/volume.{name}/archive', 'files of a volume without a container', async lab => {
      const volume = await filled(lab);
      const [found] = await contents(lab, `/containers/volume.${volume}/archive?path=/f`);
      assert.equal(found?.body.toString(), 'precious\n');
    }),
    check('POST /containers/{id}/update', 'ports of a running container', async lab => {
      const id = await lab.start();
      const { Pid } = (await lab.inspect(id)).State;
      await lab.ask(200, 'POST', `/containers/${id}/update`, { HostConfig: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] } } });
      const { NetworkSettings, State } = await lab.inspect(id);
      assert.deepEqual([NetworkSettings.Ports['80/tcp'].map(({ HostIp }: any) => HostIp), State.Pid], [['127.0.0.1'], Pid]);
    }),
    check('POST /berth/explain/{call}', 'what a call would do, without doing it', async lab => {
      const id = await lab.create();
      assert.match((await lab.call('POST', `/berth/explain/containers/${id}/start`)).text, /^.*[+] netns .*/);
      assert.equal((await lab.inspect(id)).State.Status, 'created');
    }),
  ],
};

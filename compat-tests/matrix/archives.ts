// Files in containers.

import assert from 'node:assert/strict';
import { names, tar, untar } from '../support/tars.ts';
import { check, type Resource } from './check.ts';
import type { Lab } from './lab.ts';

const TAR = { 'content-type': 'application/x-tar' };
const get = async (lab: Lab, id: string, path: string) => {
  const answer = await lab.call('GET', `/containers/${id}/archive?path=${encodeURIComponent(path)}`);
  assert.equal(answer.status, 200, answer.text.slice(0, 200));
  return untar(answer.bytes);
};
const put = async (lab: Lab, id: string, path: string, entries: Parameters<typeof tar>[0], more = '') =>
  lab.ask(200, 'PUT', `/containers/${id}/archive?path=${encodeURIComponent(path)}${more}`, await tar(entries), TAR);

export const archives: Resource = {
  title: 'archives',
  about: '`docker cp` both ways, path stat, export, diff',
  checks: [
    check('HEAD /containers/{id}/archive', 'a path\'s stat', async lab => {
      const id = await lab.start();
      await lab.exec(id, ['sh', '-c', 'mkdir /d; echo one >/d/f; chmod 4711 /d/f; ln -s f /d/link']);
      const stat = async (path: string) => JSON.parse(Buffer.from(String((await lab.call('HEAD', `/containers/${id}/archive?path=${path}`)).headers['x-docker-container-path-stat']), 'base64').toString());
      const { name, size, mode, linkTarget } = await stat('/d/f');
      assert.deepEqual([name, size, mode & 0o777, linkTarget], ['f', 4, 0o711, '']);
      assert.match((await stat('/d/link')).linkTarget, /\/d\/f$|^f$/);
      assert.equal((await lab.call('HEAD', `/containers/${id}/archive?path=/nosuch`)).status, 404);
    }),
    check('GET /containers/{id}/archive', 'a directory with all below it', async lab => {
      const id = await lab.start();
      await lab.exec(id, ['sh', '-c', 'mkdir -p /d/sub; echo one >/d/f; echo two >/d/sub/g; ln -s f /d/link; chown 12:34 /d/sub; chmod 4711 /d/f']);
      const found = await get(lab, id, '/d');
      assert.deepEqual(names(found), ['d/', 'd/f', 'd/link', 'd/sub/', 'd/sub/g']);
      const of = (path: string) => found.find(({ name }) => name === path)!;
      assert.deepEqual([of('d/f').body.toString(), of('d/f').mode! & 0o7777, of('d/link').linkname, of('d/sub/').uid, of('d/sub/').gid], ['one\n', 0o4711, 'f', 12, 34]);
    }),
    check('GET /containers/{id}/archive', 'through links that stay inside', async lab => {
      const id = await lab.start();
      await lab.exec(id, ['sh', '-c', 'mkdir /d; echo one >/d/f; ln -s /d /l; ln -s / /up']);
      assert.deepEqual(names(await get(lab, id, '/l/f')), ['f']);
      assert.deepEqual(names(await get(lab, id, '/up/../../up/d/f')), ['f']);
    }),
    check('GET /containers/{id}/archive', 'volumes, and one that does not run', async lab => {
      const volume = await lab.volume();
      const id = await lab.start({ Cmd: ['sh', '-c', 'echo kept >/v/f'], HostConfig: { Binds: [`${volume}:/v`] } });
      await lab.ask(200, 'POST', `/containers/${id}/wait`);
      assert.equal((await get(lab, id, '/v/f'))[0]?.body.toString(), 'kept\n');
    }),
    check('GET /containers/{id}/archive', 'no path, no file, no container', async lab => {
      const id = await lab.create();
      await lab.refuses(404, `Could not find the file /nosuch in container ${id}`, 'GET', `/containers/${id}/archive?path=/nosuch`);
      await lab.refuses(400, /^bad parameter: path ?cannot be empty$/, 'GET', `/containers/${id}/archive`);
      await lab.refuses(404, 'No such container: mx-nosuch', 'GET', '/containers/mx-nosuch/archive?path=/');
    }),
    check('PUT /containers/{id}/archive', 'files, modes, links', async lab => {
      const id = await lab.start();
      await put(lab, id, '/tmp', [{ name: 'd', type: 'directory' }, { name: 'd/f', body: 'new\n', mode: 0o640, uid: 5, gid: 6 }, { name: 'd/l', type: 'symlink', linkname: 'f' }]);
      const { stdout } = await lab.exec(id, ['sh', '-c', 'cat /tmp/d/l; stat -c "%a %u %g" /tmp/d/f']);
      assert.equal(stdout, 'new\n640 5 6\n');
    }),
    check('PUT /containers/{id}/archive', 'compressed; into a volume; while it does not run', async lab => {
      const { gzipSync } = await import('node:zlib');
      const volume = await lab.volume();
      const id = await lab.create({ Cmd: ['cat', '/v/f'], HostConfig: { Binds: [`${volume}:/v`] } });
      await lab.ask(200, 'PUT', `/containers/${id}/archive?path=/v`, gzipSync(await tar([{ name: 'f', body: 'zipped\n' }])), TAR);
      await lab.ask(204, 'POST', `/containers/${id}/start`);
      await lab.ask(200, 'POST', `/containers/${id}/wait`);
      assert.match((await lab.call('GET', `/containers/${id}/logs?stdout=1`)).text, /zipped\n$/);
    }),
    check('PUT /containers/{id}/archive', 'no directory in a file\'s place, when asked', async lab => {
      const id = await lab.start();
      await lab.exec(id, ['sh', '-c', 'echo >/tmp/x']);
      await lab.refuses(500, /cannot overwrite (non-)?directory/i, 'PUT', `/containers/${id}/archive?path=/tmp&noOverwriteDirNonDir=1`, await tar([{ name: 'x', type: 'directory' }]), TAR);
    }),
    check('PUT /containers/{id}/archive', 'nothing outside of it', async lab => {
      const id = await lab.start();
      await lab.call('PUT', `/containers/${id}/archive?path=/tmp`, await tar([{ name: '../../../../mx-escaped', body: 'x' }]), TAR);
      assert.equal((await lab.exec(id, ['ls', '/tmp'])).code, 0);
      const { existsSync } = await import('node:fs');
      assert.equal(existsSync('/mx-escaped'), false);
    }),
    check('PUT /containers/{id}/archive', 'what is read only, no directory, no archive', async lab => {
      const volume = await lab.volume();
      const id = await lab.start({ HostConfig: { Binds: [`${volume}:/v:ro`] } });
      const body = await tar([{ name: 'f', body: 'x' }]);
      await lab.refuses(lab.version < 51 ? 500 : 400, 'mounted volume is marked read-only', 'PUT', `/containers/${id}/archive?path=/v`, body, TAR);
      await lab.refuses(500, 'extraction point is not a directory', 'PUT', `/containers/${id}/archive?path=/bin/busybox`, body, TAR);
      await lab.refuses(404, `Could not find the file /nosuch in container ${id}`, 'PUT', `/containers/${id}/archive?path=/nosuch`, body, TAR);
    }),
    check('GET /containers/{id}/export', 'its whole file system', async lab => {
      const id = await lab.start();
      await lab.exec(id, ['touch', '/made']);
      const { bytes, headers } = await lab.call('GET', `/containers/${id}/export`);
      assert.match(String(headers['content-type']), /x-tar|octet-stream/);
      const found = names(await untar(bytes));
      for (const path of ['made', 'bin/busybox', 'etc/passwd']) assert.ok(found.includes(path), path);
      await lab.refuses(404, 'No such container: mx-nosuch', 'GET', '/containers/mx-nosuch/export');
    }),
    check('GET /containers/{id}/changes', 'added, changed, deleted', async lab => {
      const id = await lab.start();
      await lab.exec(id, ['sh', '-c', 'touch /added; rm /etc/group; mkdir /home/d']);
      const changes = ((await lab.ask(200, 'GET', `/containers/${id}/changes`)) as any[]).map(({ Path, Kind }) => `${Kind} ${Path}`);
      for (const line of ['1 /added', '2 /etc/group', '0 /etc', '0 /home', '1 /home/d']) assert.ok(changes.includes(line), `${line}: ${changes}`);
      assert.equal(await lab.ask(200, 'GET', `/containers/${await lab.create()}/changes`), null);
    }),
  ],
};

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveUser } from './users.ts';

const passwd = 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n# a comment\nweb:x:1000:100:Web:/home/web:/bin/sh\n7:x:2000:2000::/seven:/bin/sh\n';
const group = 'root:x:0:\ndaemon:x:1:\nmail:x:8:web,daemon\nwww:x:33:web\nusers:x:100:\n';

/** uid:gid additional home */
const resolved = (user: string, groupAdd: string[] = []): string => {
  const { uid, gid, additionalGids, home } = resolveUser(user, passwd, group, groupAdd);
  return `${uid}:${gid} ${additionalGids.join(',')} ${home}`;
};

test('names, numbers and both', () => {
  assert.equal(resolved(''), '0:0 0 /root');
  assert.equal(resolved('root'), '0:0 0 /root');
  assert.equal(resolved('web'), '1000:100 100,8,33 /home/web');
  assert.equal(resolved('1000'), '1000:100 100,8,33 /home/web');
  assert.equal(resolved('web:mail'), '1000:8 8 /home/web');
  assert.equal(resolved('5:6', ['7']), '5:6 6,7 /');
  assert.equal(resolved('1234'), '1234:0 0 /');
  assert.equal(resolved(':7'), '0:7 7 /root');
  assert.equal(resolved('5:'), '5:0 0 /');
  assert.equal(resolved('::'), '0:0 0 /root');
  assert.equal(resolved('2147483647'), '2147483647:0 0 /');
  assert.equal(resolved('daemon', ['mail', '99999', 'daemon']), '1:1 1,8,99999 /usr/sbin');
  assert.equal(resolved('7'), '2000:2000 2000 /seven');
});

test('an image without the files', () => {
  assert.deepEqual(resolveUser('', undefined, undefined), { uid: 0, gid: 0, additionalGids: [0], home: '/' });
  assert.deepEqual(resolveUser('5:6', undefined, undefined), { uid: 5, gid: 6, additionalGids: [6], home: '/' });
});

test('who is not there', () => {
  const message = (user: string, groupAdd: string[] = []): string => {
    try {
      return resolved(user, groupAdd);
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.equal(message('nosuch'), 'unable to find user nosuch: no matching entries in passwd file');
  assert.equal(message('a:b:c'), 'unable to find user a: no matching entries in passwd file');
  assert.equal(message('0:nosuch'), 'unable to find group nosuch: no matching entries in group file');
  assert.equal(message('', ['nosuch']), 'Unable to find group nosuch: no matching entries in group file');
  assert.equal(message('', ['']), 'Unable to find group : no matching entries in group file');
  for (const range of ['4294967295', '2147483648', '-1', '0:2147483648']) assert.equal(message(range), 'uids and gids must be in range 0-2147483647');
});

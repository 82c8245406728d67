// The power fails while clients work: what the disk had at that moment is all there is. The daemon is held still while its
// data root is copied, at moments that chance chooses; then it starts from each copy, on a host that has nothing else.
// POWER_CUTS and POWER_SEED: more of them, or others (`make soak`).

import { execa } from 'execa';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createHost, must, removeHost, sound, there, type Host } from './support/crash.ts';
import { randomFrom } from './support/hostile.ts';
import { call } from './support/http.ts';
import { powerOff } from './support/reboot.ts';
import { tar } from './support/tars.ts';

const CUTS = Number(process.env['POWER_CUTS'] ?? 3);

type Cut = { readonly copy: string; /** What had been answered when it was made: true, it is there. */ readonly known: ReadonlyMap<string, boolean>; readonly doubtful: ReadonlySet<string> };

void describe('a power cut', () => {
  let host: Host;
  before(async () => { host = await createHost('-power'); });
  after(() => removeHost(host));

  test('the state opens, and what was answered is there', { timeout: (60 + CUTS * 20) * 1000 }, async t => {
    const { daemon } = host;
    const chance = randomFrom(Number(process.env['POWER_SEED'] ?? 3));
    const image = await tar([{ name: 'file', body: 'of an image' }]);
    const known = new Map<string, boolean>();
    const doubtful = new Set<string>();
    const data = join(daemon.root, 'data');
    const cuts: Cut[] = [];
    let answered = 0;
    const change = async (path: string, becomes: boolean, ask: () => Promise<{ status: number; text: string }>) => {
      doubtful.add(path);
      const { status, text } = await ask();
      assert.ok(status < 300, `${path}: ${status} ${text}`);
      answered += 1;
      known.set(path, becomes);
      doubtful.delete(path);
    };
    const client = async (n: number) => {
      for (let i = 0; cuts.length < CUTS; i++) {
        const name = `p${n}-${i % 5}`;
        await change(`/volumes/${name}`, true, () => call(daemon.socket, 'POST', '/volumes/create', { Name: name }));
        await change(`/containers/${name}/json`, true, () => call(daemon.socket, 'POST', `/containers/create?name=${name}`, { Image: 'busybox', Cmd: ['sleep', '1000'], HostConfig: { Binds: [`${name}:/v`] } }));
        if (i % 3 === 0) await must(daemon, 'POST', `/containers/${name}/start`);
        await change(`/networks/${name}`, true, () => call(daemon.socket, 'POST', '/networks/create', { Name: name }));
        await change(`/images/${name}/json`, true, () => call(daemon.socket, 'POST', `/images/create?fromSrc=-&repo=${name}`, image));
        await change(`/images/${name}/json`, false, () => call(daemon.socket, 'DELETE', `/images/${name}`));
        await change(`/networks/${name}`, false, () => call(daemon.socket, 'DELETE', `/networks/${name}`));
        await change(`/containers/${name}/json`, false, () => call(daemon.socket, 'DELETE', `/containers/${name}?force=1`));
        await change(`/volumes/${name}`, false, () => call(daemon.socket, 'DELETE', `/volumes/${name}`));
      }
    };
    const cutter = async () => {
      while (cuts.length < CUTS) {
        await pause(200 + chance(800));
        process.kill(daemon.pid(), 'SIGSTOP');
        const copy = join(daemon.root, `copy-${cuts.length}`);
        const cut = { copy, known: new Map(known), doubtful: new Set(doubtful) };
        // Of the one file system: what is mounted is not on the disk.
        await execa('cp', ['--archive', '--one-file-system', '--reflink=auto', data, copy]);
        process.kill(daemon.pid(), 'SIGCONT');
        cuts.push(cut);
      }
    };
    await Promise.all([cutter(), client(1), client(2), client(3)]);

    let [lost, checked] = [0, 0];
    for (const { copy, known: facts, doubtful: open } of cuts) {
      await powerOff(daemon);
      await execa('rm', ['-rf', data]);
      await execa('mv', [copy, data]);
      await daemon.start();
      for (const [path, is] of facts) {
        if (open.has(path)) continue;
        checked += 1;
        const found = (await there(daemon, path)) !== undefined;
        if (found !== is) lost += 1;
        assert.equal(found, is, `${copy}: ${path}`);
      }
      await sound(host, copy);
      await must(daemon, 'POST', '/containers/create?name=after', { Image: 'busybox', Cmd: ['true'] });
      await must(daemon, 'POST', '/containers/after/start');
      await must(daemon, 'POST', '/containers/after/wait');
      await must(daemon, 'DELETE', '/containers/after?force=1');
    }
    t.diagnostic(`power: ${cuts.length} cuts, ${answered} changes answered, ${checked} looked for afterwards, ${lost} lost`);
  });
});

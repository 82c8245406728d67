import { execa } from 'execa';
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Tars to send, made when the first row wants one. */
export type Upload = 'one file of 256 MiB' | '20,000 small files';

const made = new Map<Upload, Promise<string>>();

/** Resolves to the tar's path. */
export const uploadOf = (what: Upload): Promise<string> => {
  const there = made.get(what) ?? make(what);
  made.set(what, there);
  return there;
};

let scratch: string | undefined;

async function make(what: Upload): Promise<string> {
  if (scratch === undefined) {
    const directory = mkdtempSync(join(tmpdir(), 'bench-uploads-'));
    process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
    scratch = directory;
  }
  const [from, tar] = [join(scratch, 'content', what), join(scratch, `${what}.tar`)];
  mkdirSync(from, { recursive: true });
  if (what === 'one file of 256 MiB') writeFileSync(join(from, 'big'), Buffer.alloc(256 * 1024 * 1024));
  else
    for (let directory = 0; directory < 200; directory++) {
      mkdirSync(join(from, `${directory}`));
      for (let file = 0; file < 100; file++) writeFileSync(join(from, `${directory}/${file}`), `${file}\n`);
    }
  await execa('tar', ['-C', from, '-cf', tar, '.']);
  rmSync(from, { recursive: true });
  return tar;
}

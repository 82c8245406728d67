// Names of one test file's own, and the removal of all that bears them.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { dockerode } from './docker.ts';

/** What the tests make can be told from what others have on the same engine. */
export const testPrefix = 'ct-';

export type Scope = {
  /** The name, in this file and this run, of what the tests call `word`. */
  readonly name: (word: string) => string;
  /** A directory on the engine's machine that goes when the file's tests are done. */
  readonly directory: () => Promise<string>;
};

export function scope(story: string): Scope {
  const prefix = `${testPrefix}${process.pid}-${story}-`;
  const directories: string[] = [];
  after(async () => {
    await removeNamed(prefix);
    for (const path of directories) await rm(path, { recursive: true, force: true });
  });
  return {
    name: word => `${prefix}${word}`,
    directory: async () => {
      const path = await mkdtemp(join(tmpdir(), `${testPrefix}${story}-`));
      directories.push(path);
      return path;
    },
  };
}

export async function removeNamed(prefix: string): Promise<void> {
  const mine = (name: string) => name.startsWith(prefix);
  for (const container of await dockerode.listContainers({ all: true })) {
    if (container.Names.some(name => mine(name.slice(1)))) await quietly(dockerode.getContainer(container.Id).remove({ force: true, v: true }));
  }
  for (const network of await dockerode.listNetworks()) if (mine(network.Name)) await quietly(dockerode.getNetwork(network.Id).remove());
  for (const volume of (await dockerode.listVolumes()).Volumes ?? []) if (mine(volume.Name)) await quietly(dockerode.getVolume(volume.Name).remove());
  for (const image of await dockerode.listImages()) {
    for (const tag of (image.RepoTags ?? []).filter(mine)) await quietly(dockerode.getImage(tag).remove({ force: true }));
  }
}

// Gone in the meantime is as good; what truly stays is found by the leak check at the end of the run.
const quietly = (removal: Promise<unknown>) => removal.catch(() => undefined);

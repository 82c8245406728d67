// What an engine has put on its host, so that what is left after the tests can be told from what was there before.

import { execa } from 'execa';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import Docker from 'dockerode';
import type { Engine } from './engine.ts';
import { enter } from './hosts.ts';
import { testPrefix } from './scope.ts';

export type LeakCheck = { readonly leaks: () => Promise<readonly string[]>; readonly close: () => void };

export async function watchForLeaks(engine: Engine): Promise<LeakCheck> {
  const docker = new Docker({ socketPath: engine.socket });
  const before = new Set(await hostObjects(engine, docker));
  const made = await collectMade(docker);
  return {
    leaks: async () => [
      ...(await hostObjects(engine, docker)).filter(object => !before.has(object)),
      ...(await records(docker, made)),
      ...(await cgroups(made.containers)),
    ],
    close: made.close,
  };
}

type Made = { readonly containers: ReadonlySet<string>; readonly volumes: ReadonlySet<string>; readonly close: () => void };

// The ids of what the tests make are known only to the engine's events: containers with --rm and anonymous volumes come and go.
async function collectMade(docker: Docker): Promise<Made> {
  const containers = new Set<string>();
  const volumes = new Set<string>();
  const stream = await docker.getEvents({ filters: JSON.stringify({ type: ['container', 'volume'] }) }) as NodeJS.ReadableStream & { destroy(): void };
  let rest = '';
  stream.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const { Type, Action, Actor } of lines.filter(line => line.trim() !== '').map(line => JSON.parse(line))) {
      if (Type === 'container' && Action === 'create' && Actor.Attributes.name.startsWith(testPrefix)) containers.add(Actor.ID);
      if (Type === 'volume' && Action === 'mount' && containers.has(Actor.Attributes.container)) volumes.add(Actor.ID);
    }
  });
  return { containers, volumes, close: () => stream.destroy() };
}

async function hostObjects(engine: Engine, docker: Docker): Promise<readonly string[]> {
  const links = await execa('ip', ['-n', engine.netns, '-o', 'link']);
  const rules = await Promise.all(['iptables-save', 'ip6tables-save'].map(async command => {
    const [file, ...args] = enter(engine.netns, [command]);
    return (await execa(file!, args)).stdout;
  }));
  // The data root's parent, for in the tests' own layouts the exec root is beside it.
  const root = dirname((await docker.info()).DockerRootDir);
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map(line => line.split(' ')[4] ?? '');
  return [
    ...links.stdout.split('\n').map(line => `link ${line.split(/[:@] ?/)[1]}`),
    ...rules.flatMap(rulesOf),
    ...mounts.filter(path => path.startsWith(`${root}/`)).map(path => `mount ${path}`),
  ];
}

function rulesOf(saved: string): readonly string[] {
  let table = '';
  return saved.split('\n').flatMap(line => {
    if (line.startsWith('*')) table = line.slice(1);
    return line.startsWith('-A') ? [`rule ${table} ${line}`] : [];
  });
}

async function records(docker: Docker, made: Made): Promise<readonly string[]> {
  const containers = await docker.listContainers({ all: true });
  const volumes = (await docker.listVolumes()).Volumes ?? [];
  const images = await docker.listImages();
  const networks = await docker.listNetworks();
  const mine = (name: string) => name.startsWith(testPrefix);
  return [
    ...containers.filter(({ Id }) => made.containers.has(Id)).map(({ Names }) => `container ${Names}`),
    ...volumes.filter(({ Name }) => made.volumes.has(Name) || mine(Name)).map(({ Name }) => `volume ${Name}`),
    ...images.flatMap(({ RepoTags }) => RepoTags ?? []).filter(mine).map(tag => `image ${tag}`),
    ...networks.map(({ Name }) => Name).filter(mine).map(name => `network ${name}`),
  ];
}

async function cgroups(containers: ReadonlySet<string>): Promise<readonly string[]> {
  const directories = (await execa('find', ['/sys/fs/cgroup', '-type', 'd'], { reject: false })).stdout.split('\n');
  return directories.filter(path => [...containers].some(id => path.includes(id))).map(path => `cgroup ${path}`);
}

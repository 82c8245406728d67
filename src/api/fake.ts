import type { Engine } from '../engine/services.ts';

type Partials = { readonly [S in keyof Engine]?: Partial<Engine[S]> };

/** An engine of the parts a test needs; calling anything else fails and says what was called. */
export const fakeEngine = (parts: Partials): Engine =>
  Object.fromEntries(SERVICES.map((service) => [service, faked(service, parts[service] ?? {})])) as Engine;

const SERVICES = ['containers', 'exec', 'images', 'registries', 'volumes', 'volumeArchives', 'networks', 'archives', 'events', 'system'] as const satisfies readonly (keyof Engine)[];

const faked = (service: string, part: object): object =>
  new Proxy(part, {
    get: (target, method) =>
      Reflect.get(target, method) ??
      (() => {
        throw new Error(`not faked: ${service}.${String(method)}`);
      }),
  });

/** Settings such as a daemon on a host with cgroups of version 1 gives. */
export const options = { dataRoot: '/var/lib/docker', defaults: { runtime: 'runc', runtimes: ['crun', 'runc'], cgroupVersion: '1', processors: 2, cpus: '0-1', memoryNodes: '0', blkioWeight: true } } as const;

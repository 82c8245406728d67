import { archives } from './archives.ts';
import type { Resource } from './check.ts';
import { containers } from './containers.ts';
import { exec } from './exec.ts';
import { extensions } from './extensions.ts';
import { http } from './http.ts';
import { images } from './images.ts';
import { lifecycle } from './lifecycle.ts';
import { networks } from './networks.ts';
import { ports } from './ports.ts';
import { registries } from './registries.ts';
import { streams } from './streams.ts';
import { plugins, swarm } from './swarm.ts';
import { system } from './system.ts';
import { volumes } from './volumes.ts';

export const resources: readonly Resource[] = [containers, lifecycle, streams, exec, networks, ports, volumes, archives, images, registries, system, http, swarm, plugins, extensions];

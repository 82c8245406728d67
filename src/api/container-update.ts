import { Router } from 'express';
import type { Engine } from '../engine/services.ts';
import type { Resources, UpdateRequest } from '../model/container.ts';
import type { Json } from '../model/json.ts';
import { sendJson } from './answer.ts';
import { readJson } from './body.ts';
import { checkRestart } from './container-checks.ts';
import { portRequestsOf, resourcesOf, restartOf, type ContainerDefaults } from './container-create.ts';
import { portsUpdate, updateRequest, type WireUpdate } from './container-schema.ts';
import { decode } from './decode.ts';
import { checkResources, withoutUnsupported } from './resource-checks.ts';

export const updateRoutes = ({ containers }: Engine, defaults: ContainerDefaults): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.post('/containers/:ref/update', async (req, res) => {
    const { request, warnings } = parseUpdate(await readJson(req), defaults);
    await containers.update(req.params.ref, request);
    sendJson(res, 200, { Warnings: warnings.length === 0 ? null : warnings });
  });

  return router;
};

export type ParsedUpdate = { readonly request: UpdateRequest; readonly warnings: readonly string[] };

/** Only what is said changes: zero and nothing are the same as silence. */
export const parseUpdate = (body: unknown, defaults: ContainerDefaults): ParsedUpdate => {
  const { wire, warnings } = withoutUnsupported(decode(updateRequest, body), defaults);
  const resources = resourcesOf(wire);
  checkResources(resources, defaults, 'update');
  const restart = wire.RestartPolicy.Name === '' ? undefined : wire.RestartPolicy;
  if (restart) checkRestart(restart, false);
  const { PortBindings: bare, HostConfig } = decode(portsUpdate, body);
  const bindings = HostConfig.PortBindings ?? bare;
  const said = Object.fromEntries(WIRE_NAMES.flatMap(([name, key]) => (isSaid(resources[key]) ? [[key, resources[key]]] : []))) as Partial<Resources>;
  return {
    request: {
      resources: said,
      restart: restart && restartOf(restart),
      ports: bindings === null ? undefined : portRequestsOf(bindings),
      asked: {
        ...Object.fromEntries(WIRE_NAMES.flatMap(([name, key]) => (key in said ? [[name, wire[name] as Json]] : []))),
        ...(restart ? { RestartPolicy: restart } : {}),
        ...(bindings === null ? {} : { PortBindings: bindings as Json }),
      },
    },
    warnings,
  };
};

const isSaid = (value: unknown): boolean => value !== undefined && value !== 0 && value !== '' && value !== false;

/** What can change while a container runs, as the request has it. */
const WIRE_NAMES: readonly (readonly [keyof WireUpdate, keyof Resources])[] = [
  ['BlkioWeight', 'blkioWeight'],
  ['CpuShares', 'cpuShares'],
  ['NanoCpus', 'nanoCpus'],
  ['CpuPeriod', 'cpuPeriod'],
  ['CpuQuota', 'cpuQuota'],
  ['CpusetCpus', 'cpusetCpus'],
  ['CpusetMems', 'cpusetMems'],
  ['Memory', 'memory'],
  ['MemorySwap', 'memorySwap'],
  ['MemoryReservation', 'memoryReservation'],
  ['CpuRealtimePeriod', 'cpuRealtimePeriod'],
  ['CpuRealtimeRuntime', 'cpuRealtimeRuntime'],
  ['PidsLimit', 'pidsLimit'],
];

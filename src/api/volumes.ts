import { Router } from 'express';
import type { Engine } from '../engine/services.ts';
import { EngineError, invalid, unavailable } from '../model/errors.ts';
import type { JsonObject } from '../model/json.ts';
import type { Volume } from '../model/volume.ts';
import type { Filters } from '../engine/filters.ts';
import { sendEmpty, sendJson } from './answer.ts';
import { readJson } from './body.ts';
import { decode, map, optional, string, struct } from './decode.ts';
import { parseFilters } from './filters.ts';
import { flag, queryOf } from './query.ts';
import { NOT_A_MANAGER } from './swarm.ts';
import { versionOf } from './version.ts';

export const volumeRoutes = ({ volumes }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.get('/volumes', (req, res) => {
    sendJson(res, 200, { Volumes: volumes.list(parseVolumeFilters(queryOf(req))).map(volumeView), Warnings: null });
  });

  router.get('/volumes/:name', (req, res) => {
    sendJson(res, 200, volumeView(volumes.find(req.params.name)));
  });

  router.post('/volumes/create', async (req, res) => {
    sendJson(res, 201, volumeView(await volumes.create(parseVolume(await readJson(req)))));
  });

  router.post('/volumes/prune', async (req, res) => {
    const filters = parseFilters(queryOf(req));
    // Before 1.42 every unused volume went, not only those without a name.
    const { deleted, reclaimed } = await volumes.prune(versionOf(req) < 42 ? new Map([...filters, ['all', ['true']]]) : filters);
    sendJson(res, 200, { VolumesDeleted: deleted, SpaceReclaimed: reclaimed });
  });

  router.delete('/volumes/:name', async (req, res) => {
    await volumes.remove(req.params.name, flag(queryOf(req), 'force'));
    sendEmpty(res, 204);
  });

  return router;
};

export const volumeView = (volume: Volume): JsonObject => ({
  CreatedAt: volume.created,
  Driver: volume.driver,
  Labels: volume.labels ?? null,
  Mountpoint: volume.mountpoint,
  Name: volume.name,
  Options: volume.options ?? null,
  Scope: 'local',
});

const createOptions = struct('volume.CreateOptions', { Name: string, Driver: string, DriverOpts: map(string), Labels: map(string), ClusterVolumeSpec: optional(struct('volume.ClusterVolumeSpec', {})) });

const parseVolume = (body: unknown): Parameters<Engine['volumes']['create']>[0] => {
  const { Name, Driver, DriverOpts, Labels, ClusterVolumeSpec } = decode(createOptions, body);
  if (ClusterVolumeSpec) throw unavailable(NOT_A_MANAGER);
  return { name: Name, driver: Driver, labels: Labels ?? undefined, options: DriverOpts ?? undefined };
};

const parseVolumeFilters = (query: URLSearchParams): Filters => {
  try {
    return parseFilters(query);
  } catch (error) {
    if (error instanceof EngineError) throw invalid(`error reading volume filters: ${error.message}`);
    throw error;
  }
};

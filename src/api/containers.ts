import { Router } from 'express';
import type { ContainerSummary, Engine, WaitCondition } from '../engine/services.ts';
import type { Container } from '../model/container.ts';
import { EngineError, invalid } from '../model/errors.ts';
import { goneSignal, sendEmpty, sendJson, startStream } from './answer.ts';
import { readRequiredJson } from './body.ts';
import { parseCreate, type ContainerDefaults } from './container-create.ts';
import { inspectView, summaryView, type ViewContext } from './container-view.ts';
import { parseFilters } from './filters.ts';
import { dimension, flag, optionalNumber, queryOf, text } from './query.ts';

export const containerRoutes = ({ containers, images, networks, archives }: Engine, dataRoot: string, defaults: ContainerDefaults): Router => {
  const router = Router({ caseSensitive: true, strict: true });
  const context: ViewContext = { dataRoot, network: (ref) => ifFound(() => networks.find(ref)) };
  const imageShown = imageNames((ref) => ifFound(() => images.find(ref))?.id);

  router.get('/containers/json', async (req, res) => {
    const query = queryOf(req);
    const limit = optionalNumber(query, 'limit');
    const rows = await containers.list({
      all: flag(query, 'all'),
      limit: limit !== undefined && limit > 0 ? limit : undefined,
      size: flag(query, 'size'),
      filters: parseFilters(query),
    });
    sendJson(res, 200, summaries(rows, context, imageShown()));
  });

  router.post('/containers/create', async (req, res) => {
    const { request, warnings } = parseCreate(await readRequiredJson(req), queryOf(req), defaults);
    const created = await containers.create(request);
    sendJson(res, 201, { Id: created.id, Warnings: [...warnings, ...created.warnings] });
  });

  router.post('/containers/prune', async (req, res) => {
    const { deleted, reclaimed } = await containers.prune(parseFilters(queryOf(req)));
    sendJson(res, 200, { ContainersDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: reclaimed });
  });

  router.get('/containers/:ref/json', async (req, res) => {
    sendJson(res, 200, inspectView(await containers.inspect(req.params.ref, flag(queryOf(req), 'size')), context));
  });

  router.get('/containers/:ref/top', async (req, res) => {
    const args = (text(queryOf(req), 'ps_args') || '-ef').split(/\s+/).filter((word) => word !== '');
    const { titles, rows } = await containers.top(req.params.ref, args);
    sendJson(res, 200, { Processes: rows, Titles: titles });
  });

  router.get('/containers/:ref/changes', async (req, res) => {
    const changes = await archives.changes(req.params.ref);
    sendJson(res, 200, changes.length === 0 ? null : changes.map(({ path, kind }) => ({ Path: path, Kind: CHANGE_KINDS[kind] })));
  });

  router.post('/containers/:ref/start', async (req, res) => {
    await containers.start(req.params.ref);
    sendEmpty(res, 204);
  });

  router.post('/containers/:ref/stop', async (req, res) => {
    await containers.stop(req.params.ref, parseStop(queryOf(req)));
    sendEmpty(res, 204);
  });

  router.post('/containers/:ref/restart', async (req, res) => {
    await containers.restart(req.params.ref, parseStop(queryOf(req)));
    sendEmpty(res, 204);
  });

  router.post('/containers/:ref/kill', async (req, res) => {
    await containers.kill(req.params.ref, text(queryOf(req), 'signal'));
    sendEmpty(res, 204);
  });

  router.post('/containers/:ref/pause', async (req, res) => {
    await containers.pause(req.params.ref);
    sendEmpty(res, 204);
  });

  router.post('/containers/:ref/unpause', async (req, res) => {
    await containers.unpause(req.params.ref);
    sendEmpty(res, 204);
  });

  router.post('/containers/:ref/rename', async (req, res) => {
    const name = text(queryOf(req), 'name');
    if (name === '') throw invalid('Neither old nor new names may be empty');
    await containers.rename(req.params.ref, name);
    sendEmpty(res, 204);
  });

  router.post('/containers/:ref/resize', async (req, res) => {
    const query = queryOf(req);
    await containers.resize(req.params.ref, dimension(query, 'h'), dimension(query, 'w'));
    sendEmpty(res, 200);
  });

  router.post('/containers/:ref/wait', async (req, res) => {
    const condition = parseCondition(text(queryOf(req), 'condition'));
    const { done } = containers.wait(req.params.ref, condition, goneSignal(res));
    // At once: clients start the container only when they know that somebody waits for its end.
    startStream(res, 'application/json');
    const { code, error } = await done;
    res.end(`${JSON.stringify({ StatusCode: code, ...(error === '' ? {} : { Error: { Message: error } }) })}\n`);
  });

  router.delete('/containers/:ref', async (req, res) => {
    const query = queryOf(req);
    await containers.remove(req.params.ref, { force: flag(query, 'force'), volumes: flag(query, 'v'), link: flag(query, 'link') });
    sendEmpty(res, 204);
  });

  return router;
};

export const summaries = (rows: readonly ContainerSummary[], context: ViewContext, imageShown: (container: Container) => string) => {
  const now = Date.now();
  return rows.map((row) => summaryView(row, imageShown(row.container), now, context));
};

/** The image's name while it still means the container's image; its id when the name has moved on. One look a name. */
export const imageNames = (idOf: (ref: string) => string | undefined) => (): ((container: Container) => string) => {
  const ids = new Map<string, string | undefined>();
  return ({ imageId, spec }) => {
    if (!ids.has(spec.image)) ids.set(spec.image, idOf(spec.image));
    return ids.get(spec.image) === imageId ? spec.image : imageId;
  };
};

/** What `find` gives, or undefined where it throws that there is none. */
export const ifFound = <T>(find: () => T): T | undefined => {
  try {
    return find();
  } catch (error) {
    if (error instanceof EngineError) return undefined;
    throw error;
  }
};

const CHANGE_KINDS = { modified: 0, added: 1, deleted: 2 } as const;

const parseStop = (query: URLSearchParams): { timeout: number | undefined; signal: string | undefined } => ({
  timeout: optionalNumber(query, 't'),
  signal: query.get('signal') || undefined,
});

const parseCondition = (written: string): WaitCondition => {
  if (written === '' || written === 'not-running') return 'not-running';
  if (written === 'next-exit' || written === 'removed') return written;
  throw invalid(`invalid condition: ${JSON.stringify(written)}`);
};

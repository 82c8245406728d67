import http from 'node:http';
import express, { type NextFunction, type Request, type Response } from 'express';
import type { Engine } from '../engine/services.ts';
import { EngineError } from '../model/errors.ts';
import { archiveRoutes } from './archive.ts';
import { attachHijack, attachRoutes } from './attach.ts';
import { attachWebsocket, attachWebsocketRoutes } from './attach-websocket.ts';
import { buildkitHijack, buildkitRoutes } from './buildkit.ts';
import { buildRoutes } from './build.ts';
import type { ContainerDefaults } from './container-create.ts';
import { limitConnections, type Patience } from './connections.ts';
import { containerRoutes } from './containers.ts';
import { sendError, sendPageNotFound } from './errors.ts';
import { eventRoutes } from './events.ts';
import { explainRoutes } from './explain.ts';
import { execHijack, execRoutes } from './exec.ts';
import { upgradeListener } from './hijack.ts';
import { imageRoutes } from './images.ts';
import { leakRoutes } from './leaks.ts';
import { logRoutes } from './logs.ts';
import { networkRoutes } from './networks.ts';
import { notImplementedRoutes } from './not-implemented.ts';
import { pluginRoutes } from './plugins.ts';
import { registryRoutes } from './registries.ts';
import { swarmRoutes } from './swarm.ts';
import { systemRoutes } from './system.ts';
import { refuseVersion, standardHeaders, takeVersion } from './version.ts';
import { statsRoutes } from './stats.ts';
import { updateRoutes } from './container-update.ts';
import { volumeArchiveRoutes } from './volume-archive.ts';
import { volumeRoutes } from './volumes.ts';

export type ApiOptions = {
  /** Where containers, images and volumes lie: shown by inspect. */
  readonly dataRoot: string;
  readonly defaults: ContainerDefaults;
  /** Told of faults of our own, which clients see as 500. */
  readonly fault?: (request: string, error: unknown) => void;
  readonly patience?: Patience;
};

/** The Docker Engine API over an engine: a server that does not listen yet. */
export const createApp = (engine: Engine, { dataRoot, defaults, fault, patience }: ApiOptions): http.Server => {
  const attach = attachHijack(engine);
  const exec = execHijack(engine);

  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', false);
  app.use(
    containerRoutes(engine, dataRoot, defaults),
    updateRoutes(engine, defaults),
    statsRoutes(engine),
    execRoutes(engine, exec),
    attachRoutes(attach),
    attachWebsocketRoutes(engine),
    logRoutes(engine),
    archiveRoutes(engine),
    networkRoutes(engine),
    explainRoutes(engine),
    leakRoutes(engine),
    volumeRoutes(engine),
    volumeArchiveRoutes(engine),
    imageRoutes(engine, dataRoot),
    buildRoutes(engine, defaults),
    registryRoutes(engine),
    eventRoutes(engine),
    systemRoutes(engine, dataRoot),
    swarmRoutes(),
    pluginRoutes(),
    buildkitRoutes(),
    notImplementedRoutes(),
  );
  app.use((_req: Request, res: Response) => sendPageNotFound(res));
  app.use((error: unknown, req: Request, res: Response, _next: NextFunction) => {
    // Express's own errors have a status: a path that is not UTF-8 is the client's fault.
    const ours = !(error instanceof EngineError) && ((error as { status?: number }).status ?? 500) >= 500;
    if (ours && !res.closed) fault?.(`${req.method} ${req.url}`, error);
    sendError(res, error);
  });

  // Header limit: as Go's server. Clients put registry credentials and long filters there.
  const server = http.createServer({ maxHeaderSize: 1024 * 1024 }, (req, res) => {
    // Connections stay open as HTTP/1.1's do; Go's server does not say so, Node's would.
    res.removeHeader('connection');
    if (!isServed(req)) return sendPageNotFound(res);
    if (req.method === 'OPTIONS') return void res.writeHead(200, { 'Content-Length': 0 }).end();
    if (!takeVersion(req, (refusal) => refuseVersion(res, refusal))) return;
    for (const [name, value] of standardHeaders) res.setHeader(name, value);
    app(req, res);
  });
  server.on('upgrade', upgradeListener(server, [attach, exec, buildkitHijack], [attachWebsocket(engine)]));
  limitConnections(server, patience);
  return server;
};

/** Express would answer HEAD for every GET; the API has HEAD on two paths. */
const isServed = ({ method, url = '' }: http.IncomingMessage): boolean => {
  if (method === 'HEAD') return /\/_ping$|\/archive(\?|$)/.test(url);
  return method === 'OPTIONS' || method === 'GET' || method === 'POST' || method === 'PUT' || method === 'DELETE';
};

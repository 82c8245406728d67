import { Router, type Request } from 'express';
import type { BuildProgress, BuildRequest } from '../engine/build.ts';
import type { Engine } from '../engine/services.ts';
import { invalid, messageOf, notImplemented, systemError } from '../model/errors.ts';
import type { Json } from '../model/json.ts';
import { goneSignal, sendEmpty } from './answer.ts';
import { parseJson } from './body.ts';
import { parseCreate, type ContainerDefaults } from './container-create.ts';
import { buildCredentials } from './credentials.ts';
import { decode, list, map, optional, string, type Decoder } from './decode.ts';
import { progressView, sendProgress } from './images.ts';
import { flag, queryOf, text } from './query.ts';

/** The classic builder. */
export const buildRoutes = ({ builds }: Engine, defaults: ContainerDefaults): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.post('/build', async (req, res) => {
    const request = parseBuild(req, defaults);
    await sendProgress(res, builds.build({ ...request, context: req, gone: goneSignal(res) }), buildView);
  });

  // No build has an id by which it could be cancelled: one ends when its client goes.
  router.post('/build/cancel', (req, res) => {
    if (text(queryOf(req), 'id') === '') throw invalid('build ID not provided');
    sendEmpty(res, 200);
  });

  return router;
};

type ParsedBuild = Omit<BuildRequest, 'context' | 'gone'>;

/** The query of POST /build; what can not be is refused before the context is read. */
export const parseBuild = (req: Pick<Request, 'url' | 'headers'>, defaults: ContainerDefaults): ParsedBuild => {
  const query = queryOf(req as Request);
  refuseOthers(query);
  const given = jsonOf(query, 'buildargs', 'error reading build args', map(optional(string), 'map[string]*string')) ?? {};
  const hostConfig = hostConfigOf(query);
  return {
    dockerfile: text(query, 'dockerfile'),
    tags: query.getAll('t').filter((tag) => tag !== ''),
    args: new Map(Object.entries(given).flatMap(([name, value]) => (value === null ? [] : [[name, value]]))),
    labels: jsonOf(query, 'labels', 'error reading labels', map(string)) ?? {},
    target: text(query, 'target'),
    cacheFrom: jsonOf(query, 'cachefrom', 'error reading cache-from', list(string)) ?? [],
    noCache: flag(query, 'nocache'),
    pull: flag(query, 'pull'),
    remove: flag(query, 'rm', true),
    forceRemove: flag(query, 'forcerm'),
    quiet: flag(query, 'q'),
    platform: text(query, 'platform'),
    credentials: buildCredentials(req as Request),
    container: ({ image, command, env }) =>
      parseCreate({ Image: image, Cmd: command, Entrypoint: [''], Env: env, Healthcheck: { Test: ['NONE'] }, HostConfig: hostConfig }, new URLSearchParams(), defaults).request,
  };
};

const refuseOthers = (query: URLSearchParams): void => {
  const [version, remote, isolation] = [text(query, 'version'), text(query, 'remote'), text(query, 'isolation')];
  if (version === '2') throw notImplemented('building with BuildKit is not implemented by berth: use the classic builder (DOCKER_BUILDKIT=0)');
  if (version !== '' && version !== '1') throw invalid(`invalid version ${JSON.stringify(version)}`);
  if (flag(query, 'squash')) throw invalid('squash is only supported with experimental mode');
  if (isolation !== '' && isolation !== 'default') throw invalid(`unsupported isolation: ${JSON.stringify(isolation)}`);
  if (remote === '') return;
  if (/^(https?|git):\/\/|^git@|^github\.com\//.test(remote)) throw notImplemented(`building from a URL is not implemented by berth: fetch ${remote} and send it as the context`);
  throw systemError(`remoteURL (${remote}) could not be recognized as URL`);
};

/** What the containers of RUN get. A number that is none is none at all, as the reference engine has it. */
const hostConfigOf = (query: URLSearchParams): Record<string, Json> => {
  const number = (name: string): number => (/^-?\d{1,15}$/.test(text(query, name)) ? Number(text(query, name)) : 0);
  return {
    // What it prints goes to the client, and is of no use later.
    LogConfig: { Type: 'none' },
    NetworkMode: text(query, 'networkmode'),
    ExtraHosts: query.getAll('extrahosts').flatMap(hostsOf),
    ShmSize: number('shmsize'),
    Memory: number('memory'),
    MemorySwap: number('memswap'),
    CpuShares: number('cpushares'),
    CpuPeriod: number('cpuperiod'),
    CpuQuota: number('cpuquota'),
    CpusetCpus: text(query, 'cpusetcpus'),
    CpusetMems: text(query, 'cpusetmems'),
    CgroupParent: text(query, 'cgroupparent'),
    SecurityOpt: jsonOf(query, 'securityopt', 'error reading security options', list(string)) ?? [],
    Ulimits: jsonOf(query, 'ulimits', 'error reading ulimit settings', list(anything, '[]*units.Ulimit')) ?? [],
  };
};

const anything: Decoder<Json> = { go: 'units.Ulimit', zero: null, read: (value) => value as Json };

/** One a parameter; some clients put a JSON list into one. */
const hostsOf = (text: string): readonly string[] => {
  if (!text.startsWith('[')) return text === '' ? [] : [text];
  return decode(list(string), parseJson(text)) ?? [];
};

const jsonOf = <T>(query: URLSearchParams, name: string, what: string, decoder: Decoder<T>): T | undefined => {
  const value = text(query, name);
  if (value === '') return undefined;
  try {
    return decode(decoder, parseJson(value));
  } catch (error) {
    throw invalid(`${what}: ${messageOf(error).replace(/^invalid JSON: /, '').replace(/^unexpected EOF$/, 'unexpected end of JSON input')}`);
  }
};

const buildView = (progress: BuildProgress): Json => ('built' in progress ? { aux: { ID: progress.built } } : progressView(progress));

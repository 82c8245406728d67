import { Router } from 'express';
import type { Request, Response } from 'express';
import { CommandFailed } from '../engine/build-run.ts';
import type { Engine, Images, Progress } from '../engine/services.ts';
import { invalid, messageOf, notImplemented } from '../model/errors.ts';
import { parseName, withTag, type NamedReference } from '../model/image-reference.ts';
import type { Json } from '../model/json.ts';
import { goneSignal, sendEmpty, sendJson, sendStream, writeTo } from './answer.ts';
import { credentialsOf, pushCredentials } from './credentials.ts';
import { parseFilters } from './filters.ts';
import { historyView, imageSummaryView, imageView } from './image-view.ts';
import { progressBar } from './progress-bar.ts';
import { flag, queryOf, text } from './query.ts';
import { versionOf } from './version.ts';

/** An image's name has slashes in it: `*name` takes all of them. */
export const imageRoutes = ({ images }: Engine, dataRoot: string): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.get('/images/json', async (req, res) => {
    const query = queryOf(req);
    const rows = await images.list({ all: flag(query, 'all'), filters: parseFilters(query), sharedSize: flag(query, 'shared-size') });
    sendJson(res, 200, rows.map((row) => imageSummaryView({ ...row, containers: -1, sharedSize: row.sharedSize ?? -1 }, versionOf(req))));
  });

  router.post('/images/create', async (req, res) => {
    const query = queryOf(req);
    const source = text(query, 'fromSrc');
    if (text(query, 'fromImage') !== '') {
      const named = pulledName(text(query, 'fromImage'), text(query, 'tag'));
      return sendProgress(res, images.pull({ named, platform: text(query, 'platform'), credentials: credentialsOf(req), gone: goneSignal(res) }), progressView);
    }
    if (source !== '-') throw notImplemented('importing from a URL is not implemented by berth yet: use docker import -');
    const id = await images.import(req, {
      repo: text(query, 'repo'),
      tag: text(query, 'tag'),
      message: text(query, 'message') || `Imported from ${source}`,
      changes: query.getAll('changes'),
      platform: text(query, 'platform'),
    });
    sendJson(res, 200, { status: id });
  });

  router.post('/images/load', async (req, res) => {
    const quiet = flag(queryOf(req), 'quiet');
    const gone = goneSignal(res);
    res.writeHead(200, { 'Content-Type': 'application/json' });
    // The headers are out: how it went is the stream's last line.
    try {
      for await (const progress of images.load(req)) {
        if (quiet && !('stream' in progress)) continue;
        if (!(await writeTo(res, line(progressView(progress)), gone))) return;
      }
    } catch (error) {
      res.write(line(failureView(error)));
    }
    res.end();
  });

  router.post('/images/prune', async (req, res) => {
    const { deleted, reclaimed } = await images.prune(parseFilters(queryOf(req)));
    sendJson(res, 200, { ImagesDeleted: deleted?.map(deletedView) ?? null, SpaceReclaimed: reclaimed });
  });

  router.get('/images/get', async (req, res) => {
    await sendTar(res, images.save(queryOf(req).getAll('names').flatMap((names) => names.split(','))));
  });

  router.get('/images/*name/json', (req, res) => {
    sendJson(res, 200, imageView(images.find(refOf(req)), dataRoot, versionOf(req), needsContainerConfig(req)));
  });

  router.get('/images/*name/history', (req, res) => {
    sendJson(res, 200, images.history(refOf(req)).map(historyView));
  });

  router.get('/images/*name/get', async (req, res) => {
    await sendTar(res, images.save([refOf(req)]));
  });

  router.post('/images/*name/tag', async (req, res) => {
    const query = queryOf(req);
    await images.tag(refOf(req), text(query, 'repo'), text(query, 'tag'));
    sendEmpty(res, 201);
  });

  router.post('/images/*name/push', async (req, res) => {
    const tag = text(queryOf(req), 'tag');
    const { domain, path } = parseName(refOf(req));
    const named = { domain, path, tag: undefined, digest: undefined };
    await sendProgress(res, images.push({ named: tag === '' ? named : withTag(named, tag), credentials: await pushCredentials(req), gone: goneSignal(res) }), progressView);
  });

  router.delete('/images/*name', async (req, res) => {
    const query = queryOf(req);
    const removed = await images.remove(refOf(req), { force: flag(query, 'force'), prune: !flag(query, 'noprune') });
    sendJson(res, 200, removed.map(deletedView));
  });

  router.post('/commit', async (req, res) => {
    const query = queryOf(req);
    const container = text(query, 'container');
    if (container === '') throw invalid('invalid name or ID supplied: ""');
    const id = await images.commit(container, {
      repo: text(query, 'repo'),
      tag: text(query, 'tag'),
      comment: text(query, 'comment'),
      author: text(query, 'author'),
      changes: query.getAll('changes'),
      pause: query.get('pause') ? flag(query, 'pause') : true,
    });
    sendJson(res, 201, { Id: id });
  });

  return router;
};

const sendTar = (res: Parameters<typeof sendStream>[0], tar: ReturnType<Images['save']>): Promise<void> =>
  sendStream(res, tar, { 'Content-Type': 'application/x-tar' });

const refOf = (req: Request<{ name: string[] }>): string => req.params.name.join('/');

/** docker-compose 1 asks for the newest version, and cannot make a container anew without what 1.45 dropped. */
const needsContainerConfig = (req: Request): boolean => versionOf(req) < 45 || /^docker-compose\/1\./.test(req.get('user-agent') ?? '');

/** The tag may be a digest; without either, the name's own, or all of its tags. */
const pulledName = (name: string, tag: string): NamedReference => {
  const named = parseName(name);
  if (tag === '') return named.digest === undefined ? named : { ...named, tag: undefined };
  return /^[a-z0-9+._-]+:/i.test(tag) ? { ...parseName(`${named.domain}/${named.path}@${tag}`), tag: undefined } : withTag(named, tag);
};

/** Until the first line an error is still an error's answer; after it, the stream's last line. */
export const sendProgress = async <T>(res: Response, lines: AsyncIterable<T>, view: (each: T) => Json): Promise<void> => {
  const gone = goneSignal(res);
  const source = lines[Symbol.asyncIterator]();
  let next = await source.next();
  res.writeHead(200, { 'Content-Type': 'application/json' });
  try {
    for (; !next.done; next = await source.next())
      if (!(await writeTo(res, line(view(next.value)), gone))) return void (await source.return?.());
  } catch (error) {
    res.write(line(failureView(error)));
  }
  res.end();
};

const failureView = (error: unknown): Json => ({
  errorDetail: { ...(error instanceof CommandFailed ? { code: error.exitCode } : {}), message: messageOf(error) },
  error: messageOf(error),
});

/** As Go's encoder writes it, which lets no markup through. */
const line = (value: Json): string => `${JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)}\r\n`;

export const progressView = (progress: Progress): Json => {
  if ('stream' in progress) return progress;
  if ('aux' in progress) {
    const { tag, digest, size } = progress.aux;
    return { progressDetail: {}, aux: { Tag: tag, Digest: digest, Size: size } };
  }
  const { status, id, progress: done } = progress;
  return { status, ...(done === undefined ? {} : { progressDetail: done, ...barOf(done) }), ...(id === undefined ? {} : { id }) };
};

const barOf = ({ current, total }: { readonly current?: number; readonly total?: number }): { progress?: string } =>
  current === undefined || total === undefined ? {} : { progress: progressBar(current, total) };

const deletedView = (each: { readonly untagged: string } | { readonly deleted: string }): Json =>
  'untagged' in each ? { Untagged: each.untagged } : { Deleted: each.deleted };

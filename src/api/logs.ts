import { Router } from 'express';
import type { LogLine } from '../engine/host.ts';
import type { Engine } from '../engine/services.ts';
import { invalid } from '../model/errors.ts';
import { goneSignal, writeTo } from './answer.ts';
import { frameAll, streamType } from './frames.ts';
import { flag, queryOf, text, timestamp } from './query.ts';
import { fixedTime } from './time.ts';
import { versionOf } from './version.ts';

export const logRoutes = ({ containers }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.get('/containers/:ref/logs', async (req, res) => {
    const query = queryOf(req);
    const [stdout, stderr, follow] = [flag(query, 'stdout'), flag(query, 'stderr'), flag(query, 'follow')];
    if (!stdout && !stderr) throw invalid('Bad parameters: you must choose at least one stream');
    const gone = goneSignal(res);
    const { tty, details, batches } = containers.logs(req.params.ref, {
      stdout,
      stderr,
      since: timestamp(query, 'since') || undefined,
      until: timestamp(query, 'until') || undefined,
      tail: parseTail(text(query, 'tail')),
      follow: follow ? gone : undefined,
    });
    res.writeHead(200, { 'Content-Type': streamType(tty, versionOf(req)) });
    if (follow) res.flushHeaders();
    const timestamps = flag(query, 'timestamps');
    const prefix = flag(query, 'details') ? `${details} ` : '';
    for await (const batch of batches) {
      const detailed = prefix === '' ? batch : batch.map((line) => ({ ...line, text: `${prefix}${line.text}` }));
      const lines = timestamps ? detailed.map(withTime) : detailed;
      if (!(await writeTo(res, tty ? lines.map(({ text }) => text).join('') : frameAll(lines), gone))) return;
    }
    res.end();
  });

  return router;
};

const withTime = (line: LogLine): LogLine => ({ ...line, text: `${fixedTime(line.time)} ${line.text}` });

/** `all`, nothing and what is no number mean all of it. */
const parseTail = (written: string): number | undefined => (/^\d+$/.test(written) ? Number(written) : undefined);

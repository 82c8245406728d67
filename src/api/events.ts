import { Router } from 'express';
import type { EngineEvent } from '../engine/events.ts';
import type { Filters } from '../engine/filters.ts';
import { labelsMatch } from '../engine/filters.ts';
import type { Engine } from '../engine/services.ts';
import { invalid } from '../model/errors.ts';
import { startStream } from './answer.ts';
import { parseFilters } from './filters.ts';
import { queryOf, text, timestamp } from './query.ts';

export const eventRoutes = ({ events }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.get('/events', (req, res) => {
    const query = queryOf(req);
    const [since, until] = [timestamp(query, 'since'), timestamp(query, 'until')];
    if (since !== undefined && until !== undefined && until < since) {
      throw invalid(`\`since\` time (${text(query, 'since')}) cannot be after \`until\` time (${text(query, 'until')})`);
    }
    const filters = parseFilters(query);
    const send = (event: EngineEvent): void => {
      if (!eventMatches(event, filters)) return;
      res.write(eventLine(event));
      // Nobody reads there: it would all be kept here.
      if (res.writableLength > UNREAD_LIMIT) res.destroy();
    };

    startStream(res, 'application/json');
    if (since !== undefined || until !== undefined) {
      for (const event of events.recent()) if (event.time >= (since ?? 0n) && event.time <= (until ?? event.time)) send(event);
    }
    const left = until === undefined ? undefined : Number(until / 1_000_000n) - Date.now();
    if (left !== undefined && left <= 0) {
      res.end();
      return;
    }
    const unsubscribe = events.subscribe(send);
    // Beyond 24 days a timer would fire at once.
    const timer = left === undefined ? undefined : setTimeout(() => res.end(), Math.min(left, 2 ** 31 - 1));
    res.once('close', () => {
      clearTimeout(timer);
      unsubscribe();
    });
  });

  return router;
};

/** Nanoseconds since the epoch are more than a JavaScript number holds: written as digits. */
export const eventLine = (event: EngineEvent): string => {
  const { type, action, id, attributes, time } = event;
  const from = attributes['image'];
  const body = {
    ...(type === 'container' ? { status: action, id, ...(from === undefined || from === '' ? {} : { from }) } : {}),
    ...(type === 'image' ? { status: action, id } : {}),
    Type: type,
    Action: action,
    Actor: { ID: id, Attributes: attributes },
    scope: 'local',
    time: Number(time / 1_000_000_000n),
  };
  return `${JSON.stringify(body).slice(0, -1)},"timeNano":${time}}\n`;
};

/** Bytes of events that wait for a slow client: some thousands of events. */
const UNREAD_LIMIT = 4 * 1024 * 1024;

/** Values of one key are alternatives; every key must be met. */
export const eventMatches = ({ type, action, id, attributes }: EngineEvent, filters: Filters): boolean => {
  if (filters.size === 0) return true;
  const exact = (key: string, value: string): boolean => (filters.get(key) ?? [value]).includes(value);
  const prefix = (key: string, value: string): boolean => (filters.get(key) ?? ['']).some((start) => value.startsWith(start));

  const actions = filters.get('event') ?? [];
  // `exec_create: CMD` is asked for without its command.
  const loose = actions.some((each) => ['health_status', 'exec_create', 'exec_start'].includes(each));
  if (!(loose ? prefix('event', action) : exact('event', action))) return false;
  if (!exact('type', type) || !exact('scope', 'local')) return false;
  if (!labelsMatch(filters, attributes)) return false;
  for (const kind of NAMED) {
    if (filters.has(kind) && !prefix(kind, id) && !(attributes['name'] !== undefined && prefix(kind, attributes['name']))) return false;
  }
  const image = attributes[type === 'image' ? 'name' : 'image'] ?? '';
  return !filters.has('image') || [id, image, untagged(id), untagged(image)].some((name) => exact('image', name));
};

// Of these an event is told by its name or the start of its id; there are none of the last ones here.
const NAMED = ['container', 'volume', 'network', 'daemon', 'plugin', 'node', 'service', 'secret', 'config'];

const untagged = (name: string): string => name.replace(/(@.*|:[^/]*)$/, '');

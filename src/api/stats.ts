import { Router } from 'express';
import type { Engine } from '../engine/services.ts';
import type { Sample } from '../engine/statistics.ts';
import { invalid } from '../model/errors.ts';
import type { JsonObject } from '../model/json.ts';
import type { IoCount, NetworkCount, Statistics } from '../model/statistics.ts';
import { goneSignal, sendJson, startStream } from './answer.ts';
import { flag, queryOf } from './query.ts';
import { goTime, ZERO_TIME } from './time.ts';

export const statsRoutes = ({ containers }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.get('/containers/:ref/stats', async (req, res) => {
    const query = queryOf(req);
    const [stream, oneShot] = [flag(query, 'stream', true), flag(query, 'one-shot')];
    if (stream && oneShot) throw invalid('cannot have stream=true and one-shot=true');
    const { id } = containers.find(req.params.ref);
    const gone = goneSignal(res);
    if (!stream) {
      sendJson(res, 200, sampleView(oneShot ? containers.statistics.once(id) : await containers.statistics.overASecond(id, gone)));
      return;
    }
    startStream(res, 'application/json');
    // Whoever reads slowly misses samples; nothing piles up.
    const write = (sample: Sample): void => void (res.writableNeedDrain || res.write(`${JSON.stringify(sampleView(sample))}\n`));
    await containers.statistics.follow(id, write, gone);
    res.end();
  });

  return router;
};

export const sampleView = ({ container: { id, name }, now, before }: Sample): JsonObject => ({
  name: `/${name}`,
  id,
  read: now ? goTime(now.at) : ZERO_TIME,
  preread: now && before ? goTime(before.at) : ZERO_TIME,
  pids_stats: now ? { current: now.pids.current, ...(now.pids.limit === undefined ? {} : { limit: now.pids.limit }) } : {},
  blkio_stats: ioView(now),
  num_procs: 0,
  storage_stats: {},
  cpu_stats: cpuView(now),
  precpu_stats: cpuView(now && before),
  memory_stats: now ? memoryView(now.memory) : {},
  ...(now?.networks ? { networks: networksView(now.networks) } : {}),
});

const cpuView = (statistics: Statistics | undefined): JsonObject => {
  if (!statistics) return NO_CPU;
  const { total, perCpu, kernel, user, system, online, periods, throttledPeriods, throttledTime } = statistics.cpu;
  return {
    cpu_usage: { total_usage: total, ...(perCpu ? { percpu_usage: perCpu } : {}), usage_in_kernelmode: kernel, usage_in_usermode: user },
    system_cpu_usage: system,
    online_cpus: online,
    throttling_data: { periods, throttled_periods: throttledPeriods, throttled_time: throttledTime },
  };
};

const NO_CPU: JsonObject = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

const memoryView = ({ usage, peak, failures, limit, details }: Statistics['memory']): JsonObject => ({
  usage,
  ...(peak === undefined ? {} : { max_usage: peak }),
  stats: details,
  ...(failures === 0 ? {} : { failcnt: failures }),
  limit,
});

const OTHER_IO = ['io_queue_recursive', 'io_service_time_recursive', 'io_wait_time_recursive', 'io_merged_recursive', 'io_time_recursive', 'sectors_recursive'];

/** Empty where the kernel counts no such thing, null where nothing was counted. */
const ioView = (statistics: Statistics | undefined): JsonObject => {
  const entries = (counts: readonly IoCount[] | undefined) => counts?.map(({ major, minor, operation, value }) => ({ major, minor, op: operation, value })) ?? null;
  const others = statistics?.cpu.perCpu ? [] : null;
  return {
    io_service_bytes_recursive: entries(statistics?.io.bytes),
    io_serviced_recursive: statistics && !statistics.cpu.perCpu ? null : entries(statistics?.io.operations),
    ...Object.fromEntries(OTHER_IO.map((name) => [name, others])),
  };
};

const networksView = (networks: Readonly<Record<string, NetworkCount>>): JsonObject =>
  Object.fromEntries(
    Object.entries(networks).map(([device, { received, sent }]) => [
      device,
      {
        rx_bytes: received.bytes,
        rx_packets: received.packets,
        rx_errors: received.errors,
        rx_dropped: received.dropped,
        tx_bytes: sent.bytes,
        tx_packets: sent.packets,
        tx_errors: sent.errors,
        tx_dropped: sent.dropped,
      },
    ]),
  );

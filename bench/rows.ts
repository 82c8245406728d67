import { image, type Engine } from './engines.ts';
import { median } from './median.ts';
import { networkWorks } from './rows-networks.ts';
import { uploadOf } from './uploads.ts';

export type Unit = 'ms' | 'MiB' | 'MB/s' | 'GB/s' | 'x';

/** One line of the table. `aim` is what berth's median should be at most (or, for speeds, at least), as a part of the reference's. */
export type Row = { readonly unit: Unit; readonly aim?: number };

/** Work that yields one row or several. The bench sweeps up after it: what is named `engine.own(...)` goes by itself. */
export type Work = {
  readonly rows: Readonly<Record<string, Row>>;
  readonly slow?: true;
  /** At most so many rounds, for work that takes seconds. */
  readonly rounds?: number;
  readonly prepare?: (engine: Engine) => Promise<unknown>;
  readonly measure: (engine: Engine, note: (row: string, value: number) => void) => Promise<void>;
};

export const isSpeed = (unit: Unit) => unit.endsWith('/s');

const lines = 200_000;
const line = 'a line about as long as those that programs like to write';
const printing = ['sh', '-c', `yes '${line}' | head -n ${lines}`];
const printed = lines * (line.length + 1);

const bigFile = ['dd', 'if=/dev/zero', 'of=/big', 'bs=1M', 'count=256'];
const smallFiles = ['sh', '-c', 'for d in $(seq 200); do mkdir -p /many/$d; for f in $(seq 100); do echo $f >/many/$d/$f; done; done'];

const manyContainers = 100;
const singlePorts = 1000;
/** How long the range before took, by the engine's name. */
const patience = new Map<string, number>();

export const works: readonly Work[] = [
  // First, before anything has made a daemon grow.
  {
    rows: { 'memory: engine idle': { unit: 'MiB', aim: 0.7 } },
    measure: async (engine, note) => { note('memory: engine idle', await engine.memory()); },
  },
  {
    rows: { 'memory: each container with a port': { unit: 'MiB', aim: 0.5 } },
    rounds: 3,
    async measure(engine, note) {
      const containers = 10;
      const names = Array.from({ length: containers }, (_, index) => engine.own(`memory${index}`));
      const before = await engine.memory();
      for (const name of names) await engine.docker('run', '-d', '-P', '--name', name, image);
      const after = await engine.memory();
      await engine.docker('rm', '-f', ...names);
      note('memory: each container with a port', (after - before) / containers);
    },
  },
  {
    rows: { 'docker run --rm busybox true': { unit: 'ms', aim: 0.33 } },
    async measure(engine, note) {
      note('docker run --rm busybox true', await engine.time(['run', '--rm', '--name', engine.own('true'), image, 'true']));
    },
  },
  {
    rows: { '8 x docker run --rm at once': { unit: 'ms' } },
    async measure(engine, note) {
      const start = performance.now();
      await Promise.all(Array.from({ length: 8 }, (_, index) =>
        engine.time(['run', '--rm', '--name', engine.own(`parallel${index}`), image, 'true'])));
      note('8 x docker run --rm at once', performance.now() - start);
    },
  },
  {
    rows: { 'docker run -d -P': { unit: 'ms', aim: 0.35 }, 'docker rm -f of it': { unit: 'ms', aim: 0.35 } },
    async measure(engine, note) {
      const name = engine.own('published');
      note('docker run -d -P', await engine.time(['run', '-d', '-P', '--name', name, image, 'httpd', '-f', '-p', '8080']));
      note('docker rm -f of it', await engine.time(['rm', '-f', name]));
    },
  },
  {
    rows: { 'docker exec C true': { unit: 'ms', aim: 0.6 } },
    prepare: (engine) => engine.docker('run', '-d', '--name', engine.own('exec'), image),
    async measure(engine, note) {
      note('docker exec C true', await engine.time(['exec', engine.own('exec'), 'true']));
    },
  },
  ...networkWorks,
  {
    rows: { 'docker logs of 200,000 lines': { unit: 'ms' } },
    prepare: (engine) => runToEnd(engine, 'logs', printing),
    async measure(engine, note) {
      note('docker logs of 200,000 lines', await engine.time(['logs', engine.own('logs')], printed));
    },
  },
  {
    rows: { 'docker run printing 200,000 lines': { unit: 'ms' } },
    async measure(engine, note) {
      note('docker run printing 200,000 lines', await engine.time(['run', '--rm', '--name', engine.own('print'), image, ...printing], printed));
    },
  },
  {
    rows: { 'archive GET of one file of 256 MiB': { unit: 'MB/s', aim: 1.5 } },
    prepare: (engine) => runToEnd(engine, 'big', bigFile),
    async measure(engine, note) {
      const { bytes, ms } = await engine.get(`/containers/${engine.own('big')}/archive?path=/big`);
      note('archive GET of one file of 256 MiB', bytes / 1e6 / (ms / 1e3));
    },
  },
  {
    rows: { 'archive GET of 20,000 small files': { unit: 'ms', aim: 0.5 } },
    rounds: 3,
    prepare: (engine) => runToEnd(engine, 'many', smallFiles),
    async measure(engine, note) {
      note('archive GET of 20,000 small files', (await engine.get(`/containers/${engine.own('many')}/archive?path=/many`)).ms);
    },
  },
  {
    rows: { 'archive GET of 20,000 small files in a volume': { unit: 'ms', aim: 0.5 } },
    rounds: 3,
    prepare: (engine) => engine.docker('run', '-v', `${engine.own('many-volume')}:/many`, '--name', engine.own('many-user'), image, ...smallFiles),
    async measure(engine, note) {
      note('archive GET of 20,000 small files in a volume', (await engine.get(`/containers/${engine.own('many-user')}/archive?path=/many`)).ms);
    },
  },
  {
    rows: { 'archive PUT of one file of 256 MiB': { unit: 'MB/s', aim: 1 } },
    prepare: (engine) => runToEnd(engine, 'put-big', ['true']),
    async measure(engine, note) {
      const { bytes, ms } = await engine.put(`/containers/${engine.own('put-big')}/archive?path=/tmp`, await uploadOf('one file of 256 MiB'));
      note('archive PUT of one file of 256 MiB', bytes / 1e6 / (ms / 1e3));
    },
  },
  {
    rows: { 'archive PUT of 20,000 small files': { unit: 'ms', aim: 1 } },
    rounds: 3,
    prepare: (engine) => engine.docker('create', '-v', `${engine.own('put-volume')}:/many`, '--name', engine.own('put-many'), image),
    async measure(engine, note) {
      note('archive PUT of 20,000 small files', (await engine.put(`/containers/${engine.own('put-many')}/archive?path=/many`, await uploadOf('20,000 small files'))).ms);
    },
  },
  {
    rows: { 'published port, another host': { unit: 'GB/s', aim: 1 }, 'published port, 127.0.0.1': { unit: 'GB/s', aim: 1.2 } },
    prepare: async (engine) => {
      await engine.docker('run', '-d', '-P', '--name', engine.own('served'), image, 'httpd', '-f', '-p', '8080', '-h', '/');
      await engine.docker('exec', engine.own('served'), ...bigFile);
    },
    async measure(engine, note) {
      const port = Number(/:(\d+)$/m.exec(await engine.docker('port', engine.own('served'), '8080'))?.[1]);
      for (const [row, from] of [['published port, another host', 'another host'], ['published port, 127.0.0.1', 'the host']] as const) {
        // Four of them: one takes but a sixth of a second.
        const transfers = [];
        for (let count = 0; count < 4; count++) transfers.push(await engine.fetch(from, port, '/big'));
        note(row, sum(transfers.map(({ bytes }) => bytes)) / 1e9 / (sum(transfers.map(({ ms }) => ms)) / 1e3));
      }
    },
  },
  ...[1, 100, 1000, 10_000].map((count): Work => {
    const [run, memory, remove] = ['docker run -d -p', 'memory', 'docker rm -f'].map((what) => `${count.toLocaleString('en')} ports, a range: ${what}`) as [string, string, string];
    const aim = count < 1000 ? {} : { aim: 0.01 };
    return {
      ...(count < 100 ? {} : { slow: true }),
      rounds: count < 100 ? 7 : count < 1000 ? 3 : 1,
      rows: { [run]: { unit: 'ms', ...aim }, [memory]: { unit: 'MiB', ...aim }, [remove]: { unit: 'ms', ...aim } },
      async measure(engine, note) {
        const name = engine.own(`range${count}`);
        if (count > 1000 && (patience.get(engine.name) ?? 0) > 10_000) throw new Error('1,000 took so long that nobody would wait for 10,000');
        const before = await engine.memory().catch(() => undefined);
        const took = await engine.time(['run', '-d', '-p', `20000-${19_999 + count}:20000-${19_999 + count}`, '--name', name, image]);
        patience.set(engine.name, took);
        note(run, took);
        if (before !== undefined) note(memory, (await engine.memory()) - before);
        note(remove, await engine.time(['rm', '-f', name]));
      },
    };
  }),
  {
    slow: true,
    rounds: 1,
    rows: { [`growth: docker run -d -p, by ${singlePorts} single ports`]: { unit: 'x' }, [`docker ps, beside ${singlePorts} single ports`]: { unit: 'ms' } },
    async measure(engine, note) {
      const one = async (): Promise<number> => {
        const took = await engine.time(['run', '-d', '-p', '19999:80', '--name', engine.own('one'), image]);
        await engine.time(['rm', '-f', engine.own('one')]);
        return took;
      };
      const several = async (): Promise<number> => {
        const all: number[] = [];
        for (let round = 0; round < 9; round++) all.push(await one());
        return median(all);
      };
      const alone = await several();
      // Every other port, or they would be ranges.
      for (let first = 0; first < singlePorts; first += 100)
        await engine.time(['run', '-d', ...Array.from({ length: 100 }, (_, index) => ['-p', `${20_000 + 2 * (first + index)}:${1000 + index}`]).flat(), '--name', engine.own(`single${first}`), image]);
      note(`growth: docker run -d -p, by ${singlePorts} single ports`, (await several()) / alone);
      note(`docker ps, beside ${singlePorts} single ports`, await engine.time(['ps']));
    },
  },
  {
    slow: true,
    rounds: 1,
    rows: {
      [`growth: docker run -d -P, the last of ${manyContainers} by the first`]: { unit: 'x' },
      [`GET /containers/json, ${manyContainers} containers`]: { unit: 'ms' },
      [`docker ps, ${manyContainers} containers`]: { unit: 'ms' },
      [`growth: docker rm -f, the first of ${manyContainers} by the last`]: { unit: 'x' },
    },
    async measure(engine, note) {
      const names = Array.from({ length: manyContainers }, (_, index) => engine.own(`grown${index}`));
      const starts: number[] = [];
      for (const name of names) starts.push(await engine.time(['run', '-d', '-P', '--name', name, image]));
      note(`growth: docker run -d -P, the last of ${manyContainers} by the first`, median(starts.slice(-5)) / median(starts.slice(0, 5)));
      const lists: number[] = [];
      for (let round = 0; round < 9; round++) lists.push((await engine.get('/containers/json')).ms);
      note(`GET /containers/json, ${manyContainers} containers`, median(lists));
      note(`docker ps, ${manyContainers} containers`, await engine.time(['ps']));
      const ends: number[] = [];
      for (const name of names) ends.push(await engine.time(['rm', '-f', name]));
      note(`growth: docker rm -f, the first of ${manyContainers} by the last`, median(ends.slice(0, 5)) / median(ends.slice(-5)));
    },
  },
];

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** A container that has done its work and stopped: archives are read from it without a process in the way. */
const runToEnd = (engine: Engine, name: string, command: readonly string[]) =>
  engine.docker('run', '--name', engine.own(name), image, ...command);

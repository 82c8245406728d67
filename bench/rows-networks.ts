import { execa } from 'execa';
import { image, type Engine } from './engines.ts';
import { median } from './median.ts';
import type { Work } from './rows.ts';

const manyNetworks = 100;

/** Asks its name server for a name, one question after the other, and prints the milliseconds that each took. */
const asking = `
const socket = require('node:dgram').createSocket('udp4');
const name = process.argv[1].split('.').map((label) => String.fromCharCode(label.length) + label).join('');
const question = Buffer.from('\\0\\0\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0' + name + '\\0\\0\\1\\0\\1', 'latin1');
const times = [];
let began;
const ask = () => { began = process.hrtime.bigint(); socket.send(question, 53, '127.0.0.11'); };
socket.on('message', (answer) => {
  times.push(Number(process.hrtime.bigint() - began) / 1e6);
  if (answer.readUInt16BE(6) !== 1) throw new Error('no answer in it');
  if (times.length < 500) return ask();
  console.log(JSON.stringify(times));
  socket.close();
});
ask();`;

/** What it takes to have networks, and names on them. */
export const networkWorks: readonly Work[] = [
  {
    rows: { 'docker network create': { unit: 'ms', aim: 0.5 }, 'docker network rm': { unit: 'ms', aim: 0.25 } },
    async measure(engine, note) {
      note('docker network create', await engine.time(['network', 'create', engine.own('network')]));
      note('docker network rm', await engine.time(['network', 'rm', engine.own('network')]));
    },
  },
  {
    rows: { 'docker network connect': { unit: 'ms', aim: 0.6 }, 'docker network disconnect': { unit: 'ms' } },
    async prepare(engine) {
      await engine.docker('network', 'create', engine.own('joined'));
      await engine.docker('run', '-d', '--name', engine.own('joins'), image);
    },
    async measure(engine, note) {
      note('docker network connect', await engine.time(['network', 'connect', engine.own('joined'), engine.own('joins')]));
      note('docker network disconnect', await engine.time(['network', 'disconnect', engine.own('joined'), engine.own('joins')]));
    },
  },
  {
    rows: { 'a name of a neighbour, asked of 127.0.0.11': { unit: 'ms' } },
    async prepare(engine) {
      await engine.docker('network', 'create', engine.own('names'));
      for (const name of ['asks', 'known']) await engine.docker('run', '-d', '--name', engine.own(name), '--network', engine.own('names'), image);
    },
    async measure(engine, note) {
      const netns = await engine.docker('inspect', '-f', '{{.NetworkSettings.SandboxKey}}', engine.own('asks'));
      const { stdout } = await execa('nsenter', [`--net=${netns}`, process.execPath, '-e', asking, engine.own('known')]);
      note('a name of a neighbour, asked of 127.0.0.11', median(JSON.parse(stdout)));
    },
  },
  {
    slow: true,
    rounds: 1,
    rows: {
      [`growth: docker network create, the last of ${manyNetworks} by the first`]: { unit: 'x' },
      '20 x docker network create at once': { unit: 'ms' },
    },
    async measure(engine, note) {
      // The reference engine's own pools have room for 31 networks.
      const create = (index: number): Promise<number> => engine.time(['network', 'create', '--subnet', `10.200.${index}.0/24`, engine.own(`many${index}`)]);
      const times: number[] = [];
      for (let index = 0; index < manyNetworks; index++) times.push(await create(index));
      note(`growth: docker network create, the last of ${manyNetworks} by the first`, median(times.slice(-9)) / median(times.slice(0, 9)));
      const start = performance.now();
      await Promise.all(Array.from({ length: 20 }, (_, index) => create(manyNetworks + index)));
      note('20 x docker network create at once', performance.now() - start);
      await removeAll(engine, manyNetworks + 20);
    },
  },
];

const removeAll = (engine: Engine, count: number) => engine.docker('network', 'rm', ...Array.from({ length: count }, (_, index) => engine.own(`many${index}`)));

// Published ports, as seen from the engine's host (a container in its network) and from neighbours.

import assert from 'node:assert/strict';
import { check, type Resource } from './check.ts';
import type { Lab, Spec } from './lab.ts';

const create = 'POST /containers/create';
const serving = (more: Spec = {}) => ({ Cmd: ['sh', '-c', 'mkdir /www; echo here >/www/index.html; exec httpd -f -p 80 -h /www'], ExposedPorts: { '80/tcp': {} }, ...more });
const published = (bindings: Spec, more: Spec = {}, exposed: Spec = { '80/tcp': {} }) => serving({ ExposedPorts: exposed, HostConfig: { PortBindings: bindings, ...more } });
const portsOf = async (lab: Lab, id: string) => (await lab.inspect(id)).NetworkSettings.Ports;
const onHost = (lab: Lab) => lab.start({ HostConfig: { NetworkMode: 'host' } });
const reaches = (lab: Lab, from: string, url: string) => lab.eventually(async () => assert.equal((await lab.exec(from, ['timeout', '3', 'wget', '-q', '-O', '-', url])).stdout, 'here\n', url));
const port = (bindings: any, address = '0.0.0.0') => Number(bindings.find(({ HostIp }: any) => HostIp === address).HostPort);
// Above what kernels give out for `-P` and for connections.
let next = 61000 + (process.pid % 400) * 10;
const free = () => next++;

export const ports: Resource = {
  title: 'ports',
  about: '`-P`, `-p` with addresses, ranges and protocols, from other hosts, from the host itself and from neighbours',
  checks: [
    check(create, '-P: all that is exposed', async lab => {
      const id = await lab.start(serving({ HostConfig: { PublishAllPorts: true } }));
      const ports = await portsOf(lab, id);
      assert.ok(port(ports['80/tcp']) >= 1024);
      await reaches(lab, await onHost(lab), `http://127.0.0.1:${port(ports['80/tcp'])}/`);
    }),
    check(create, 'a port of one\'s choice, on every address of the host', async lab => {
      const at = free();
      const id = await lab.start(published({ '80/tcp': [{ HostPort: `${at}` }] }));
      assert.deepEqual((await portsOf(lab, id))['80/tcp'].map(({ HostPort }: any) => HostPort), [`${at}`, `${at}`]);
      const host = await onHost(lab);
      await reaches(lab, host, `http://127.0.0.1:${at}/`);
      await reaches(lab, host, `http://[::1]:${at}/`);
    }),
    check(create, 'on one address only', async lab => {
      const at = free();
      const id = await lab.start(published({ '80/tcp': [{ HostIp: '127.0.0.1', HostPort: `${at}` }] }));
      assert.deepEqual((await portsOf(lab, id))['80/tcp'], [{ HostIp: '127.0.0.1', HostPort: `${at}` }]);
      await reaches(lab, await onHost(lab), `http://127.0.0.1:${at}/`);
    }),
    check(create, 'from a neighbour, by the host\'s address', async lab => {
      const id = await lab.start(serving({ HostConfig: { PublishAllPorts: true } }));
      const { Gateway } = (await lab.inspect(id)).NetworkSettings.Networks.bridge;
      const at = port((await portsOf(lab, id))['80/tcp']);
      await reaches(lab, await lab.start(), `http://${Gateway}:${at}/`);
      await reaches(lab, id, `http://${Gateway}:${at}/`);
    }),
    check(create, 'from another network, by the host\'s address', async lab => {
      const network = await lab.network();
      const id = await lab.start(serving({ HostConfig: { PublishAllPorts: true } }));
      const other = await lab.start({ HostConfig: { NetworkMode: network.name } });
      const { Gateway } = (await lab.inspect(other)).NetworkSettings.Networks[network.name];
      await reaches(lab, other, `http://${Gateway}:${port((await portsOf(lab, id))['80/tcp'])}/`);
    }),
    check(create, 'one of a range', async lab => {
      const from = free();
      next += 3;
      const spec = published({ '80/tcp': [{ HostPort: `${from}-${from + 3}` }] });
      const taken = [];
      for (let at = 0; at < 3; at++) taken.push(port((await portsOf(lab, await lab.start(spec)))['80/tcp']));
      assert.equal(new Set(taken).size, 3);
      assert.ok(taken.every(each => each >= from && each <= from + 3), `${taken}`);
    }),
    check(create, 'UDP, and several of one port', async lab => {
      const [one, two, udp] = [free(), free(), free()];
      const id = await lab.start(published({ '80/tcp': [{ HostPort: `${one}` }, { HostPort: `${two}` }], '53/udp': [{ HostPort: `${udp}` }] }, {}, { '80/tcp': {}, '53/udp': {} }));
      const ports = await portsOf(lab, id);
      assert.equal(port(ports['53/udp']), udp);
      const host = await onHost(lab);
      for (const at of [one, two]) await reaches(lab, host, `http://127.0.0.1:${at}/`);
    }),
    check(create, 'a port that is taken', async lab => {
      const at = free();
      await lab.start(published({ '80/tcp': [{ HostPort: `${at}` }] }));
      const other = await lab.create(published({ '80/tcp': [{ HostPort: `${at}` }] }));
      await lab.refuses(500, /port is already allocated/, 'POST', `/containers/${other}/start`);
      assert.equal((await lab.inspect(other)).State.Status, 'created');
    }),
    check(create, 'freed when it stops, and kept in its description', async lab => {
      const at = free();
      const bindings = { '80/tcp': [{ HostIp: '', HostPort: `${at}` }] };
      const id = await lab.start(published(bindings));
      await lab.ask(204, 'POST', `/containers/${id}/stop?t=0`);
      const { HostConfig, NetworkSettings } = await lab.inspect(id);
      assert.deepEqual([HostConfig.PortBindings, NetworkSettings.Ports], [bindings, {}]);
      const other = await lab.start(published(bindings));
      await reaches(lab, await onHost(lab), `http://127.0.0.1:${at}/`);
      await lab.ask(204, 'DELETE', `/containers/${other}?force=1`);
    }),
    check(create, 'exposed is not published', async lab => {
      const id = await lab.start(serving());
      assert.deepEqual(await portsOf(lab, id), { '80/tcp': null });
      const [row] = await lab.ask(200, 'GET', `/containers/json?filters=${encodeURIComponent(JSON.stringify({ id: [id] }))}`);
      assert.deepEqual(row.Ports, [{ PrivatePort: 80, Type: 'tcp' }]);
    }),
    check('GET /containers/json', 'ports in the list', async lab => {
      const at = free();
      const id = await lab.start(published({ '80/tcp': [{ HostIp: '127.0.0.1', HostPort: `${at}` }] }));
      const found = (filters: object) => lab.ask(200, 'GET', `/containers/json?filters=${encodeURIComponent(JSON.stringify(filters))}`);
      assert.deepEqual((await found({ id: [id] }))[0].Ports, [{ IP: '127.0.0.1', PrivatePort: 80, PublicPort: at, Type: 'tcp' }]);
    }),
  ],
};

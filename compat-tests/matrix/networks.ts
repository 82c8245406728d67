// Networks: who is on them, and who reaches whom.

import assert from 'node:assert/strict';
import { check, type Resource } from './check.ts';
import type { Lab, Spec } from './lab.ts';

const create = 'POST /networks/create';
const on = (network: { readonly name: string }, more: Spec = {}) => ({ HostConfig: { NetworkMode: network.name }, ...more });
const serving = (more: Spec = {}) => ({ Cmd: ['sh', '-c', 'mkdir /www; echo here >/www/index.html; exec httpd -f -p 80 -h /www'], ...more });
const addressOf = async (lab: Lab, id: string, network: string): Promise<string> => (await lab.inspect(id)).NetworkSettings.Networks[network].IPAddress;
/** Whether a container gets the page of another; it tries for a while only where it should. */
const gets = async (lab: Lab, id: string, host: string) => (await lab.exec(id, ['timeout', '2', 'wget', '-q', '-O', '-', `http://${host}/`])).stdout === 'here\n';
const reaches = (lab: Lab, id: string, host: string) => lab.eventually(async () => assert.ok(await gets(lab, id, host), `${host} does not answer`));
const refused = (behaviour: string, status: number, message: RegExp, spec: Spec) => check(create, behaviour, lab => lab.refuses(status, message, 'POST', '/networks/create', { Name: lab.name('x'), ...spec }));

export const networks: Resource = {
  title: 'networks',
  about: 'bridges of one\'s own with subnets, gateways, IPv6, `--internal`, icc, aliases and names by the embedded DNS; connect, disconnect, prune; the default bridge, links, `host`, `none`, `container:`',
  later: 'overlay, macvlan and ipvlan drivers',
  checks: [
    check('GET /networks', 'the ones every engine has; filters', async lab => {
      const { id, name } = await lab.network({ Labels: { [lab.name('l')]: 'v' } });
      const found = async (filters: object) => ((await lab.ask(200, 'GET', `/networks?filters=${encodeURIComponent(JSON.stringify(filters))}`)) as any[]).map(network => network.Name).sort();
      assert.deepEqual(await found({ type: ['builtin'] }), ['bridge', 'host', 'none']);
      for (const filters of [{ name: [name] }, { id: [id] }, { label: [`${lab.name('l')}=v`] }, { name: [name], driver: ['bridge'], scope: ['local'], type: ['custom'] }]) assert.deepEqual(await found(filters), [name]);
      assert.deepEqual(await found({ name: [name], driver: ['host'] }), []);
      await lab.refuses(400, "invalid filter 'nosuch'", 'GET', '/networks?filters={"nosuch":["x"]}');
    }),
    check('GET /networks/{id}', 'what it is, and who is on it', async lab => {
      const network = await lab.network();
      const id = await lab.start(on(network), lab.name('a'));
      for (const ref of [network.id, network.name, network.id.slice(0, 12)]) {
        const { Name, Id, Driver, Scope, Internal, IPAM, Containers } = await lab.ask(200, 'GET', `/networks/${ref}`);
        assert.deepEqual([Name, Id, Driver, Scope, Internal, IPAM.Config.length], [network.name, network.id, 'bridge', 'local', false, 1]);
        assert.deepEqual([Object.keys(Containers), Containers[id].Name], [[id], lab.name('a')]);
        assert.match(Containers[id].IPv4Address, /^\d+\.\d+\.\d+\.\d+\/\d+$/);
      }
      await lab.refuses(404, 'network mx-nosuch not found', 'GET', '/networks/mx-nosuch');
    }),
    check(create, 'an id; a name that is taken', async lab => {
      const { id, name } = await lab.network();
      assert.match(id, /^[0-9a-f]{64}$/);
      await lab.refuses(409, `network with name ${name} already exists`, 'POST', '/networks/create', { Name: name });
    }),
    check(create, 'a subnet, a range, a gateway, reserved addresses', async lab => {
      const network = await lab.network({ IPAM: { Config: [{ Subnet: '10.231.0.0/16', IPRange: '10.231.5.0/24', Gateway: '10.231.0.254', AuxiliaryAddresses: { mine: '10.231.5.0' } }] } });
      const id = await lab.start(on(network));
      const { IPAddress, Gateway, IPPrefixLen } = (await lab.inspect(id)).NetworkSettings.Networks[network.name];
      assert.deepEqual([/^10\.231\.5\.\d+$/.test(IPAddress), IPAddress === '10.231.5.0', Gateway, IPPrefixLen], [true, false, '10.231.0.254', 16]);
      assert.match((await lab.exec(id, ['ip', 'route'])).stdout, /default via 10\.231\.0\.254/);
    }),
    refused('a subnet that overlaps the default bridge\'s', 403, /Pool overlaps with other one on this address space/, { IPAM: { Config: [{ Subnet: '172.17.0.0/24' }] } }),
    refused('a subnet that is none', 400, /invalid/i, { IPAM: { Config: [{ Subnet: 'bad' }] } }),
    refused('a driver that is not there', 404, /plugin "mx-nosuch" not found/, { Driver: 'mx-nosuch' }),
    refused('no name', 400, /name/i, { Name: '' }),
    check(create, 'IPv6', async lab => {
      const network = await lab.network({ EnableIPv6: true, IPAM: { Config: [{ Subnet: 'fd00:2e5:1::/64' }] } });
      const [server, client] = [await lab.start(on(network, serving())), await lab.start(on(network))];
      const { GlobalIPv6Address } = (await lab.inspect(server)).NetworkSettings.Networks[network.name];
      assert.match(GlobalIPv6Address, /^fd00:2e5:1::/);
      await reaches(lab, client, `[${GlobalIPv6Address}]`);
    }),
    check(create, 'internal: no way out', async lab => {
      const network = await lab.network({ Internal: true });
      const id = await lab.start(on(network));
      assert.doesNotMatch((await lab.exec(id, ['ip', 'route'])).stdout, /default/);
    }),
    check(create, 'containers that do not reach each other (icc)', async lab => {
      const network = await lab.network({ Options: { 'com.docker.network.bridge.enable_icc': 'false' } });
      const [server, client] = [await lab.start(on(network, serving())), await lab.start(on(network))];
      await reaches(lab, server, '127.0.0.1');
      assert.equal(await gets(lab, client, await addressOf(lab, server, network.name)), false);
    }),
    check(create, 'one network does not reach another', async lab => {
      const [one, two] = [await lab.network(), await lab.network()];
      const [server, client] = [await lab.start(on(one, serving())), await lab.start(on(two))];
      await reaches(lab, server, '127.0.0.1');
      assert.equal(await gets(lab, client, await addressOf(lab, server, one.name)), false);
    }),
    check(create, 'names and aliases, by the embedded DNS', async lab => {
      const network = await lab.network();
      await lab.start({ ...serving(on(network)), NetworkingConfig: { EndpointsConfig: { [network.name]: { Aliases: ['www'] } } } }, lab.name('web'));
      const client = await lab.start(on(network));
      for (const host of [lab.name('web'), 'www', `${lab.name('web')}.${network.name}`]) await reaches(lab, client, host);
      assert.match((await lab.exec(client, ['cat', '/etc/resolv.conf'])).stdout, /nameserver 127\.0\.0\.11/);
    }),
    check(create, 'an address and a MAC of one\'s own', async lab => {
      const network = await lab.network({ IPAM: { Config: [{ Subnet: '10.232.0.0/24' }] } });
      const id = await lab.start({ ...on(network), NetworkingConfig: { EndpointsConfig: { [network.name]: { IPAMConfig: { IPv4Address: '10.232.0.77' }, MacAddress: '02:42:0a:e8:00:4d' } } } });
      const { stdout } = await lab.exec(id, ['ip', 'addr', 'show', 'eth0']);
      assert.match(stdout, /02:42:0a:e8:00:4d[^]*10\.232\.0\.77\/24/);
    }, { since: 44 }),
    check(create, 'the bridge\'s name and MTU', async lab => {
      const bridge = `mx${process.pid % 100000}b`;
      const network = await lab.network({ Options: { 'com.docker.network.bridge.name': bridge, 'com.docker.network.driver.mtu': '1400' } });
      const id = await lab.start(on(network));
      assert.equal((await lab.exec(id, ['cat', '/sys/class/net/eth0/mtu'])).stdout, '1400\n');
      const host = await lab.start({ HostConfig: { NetworkMode: 'host' } });
      assert.match((await lab.exec(host, ['ip', 'link', 'show', bridge])).stdout, new RegExp(bridge));
    }),
    check(create, 'a network\'s configuration from another', async lab => {
      const config = await lab.network({ ConfigOnly: true, IPAM: { Config: [{ Subnet: '10.234.0.0/24' }] } });
      const network = await lab.network({ ConfigFrom: { Network: config.name } });
      const { IPAM, ConfigFrom } = await lab.ask(200, 'GET', `/networks/${network.id}`);
      assert.deepEqual([IPAM.Config[0].Subnet, ConfigFrom.Network], ['10.234.0.0/24', config.name]);
      await lab.ask(204, 'DELETE', `/networks/${network.id}`);
    }),
    check(create, 'IPv4 is told apart', async lab => {
      const { id } = await lab.network();
      assert.equal((await lab.ask(200, 'GET', `/networks/${id}`)).EnableIPv4, true);
    }, { since: 48 }),
    check(create, 'the gateway of one\'s choice, of several networks', async lab => {
      const [one, two] = [await lab.network(), await lab.network({ IPAM: { Config: [{ Subnet: '10.233.0.0/24' }] } })];
      const id = await lab.start({ HostConfig: { NetworkMode: one.name }, NetworkingConfig: { EndpointsConfig: { [one.name]: {}, [two.name]: { GwPriority: 1 } } } });
      assert.match((await lab.exec(id, ['ip', 'route'])).stdout, /default via 10\.233\.0\.1/);
    }, { since: 48 }),
    check('POST /networks/{id}/connect', 'one that runs', async lab => {
      const [one, two] = [await lab.network(), await lab.network()];
      const server = await lab.start(serving(on(two)), lab.name('web'));
      const client = await lab.start(on(one));
      await lab.ask(200, 'POST', `/networks/${two.id}/connect`, { Container: client, EndpointConfig: { Aliases: ['late'] } });
      await reaches(lab, client, lab.name('web'));
      const { Aliases } = (await lab.inspect(client)).NetworkSettings.Networks[two.name];
      assert.ok(Aliases.includes('late'));
      await reaches(lab, client, await addressOf(lab, server, two.name));
      await lab.refuses(403, /already exists in network|already attached/, 'POST', `/networks/${two.id}/connect`, { Container: client });
    }),
    check('POST /networks/{id}/connect', 'one that will run', async lab => {
      const network = await lab.network();
      const id = await lab.create();
      await lab.ask(200, 'POST', `/networks/${network.name}/connect`, { Container: id });
      await lab.ask(204, 'POST', `/containers/${id}/start`);
      assert.deepEqual(Object.keys((await lab.inspect(id)).NetworkSettings.Networks).sort(), ['bridge', network.name].sort());
      assert.match((await lab.exec(id, ['ls', '/sys/class/net'])).stdout, /eth0[^]*eth1/);
    }),
    check('POST /networks/{id}/connect', 'no network, no container', async lab => {
      const network = await lab.network();
      await lab.refuses(404, 'network mx-nosuch not found', 'POST', '/networks/mx-nosuch/connect', { Container: await lab.start() });
      await lab.refuses(404, 'No such container: mx-nosuch', 'POST', `/networks/${network.id}/connect`, { Container: 'mx-nosuch' });
    }),
    check('POST /networks/{id}/disconnect', 'its interface goes', async lab => {
      const network = await lab.network();
      const id = await lab.start();
      await lab.ask(200, 'POST', `/networks/${network.id}/connect`, { Container: id });
      await lab.ask(200, 'POST', `/networks/${network.id}/disconnect`, { Container: id });
      assert.doesNotMatch((await lab.exec(id, ['ls', '/sys/class/net'])).stdout, /eth1/);
      await lab.refuses(500, /is not connected to (the )?network/, 'POST', `/networks/${network.id}/disconnect`, { Container: id });
    }),
    check('DELETE /networks/{id}', 'only one that nobody is on', async lab => {
      const network = await lab.network();
      const id = await lab.start(on(network));
      await lab.refuses(403, /has active endpoints/, 'DELETE', `/networks/${network.id}`);
      await lab.ask(204, 'DELETE', `/containers/${id}?force=1`);
      await lab.ask(204, 'DELETE', `/networks/${network.name}`);
      await lab.refuses(404, `network ${network.name} not found`, 'DELETE', `/networks/${network.name}`);
      await lab.refuses(403, 'bridge is a pre-defined network and cannot be removed', 'DELETE', '/networks/bridge');
    }),
    check('POST /networks/prune', 'those that nobody is on, by label', async lab => {
      const Labels = { [lab.name('l')]: '' };
      const [used, unused] = [await lab.network({ Labels }), await lab.network({ Labels })];
      await lab.start(on(used));
      const { NetworksDeleted } = await lab.ask(200, 'POST', `/networks/prune?filters=${encodeURIComponent(JSON.stringify({ label: [lab.name('l')] }))}`);
      assert.deepEqual(NetworksDeleted, [unused.name]);
      await lab.refuses(400, "invalid filter 'nosuch'", 'POST', '/networks/prune?filters={"nosuch":["x"]}');
    }),
    check('POST /containers/create', 'on the default bridge: neighbours by address, links by name', async lab => {
      const server = await lab.start(serving(), lab.name('web'));
      const client = await lab.start({ HostConfig: { Links: [`${lab.name('web')}:linked`] } });
      await reaches(lab, client, await addressOf(lab, server, 'bridge'));
      await reaches(lab, client, 'linked');
    }),
    check('POST /containers/create', 'networks `none`, `host`', async lab => {
      const none = await lab.run(['ls', '/sys/class/net'], { HostConfig: { NetworkMode: 'none' } });
      assert.doesNotMatch(none.stdout, /eth/);
      const host = await lab.run(['cat', '/proc/net/route'], { HostConfig: { NetworkMode: 'host' } });
      assert.match(host.stdout, /docker0|br-|eth|en/);
    }),
  ],
};

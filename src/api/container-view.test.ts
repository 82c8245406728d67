import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Container, CreateRequest } from '../model/container.ts';
import type { Endpoint } from '../model/network.ts';
import type { Protocol } from '../model/port.ts';
import type { MountPoint } from '../model/volume.ts';
import { parseCreate } from './container-create.ts';
import { inspectView, statusText, summaryView } from './container-view.ts';
import { options } from './fake.ts';

type Wire = Record<string, any>;
const recordings = JSON.parse(readFileSync(new URL('testdata/inspect.json', import.meta.url), 'utf8')) as { name: string; url: string; request: Wire; inspect: Wire }[];

for (const { name, url, request, inspect } of recordings) {
  test(`create and inspect: ${name}`, () => {
    const query = new URL(url, 'http://d').searchParams;
    const { request: asked, warnings } = parseCreate(request, query, options.defaults);
    assert.deepEqual(warnings, []);

    const container = containerFrom(asked, inspect);
    const view = JSON.parse(
      JSON.stringify(inspectView({ container, size: undefined, execIds: [], logPath: inspect['LogPath'] }, { dataRoot: options.dataRoot, network: networksOf(inspect) })),
    ) as Wire;
    // Networks joined later are not in the request, and the layers lie elsewhere.
    for (const network of Object.keys(inspect['NetworkSettings'].Networks)) if (!(network in view['NetworkSettings'].Networks)) delete inspect['NetworkSettings'].Networks[network];
    assert.equal(view['GraphDriver'].Data.UpperDir, `/var/lib/docker/overlay2/${container.id}/diff`);
    delete view['GraphDriver'];
    delete inspect['GraphDriver'];
    const byDestination = (a: Wire, b: Wire): number => a['Destination'].localeCompare(b['Destination']);
    view['Mounts'].sort(byDestination);
    inspect['Mounts'].sort(byDestination);
    assert.deepEqual(view, inspect);
  });
}

test('list: ports that are published and ports that are only exposed', () => {
  const recorded = recordings.find(({ name }) => name === 'many ports');
  assert.ok(recorded);
  const { request } = parseCreate(recorded.request, new URLSearchParams('name=p2'), options.defaults);
  const container = containerFrom(request, recorded.inspect);
  const now = Date.parse(container.state.startedAt ?? '') + 3000;
  const view = summaryView({ container, size: undefined }, 'app', now, { dataRoot: '/', network: networksOf(recorded.inspect) }) as Wire;
  assert.equal(view['Command'], 'httpd -f -v -p 8080');
  assert.equal(view['Status'], 'Up 3 seconds');
  assert.equal(view['Created'], 1795455873);
  assert.deepEqual(view['Names'], ['/p2']);
  assert.deepEqual(view['HostConfig'], { NetworkMode: 'bridge' });
  assert.deepEqual(view['Ports'].slice(0, 4), [
    { PrivatePort: 6000, Type: 'tcp' },
    { PrivatePort: 6001, Type: 'tcp' },
    { IP: '0.0.0.0', PrivatePort: 53, PublicPort: 8083, Type: 'udp' },
    { IP: '::', PrivatePort: 53, PublicPort: 8083, Type: 'udp' },
  ]);
});

test('list: words with spaces are quoted', () => {
  const recorded = recordings.find(({ name }) => name === 'exited');
  assert.ok(recorded);
  const { request } = parseCreate(recorded.request, new URLSearchParams('name=c1'), options.defaults);
  const container = containerFrom(request, recorded.inspect);
  const view = summaryView({ container, size: { own: 5, root: 10 } }, 'busybox', Date.parse('2026-11-23T17:45:11.5Z'), { dataRoot: '/', network: networksOf(recorded.inspect) }) as Wire;
  assert.equal(view['Command'], "sh -c 'id; pwd; hostname; echo $A; echo err >&2; exit 3'");
  assert.equal(view['Status'], 'Exited (3) 11 seconds ago');
  assert.equal(view['SizeRw'], 5);
});

test('status texts', () => {
  const at = '2026-01-01T00:00:00.5Z';
  const text = (state: Partial<Container['state']>, later: number): string =>
    statusText({ state: { exitCode: 0, startedAt: at, finishedAt: at, ...state } } as Container, Date.parse(at) + later);
  assert.equal(text({ status: 'running' }, 500), 'Up Less than a second');
  assert.equal(text({ status: 'running' }, 1500), 'Up 1 second');
  assert.equal(text({ status: 'paused' }, 2000), 'Up 2 seconds (Paused)');
  assert.equal(text({ status: 'exited', exitCode: 137 }, 180_000), 'Exited (137) 3 minutes ago');
  assert.equal(text({ status: 'restarting', exitCode: 1 }, 75_000), 'Restarting (1) About a minute ago');
  assert.equal(text({ status: 'running' }, 3_600_000 * 1.2), 'Up About an hour');
  assert.equal(text({ status: 'running' }, 3_600_000 * 47), 'Up 47 hours');
  assert.equal(text({ status: 'running' }, 86_400_000 * 20), 'Up 2 weeks');
  assert.equal(text({ status: 'created' }, 0), 'Created');
});

/** The record an engine would have, from the request and what only the engine knew. */
const containerFrom = ({ name, spec, asked }: CreateRequest, inspect: Wire): Container => {
  const { State: state, NetworkSettings: network, Config: config } = inspect as Record<'State' | 'NetworkSettings' | 'Config', Wire>;
  const running = network['SandboxID'] !== '';
  const time = (written: string): string | undefined => (written.startsWith('0001') ? undefined : written);
  return {
    id: inspect['Id'],
    name: name ?? inspect['Name'].slice(1),
    created: inspect['Created'],
    imageId: inspect['Image'],
    chainIds: ['sha256:base'],
    spec: {
      ...spec,
      hostname: config['Hostname'],
      cmd: config['Cmd'],
      exposedPorts: Object.keys(config['ExposedPorts'] ?? {}).map((key) => ({ port: parseInt(key), protocol: key.split('/')[1] as Protocol })),
    },
    asked,
    mounts: inspect['Mounts'].map((mount: Wire): Partial<MountPoint> => ({
      type: mount['Type'],
      name: mount['Name'] ?? '',
      source: mount['Source'],
      destination: mount['Destination'],
      driver: mount['Driver'] ?? '',
      mode: mount['Mode'],
      readonly: !mount['RW'],
      propagation: mount['Propagation'],
      asked: mount['Mode'] === '' && mount['Type'] === 'volume' ? 'image' : 'bind',
    })),
    sandbox: running
      ? {
          id: network['SandboxID'],
          netns: network['SandboxKey'],
          endpoints: Object.entries(network['Networks'] as Record<string, Wire>).map(
            ([networkName, endpoint]): Endpoint => ({
              id: endpoint['EndpointID'],
              networkId: endpoint['NetworkID'],
              networkName,
              bridge: 'br',
              veth: 'veth0',
              device: 'eth0',
              mac: endpoint['MacAddress'],
              address: endpoint['IPAddress'],
              prefixLength: endpoint['IPPrefixLen'],
              gateway: endpoint['Gateway'] || undefined,
              ipv6: undefined,
              mtu: 1500,
              gatewayModes: { ipv4: 'nat', ipv6: 'nat' },
              gwPriority: 0,
              aliases: [],
              links: [],
              sysctls: {},
            }),
          ),
          ports: Object.entries(network['Ports'] as Record<string, Wire[] | null>).flatMap(([key, bindings]) =>
            (bindings ?? []).map((binding) => ({
              port: parseInt(key),
              protocol: key.split('/')[1] as Protocol,
              hostAddress: binding['HostIp'] as string,
              hostPort: Number(binding['HostPort']),
            })),
          ),
        }
      : undefined,
    state: {
      status: state['Status'],
      pid: state['Pid'],
      pidStart: 0,
      exitCode: state['ExitCode'],
      error: state['Error'],
      oomKilled: false,
      startedAt: time(state['StartedAt']),
      finishedAt: time(state['FinishedAt']),
      restartCount: inspect['RestartCount'],
      stoppedByClient: false,
    },
  };
};

const networksOf = (inspect: Wire) => (ref: string): { name: string; id: string } | undefined => {
  const found = inspect['NetworkSettings'].Networks[ref] as Wire | undefined;
  return found && { name: ref, id: found['NetworkID'] as string };
};

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sandbox } from '../model/network.ts';
import { render } from '../operations/render.ts';
import { linkFirewall } from './link-firewall.ts';

const sandbox = (opens: { protocol: 'tcp' | 'udp'; port: number }[]): Sandbox => ({
  id: 'parent', netns: '/netns', ports: [],
  endpoints: [{ networkName: 'bridge', bridge: 'docker0', address: '172.17.0.3', prefixLength: 16, gateway: '172.17.0.1', ipv6: undefined }],
  links: [{ childId: 'child', names: ['db', 'child'], addresses: ['172.17.0.2', 'fd00::2'], opens }],
}) as unknown as Sandbox;

test('where containers are kept from each other, a link opens what its child exposes, both ways, in the families that both have', () => {
  assert.deepEqual(linkFirewall(sandbox([{ protocol: 'tcp', port: 80 }])).map((object) => render({ action: 'add', object })), [
    '+ filter -A DOCKER -s 172.17.0.3/32 -d 172.17.0.2/32 -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT',
    '+ filter -A DOCKER -s 172.17.0.2/32 -d 172.17.0.3/32 -i docker0 -o docker0 -p tcp -m tcp --sport 80 -j ACCEPT',
  ]);
});

test('where they are not, nothing has to be opened', () => {
  assert.deepEqual(linkFirewall(sandbox([])), []);
  const { links: _links, ...without } = sandbox([]);
  assert.deepEqual(linkFirewall(without), []);
});

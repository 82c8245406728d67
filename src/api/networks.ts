import { Router } from 'express';
import type { Engine, Networks } from '../engine/services.ts';
import { forbidden, invalid, notFound } from '../model/errors.ts';
import type { JsonObject } from '../model/json.ts';
import type { Network, NetworkRequest, Subnet } from '../model/network.ts';
import { sendEmpty, sendJson } from './answer.ts';
import { readJson } from './body.ts';
import { endpointOf } from './container-create.ts';
import { endpointSettings } from './container-schema.ts';
import { boolean, decode, list, map, optional, string, struct } from './decode.ts';
import { parseFilters } from './filters.ts';
import { booleanOf, queryOf, text } from './query.ts';
import { NOT_A_MANAGER } from './swarm.ts';
import { goTime } from './time.ts';

export const networkRoutes = ({ networks }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.get(['/networks', '/networks/'], (req, res) => {
    sendJson(res, 200, networks.list(parseFilters(queryOf(req))).map((network) => networkView(network, [])));
  });

  router.get('/networks/:ref', (req, res) => {
    booleanOf(queryOf(req), 'verbose');
    const scope = text(queryOf(req), 'scope');
    const network = networks.find(req.params.ref);
    if (scope !== '' && scope !== 'local') throw notFound(`network ${req.params.ref} not found`);
    sendJson(res, 200, networkView(network, networks.members(network)));
  });

  router.post('/networks/create', async (req, res) => {
    const { id } = await networks.create(parseCreate(await readJson(req)));
    sendJson(res, 201, { Id: id, Warning: '' });
  });

  router.post('/networks/prune', async (req, res) => {
    const deleted = await networks.prune(parseFilters(queryOf(req)));
    sendJson(res, 200, { NetworksDeleted: deleted.length === 0 ? null : deleted });
  });

  router.post('/networks/:ref/connect', async (req, res) => {
    const { Container, EndpointConfig } = decode(connectOptions, await readJson(req));
    if (Container === '') throw invalid('invalid name or ID supplied: ""');
    await networks.connect(req.params.ref, Container, endpointOf(EndpointConfig ?? endpointSettings.zero));
    sendEmpty(res, 200);
  });

  router.post('/networks/:ref/disconnect', async (req, res) => {
    const { Container, Force } = decode(disconnectOptions, await readJson(req));
    await networks.disconnect(req.params.ref, Container, Force);
    sendEmpty(res, 200);
  });

  router.delete('/networks/:ref', async (req, res) => {
    await networks.remove(req.params.ref);
    sendEmpty(res, 204);
  });

  return router;
};

const ipamConfig = struct('network.IPAMConfig', { Subnet: string, IPRange: string, Gateway: string, AuxiliaryAddresses: map(string) });

const createOptions = struct('network.CreateRequest', {
  Name: string,
  CheckDuplicate: optional(boolean),
  Driver: string,
  Scope: string,
  EnableIPv4: optional(boolean),
  EnableIPv6: optional(boolean),
  IPAM: optional(struct('network.IPAM', { Driver: string, Options: map(string), Config: list(ipamConfig) })),
  Internal: boolean,
  Attachable: boolean,
  Ingress: boolean,
  ConfigOnly: boolean,
  ConfigFrom: optional(struct('network.ConfigReference', { Network: string })),
  Options: map(string),
  Labels: map(string),
});

export const connectOptions = struct('network.ConnectOptions', { Container: string, EndpointConfig: optional(endpointSettings) });
export const disconnectOptions = struct('network.DisconnectOptions', { Container: string, Force: boolean });

export const parseCreate = (body: unknown): NetworkRequest => {
  const wire = decode(createOptions, body);
  if (wire.Ingress || !['', 'local'].includes(wire.Scope)) throw forbidden(NOT_A_MANAGER);
  return {
    name: wire.Name,
    driver: wire.Driver,
    ipv4: wire.EnableIPv4 ?? true,
    ipv6: wire.EnableIPv6 ?? false,
    internal: wire.Internal,
    attachable: wire.Attachable,
    ipamDriver: wire.IPAM?.Driver ?? '',
    ipamOptions: wire.IPAM?.Options ?? undefined,
    configOnly: wire.ConfigOnly,
    configFrom: wire.ConfigFrom?.Network ?? '',
    subnets: (wire.IPAM?.Config ?? []).map(({ Subnet, IPRange, Gateway, AuxiliaryAddresses }) => ({
      cidr: Subnet,
      ipRange: IPRange,
      gateway: Gateway,
      reserved: AuxiliaryAddresses ?? {},
    })),
    options: wire.Options ?? {},
    labels: wire.Labels ?? {},
  };
};

export const networkView = (network: Network, members: ReturnType<Networks['members']>): JsonObject => ({
  Name: network.name,
  Id: network.id,
  Created: goTime(network.created),
  Scope: 'local',
  Driver: network.driver,
  EnableIPv4: network.ipv4,
  EnableIPv6: network.ipv6,
  IPAM: {
    Driver: 'default',
    Options: network.ipamOptions ?? null,
    Config: network.subnets.length === 0 ? null : network.subnets.map(subnetView),
  },
  Internal: network.internal,
  Attachable: network.attachable,
  Ingress: false,
  ConfigFrom: { Network: network.configFrom ?? '' },
  ConfigOnly: network.configOnly ?? false,
  Containers: Object.fromEntries(
    members.map(({ container, endpoint }) => [
      container.id,
      {
        Name: container.name,
        EndpointID: endpoint.id,
        MacAddress: endpoint.mac,
        IPv4Address: endpoint.address === '' ? '' : `${endpoint.address}/${endpoint.prefixLength}`,
        IPv6Address: endpoint.ipv6 ? `${endpoint.ipv6.address}/${endpoint.ipv6.prefixLength}` : '',
      },
    ]),
  ),
  Options: network.options,
  Labels: network.labels,
});

/** As asked: a gateway that was only given by default is shown where the subnet was too. */
const subnetView = ({ cidr, ipRange, gateway, reserved, asked, gatewayAsked }: Subnet): JsonObject => ({
  Subnet: cidr,
  ...(ipRange === undefined ? {} : { IPRange: ipRange }),
  ...(gateway === undefined || (asked && !gatewayAsked) ? {} : { Gateway: gateway }),
  ...(Object.keys(reserved).length === 0 ? {} : { AuxiliaryAddresses: reserved }),
});

import { Router } from 'express';
import type { Engine, Networks } from '../engine/services.ts';
import { invalid, notImplemented } from '../model/errors.ts';
import type { JsonObject } from '../model/json.ts';
import type { Network, Subnet } from '../model/network.ts';
import { sendJson } from './answer.ts';
import { parseFilters } from './filters.ts';
import { queryOf, text } from './query.ts';
import { goTime } from './time.ts';

export const networkRoutes = ({ networks }: Engine): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.get('/networks', (req, res) => {
    sendJson(res, 200, networks.list(parseFilters(queryOf(req))).map((network) => networkView(network, [])));
  });

  router.get('/networks/:ref', (req, res) => {
    checkBoolean('verbose', text(queryOf(req), 'verbose'));
    const network = networks.find(req.params.ref);
    sendJson(res, 200, networkView(network, networks.members(network)));
  });

  // The engine's service does not have these yet.
  router.post('/networks/create', () => {
    throw notImplemented('creating networks is not implemented by berth yet');
  });
  router.post('/networks/prune', () => {
    throw notImplemented('pruning networks is not implemented by berth yet');
  });
  router.post('/networks/:ref/connect', (req) => {
    networks.find(req.params.ref);
    throw notImplemented('connecting containers to networks is not implemented by berth yet');
  });
  router.post('/networks/:ref/disconnect', (req) => {
    networks.find(req.params.ref);
    throw notImplemented('disconnecting containers from networks is not implemented by berth yet');
  });
  router.delete('/networks/:ref', (req) => {
    networks.find(req.params.ref);
    throw notImplemented('removing networks is not implemented by berth yet');
  });

  return router;
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
  ConfigFrom: { Network: '' },
  ConfigOnly: false,
  Containers: Object.fromEntries(
    members.map(({ container, endpoint }) => [
      container.id,
      {
        Name: container.name,
        EndpointID: endpoint.id,
        MacAddress: endpoint.mac,
        IPv4Address: `${endpoint.address}/${endpoint.prefixLength}`,
        IPv6Address: '',
      },
    ]),
  ),
  Options: network.options,
  Labels: network.labels,
});

const subnetView = ({ cidr, ipRange, gateway, reserved }: Subnet): JsonObject => ({
  Subnet: cidr,
  ...(ipRange === undefined ? {} : { IPRange: ipRange }),
  ...(gateway === undefined ? {} : { Gateway: gateway }),
  ...(Object.keys(reserved).length === 0 ? {} : { AuxiliaryAddresses: reserved }),
});

const checkBoolean = (name: string, written: string): void => {
  if (!/^(|1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/.test(written)) {
    throw invalid(`invalid value for ${name}: ${written}: strconv.ParseBool: parsing ${JSON.stringify(written)}: invalid syntax`);
  }
};

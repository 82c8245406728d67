import { systemError } from '../model/errors.ts';
import { mayBePlain, registryHost } from '../model/registry.ts';
import type { Registry } from './registry.ts';
import type { Registries } from './services.ts';

export const createRegistries = (registry: Registry): Registries => ({
  async login({ server, credentials, gone }) {
    const host = hostOf(server);
    if (credentials.username === '' && credentials.identityToken === '') throw systemError(`Get "${mayBePlain(host) ? 'http' : 'https'}://${registryHost(host)}/v2/": no basic auth credentials`);
    await registry.login(host, credentials, gone);
  },
});

/** Clients say `host`, `host:port`, or an address as registries once had: `https://host/v1/`. Nothing is Docker's own. */
const hostOf = (server: string): string => {
  const [host = ''] = server.replace(/^https?:\/\//, '').split('/');
  return host === '' || host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
};

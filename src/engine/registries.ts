import { systemError } from '../model/errors.ts';
import { mayBePlain, registryHost } from '../model/registry.ts';
import { askError } from '../plan/registry-errors.ts';
import { mediaTypeOf, parseManifest, platformOf } from '../plan/registry-manifest.ts';
import { sha256 } from './image-archive.ts';
import type { Registry } from './registry.ts';
import type { Registries } from './services.ts';

export const createRegistries = (registry: Registry): Registries => ({
  async login({ server, credentials, gone }) {
    const host = hostOf(server);
    if (credentials.username === '' && credentials.identityToken === '') throw systemError(`Get "${mayBePlain(host) ? 'http' : 'https'}://${registryHost(host)}/v2/": no basic auth credentials`);
    await registry.login(host, credentials, gone);
  },
  async distribution({ named, credentials, gone }) {
    const remote = { name: named, credentials };
    const refused = (error: unknown) => {
      throw askError(error, named, credentials !== undefined);
    };
    const version = named.digest ?? named.tag ?? 'latest';
    const text = await registry.manifest(remote, version, gone).catch(refused);
    const found = parseManifest(text);
    const digest = sha256(text);
    const platforms = found.kind === 'index' ? found.images.map(({ platform }) => platform) : [platformOf(await registry.config(remote, digest, gone).catch(refused))];
    return { mediaType: mediaTypeOf(text, found.kind), digest, size: Buffer.byteLength(text), platforms };
  },
});

/** Clients say `host`, `host:port`, or an address as registries once had: `https://host/v1/`. Nothing is Docker's own. */
const hostOf = (server: string): string => {
  const [host = ''] = server.replace(/^https?:\/\//, '').split('/');
  return host === '' || host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
};

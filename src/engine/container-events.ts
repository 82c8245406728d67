import type { Container } from '../model/container.ts';
import type { Sandbox } from '../model/network.ts';
import type { Events } from './events.ts';

/** What happens to containers, told with the attributes that `docker events` shows of each. */
export type ContainerEvents = {
  emit(container: Container, action: string, attributes?: Readonly<Record<string, string>>): void;
  /** Its sandbox joined its networks, or left them. */
  networks(container: Container, sandbox: Sandbox | undefined, action: 'connect' | 'disconnect'): void;
  volumes(container: Container, action: 'mount' | 'unmount'): void;
};

export const containerEvents = (events: Events): ContainerEvents => ({
  emit(container, action, attributes = {}) {
    const { id, name, spec } = container;
    events.emit({ type: 'container', action, id, attributes: { ...spec.labels, image: spec.image, name, ...attributes } });
  },
  networks(container, sandbox, action) {
    for (const { networkId, networkName } of sandbox?.endpoints ?? [])
      events.emit({ type: 'network', action, id: networkId, attributes: { container: container.id, name: networkName, type: 'bridge' } });
  },
  volumes(container, action) {
    for (const { type, name, destination, driver, propagation, readonly } of container.mounts) {
      if (type !== 'volume') continue;
      const how = action === 'mount' ? { destination, propagation, 'read/write': String(!readonly) } : {};
      events.emit({ type: 'volume', action, id: name, attributes: { container: container.id, driver, ...how } });
    }
  },
});

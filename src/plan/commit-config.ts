import type { Container } from '../model/container.ts';
import type { ImageConfig } from '../model/image.ts';
import { parseConfig } from './image-config.ts';

/** What the changes say, and where they say nothing, what the container was run with. */
export const mergedConfig = (changed: ImageConfig, { spec, asked }: Container): ImageConfig => {
  const own = parseConfig(asked.config);
  const names = new Set((changed.env ?? []).map((variable) => variable.split('=', 1)[0]));
  const env = [...(changed.env ?? []), ...(spec.env ?? []).filter((variable) => !names.has(variable.split('=', 1)[0]))];
  const union = (a: readonly string[] | undefined, b: readonly string[] | undefined) => (a || b ? [...new Set([...(a ?? []), ...(b ?? [])])].sort() : undefined);
  const exposed = spec.exposedPorts.map(({ port, protocol }) => `${port}/${protocol}`);
  const hasEntrypoint = (changed.entrypoint ?? []).length > 0;
  return {
    ...changed,
    user: changed.user || spec.user,
    exposedPorts: union(changed.exposedPorts, exposed.length === 0 ? undefined : exposed),
    env: env.length === 0 ? spec.env : env,
    cmd: hasEntrypoint || (changed.cmd ?? []).length > 0 ? changed.cmd : spec.cmd,
    entrypoint: changed.entrypoint ?? spec.entrypoint,
    labels: { ...spec.labels, ...changed.labels },
    healthcheck: changed.healthcheck ?? spec.healthcheck,
    workingDir: changed.workingDir || spec.workingDir,
    volumes: union(changed.volumes, own.volumes),
    stopSignal: changed.stopSignal ?? spec.stopSignal,
  };
};

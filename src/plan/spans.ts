import type { PortBinding } from '../model/port.ts';

/** Neighbouring port bindings as one: `count` host ports from hostPort on, to as many container ports from port on. */
export type PortSpan = PortBinding & { readonly count: number };

/**
 * A container's bindings, with those that follow each other on both sides (one protocol, one host address) made one where
 * they are at least `shortest`. Fewer than that stay as they are. In the order of the bindings; costs what they cost.
 */
export const spansOf = (ports: readonly PortBinding[], shortest: (port: PortBinding) => number): PortSpan[] => {
  const latest = new Map<string, PortBinding[]>();
  const runs = ports.map((port) => {
    const key = `${port.protocol} ${port.hostAddress} ${port.hostPort - port.port}`;
    const before = latest.get(key);
    const run = before?.at(-1)?.hostPort === port.hostPort - 1 ? before : [];
    run.push(port);
    latest.set(key, run);
    return run;
  });
  return ports.flatMap((port, index): PortSpan[] => {
    const run = runs[index] ?? [];
    if (run.length < shortest(port)) return [{ ...port, count: 1 }];
    return run[0] === port ? [{ ...port, count: run.length }] : [];
  });
};

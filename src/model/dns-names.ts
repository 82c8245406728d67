import type { Container } from './container.ts';

/** The names that a container answers to on one network, its own first. On the default bridge there are none. */
export const dnsNames = ({ id, name, spec }: Container, { aliases }: { readonly aliases: readonly string[] }): string[] => [
  ...new Set([name, ...aliases, id.slice(0, 12), spec.hostname].filter((each) => each !== '')),
];

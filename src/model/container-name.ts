import { invalid } from './errors.ts';

/** Two characters or more; a slash before the name is the wire's, not part of it. */
export const checkContainerName = (name: string): void => {
  if (!/^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) throw invalid(`Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
};

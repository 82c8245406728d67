/** The daemon was told something that it cannot do; said before anything is touched. */
export class UsageError extends Error {}

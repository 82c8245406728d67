import type { Readable } from 'node:stream';
import type { KindOf, Operation } from '../operations/operation.ts';
import { overlayPath, stepOverlay, type Layout } from '../plan/desired.ts';

/** Files to copy from. Paths are relative, links lead as if the tree were all there is. */
export type SourceTree = {
  /** What a path leads to; undefined: nothing. */
  kind(path: string): 'directory' | 'file' | undefined;
  /** Every path that matches, in the order of names. */
  match(expression: RegExp): string[];
  text(path: string): string;
  remove(path: string): void;
  /** `file:DIGEST` or `dir:DIGEST`. */
  digest(path: string): Promise<string>;
  copy(path: string, to: { readonly rootfs: string; readonly destination: string; readonly owner: { readonly uid: number; readonly gid: number }; readonly unpack: boolean }): Promise<void>;
  close(): Promise<void>;
};

export type BuildFiles = {
  openContext(tar: Readable): Promise<SourceTree>;
  fetch(url: string, name: string, gone: AbortSignal): Promise<SourceTree & { readonly size: number }>;
  openRoot(rootfs: string): SourceTree;
};

export type StepHost = {
  execute(operations: readonly Operation[]): Promise<void>;
  attempt(operations: readonly Operation[]): Promise<readonly Error[]>;
  visit(wishes: readonly KindOf<'overlay'>[]): Promise<() => Promise<void>>;
};

/** Calls back with an image's layers mounted, and a directory that holds what is written there; both go after it. */
export const createStepRoots =
  ({ host, layout, id }: { readonly host: StepHost; readonly layout: Layout; readonly id: () => string }) =>
  async <T>(chainIds: readonly string[], body: (rootfs: string, upper: string) => Promise<T>): Promise<T> => {
    const own = id();
    const overlay = stepOverlay(layout, own, chainIds);
    const directory = { kind: 'directory', path: overlayPath(layout, own), mode: 0o710 } as const;
    await host.execute([{ action: 'add', object: directory }]);
    try {
      const leave = await host.visit([overlay]);
      try {
        return await body(overlay.merged, overlay.upper);
      } finally {
        await leave();
      }
    } finally {
      await host.attempt([{ action: 'remove', object: directory }]);
    }
  };

export type StepRoots = ReturnType<typeof createStepRoots>;

/** Known without an ARG, and no part of an image unless there is one. */
const PREDEFINED = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'FTP_PROXY', 'ftp_proxy', 'NO_PROXY', 'no_proxy', 'ALL_PROXY', 'all_proxy'];

/** ARGs as far as they have been read. `given` is what the client wants them to be, whatever the Dockerfile says. */
export type BuildArgs = {
  readonly given: ReadonlyMap<string, string>;
  /** Of the ARGs before the first FROM. */
  readonly head: ReadonlyMap<string, string | undefined>;
  /** Of the stage. */
  readonly stage: ReadonlyMap<string, string | undefined>;
  /** Named by any ARG of any stage. */
  readonly used: ReadonlySet<string>;
};

export const noArgs = (given: ReadonlyMap<string, string>): BuildArgs => ({ given, head: new Map(), stage: new Map(), used: new Set() });

/** Each stage has its own. */
export const nextStage = (args: BuildArgs): BuildArgs => ({ ...args, stage: new Map() });

export const withHead = (args: BuildArgs, declared: Declared): BuildArgs => ({
  ...args,
  head: new Map([...args.head, ...declared]),
  used: new Set([...args.used, ...declared.map(([name]) => name)]),
});

export const withStage = (args: BuildArgs, declared: Declared): BuildArgs => ({
  ...args,
  stage: new Map([...args.stage, ...declared]),
  used: new Set([...args.used, ...declared.map(([name]) => name)]),
});

type Declared = readonly (readonly [name: string, value: string | undefined])[];

/** What `FROM` may use. */
export const headValues = ({ given, head }: BuildArgs): ReadonlyMap<string, string> =>
  new Map([...head].flatMap(([name, value]) => pair(name, given.get(name) ?? value)));

/** What an instruction may use beside the environment, which goes first. Sorted. */
export const stageValues = ({ given, head, stage }: BuildArgs, environment: ReadonlyMap<string, string>): ReadonlyMap<string, string> =>
  new Map(
    [...new Set([...stage.keys(), ...PREDEFINED])]
      .filter((name) => !environment.has(name))
      .sort()
      .flatMap((name) => pair(name, given.get(name) ?? stage.get(name) ?? head.get(name)))
      .filter(([name]) => stage.has(name) || given.has(name)),
  );

/** Of those, what is told of a RUN in the image's history, and what makes one RUN another. */
export const isRecorded = ({ used }: BuildArgs, name: string): boolean => used.has(name) || !PREDEFINED.includes(name);

export const unusedArgs = ({ given, used }: BuildArgs): string[] => [...given.keys()].filter((name) => !used.has(name) && !PREDEFINED.includes(name)).sort();

const pair = (name: string, value: string | undefined): (readonly [string, string])[] => (value === undefined ? [] : [[name, value]]);

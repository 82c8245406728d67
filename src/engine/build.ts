import type { Readable } from 'node:stream';
import type { CreateRequest } from '../model/container.ts';
import { EngineError, invalid, messageOf, systemError } from '../model/errors.ts';
import type { Image } from '../model/image.ts';
import { familiar, parseName, withDefaultTag } from '../model/image-reference.ts';
import type { Credentials } from '../model/registry.ts';
import type { Layout } from '../plan/desired.ts';
import { headValues, nextStage, noArgs, unusedArgs, withHead } from '../plan/build-args.ts';
import { sourcePath } from '../plan/build-copy.ts';
import { needsBuildKit, planBuild, triggersOf, type BuildPlan, type Stage } from '../plan/build-stages.ts';
import { contextOf, declaredBy, nop, planRun, planStep, withPath, type StepState } from '../plan/build-step.ts';
import { childMadeBy, stepOf } from '../plan/build-cache.ts';
import { flagOf, type Instruction } from '../plan/dockerfile.ts';
import { isIgnored } from '../plan/dockerignore.ts';
import { emptyConfig } from '../plan/image-config.ts';
import { parsePlatform } from '../plan/platform.ts';
import { expand } from '../plan/shell-words.ts';
import { withCopy } from './build-copy.ts';
import { createStepRoots, type BuildFiles, type SourceTree, type StepHost } from './build-files.ts';
import type { BuildRuns } from './build-run.ts';
import { findImage } from './image-find.ts';
import type { ImagesWithLayers } from './images.ts';
import type { Ledger } from './ledger.ts';
import type { Progress } from './services.ts';

/** POST /build in model words. */
export type BuildRequest = {
  readonly context: Readable;
  /** In the context; '': Dockerfile. */
  readonly dockerfile: string;
  readonly tags: readonly string[];
  readonly args: ReadonlyMap<string, string>;
  readonly labels: Readonly<Record<string, string>>;
  readonly target: string;
  readonly cacheFrom: readonly string[];
  readonly noCache: boolean;
  readonly pull: boolean;
  readonly remove: boolean;
  readonly forceRemove: boolean;
  readonly quiet: boolean;
  readonly platform: string;
  credentials(domain: string): Credentials | undefined;
  /** The container that a RUN runs in. */
  container(step: { readonly image: string; readonly command: readonly string[]; readonly env: readonly string[] }): CreateRequest;
  readonly gone: AbortSignal;
};

export type BuildProgress = Progress | { readonly built: string };

export type Builds = {
  /** What fails before the first line is a context or a Dockerfile that is none. Ends, and leaves nothing, when the client is gone. */
  build(request: BuildRequest): AsyncGenerator<BuildProgress>;
};

export type BuildParts = {
  readonly ledger: Ledger;
  readonly images: ImagesWithLayers;
  readonly runs: BuildRuns;
  readonly files: BuildFiles;
  readonly host: StepHost & {
    readBeneath(root: string, path: string): string | undefined;
    makeBeneath(root: string, path: string, user: { readonly uid: number; readonly gid: number }): void;
  };
  readonly layout: Layout;
  readonly hex: (bytes: number) => string;
  readonly architecture: string;
  /** Where a container writes. */
  upper(containerId: string): string;
};

/** A stage on its way: what the next image will say, and the last one that was made. */
type Work = StepState & { readonly image: Image | undefined };

export const createBuilds = (parts: BuildParts): Builds => {
  const { ledger, images, runs, files } = parts;
  const stepRoot = createStepRoots({ host: parts.host, layout: parts.layout, id: () => parts.hex(32) });

  async function* build(request: BuildRequest): AsyncGenerator<BuildProgress> {
    const names = request.tags.map(tagName);
    const context = await files.openContext(request.context).catch((error: unknown) => {
      throw systemError(messageOf(error), error);
    });
    try {
      const plan = planBuild(dockerfileIn(context, request.dockerfile), request.target, request.labels);
      if (!request.quiet) return yield* whole(plan, names, context, request);
      const held: BuildProgress[] = [];
      try {
        for await (const line of whole(plan, names, context, request)) held.push(line);
      } catch (error) {
        yield* held;
        throw error;
      }
      yield { stream: `${held.flatMap((line) => ('built' in line ? [line.built] : [])).at(-1) ?? ''}\n` };
    } finally {
      await context.close();
    }
  }

  async function* whole(plan: BuildPlan, names: readonly string[], context: SourceTree, request: BuildRequest): AsyncGenerator<BuildProgress> {
    const { gone } = request;
    const stages: { readonly name: string; readonly work: Work }[] = [];
    const releases: (() => void)[] = [];
    let step = 0;
    let args = noArgs(request.args);

    const title = function* ({ original }: Instruction): Generator<BuildProgress> {
      if (gone.aborted) throw systemError('context canceled');
      yield { stream: `Step ${++step}/${plan.total} : ${original}` };
      yield { stream: '\n' };
    };
    const made = (image: Image): Image => {
      releases.push(images.steps.hold(image.id));
      return image;
    };

    /** An image that is here, or comes from its registry. */
    async function* imageOf(ref: string, platform: string): AsyncGenerator<BuildProgress, Image> {
      const wanted = platform === '' ? undefined : parsePlatform(platform, parts.architecture);
      const here = request.pull ? undefined : localImage(ref);
      if (here && (!wanted || (here.os === wanted.os && here.architecture === wanted.architecture))) return here;
      const named = withDefaultTag(parseName(ref));
      yield* images.pull({ named, platform, credentials: request.credentials(named.domain), gone });
      return findImage(ledger.state, ref);
    }
    const localImage = (ref: string): Image | undefined => {
      try {
        return findImage(ledger.state, ref);
      } catch (error) {
        if (error instanceof EngineError && error.kind === 'not-found') return undefined;
        throw error;
      }
    };

    async function* begin(stage: Stage): AsyncGenerator<BuildProgress, Work> {
      const values = headValues(args);
      const base = expand(stage.base, values, plan.escape);
      const platform = expand(flagOf(stage.from, 'platform'), values, plan.escape) || request.platform;
      if (base === '') throw invalid(`base name (${stage.base}) should not be blank`);
      if (platform !== '') checkPlatform(platform, parts.architecture);
      const earlier = stages.find(({ name }) => name !== '' && name === base.toLowerCase())?.work;
      args = nextStage(args);
      const image = earlier ? earlier.image : base === 'scratch' ? undefined : made(yield* imageOf(base, platform));
      const config = earlier?.config ?? image?.config ?? emptyConfig;
      let work: Work = { image, config, author: image?.author ?? '', args, commandSet: false };
      const triggers = config.onBuild ?? [];
      if (triggers.length === 0) return work;
      yield { stream: `# Executing ${triggers.length} build trigger` };
      if (triggers.length > 1) yield { stream: 's' };
      yield { stream: '\n' };
      work = { ...work, config: withPath({ ...config, onBuild: undefined }) };
      for (const { instruction, escape } of triggersOf(triggers)) work = yield* perform(work, instruction, escape);
      return work;
    }

    /** One instruction after FROM. */
    async function* perform(before: Work, instruction: Instruction, escape: string): AsyncGenerator<BuildProgress, Work> {
      const work = { ...before, config: withPath(before.config) };
      switch (instruction.keyword) {
        case 'run':
          return yield* run(work, instruction);
        case 'add':
        case 'copy':
          return yield* copy(work, instruction, escape);
        default: {
          const { next, createdBy } = planStep(work, instruction, escape);
          const found = yield* cached(work, next, createdBy);
          if (found) return found;
          const container = parts.hex(6);
          yield { stream: ` ---> Running in ${container}\n` };
          const directory = next.config.workingDir;
          const image =
            instruction.keyword === 'workdir'
              ? await stepRoot(work.image?.chainIds ?? [], async (rootfs, upper) => {
                  parts.host.makeBeneath(rootfs, directory, { uid: 0, gid: 0 });
                  return images.steps.derive(work.image, { config: next.config, createdBy, author: next.author }, upper);
                })
              : await images.steps.derive(work.image, { config: next.config, createdBy, author: next.author });
          if (request.remove) yield { stream: ` ---> Removed intermediate container ${container}\n` };
          return { ...next, image: made(image) };
        }
      }
    }

    /** The image that the step made before, if there is one and it may be used. */
    async function* cached(work: Work, next: StepState, createdBy: string): AsyncGenerator<BuildProgress, Work | undefined> {
      const image = request.noCache ? undefined : await known(work.image, next, createdBy);
      if (!image) return undefined;
      yield { stream: ' ---> Using cache\n' };
      return { ...next, image: made(image) };
    }
    const known = async (parent: Image | undefined, { config }: StepState, createdBy: string): Promise<Image | undefined> => {
      const sources = request.cacheFrom.flatMap((ref) => localImageOr(ref));
      if (request.cacheFrom.length === 0) return childMadeBy(ledger.state.images, parent?.id ?? '', createdBy, config);
      for (const source of sources) {
        for (let image: Image | undefined = source; image; image = ledger.state.images.get(image.parent))
          if (image.parent === (parent?.id ?? '') && image.history.at(-1)?.createdBy === createdBy && (parent || image.history.length === 1)) return image;
        const steps = stepOf(source, parent, createdBy);
        if (steps) return images.steps.restore(source, parent, steps, config);
      }
      return undefined;
    };
    const localImageOr = (ref: string): Image[] => {
      try {
        return [localImage(ref) ?? []].flat();
      } catch {
        return [];
      }
    };

    async function* run(work: Work, instruction: Instruction): AsyncGenerator<BuildProgress, Work> {
      for (const flag of ['mount', 'network']) if (flagOf(instruction, flag) !== '') throw invalid(needsBuildKit(`--${flag} option`));
      const { command, env, createdBy } = planRun(work, instruction);
      const found = yield* cached(work, work, createdBy);
      if (found) return found;
      if (!work.image) {
        yield { stream: ` ---> Running in ${parts.hex(6)}\n` };
        throw systemError(nothingToRun(command[0] ?? ''));
      }
      const container = await runs.create(request.container({ image: work.image.id, command, env }));
      const title = container.slice(0, 12);
      let settled = false;
      try {
        yield { stream: ` ---> Running in ${title}\n` };
        yield* runs.run(container, command, gone);
        const image = made(await images.steps.derive(work.image, { config: work.config, createdBy, author: work.author }, parts.upper(container)));
        settled = true;
        await (request.remove ? runs.remove(container) : runs.keep(container));
        if (request.remove) yield { stream: ` ---> Removed intermediate container ${title}\n` };
        return { ...work, image };
      } catch (error) {
        if (!gone.aborted && !settled) {
          settled = true;
          await (request.forceRemove ? runs.remove(container) : runs.keep(container));
          if (request.forceRemove) yield { stream: ` ---> Removed intermediate container ${title}\n` };
        }
        throw error;
      } finally {
        // The client is gone, perhaps between two lines. What it has left is of no use to anybody.
        if (!settled) await runs.remove(container).catch(() => {});
      }
    }

    async function* copy(work: Work, instruction: Instruction, escape: string): AsyncGenerator<BuildProgress, Work> {
      const told: BuildProgress[] = [];
      const places = {
        context,
        files,
        gone,
        readBeneath: parts.host.readBeneath,
        fetched: (size: number) => void told.push({ status: 'Downloading', progress: { current: size, total: size } }, { stream: '\n' }),
        async from<T>(name: string, body: (tree: SourceTree) => Promise<T>): Promise<T> {
          const chainIds = (await source(name, told))?.chainIds ?? [];
          return stepRoot(chainIds, async (rootfs) => {
            const tree = files.openRoot(rootfs);
            try {
              return await body(tree);
            } finally {
              await tree.close();
            }
          });
        },
      };
      const { image, isKnown } = await withCopy(instruction, contextOf(work, escape), work.config.workingDir, places, async ({ comment, perform: put }) => {
        const createdBy = nop(work.config, comment);
        const there = request.noCache ? undefined : await known(work.image, work, createdBy);
        if (there) return { image: there, isKnown: true };
        const image = await stepRoot(work.image?.chainIds ?? [], async (rootfs, upper) => {
          await put(rootfs);
          return images.steps.derive(work.image, { config: work.config, createdBy, author: work.author }, upper);
        });
        return { image, isKnown: false };
      });
      yield* told;
      if (isKnown) yield { stream: ' ---> Using cache\n' };
      return { ...work, image: made(image) };
    }

    /** What --from names: a stage before this one, by name or number, or an image. */
    const source = async (name: string, told: BuildProgress[]): Promise<Image | undefined> => {
      const fail = (words: string) => invalid(`invalid from flag value ${name}: ${words}`);
      const stage = stages.find((each) => each.name !== '' && each.name === name.toLowerCase());
      if (stage) return stage.work.image;
      if (/^\d+$/.test(name)) {
        if (Number(name) === stages.length) throw fail('refers to current build stage');
        const earlier = stages[Number(name)];
        if (!earlier) throw fail('index out of bounds');
        return earlier.work.image;
      }
      if (name === 'scratch') throw fail("'scratch' is a reserved name");
      const coming = imageOf(name, request.platform);
      try {
        for (;;) {
          const next = await coming.next();
          if (next.done) return made(next.value);
          told.push(next.value);
        }
      } catch (error) {
        throw new EngineError(error instanceof EngineError ? error.kind : 'system', `invalid from flag value ${name}: ${messageOf(error)}`, { cause: error });
      }
    };

    try {
      for (const warning of plan.warnings) yield { stream: `\u001b[91m${warning}\u001b[0m` };
      for (const instruction of plan.head) {
        yield* title(instruction);
        args = withHead(args, declaredBy(instruction, { variables: headValues(args), escape: plan.escape }));
      }
      for (const stage of plan.stages) {
        if (stage.name !== '' && stages.some(({ name }) => name === stage.name)) throw invalid(`${stage.name} stage name already used`);
        yield* title(stage.from);
        let work = yield* begin(stage);
        yield { stream: ` ---> ${short(work.image)}\n` };
        for (const instruction of stage.steps) {
          yield* title(instruction);
          work = yield* perform(work, instruction, plan.escape);
          yield { stream: ` ---> ${short(work.image)}\n` };
        }
        args = { ...args, used: new Set([...args.used, ...work.args.used]) };
        stages.push({ name: stage.name, work });
        if (work.image) yield { built: work.image.id };
      }
      const unused = unusedArgs(args);
      if (unused.length > 0) yield { stream: `[Warning] One or more build-args [${unused.join(' ')}] were not consumed\n` };
      const image = stages.at(-1)?.work.image;
      if (!image) throw systemError('No image was generated. Is your Dockerfile empty?');
      yield { stream: `Successfully built ${short(image)}\n` };
      for (const name of names) {
        await images.tag(image.id, name, '');
        yield { stream: `Successfully tagged ${name}\n` };
      }
    } finally {
      for (const release of releases) release();
    }
  }

  return { build };
};

/** In the words of a container's start, which would find nothing either. */
const nothingToRun = (program: string): string =>
  `failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: ${JSON.stringify(program)}: stat ${program}: no such file or directory: unknown`;

const short = (image: Image | undefined): string => (image?.id ?? '').replace('sha256:', '').slice(0, 12);

const tagName = (text: string): string => {
  try {
    const named = parseName(text);
    if (named.digest !== undefined) throw systemError('build tag cannot contain a digest');
    return familiar(withDefaultTag(named));
  } catch (error) {
    throw systemError(messageOf(error), error);
  }
};

const checkPlatform = (platform: string, here: string): void => {
  try {
    parsePlatform(platform, here);
  } catch (error) {
    throw invalid(`failed to parse platform ${platform}: ${messageOf(error)}`);
  }
};

/** The Dockerfile's text. It and the .dockerignore are taken out of the context where that leaves them out. */
const dockerfileIn = (context: SourceTree, asked: string): string => {
  const wanted = sourcePath(asked === '' ? 'Dockerfile' : asked);
  const path = asked === '' && context.kind(wanted) === undefined && context.kind('dockerfile') !== undefined ? 'dockerfile' : wanted;
  const kind = context.kind(path);
  if (kind === undefined) throw systemError(`Cannot locate specified Dockerfile: ${asked === '' ? 'Dockerfile' : asked}`);
  if (kind === 'directory') throw systemError(`unexpected error reading Dockerfile: read ${path}: is a directory`);
  const text = context.text(path);
  if (text === '') throw invalid(`the Dockerfile (${path}) cannot be empty`);
  const ignore = context.kind('.dockerignore') === 'file' ? context.text('.dockerignore') : '';
  for (const name of ['.dockerignore', path]) if (ignore !== '' && context.kind(name) !== undefined && isIgnored(ignore, name)) context.remove(name);
  return text;
};

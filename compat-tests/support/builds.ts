// Images made of Dockerfiles, and the removal of all that they leave.

import { after } from 'node:test';
import { dockerode } from './docker.ts';
import { http } from './http.ts';
import { testPrefix } from './scope.ts';
import { tar, type Entry } from './tars.ts';

export type Built = {
  readonly status: number;
  /** The stream, line by line; of a refusal: its body. */
  readonly messages: readonly any[];
  /** What a person would read, ids taken out. */
  readonly text: string;
  readonly error: string | undefined;
  /** The last image. */
  readonly id: string;
};

export type Files = Readonly<Record<string, string | Omit<Entry, 'name'>>>;

const made = new Set<string>();

/** What a client's output tells of images, for the removal at the end. */
export const remember = (output: string): void => {
  for (const [, id = ''] of output.matchAll(/ ---> ([0-9a-f]{12})$/gm)) made.add(id);
};

after(async () => {
  // A child before its parent; what others use stays. So does what the builds began from: it was told of like their own.
  for (const id of [...made].reverse()) {
    const image = dockerode.getImage(id);
    const { RepoTags } = await image.inspect().catch(() => ({ RepoTags: [] }));
    if ((RepoTags ?? []).every(tag => tag.startsWith(testPrefix))) await image.remove({ force: true }).catch(() => undefined);
  }
});

/** POST /build. What fails leaves no container: `forcerm`. */
export async function build(dockerfile: string, files: Files = {}, query: Readonly<Record<string, string>> = {}): Promise<Built> {
  const entries = Object.entries({ Dockerfile: dockerfile, ...files }).map(([name, file]) => ({ name, ...(typeof file === 'string' ? { body: file } : file) }));
  return buildOf(await tar(entries), query);
}

export async function buildOf(context: Buffer, query: Readonly<Record<string, string>> = {}): Promise<Built> {
  const answer = await http('POST', `/build?${new URLSearchParams({ forcerm: '1', ...query })}`, context, { 'content-type': 'application/x-tar' });
  const messages = answer.text.split('\n').filter(line => line.trim() !== '').map(line => JSON.parse(line));
  const text = messages.map(({ stream = '' }) => stream).join('');
  remember(text);
  return {
    status: answer.status,
    messages,
    text: text.replace(/\b[0-9a-f]{12}\b/g, 'ID'),
    error: messages.map(({ message, error }) => message ?? error).find(words => words !== undefined),
    id: messages.map(({ aux }) => aux?.ID).filter(id => id !== undefined).at(-1) ?? '',
  };
}

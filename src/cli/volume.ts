import fs from 'node:fs';
import path from 'node:path';
import { UsageError, type Call, type Command } from './command.ts';
import { ApiError, connect, type Connection } from './connection.ts';
import { startProgress } from './progress.ts';
import { formatSums, LIST, readSums, sumLine, sumOf } from './sums.ts';
import { download, metered, volumePath } from './transfer.ts';
import { writeTextWhole, writeWhole } from './whole-file.ts';

const PAUSE = { about: 'freeze the containers that use the volume meanwhile' };
const QUIET = { short: 'q', about: 'no progress bar' };

const backup: Command = {
  words: 'volume backup',
  forms: ['NAME', '--all DIR'],
  summary: 'write all that is in a volume to a tar archive',
  options: {
    output: { short: 'o', value: 'FILE', about: 'where to; - is stdout (the default)' },
    all: { about: `every volume, each to a file NAME.tar in a directory, with a ${LIST}` },
    pause: PAUSE,
    quiet: QUIET,
  },
  details: 'A file gets its name when it is whole, and its sha256 is printed as sha256sum does.',
  async run(call) {
    if (call.flag('all')) return backupAll(call);
    const name = only(call, 'NAME');
    const output = call.text('output') ?? '-';
    if (output !== '-') {
      const hex = await writeWhole(output, (to) => download(call, name, to));
      call.terminal.stdout.write(sumLine(hex, output));
      return;
    }
    if (call.terminal.stdout.isTTY === true) throw new UsageError('no tar goes to a terminal: say where to with -o, or redirect stdout');
    await download(call, name, call.terminal.stdout);
  },
};

/** One volume that fails does not keep the others from being backed up. */
const backupAll = async (call: Call): Promise<void> => {
  if (call.text('output') !== undefined) throw new UsageError('--all names its files itself: no -o');
  const directory = only(call, 'DIR');
  const { Volumes } = (await call.connection.json('GET', '/volumes')) as { Volumes: readonly { readonly Name: string }[] };
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const list = path.join(directory, LIST);
  const failed: string[] = [];
  for (const { Name: name } of Volumes) {
    const file = `${name}.tar`;
    try {
      await writeWhole(path.join(directory, file), async (to) => {
        const hex = await download(call, name, to);
        // Whatever interrupts us: a file may be without its line for a moment, never with one that is another's.
        const others = new Map([...readSums(list)].filter(([other]) => other !== file));
        await writeTextWhole(list, formatSums(others));
        return { hex, others };
      }).then(({ hex, others }) => {
        call.terminal.stdout.write(sumLine(hex, file));
        return writeTextWhole(list, formatSums(new Map([...others, [file, hex]])));
      });
    } catch (error) {
      if (call.terminal.interrupted.aborted) throw error;
      failed.push(`${name}: ${(error as Error).message}`);
    }
  }
  if (failed.length > 0) throw new Error(failed.join('\nberth: '));
};

const restore: Command = {
  words: 'volume restore',
  forms: ['NAME'],
  summary: 'put what is in a tar archive into a volume',
  options: {
    input: { short: 'i', value: 'FILE', about: 'where from; - is stdin (the default)' },
    replace: { about: 'instead of what is in the volume (the default); no running container may use it' },
    merge: { about: 'over what is in the volume' },
    sha256: { value: 'HEX', about: `what the archive's sha256 must be (default: as FILE.sha256 or ${LIST} beside FILE has it)` },
    pause: PAUSE,
    quiet: QUIET,
  },
  details: 'A volume that is not there is made. Nothing in it changes before the whole archive has come and is the right one.\nThe archive may be compressed (gzip, bzip2, xz, zstd).',
  async run(call) {
    const name = only(call, 'NAME');
    if (call.flag('replace') && call.flag('merge')) throw new UsageError('--replace or --merge, not both');
    const input = call.text('input') ?? '-';
    if (input === '-' && call.terminal.stdin.isTTY === true) throw new UsageError('no tar comes from a terminal: say where from with -i, or redirect stdin');
    const hex = call.text('sha256')?.toLowerCase() ?? (input === '-' ? undefined : sumOf(input));
    if (hex !== undefined && !/^[0-9a-f]{64}$/.test(hex)) throw new UsageError(`no sha256: ${hex}`);
    const descriptor = input === '-' ? undefined : fs.openSync(input, 'r');
    const size = descriptor === undefined ? undefined : fs.fstatSync(descriptor).size;
    const made = await makeMissing(call.connection, name);
    const source = descriptor === undefined ? call.terminal.stdin : fs.createReadStream(input, { fd: descriptor, highWaterMark: 1024 * 1024 });
    const progress = startProgress(call.terminal, name, { quiet: call.flag('quiet'), total: Promise.resolve(size) });
    try {
      const query = `mode=${call.flag('merge') ? 'merge' : 'replace'}${call.flag('pause') ? '&pause=1' : ''}`;
      const digest = hex === undefined ? {} : { 'content-digest': `sha-256=:${Buffer.from(hex, 'hex').toString('base64')}:` };
      await call.connection.send('PUT', `${volumePath(name)}/archive?${query}`, metered(source, progress), { 'content-type': 'application/x-tar', ...digest });
    } catch (error) {
      // Also when we were interrupted, and so not by the connection that was.
      if (made) await connect(call.connection.host, AbortSignal.timeout(10_000)).json('DELETE', volumePath(name)).catch(() => {});
      throw error;
    } finally {
      progress.end();
    }
  },
};

/** Whether it was missing. */
const makeMissing = async (connection: Connection, name: string): Promise<boolean> => {
  try {
    await connection.json('GET', volumePath(name));
    return false;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    await connection.json('POST', '/volumes/create', { Name: name });
    return true;
  }
};

const clone: Command = {
  words: 'volume clone',
  forms: ['NAME NEW'],
  summary: 'make a new volume with what is in another',
  options: { pause: PAUSE },
  async run(call) {
    const [name, made] = two(call);
    await call.connection.json('POST', `${volumePath(name)}/clone?name=${encodeURIComponent(made)}${call.flag('pause') ? '&pause=1' : ''}`);
    call.terminal.stdout.write(`${made}\n`);
  },
};

const rename: Command = {
  words: 'volume rename',
  forms: ['NAME NEW'],
  summary: 'give a volume another name; stopped containers that use it follow',
  options: {},
  async run(call) {
    const [name, wanted] = two(call);
    await call.connection.json('POST', `${volumePath(name)}/rename?name=${encodeURIComponent(wanted)}`);
  },
};

export const volumeCommands: readonly Command[] = [backup, restore, clone, rename];

const only = ({ words }: Call, what: string): string => {
  const [word] = words;
  if (word === undefined || word === '' || words.length > 1) throw new UsageError(`one ${what} is wanted, ${words.length} given`);
  return word;
};

const two = ({ words }: Call): readonly [string, string] => {
  const [name, other] = words;
  if (!name || !other || words.length > 2) throw new UsageError(`NAME and NEW are wanted, ${words.length} given`);
  return [name, other];
};

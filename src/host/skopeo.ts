import { systemError } from '../model/errors.ts';
import { stream } from './command.ts';
import { findProgram } from './program.ts';

export type SkopeoOptions = {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** The registry's host; a connection to it that fails over TLS is final unless it may be plain. */
  readonly host: string;
  readonly plain: boolean;
  /** Milliseconds for the whole call, once it is connected; undefined: as long as it takes. */
  readonly limit?: number;
  readonly said?: (message: string) => void;
  readonly started?: (pid: number) => void;
};

// As long as the reference engine waits for a registry's first answer.
const CONNECT_LIMIT = 15_000;
const OUTPUT_LIMIT = 32 * 1024 * 1024;

/**
 * Debian's skopeo, which knows how to talk to registries, in the network namespace that we are in. It logs what it does
 * (`--debug`), and so we know when it is connected, and need not wait until it has tried the protocol's first version too.
 */
export const skopeo = async (args: readonly string[], options: SkopeoOptions): Promise<string> => {
  const program = findProgram('skopeo');
  if (program === undefined) throw systemError('registries are reached through skopeo, which is not installed on this machine (Debian: apt install skopeo)');
  options.signal.throwIfAborted();
  const child = stream([program, '--debug', '--insecure-policy', '--registries-conf', 'registries.conf', '--registries.d', 'registries.d', ...args], {
    cwd: options.cwd,
    env: options.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { stdout, stderr } = child;
  if (child.pid !== undefined) options.started?.(child.pid);
  if (!stdout || !stderr) throw new Error('skopeo has no pipes');

  let [output, problem, fatal, rest] = ['', '', '', ''];
  const give = (why: string): void => {
    problem ||= why;
    child.kill('SIGKILL');
  };
  const late = `Get "https://${options.host}/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)`;
  let timer = setTimeout(() => give(late), CONNECT_LIMIT);
  const gone = (): void => give('the client went away');
  options.signal.addEventListener('abort', gone, { once: true });

  const heard = (line: string): void => {
    const { level, message } = logged(line);
    const ping = /^Ping (\S+)\/v2\/ (?:status \d+|err (.*) \(&.*)$/s.exec(message);
    if (ping && ping[2] === undefined) {
      clearTimeout(timer);
      if (options.limit !== undefined) timer = setTimeout(() => give(`${options.host} does not answer`), options.limit);
    } else if (ping && !options.plain) give(ping[2] ?? '');
    if (level === 'fatal') fatal = message;
    options.said?.(message);
  };
  stdout.setEncoding('utf8').on('data', (text: string) => {
    if (output.length < OUTPUT_LIMIT) output += text;
  });
  stderr.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) heard(line);
  });
  try {
    const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
    if (code === 0) return output;
    throw systemError(problem || reasonIn(fatal || rest) || `skopeo ended with ${code}`);
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener('abort', gone);
  }
};

/** A line as logrus writes it. What it quotes, it quotes as Go does, which for what we look for is JSON's way. */
const logged = (line: string): { level: string; message: string } => {
  const [, level = '', quoted] = /^time=\S+ level=(\w+) msg=("(?:[^"\\]|\\.)*"|\S+)/.exec(line) ?? [];
  if (quoted === undefined) return { level: '', message: line };
  if (!quoted.startsWith('"')) return { level, message: quoted };
  try {
    return { level, message: String(JSON.parse(quoted)) };
  } catch {
    return { level, message: quoted.slice(1, -1) };
  }
};

/** What the registry or the network said, without what skopeo was about to do. */
export const reasonIn = (words: string): string => {
  const errors = /\b((?:manifest unknown|name unknown|manifest invalid|blob unknown|denied|unauthorized|toomanyrequests|unsupported|Get|Head|Post|Put|Patch) ?(?:"|:).*)$/s.exec(words)?.[1];
  return (errors ?? words).trim().split('\n')[0] ?? '';
};

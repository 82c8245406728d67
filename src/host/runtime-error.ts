import fs from 'node:fs';
import { EngineError } from '../model/errors.ts';

/** A process could not be started: what clients are told, and the exit code their shells expect. */
export class StartError extends EngineError {
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(exitCode === 128 ? 'system' : 'invalid-parameter', message);
    this.name = 'StartError';
    this.exitCode = exitCode;
  }
}

const PREFIX = {
  container:
    'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ',
  exec: 'OCI runtime exec failed: exec failed: unable to start container process: ',
} as const;

/** The runtime's log (crun's or runc's), told in the words that docker's clients look for. */
export const startFailure = (log: string, what: keyof typeof PREFIX, args: readonly string[]): StartError => {
  const words = lastMessage(log);
  const { text, exitCode } = explain(words, args[0] ?? '');
  const advice = text.endsWith(': not a directory') ? `: ${MOUNT_ADVICE}` : '';
  return new StartError(`${PREFIX[what]}${text}: unknown${advice}`, exitCode);
};

const MOUNT_ADVICE = 'Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type';

/** Exported for its tests. */
export const explain = (words: string, command: string): { text: string; exitCode: number } => {
  const quoted = JSON.stringify(command);
  if (/executable file .* not found in \$PATH|stat .*: no such file or directory/.test(words) && command.includes('/'))
    return { text: `exec: ${quoted}: stat ${command}: no such file or directory`, exitCode: 127 };
  if (/executable file .* not found in \$PATH/.test(words)) return { text: `exec: ${quoted}: executable file not found in $PATH`, exitCode: 127 };
  if (/^(open executable|exec): .*(permission denied|operation not permitted|is a directory)|open executable: (Permission denied|Operation not permitted)|access .*Permission denied/i.test(words))
    return { text: `exec: ${quoted}: permission denied`, exitCode: 126 };
  const [, source, target = '', reason = ''] = /^mount `(.*)` to `(.*)`: (.*)$/.exec(words) ?? [];
  if (source !== undefined) {
    const at = `/${target.replace(/^\//, '')}`;
    const flags = source === 'tmpfs' ? '0xe' : '0x5000';
    return {
      text: `error during container init: error mounting ${JSON.stringify(source)} to rootfs at ${JSON.stringify(at)}: mount ${source}:${at} (via /proc/self/fd/6), flags: ${flags}: ${reason.toLowerCase()}`,
      exitCode: reason === 'Not a directory' ? 127 : 128,
    };
  }
  const runc = /(?:runc (?:create|run|exec) failed: )?unable to start container process: (.*)$/.exec(words);
  return { text: runc?.[1] ?? words, exitCode: 128 };
};

/** What a process that began and then could not be executed left behind (`exec format error`), or ''. */
export const lastMessage = (log: string): string => {
  try {
    const lines = fs.readFileSync(log, 'utf8').trim().split('\n').reverse();
    for (const line of lines) {
      const words = wordsOf(line);
      if (words !== '') return words;
    }
  } catch {
    // No log: the runtime itself did not come up.
  }
  return 'the runtime ended without a word';
};

/** crun writes plain lines, runc `time="..." level=error msg="..."`. */
const wordsOf = (line: string): string => {
  const runc = /level=(\w+) msg=("(?:[^"\\]|\\.)*"|\S+)/.exec(line);
  if (!runc) return line;
  const [, level, message = ''] = runc;
  if (level === 'warning' || level === 'info') return '';
  return message.startsWith('"') ? (JSON.parse(message) as string) : message;
};

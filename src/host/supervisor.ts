import fs from 'node:fs';
import path from 'node:path';

/**
 * A pipe that nobody holds open is gone with what is in it. The supervisor waits here, pipes in hand, until a daemon
 * has its end of them; then the end of the output is really its end.
 */
const HOLD = 'read -r released <"$hold"';

/**
 * Processes that outlive the daemon, without a supervisor daemon: a shell of one line waits for the runtime and leaves
 * its exit code in a file. Three FIFOs stand between: output waits in them while no daemon reads, and the shell holds
 * them open for writing, so that a reader may come and go.
 *
 *   EXEC_ROOT/processes/ID/  config.json or process.json, in, out, err, hold, log
 *   EXEC_ROOT/ends/          ID.pid (the process has begun), ID.exit (its code), ID.shell (the supervisor's pid)
 *
 * The scripts are constants; whatever varies goes in as "$@" or by the environment.
 */
const SUPERVISE = `exit=$1; shell=$2; hold=$3; shift 3; echo $$ >"$shell"; "$@"; echo $? >"$exit"; ${HOLD}`;

/**
 * As above, with standard input: the shell holds the writing end (descriptor 3), so that it is not the daemon's death
 * that ends the input. USR1 makes it let go: that is end-of-file. (A shell gives
 * what it runs in the background the null device for input, hence descriptor 4.) Once the process is gone the signal
 * would only break off the wait for the daemon, and the shell would complain of that where the output goes.
 */
const SUPERVISE_INPUT = `exit=$1; shell=$2; hold=$3; shift 3; trap 'exec 3>&-' USR1; echo $$ >"$shell"; exec 4<&0
"$@" <&4 3>&- 4<&- & child=$!
while :; do wait $child; code=$?; kill -0 $child 2>/dev/null || break; done
trap '' USR1; echo $code >"$exit"; ${HOLD}`;

/** Holds a terminal's master (descriptor 3) until a daemon has read to its end. */
export const KEEP_TERMINAL = `echo $$ >"$1"; hold=$2; ${HOLD}`;

/**
 * A terminal for runc, which gives its master to nobody: script(1) holds one, and runc copies between that and the
 * container's own.
 */
const SUPERVISE_TERMINAL = `exit=$1; shell=$2; hold=$3; shift 3; echo $$ >"$shell"; script -q -e -f -E never -c '${[
  'exec "$BERTH_RUNTIME" --root "$BERTH_ROOT" --log "$BERTH_LOG"',
  '$BERTH_VERB "$BERTH_OPTION" "$BERTH_SOURCE" --pid-file "$BERTH_PID_FILE" "$BERTH_ID"',
].join(' ')}' /dev/null; echo $? >"$exit"; ${HOLD}`;


export type Launch = {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Descriptors for the new process; ours to close afterwards. */
  readonly stdio: readonly number[];
  readonly close: () => void;
  /** No supervisor writes down how it ends. */
  readonly alone: boolean;
};

export type LaunchRequest = {
  readonly kind: 'container' | 'exec';
  readonly tty: boolean;
  readonly stdin: boolean;
  /** Where the runtime is to send the terminal it makes; undefined: through script(1), or no terminal. */
  readonly consoleSocket: string | undefined;
  readonly runtime: string;
  readonly runtimeRoot: string;
  /** What the runtime calls the container. */
  readonly container: string;
  /** A bundle directory, or the file of an exec's process. */
  readonly source: string;
  /** Where the FIFOs are. */
  readonly directory: string;
  readonly ends: { readonly pid: string; readonly exit: string; readonly shell: string };
};

/**
 * How to start a process so that it outlives the daemon. An exec without a terminal goes without a supervisor: nobody
 * asks a later daemon how it ended, and it would cost a sixth of its start.
 */
export const launchOf = (request: LaunchRequest): Launch => {
  const { kind, tty, stdin, consoleSocket, runtime, runtimeRoot, container, source, directory, ends } = request;
  const log = path.join(directory, 'log');
  const [verb, option] = kind === 'container' ? ['run', '--bundle'] : ['exec', '--process'];
  const supervisor = (script: string): string[] => ['/bin/sh', '-c', script, 'berth-supervisor', ends.exit, ends.shell, path.join(directory, 'hold')];
  const command = [runtime, '--root', runtimeRoot, '--log', log, verb, option, source, ...(consoleSocket === undefined ? [] : ['--console-socket', consoleSocket]), '--pid-file', ends.pid, container];
  const PATH = process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  const { stdio, close } = consoleSocket === undefined ? openPipes(directory, tty, stdin) : openNothing();
  const alone = kind === 'exec' && (!tty || consoleSocket !== undefined);
  if (tty && consoleSocket === undefined)
    return {
      argv: supervisor(SUPERVISE_TERMINAL),
      environment: {
        PATH,
        SHELL: '/bin/sh',
        BERTH_RUNTIME: runtime,
        BERTH_ROOT: runtimeRoot,
        BERTH_LOG: log,
        BERTH_VERB: verb,
        BERTH_OPTION: option,
        BERTH_SOURCE: source,
        BERTH_PID_FILE: ends.pid,
        BERTH_ID: container,
      },
      stdio,
      close,
      alone,
    };
  if (alone) return { argv: command, environment: { PATH }, stdio: stdio.slice(0, 3), close, alone };
  return { argv: [...supervisor(stdin && !tty ? SUPERVISE_INPUT : SUPERVISE), ...command], environment: { PATH }, stdio, close, alone };
};

const { O_RDONLY, O_WRONLY, O_RDWR } = fs.constants;

/** Everything goes through the terminal. */
const openNothing = (): Pick<Launch, 'stdio' | 'close'> => {
  const fd = fs.openSync('/dev/null', 'r+');
  return { stdio: [fd, fd, fd], close: () => fs.closeSync(fd) };
};

const openPipes = (directory: string, tty: boolean, stdin: boolean): Pick<Launch, 'stdio' | 'close'> => {
  const opened: number[] = [];
  const close = (): void => opened.forEach((fd) => fs.closeSync(fd));
  const open = (name: string, flags: number): number => {
    const fd = fs.openSync(name.startsWith('/') ? name : path.join(directory, name), flags);
    opened.push(fd);
    return fd;
  };
  try {
    if (tty) {
      const out = open('out', O_RDWR);
      return { stdio: [open('in', O_RDWR), out, out], close };
    }
    // Opening the reading end would wait for a writer: first both ends, then each half.
    if (stdin) open('in', O_RDWR);
    const input = stdin ? open('in', O_RDONLY) : open('/dev/null', O_RDONLY);
    const [out, err] = [open('out', O_RDWR), open('err', O_RDWR)];
    return { stdio: stdin ? [input, out, err, open('in', O_WRONLY)] : [input, out, err], close };
  } catch (error) {
    close();
    throw error;
  }
};

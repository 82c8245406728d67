import { Router } from 'express';
import type { Engine } from '../engine/services.ts';
import type { Exec } from '../model/container.ts';
import { invalid, systemError } from '../model/errors.ts';
import type { JsonObject } from '../model/json.ts';
import { sendEmpty, sendJson } from './answer.ts';
import { checkContentType, hasBody, parseJson, readJson } from './body.ts';
import { boolean, decode, list, optional, size, string, struct } from './decode.ts';
import { parseDetachKeys } from './detach-keys.ts';
import { serveUnupgraded, type HijackRoute } from './hijack.ts';
import { dimension, queryOf } from './query.ts';

/** POST /exec/{id}/start, upgraded. */
export const execHijack = ({ exec }: Engine): HijackRoute => ({
  path: /^(?:\/v[0-9.]+)?\/exec\/([^/]+)\/start$/,
  standardHeaders: true,
  body: true,
  async open({ ref, req, body }) {
    checkContentType(req);
    const { detach, tty: asked, consoleSize } = parseStart(hasBody(req) ? parseJson(body) : undefined);
    if (detach) {
      await exec.startDetached(ref);
      return undefined;
    }
    const { attachStdin, detachKeys } = exec.find(ref);
    const { tty, run } = exec.start(ref, { tty: asked, consoleSize });
    return { tty, stdin: attachStdin, detachKeys: parseDetachKeys(detachKeys) ?? Buffer.alloc(0), run };
  },
});

export const execRoutes = ({ exec }: Engine, hijack: HijackRoute): Router => {
  const router = Router({ caseSensitive: true, strict: true });

  router.post('/containers/:ref/exec', async (req, res) => {
    const request = parseExec(await readJson(req));
    sendJson(res, 201, { Id: await exec.create(req.params.ref, request) });
  });

  router.post('/exec/:id/start', async (req, res) => {
    const value = await readJson(req);
    await serveUnupgraded(hijack, req, res, req.params.id, JSON.stringify(value ?? null));
  });

  router.post('/exec/:id/resize', async (req, res) => {
    const query = queryOf(req);
    await exec.resize(req.params.id, dimension(query, 'h'), dimension(query, 'w'));
    sendEmpty(res, 200);
  });

  router.get('/exec/:id/json', (req, res) => {
    sendJson(res, 200, execView(exec.find(req.params.id)));
  });

  return router;
};

type ExecRequest = Parameters<Engine['exec']['create']>[1];

const execOptions = struct('container.ExecOptions', {
  User: string,
  Privileged: boolean,
  Tty: boolean,
  AttachStdin: boolean,
  AttachStdout: boolean,
  AttachStderr: boolean,
  DetachKeys: string,
  Env: list(string),
  WorkingDir: string,
  Cmd: list(string),
  ConsoleSize: optional(size),
});

const parseExec = (body: unknown): ExecRequest => {
  const wire = decode(execOptions, body);
  if (!wire.Cmd || wire.Cmd.length === 0) throw invalid('No exec command specified');
  if (!parseDetachKeys(wire.DetachKeys)) throw systemError(`Invalid escape keys (${wire.DetachKeys}) provided`);
  return {
    cmd: wire.Cmd,
    env: wire.Env ?? [],
    user: wire.User,
    workingDir: wire.WorkingDir,
    privileged: wire.Privileged,
    tty: wire.Tty,
    attachStdin: wire.AttachStdin,
    attachStdout: wire.AttachStdout,
    attachStderr: wire.AttachStderr,
    detachKeys: wire.DetachKeys,
    consoleSize: wire.Tty ? (wire.ConsoleSize ?? undefined) : undefined,
  };
};

const startOptions = struct('container.ExecStartOptions', { Detach: boolean, Tty: boolean, ConsoleSize: optional(size) });

const parseStart = (body: unknown): { detach: boolean; tty: boolean; consoleSize: readonly [rows: number, columns: number] | undefined } => {
  const wire = decode(startOptions, body);
  // A size without a terminal is not looked at.
  return { detach: wire.Detach, tty: wire.Tty, consoleSize: wire.Tty ? (wire.ConsoleSize ?? undefined) : undefined };
};

const execView = (exec: Exec): JsonObject => {
  const [entrypoint = '', ...args] = exec.cmd;
  return {
    ID: exec.id,
    Running: exec.running,
    ExitCode: exec.exitCode ?? null,
    ProcessConfig: {
      tty: exec.tty,
      entrypoint,
      arguments: args,
      privileged: exec.privileged,
      ...(exec.user === '' ? {} : { user: exec.user }),
    },
    OpenStdin: exec.attachStdin,
    OpenStderr: exec.attachStderr,
    OpenStdout: exec.attachStdout,
    CanRemove: false,
    ContainerID: exec.containerId,
    DetachKeys: exec.detachKeys === '' ? '' : (parseDetachKeys(exec.detachKeys)?.toString('base64') ?? ''),
    Pid: exec.pid,
  };
};

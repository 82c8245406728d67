// Programs in containers that run.

import assert from 'node:assert/strict';
import { check, type Resource } from './check.ts';
import { outputs, wholeOf } from './lab.ts';

export const exec: Resource = {
  title: 'exec',
  about: 'create, start (attached, detached, with a terminal, with input), resize, inspect',
  checks: [
    check('POST /containers/{id}/exec', 'output, errors and exit code', async lab => {
      const id = await lab.start();
      assert.deepEqual(await lab.exec(id, ['sh', '-c', 'echo out; echo err >&2; exit 9']), { code: 9, stdout: 'out\n', stderr: 'err\n' });
    }),
    check('POST /containers/{id}/exec', 'environment, directory, user', async lab => {
      const id = await lab.start({ Env: ['A=1'] });
      const { stdout } = await lab.exec(id, ['sh', '-c', 'echo $A $B $PWD $(id -u)'], { Env: ['B=2'], WorkingDir: '/tmp', User: '7' });
      assert.equal(stdout, '1 2 /tmp 7\n');
    }),
    check('POST /containers/{id}/exec', 'privileged', async lab => {
      const id = await lab.start();
      const { stdout } = await lab.exec(id, ['grep', 'CapEff', '/proc/self/status'], { Privileged: true });
      assert.match(stdout, /0000[0-9a-f]{4}f[ef]ffffff/);
    }),
    check('POST /containers/{id}/exec', 'no command, nothing that runs, no container', async lab => {
      const id = await lab.start();
      await lab.refuses(400, 'No exec command specified', 'POST', `/containers/${id}/exec`, { Cmd: [] });
      const other = await lab.create();
      await lab.refuses(409, /is not running/, 'POST', `/containers/${other}/exec`, { Cmd: ['true'] });
      await lab.refuses(404, 'No such container: mx-nosuch', 'POST', '/containers/mx-nosuch/exec', { Cmd: ['true'] });
    }),
    check('POST /exec/{id}/start', 'input, over a connection of its own', async lab => {
      const id = await lab.start();
      const { Id } = await lab.ask(201, 'POST', `/containers/${id}/exec`, { Cmd: ['cat'], AttachStdin: true, AttachStdout: true });
      const stream = await lab.hijack(`/exec/${Id}/start`, { Detach: false, Tty: false });
      stream.end('through\n');
      assert.equal(outputs(await wholeOf(stream)).stdout, 'through\n');
    }),
    check('POST /exec/{id}/start', 'a terminal of a size', async lab => {
      const id = await lab.start();
      const { Id } = await lab.ask(201, 'POST', `/containers/${id}/exec`, { Cmd: ['sh', '-c', 'sleep 0.5; stty size'], AttachStdout: true, Tty: true });
      const { text } = await lab.call('POST', `/exec/${Id}/start`, { Detach: false, Tty: true, ConsoleSize: [22, 66] });
      assert.equal(text, '22 66\r\n');
    }, { since: 42 }),
    check('POST /exec/{id}/start', 'detached', async lab => {
      const id = await lab.start();
      const { Id } = await lab.ask(201, 'POST', `/containers/${id}/exec`, { Cmd: ['sh', '-c', 'exit 4'] });
      await lab.ask(200, 'POST', `/exec/${Id}/start`, { Detach: true });
      await lab.eventually(async () => {
        const { Running, ExitCode } = await lab.ask(200, 'GET', `/exec/${Id}/json`);
        assert.deepEqual([Running, ExitCode], [false, 4]);
      });
    }),
    check('POST /exec/{id}/start', 'a program that is not there', async lab => {
      const id = await lab.start();
      const { Id } = await lab.ask(201, 'POST', `/containers/${id}/exec`, { Cmd: ['mx-nosuch'], AttachStdout: true, AttachStderr: true });
      const { text } = await lab.call('POST', `/exec/${Id}/start`, { Detach: false });
      assert.match(text, /executable file not found in \$PATH/);
      assert.ok([126, 127].includes((await lab.ask(200, 'GET', `/exec/${Id}/json`)).ExitCode));
    }),
    check('POST /exec/{id}/start', 'once; and only what there is', async lab => {
      const id = await lab.start();
      const { Id } = await lab.ask(201, 'POST', `/containers/${id}/exec`, { Cmd: ['true'] });
      await lab.ask(200, 'POST', `/exec/${Id}/start`, { Detach: true });
      await lab.eventually(async () => assert.equal((await lab.ask(200, 'GET', `/exec/${Id}/json`)).Running, false));
      await lab.refuses(409, /has already run|already stopped|is already running|exec command .* has/, 'POST', `/exec/${Id}/start`, { Detach: true });
      await lab.refuses(404, 'No such exec instance: nosuch', 'POST', '/exec/nosuch/start', { Detach: true });
    }),
    check('POST /exec/{id}/resize', 'while it runs', async lab => {
      const id = await lab.start();
      const { Id } = await lab.ask(201, 'POST', `/containers/${id}/exec`, { Cmd: ['sh'], AttachStdin: true, AttachStdout: true, Tty: true });
      const stream = await lab.hijack(`/exec/${Id}/start`, { Detach: false, Tty: true });
      let said = '';
      stream.on('data', chunk => (said += chunk));
      await lab.eventually(() => assert.notEqual(said, ''));
      await lab.ask(200, 'POST', `/exec/${Id}/resize?h=31&w=71`);
      stream.write('stty size\n');
      await lab.eventually(() => assert.match(said, /31 71/));
      stream.end('exit\n');
      await lab.refuses(404, 'No such exec instance: nosuch', 'POST', '/exec/nosuch/resize?h=1&w=1');
    }),
    check('GET /exec/{id}/json', 'what it is', async lab => {
      const id = await lab.start();
      const { Id } = await lab.ask(201, 'POST', `/containers/${id}/exec`, { Cmd: ['echo', 'a', 'b'], AttachStdout: true });
      const { ID, Running, ExitCode, ProcessConfig, OpenStdin, OpenStdout, ContainerID } = await lab.ask(200, 'GET', `/exec/${Id}/json`);
      assert.deepEqual([ID, Running, ExitCode, OpenStdin, OpenStdout, ContainerID], [Id, false, null, false, true, id]);
      assert.deepEqual([ProcessConfig.entrypoint, ProcessConfig.arguments, ProcessConfig.tty], ['echo', ['a', 'b'], false]);
      assert.deepEqual((await lab.inspect(id)).ExecIDs, [Id]);
      await lab.refuses(404, 'No such exec instance: nosuch', 'GET', '/exec/nosuch/json');
    }),
  ],
};

// What test suites do with testcontainers. Run by testcontainers.test.ts on the engine's host, for it connects to the ports it publishes.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { GenericContainer, getContainerRuntimeClient, Network, Wait, type StartedTestContainer } from 'testcontainers';

const prefix = process.env['PREFIX']!;
const started: StartedTestContainer[] = [];

const busybox = (word: string) => new GenericContainer('busybox').withName(`${prefix}${word}`);
const start = async (container: GenericContainer) => {
  const running = await container.start();
  started.push(running);
  return running;
};
const server = ['sh', '-c', 'echo "serving $GREETING"; exec httpd -f -p 8080 -h /www'];
const get = async (container: StartedTestContainer, path: string) => (await fetch(`http://${container.getHost()}:${container.getMappedPort(8080)}/${path}`)).text();

/** The log is followed: it ends with the container. */
const linesOf = async (container: StartedTestContainer, count: number) => {
  const stream = (await container.logs()) as Readable;
  let said = '';
  // testcontainers' own stream does not keep the program; the timer does.
  const alive = setInterval(() => undefined, 1000);
  for await (const chunk of stream) if ((said += String(chunk)).split('\n').length > count) break;
  clearInterval(alive);
  return said.split('\n').slice(0, count);
};

const cases: Record<string, () => Promise<void>> = {
  async 'waiting for a port; files that are copied in, environment, labels'() {
    const web = await start(busybox('web')
      .withExposedPorts(8080).withEnvironment({ GREETING: 'hello' }).withLabels({ role: 'web' }).withCommand(server)
      .withCopyContentToContainer([{ content: 'copied before', target: '/www/before' }])
      .withWaitStrategy(Wait.forListeningPorts()));
    assert.equal(await get(web, 'before'), 'copied before');
    await web.copyContentToContainer([{ content: 'copied after', target: '/www/after', mode: 0o644 }]);
    assert.equal(await get(web, 'after'), 'copied after');
    assert.equal(web.getLabels()['role'], 'web');
    const archive = await text(await web.copyArchiveFromContainer('/www/before'));
    assert.ok(archive.startsWith('before\0') && archive.includes('copied before'));
    assert.deepEqual(await linesOf(web, 1), ['serving hello']);
    const port = web.getMappedPort(8080);
    await web.restart({ timeout: 0 });
    assert.equal(await get(web, 'before'), 'copied before', `${port}`);
  },

  async 'waiting for a line of the log, and for http'() {
    const log = await start(busybox('log').withCommand(['sh', '-c', 'sleep 0.2; echo ready; echo ready; exec sleep 1000']).withWaitStrategy(Wait.forLogMessage(/ready/, 2)));
    assert.deepEqual(await linesOf(log, 2), ['ready', 'ready']);
    const http = await start(busybox('http')
      .withExposedPorts(8080).withCommand(server).withCopyContentToContainer([{ content: 'ok', target: '/www/health' }])
      .withWaitStrategy(Wait.forHttp('/health', 8080).forStatusCode(200).forResponsePredicate(body => body === 'ok')));
    assert.equal(await get(http, 'health'), 'ok');
  },

  async 'waiting until it is healthy, for a command, and for the end'() {
    await start(busybox('healthy').withCommand(['sh', '-c', 'sleep 0.2; touch /ok; exec sleep 1000'])
      .withHealthCheck({ test: ['CMD', 'test', '-e', '/ok'], interval: 100, timeout: 5000, retries: 100 }).withWaitStrategy(Wait.forHealthCheck()));
    await start(busybox('command').withCommand(['sh', '-c', 'sleep 0.2; touch /ok; exec sleep 1000']).withWaitStrategy(Wait.forSuccessfulCommand('test -e /ok')));
    await start(busybox('oneshot').withCommand(['true']).withWaitStrategy(Wait.forOneShotStartup()));
  },

  async 'a start that fails says why, and takes the container away'() {
    const hopeless = busybox('hopeless').withCommand(['sh', '-c', 'echo too bad; exit 3']).withWaitStrategy(Wait.forLogMessage('never')).withStartupTimeout(20_000);
    await assert.rejects(hopeless.start(), /Log stream ended and message "never" was not received/);
    const { container } = await getContainerRuntimeClient();
    assert.equal((await container.list()).some(({ Names }) => Names.includes(`/${prefix}hopeless`)), false);
  },

  async 'exec: output, streams apart, exit code, user, directory'() {
    const box = await start(busybox('exec').withCommand(['sleep', '1000']).withTmpFs({ '/scratch': 'rw,size=1m' }).withUser('5:6').withWorkingDir('/scratch'));
    const { output, stdout, stderr, exitCode } = await box.exec(['sh', '-c', 'echo out; sleep 0.05; echo err >&2; exit 7']);
    assert.deepEqual({ output, stdout, stderr, exitCode }, { output: 'out\nerr\n', stdout: 'out\n', stderr: 'err\n', exitCode: 7 });
    assert.equal((await box.exec(['sh', '-c', 'id -u; pwd; echo $A'], { user: '9', workingDir: '/tmp', env: { A: 'b' } })).output, '9\n/tmp\nb\n');
    assert.equal((await box.exec(['sh', '-c', 'id -u; pwd'])).output, '5\n/scratch\n');
  },

  async 'a network with aliases'() {
    const network = await new Network().start();
    try {
      const web = await start(busybox('alias').withNetwork(network).withNetworkAliases('store', 'shop').withCommand(server)
        .withCopyContentToContainer([{ content: 'over the network', target: '/www/index.html' }]).withExposedPorts(8080));
      const client = await start(busybox('client').withNetwork(network).withCommand(['sleep', '1000']));
      for (const alias of ['store', 'shop']) assert.equal((await client.exec(['wget', '-qO-', `http://${alias}:8080/`])).output, 'over the network');
      assert.match(web.getIpAddress(network.getName()), /^\d+\.\d+\.\d+\.\d+$/);
      for (const each of [client, web]) await each.stop({ timeout: 0 });
    } finally {
      await network.stop();
    }
  },

  async 'reuse: what is there already is taken'() {
    const make = () => busybox('reused').withCommand(['sleep', '1000']).withReuse();
    const first = await start(make());
    assert.equal((await make().start()).getId(), first.getId());
  },

  async 'an image that is committed'() {
    const box = await start(busybox('base').withCommand(['sleep', '1000']));
    await box.exec(['sh', '-c', 'echo committed >/made']);
    const image = await box.commit({ repo: `${prefix}committed`, tag: '1', deleteOnExit: false });
    assert.match(image, /^sha256:[0-9a-f]{64}$/);
    const again = await start(new GenericContainer(`${prefix}committed:1`).withName(`${prefix}again`).withCommand(['sleep', '1000']));
    assert.equal((await again.exec(['cat', '/made'])).output, 'committed\n');
  },
};

let failed = 0;
for (const [name, work] of Object.entries(cases)) {
  try {
    await work();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok ${name}\n${(error as Error).stack}`);
  }
  while (started.length > 0) await started.pop()!.stop({ timeout: 0 }).catch(() => undefined);
}
console.log(`${Object.keys(cases).length - failed} of ${Object.keys(cases).length} cases`);
// Connections that stay open to the engine would keep the process.
process.exit(failed === 0 ? 0 : 1);

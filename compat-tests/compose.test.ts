// docker-compose 1.29, as Debian has it: one stack through its life. The steps build on each other.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isBerth } from './support/berth.ts';
import { remember } from './support/builds.ts';
import { dockerOut, inspect, run, type Result } from './support/docker.ts';
import { eventually } from './support/eventually.ts';
import { fetched } from './support/reach.ts';
import { scope } from './support/scope.ts';

const { name, directory } = scope('compose');
const project = name('shop');

const stack = `
services:
  store:
    image: busybox
    command: sh -c 'echo "$$GREETING" >>/data/index.html; echo store is up; exec httpd -f -p 5432 -h /data'
    environment:
      GREETING: \${GREETING:-hello}
    healthcheck: { test: [CMD, test, -s, /data/index.html], interval: 100ms, timeout: 10s, retries: 100 }
    volumes: ['data:/data', /scratch]
    networks: { back: { aliases: [database] } }
    stop_grace_period: 0s
  web:
    image: busybox
    command: sh -c 'wget -qO /index.html http://database:5432/index.html && echo web is up; echo trouble >&2; exec httpd -f -p 8080 -h /'
    env_file: web.env
    depends_on: { store: { condition: service_healthy } }
    ports: ['8080']
    networks: [front, back]
    labels: { role: front }
    stop_grace_period: 0s
  tool:
    image: busybox
    profiles: [tools]
    entrypoint: [sh, -c]
    user: '5:6'
    working_dir: /tmp
    read_only: true
    tmpfs: /scratch
    cap_drop: [ALL]
    logging: { driver: json-file, options: { max-size: 10k } }
    networks: [back]
volumes: { data: { labels: { kind: precious } } }
networks: { front: {}, back: { driver: bridge, labels: { side: back } } }
`;

const { stdout: version } = await run(['docker-compose', 'version', '--short']).catch(() => ({ stdout: '' }));
const files = await directory();
await writeFile(join(files, 'docker-compose.yml'), stack);
await writeFile(join(files, 'web.env'), '# for the front\nFROM_FILE=two words\n');

const compose = (...args: readonly string[]) => composeWith({}, ...args);

// Other engines leave out of an image, since 1.45, what docker-compose 1 needs to make a container anew.
const composeWith = (env: Record<string, string>, ...args: readonly string[]): Promise<Result> =>
  run(['docker-compose', '--no-ansi', '-p', project, '--project-directory', files, '-f', join(files, 'docker-compose.yml'), ...args], {
    env: { ...(isBerth ? {} : { COMPOSE_API_VERSION: '1.44' }), ...env }, seconds: 100,
  });

async function composed(...args: readonly string[]): Promise<string> {
  const { stdout, stderr, exitCode } = await compose(...args);
  assert.equal(exitCode, 0, `docker-compose ${args.join(' ')}: ${stderr}`);
  return stdout;
}

const container = (service: string, index = 1) => `${project}_${service}_${index}`;
const mine = ['--filter', `label=com.docker.compose.project=${project}`];
const ids = async () => (await dockerOut('ps', '-q', ...mine)).split('\n').sort();

/** What the published port of a web server answers. */
const page = async (index: number): Promise<string> => {
  const { Ports } = (await inspect(container('web', index))).NetworkSettings;
  return fetched('host', `http://127.0.0.1:${Ports['8080/tcp'][0].HostPort}/index.html`);
};

describe('docker-compose', { skip: version.startsWith('1.') ? false : 'there is no docker-compose 1 here' }, () => {
  test('up -d: networks, a volume, and what is depended on first becomes healthy', async () => {
    assert.equal(await composed('config', '--services'), 'store\nweb\ntool\n');
    const { stderr, exitCode } = await compose('up', '-d');
    assert.equal(exitCode, 0, stderr);
    for (const made of [`network "${project}_back"`, `network "${project}_front"`, `volume "${project}_data"`]) assert.ok(stderr.includes(`Creating ${made}`), stderr);
    assert.equal((await inspect(container('store'))).State.Health.Status, 'healthy');
    assert.equal(await page(1), 'hello\n');
    assert.deepEqual(JSON.parse(await dockerOut('volume', 'inspect', '-f', '{{json .Labels}}', `${project}_data`))['kind'], 'precious');
    assert.match(await composed('ps'), /_store_1 .* Up \(healthy\) [^]*_web_1 .* Up .*0\.0\.0\.0:\d+->8080\/tcp,:::\d+->8080\/tcp/);
  });

  test('up -d again changes nothing', async () => {
    const before = await ids();
    const { stderr } = await compose('up', '-d');
    assert.match(stderr, /_store_1 is up-to-date\n.*_web_1 is up-to-date/);
    assert.deepEqual(await ids(), before);
  });

  test('--scale, port, top', async () => {
    await composed('up', '-d', '--scale', 'web=3');
    assert.equal((await ids()).length, 4);
    assert.equal(await page(3), 'hello\n');
    assert.match(await composed('port', '--index', '2', 'web', '8080'), /^0\.0\.0\.0:\d+$/m);
    assert.match(await composed('top', 'web'), /httpd -f -p 8080/);
    assert.equal((await compose('up', '-d', '--scale', 'web=1')).exitCode, 0);
    assert.equal((await ids()).length, 2);
  });

  test('exec and its exit code', async () => {
    assert.equal(await composed('exec', '-T', 'web', 'sh', '-c', 'echo $FROM_FILE'), 'two words\n');
    assert.equal(await composed('exec', '-T', '-u', '7', '-w', '/bin', '-e', 'X=y', 'store', 'sh', '-c', 'echo $(id -u) $PWD $X'), '7 /bin y\n');
    assert.equal((await compose('exec', '-T', 'web', 'sh', '-c', 'exit 9')).exitCode, 9);
  });

  test('logs', async () => {
    assert.match(await composed('logs', '--no-color'), /^store_1 +\| store is up$/m);
    assert.deepEqual((await composed('logs', '--no-color', '--tail', '1', 'web')).split('\n').slice(1), ['web_1    | trouble', '']);
  });

  test('run: a container for one command, in the service\'s place', async () => {
    const { stdout, stderr, exitCode } = await compose('run', '--rm', '-T', 'tool', 'id -u; pwd; touch /x; touch /scratch/x && ls /scratch; wget -qO- http://store:5432/index.html; exit 4');
    assert.deepEqual([stdout, exitCode], ['5\n/tmp\nx\nhello\n', 4], stderr);
    assert.match(stderr, /touch: \/x: Read-only file system/);
    const piped = await run(['docker-compose', '-p', project, '-f', join(files, 'docker-compose.yml'), 'run', '--rm', '-T', '--entrypoint', 'cat', 'tool'], { input: 'through\n' });
    assert.deepEqual([piped.stdout, piped.exitCode], ['through\n', 0], piped.stderr);
    assert.doesNotMatch(piped.stderr, /berth/);
  });

  test('restart, stop, start, pause, kill', async () => {
    const started = (await inspect(container('store'))).State.StartedAt;
    await composed('restart', 'store');
    assert.notEqual((await inspect(container('store'))).State.StartedAt, started);
    await composed('stop');
    assert.match(await composed('ps'), /_store_1 .* Exit 137 [^]*_web_1 .* Exit 137/);
    await composed('start');
    await composed('pause', 'web');
    assert.equal((await inspect(container('web'))).State.Status, 'paused');
    await composed('unpause', 'web');
    await composed('kill', '-s', 'KILL', 'web');
    await eventually(async () => assert.equal((await inspect(container('web'))).State.Status, 'exited'));
  });

  test('a change makes a container anew, with its volumes', async () => {
    const volumes = async () => (await inspect(container('store'))).Mounts.map(({ Name }: any) => Name).sort();
    const before = { id: (await inspect(container('store'))).Id, volumes: await volumes() };
    const { stderr, exitCode } = await composeWith({ GREETING: 'changed' }, 'up', '-d');
    assert.equal(exitCode, 0, stderr);
    assert.match(stderr, /Recreating .*_store_1 \.\.\. done/);
    assert.notEqual((await inspect(container('store'))).Id, before.id);
    assert.deepEqual(await volumes(), before.volumes);
    assert.match(await eventually(async () => composed('exec', '-T', 'web', 'wget', '-qO-', 'http://store:5432/index.html')), /^(hello\n)+changed\n$/);
  });

  test('down -v leaves nothing', async () => {
    // Anonymous once: a container made anew has the volume of the one before it by name, and so it stays.
    const scratch: string = (await inspect(container('store'))).Mounts.find(({ Destination }: any) => Destination === '/scratch').Name;
    await composed('down', '-v', '--remove-orphans');
    for (const list of [['ps', '-aq'], ['network', 'ls', '-q'], ['volume', 'ls', '-q']]) assert.equal(await dockerOut(...list, ...mine), '', list.join(' '));
    await dockerOut('volume', 'rm', scratch);
  });
});

describe('docker-compose build', { skip: version === '' ? 'there is none' : false }, () => {
  test('an image of a service\'s own', async () => {
    const place = await directory();
    const own = name('own');
    const composeOwn = async (...args: string[]) => {
      const { stdout, stderr, exitCode } = await run(['docker-compose', '--no-ansi', '-p', own, '--project-directory', place, '-f', join(place, 'docker-compose.yml'), ...args], {
        env: { COMPOSE_DOCKER_CLI_BUILD: '0' }, seconds: 100,
      });
      assert.equal(exitCode, 0, `docker-compose ${args.join(' ')}: ${stderr}`);
      remember(stdout);
      return stdout;
    };
    await writeFile(join(place, 'docker-compose.yml'), `
version: "3.4"
services:
  web:
    build: { context: ., dockerfile: Df, args: { who: compose }, labels: { made: here }, target: last, network: none }
    image: ${own}
`);
    await writeFile(join(place, 'Df'), 'FROM busybox AS first\nRUN echo first >/f\nFROM busybox AS last\nARG who\nCOPY --from=first /f /f\nCOPY own /own\nRUN echo $who >>/f\nCMD ["cat", "/f", "/own"]\nFROM busybox\nRUN false\n');
    await writeFile(join(place, 'own'), 'own\n');
    assert.match(await composeOwn('build'), new RegExp(`Successfully tagged ${own}:latest`));
    assert.match(await composeOwn('build'), /Using cache[^]*Successfully built/);
    assert.equal(await composeOwn('run', '--rm', 'web'), 'first\ncompose\nown\n');
    await composeOwn('down', '-v', '--rmi', 'all');
  });
});

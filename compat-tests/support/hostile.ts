// Requests as no client sends them: every endpoint's own, changed a little or a lot, the same for the same seed.

import { connect, type Socket } from 'node:net';

/** Numbers below a bound, the same for the same seed. */
export function randomFrom(seed: number): (bound: number) => number {
  let state = seed;
  return bound => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}
type Chance = ReturnType<typeof randomFrom>;

const tar = Buffer.alloc(10_240);
const container = {
  Image: 'busybox', Cmd: ['sleep', '1000'], Env: ['A=b'], Tty: false, OpenStdin: false, User: '', WorkingDir: '/', Hostname: 'h', Labels: { a: 'b' }, StopSignal: 'KILL', StopTimeout: 0,
  ExposedPorts: { '80/tcp': {} }, Volumes: { '/v': {} }, Healthcheck: { Test: ['CMD', 'true'], Interval: 1e9, Timeout: 1e9, Retries: 1 },
  HostConfig: {
    Binds: ['hostile-volume:/data'], Mounts: [{ Type: 'tmpfs', Target: '/t' }], NetworkMode: 'hostile-net', PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '0' }] },
    RestartPolicy: { Name: 'no', MaximumRetryCount: 0 }, Memory: 0, NanoCpus: 0, PidsLimit: 0, CapAdd: ['NET_ADMIN'], Dns: ['127.0.0.1'], ExtraHosts: ['a:127.0.0.1'], LogConfig: { Type: 'json-file', Config: {} },
    Ulimits: [{ Name: 'nofile', Soft: 100, Hard: 100 }], Tmpfs: { '/t2': 'size=1m' }, SecurityOpt: [], ShmSize: 65536, AutoRemove: false, Privileged: false, IpcMode: '', PidMode: '', UTSMode: '', Sysctls: {}, Devices: [],
  },
  NetworkingConfig: { EndpointsConfig: { 'hostile-net': { IPAMConfig: { IPv4Address: '' }, Aliases: ['x'], MacAddress: '' } } },
};
const exec = { Cmd: ['cat'], AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: false, Env: ['A=b'], User: '', WorkingDir: '' };

/** So often as others: what has most to change. */
const DEEP = 6;

type Seed = { readonly method: string; readonly path: string; readonly body?: object | Buffer; readonly upgrade?: boolean };
const seed = (line: string, body?: Seed['body'], upgrade = false): Seed => {
  const [method = '', path = ''] = line.split(' ', 2);
  return { method, path, ...(body === undefined ? {} : { body }), upgrade };
};

/** Every endpoint. C is a container that runs, E an exec. Nothing here names a registry but one that refuses connections. */
const seeds: readonly Seed[] = [
  ...['/_ping', '/version', '/info', '/system/df?type=volume', '/events?since=1&until=2&filters={"type":["container"]}', '/events', '/plugins', '/swarm', '/nodes', '/services', '/tasks', '/secrets', '/configs',
    '/containers/json?all=1&limit=3&size=1&filters={"status":["running"]}', '/containers/C/json?size=1', '/containers/C/logs?stdout=1&stderr=1&tail=3&since=1.5&timestamps=1', '/containers/C/logs?stdout=1&follow=1',
    '/containers/C/top?ps_args=-ef', '/containers/C/changes', '/containers/C/stats?stream=0&one-shot=1', '/containers/C/stats', '/containers/C/archive?path=/etc/hosts', '/containers/C/export', '/containers/C/attach/ws',
    '/images/json?all=1&filters={"dangling":["true"]}', '/images/hostile:1/json', '/images/hostile:1/history', '/images/hostile:1/get', '/images/get?names=hostile:1', '/images/search?term=x', '/distribution/x/json',
    '/networks?filters={"driver":["bridge"]}', '/networks/hostile-net?verbose=1&scope=local', '/volumes?filters={"dangling":["1"]}', '/volumes/hostile-volume', '/volumes/hostile-volume/archive', '/exec/E/json',
    '/plugins/x/json', '/containers/C/checkpoints', '/session'].map(path => seed(`GET ${path}`)),
  ...['/_ping', '/containers/C/archive?path=/', '/volumes/hostile-volume/archive'].map(path => seed(`HEAD ${path}`)),
  ...['/containers/C/start', '/containers/C/stop?t=0&signal=KILL', '/containers/C/restart?t=0', '/containers/C/kill?signal=0', '/containers/C/pause', '/containers/C/unpause', '/containers/C/rename?name=hostile-c',
    '/containers/C/resize?h=10&w=10', '/containers/C/wait?condition=not-running', '/containers/C/attach?stream=1&stdout=1&stdin=1&logs=1', '/containers/prune?filters={"label":["none"]}', '/exec/E/resize?h=5&w=5',
    '/images/hostile:1/tag?repo=hostile&tag=2', '/images/prune?filters={"dangling":["true"]}', '/networks/prune?filters={"label":["none"]}', '/volumes/prune?filters={"label":["none"]}', '/build/prune', '/build?t=x',
    '/commit?container=C&repo=hostile&tag=3&changes=ENV+A=b&author=x&pause=0', '/images/127.0.0.1:1/x/push?tag=1', '/images/create?fromImage=127.0.0.1:1/x&tag=1', '/volumes/hostile-volume/clone?name=hostile-clone',
    '/volumes/hostile-clone/rename?name=hostile-renamed', '/swarm/init', '/swarm/join', '/swarm/leave', '/nodes/x/update', '/services/create', '/secrets/create', '/configs/create', '/plugins/pull', '/grpc'].map(path => seed(`POST ${path}`)),
  seed('POST /containers/create?name=hostile-new&platform=', container), seed('POST /containers/create', { Image: 'busybox', HostConfig: {} }),
  seed('POST /containers/C/update', { Memory: 0, CpuShares: 512, RestartPolicy: { Name: 'no' } }), seed('POST /containers/C/exec', exec), seed('POST /exec/E/start', { Detach: false, Tty: false }),
  seed('POST /exec/E/start', { Detach: false, Tty: false }, true), seed('POST /containers/C/attach?stream=1&stdout=1&stdin=1', undefined, true), seed('POST /session', undefined, true),
  seed('POST /networks/create', { Name: 'hostile-net2', Driver: 'bridge', EnableIPv6: false, IPAM: { Driver: 'default', Config: [{ Subnet: '172.30.9.0/24', IPRange: '', Gateway: '', AuxiliaryAddresses: { a: '172.30.9.7' } }] }, Options: { 'com.docker.network.driver.mtu': '1400' }, Labels: { a: 'b' } }),
  seed('POST /networks/hostile-net2/connect', { Container: 'C', EndpointConfig: { Aliases: ['x'], IPAMConfig: { IPv4Address: '172.30.9.9' } } }), seed('POST /networks/hostile-net2/disconnect', { Container: 'C', Force: true }),
  seed('POST /volumes/create', { Name: 'hostile-volume2', Driver: 'local', DriverOpts: {}, Labels: { a: 'b' } }), seed('POST /auth', { username: 'a', password: 'b', serveraddress: '127.0.0.1:1' }),
  seed('POST /images/load?quiet=1', tar), seed('POST /images/create?fromSrc=-&repo=hostile&tag=4&changes=CMD+x', tar), seed('PUT /containers/C/archive?path=/tmp&noOverwriteDirNonDir=1', tar), seed('PUT /volumes/hostile-volume/archive?mode=replace', tar),
  ...['/containers/hostile-new?force=1&v=1', '/images/hostile:2?force=1', '/networks/hostile-net2', '/volumes/hostile-volume2?force=1', '/volumes/hostile-renamed', '/plugins/x', '/nodes/x'].map(path => seed(`DELETE ${path}`)),
];

const drawn = seeds.flatMap(each => (each.body === undefined || Buffer.isBuffer(each.body) ? [each] : Array.from({ length: DEEP }, () => each)));

const nasty: readonly unknown[] = [
  null, true, false, 0, -1, 1, 1.5, 65_536, 2 ** 31, 2 ** 53, -(2 ** 63), 1e308, '', ' ', '\0', 'a\nb', '-A INPUT -j DROP\n', 'x'.repeat(300), 'x'.repeat(70_000), '../../..', '/../../etc', '//', '%2e%2e', '%', '%zz', '%00', 'ü€😀', '\ud800', '\u202e',
  '__proto__', 'constructor', 'toString', '-1', '0', '65536/tcp', '99999999999999999999', 'NaN', 'Infinity', '0x10', '1e9', '127.0.0.1', '256.1.1.1', '::1', '10.0.0.0/8', '0.0.0.0/0', '172.30.9.0/33', 'fe80::/64', 'host', 'none', 'container:', 'container:C', 'always', '${HOME}', '{{.}}', '--help', '-v', [], {}, [[]], [null], [{}], { a: { b: [] } },
  { __proto__x: 1 }, ['a', 1, null], 'sha256:', `sha256:${'0'.repeat(64)}`, '0'.repeat(64),
];

/** What must not be changed: a registry's name would be looked for, a device be mounted. */
const kept = new Set(['fromImage', 'serveraddress', 'DriverOpts']);

export type Hostile = { readonly bytes: readonly Buffer[]; readonly whole: boolean; readonly what: string; /** The client shuts its own half when it has sent all. */ readonly halfClosed: boolean };

export function hostileRequest(chance: Chance, names: Readonly<Record<'C' | 'E', string>>): Hostile {
  const one = <T>(list: readonly T[]): T => list[chance(list.length)]!;
  const base = one(drawn);
  const often = (percent: number) => chance(100) < percent;
  const keepsPath = /127\.0\.0\.1:1/.test(base.path);
  const method = often(4) ? one(['GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS']) : base.method;
  let path = base.path.replace(/\bC\b/, names.C).replace(/\bE\b/, names.E);
  if (!keepsPath && often(35)) path = changedPath(path, one, chance);
  if (often(30)) path = `/${one(['v1.51', 'v1.24', 'v1.40', 'v1.23', 'v1.99', 'v0', 'v1.', 'v', 'v1.51/v1.51', 'v99999999999999999999.1'])}${path}`;
  let payload = Buffer.isBuffer(base.body) ? base.body : base.body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(changed(withNames(base.body, names), one, chance, often(15) ? 0 : 1 + chance(3))));
  if (payload.length > 0 && often(20)) payload = damaged(payload, one, chance);
  const headers: [string, string][] = [['Host', often(3) ? one(['', 'a b', 'x'.repeat(9000)]) : 'd']];
  if (base.body !== undefined || often(10)) headers.push(['Content-Type', often(85) ? (Buffer.isBuffer(base.body) ? 'application/x-tar' : 'application/json') : one(['', 'text/plain', 'application/json; charset=x', ';', 'multipart/form-data', 'APPLICATION/JSON'])]);
  if (base.upgrade || often(4)) headers.push(['Connection', 'Upgrade'], ['Upgrade', one(['tcp', 'tcp', 'websocket', 'h2c', ''])]);
  if (often(10)) headers.push(one([['X-Registry-Auth', one(['', '!', 'e30=', 'x'.repeat(5000), Buffer.from('{"username":5}').toString('base64')])], ['Content-Digest', 'sha-256=:x:'], ['Expect', '100-continue'], ['Expect', 'x'], ['Cookie', 'a'.repeat(2000)], ['Content-Encoding', 'gzip'], ['X-Big', 'y'.repeat(100_000)], ['Transfer-Encoding', 'gzip'], ['Content-Length', '5'], ['Range', 'bytes=0-1'], ['Trailer', 'Content-Digest']]));
  const chunked = payload.length > 0 && often(30);
  if (chunked) headers.push(['Transfer-Encoding', 'chunked']);
  else if (payload.length > 0 || often(5)) headers.push(['Content-Length', often(92) ? `${payload.length}` : one(['0', '-1', '1e3', `${payload.length + 10}`, `${Math.max(0, payload.length - 3)}`, '99999999999', 'x'])]);
  const head = `${method} ${often(95) ? encodeURI(wellFormed(path)).replaceAll('%25', '%') : path} HTTP/${often(97) ? '1.1' : one(['1.0', '0.9', '2.0', 'x'])}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
  const body = chunked ? [Buffer.from(`${payload.length.toString(16)}\r\n`), payload, Buffer.from(often(90) ? '\r\n0\r\n\r\n' : one(['', '\r\n', '\r\n-5\r\n', '\r\nzz\r\n\r\n']))] : [payload];
  const whole = Buffer.concat([Buffer.from(head, 'latin1'), ...body]);
  const complete = often(85);
  const pieces = complete ? [whole] : often(50) ? [whole.subarray(0, chance(whole.length))] : [whole.subarray(0, head.length - chance(10)), whole.subarray(head.length - chance(10))];
  return { whole: complete, bytes: often(5) ? [...pieces, whole] : pieces, what: `${head.slice(0, 1500)}${payload.subarray(0, 3000).toString()}`, halfClosed: often(20) };
}

function changedPath(path: string, one: <T>(list: readonly T[]) => T, chance: Chance): string {
  const texts = nasty.filter(value => ['string', 'number', 'boolean'].includes(typeof value)).map(String).filter(text => text.length < 1000);
  const [route = '', query] = path.split('?', 2);
  if (query !== undefined && chance(3) > 0) {
    const pairs = query.split('&').map(pair => pair.split('=', 2) as [string, string]);
    const pair = one(pairs);
    if (!kept.has(pair[0])) pair[1] = pair[1].includes('{') ? one(['{', '[]', 'null', '5', '{"a":5}', '{"a":[5]}', '{"__proto__":["x"]}', '['.repeat(5000), '{"status":["x"]}', '{"since":["x"]}', '{"until":["-5"]}', '{"label":{"a":{"b":true}}}']) : encodeURIComponent(wellFormed(one(texts)));
    if (chance(5) === 0) pairs.push(['x', '1'], pair);
    return `${route}?${pairs.map(pair => pair.join('=')).join('&')}`;
  }
  const parts = route.split('/');
  parts[1 + chance(parts.length - 1)] = chance(2) === 0 ? one(texts).replace(/[\s?#]/g, '') : encodeURIComponent(wellFormed(one(texts)));
  return parts.join('/') + (query === undefined ? '' : `?${query}`);
}

const wellFormed = (text: string) => text.replace(/[\ud800-\udfff]/g, '?');

const withNames = (body: object, { C }: { readonly C: string }): object => JSON.parse(JSON.stringify(body).replaceAll('"C"', JSON.stringify(C)));

/** So many values anywhere in it are others. */
function changed(value: unknown, one: <T>(list: readonly T[]) => T, chance: Chance, times: number): unknown {
  const copy = structuredClone(value);
  for (let left = times; left > 0; left--) {
    let at = copy as Record<string, unknown>;
    for (;;) {
      const keys = Object.keys(at).filter(key => !kept.has(key));
      if (keys.length === 0) break;
      const key = one(keys);
      const next = at[key];
      if (typeof next === 'object' && next !== null && Object.keys(next).length > 0 && chance(8) > 0) {
        at = next as Record<string, unknown>;
        continue;
      }
      if (Array.isArray(at) && chance(3) === 0) at.push(structuredClone(one(nasty)));
      else if (!Array.isArray(at) && chance(6) === 0) at[String(one(nasty))] = next;
      else at[key] = structuredClone(one(nasty));
      break;
    }
  }
  return copy;
}

function damaged(payload: Buffer, one: <T>(list: readonly T[]) => T, chance: Chance): Buffer {
  return one<() => Buffer>([
    () => payload.subarray(0, chance(payload.length)),
    () => Buffer.concat([payload, payload]),
    () => { const copy = Buffer.from(payload); for (let i = 0; i < 5; i++) copy[chance(copy.length)] = chance(256); return copy; },
    () => Buffer.from('['.repeat(50_000)),
    () => Buffer.from(`{"a":${'{"a":'.repeat(20_000)}`),
    () => Buffer.from([0xff, 0xfe, 0x7b, 0x00]),
    () => Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]),
    () => Buffer.from(`"${'x'.repeat(5 << 20)}"`),
  ])();
}

export type Heard = { readonly status: number | undefined; readonly text: string; readonly refused: boolean };

/** Milliseconds: for an answer, for more of one that has no end, and for one to half a request. */
const [ANSWER, STREAM, NOTHING] = [2000, 40, 100];

/** Sends it, and hears what comes. A client of this kind goes when it likes. */
export function send(socketPath: string, { bytes, whole, halfClosed }: Hostile): Promise<Heard> {
  return new Promise(resolve => {
    const socket: Socket = connect(socketPath);
    let text = '';
    let refused = false;
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      const status = /^HTTP\/1\.[01] (\d{3}) /.exec(text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, ''))?.[1];
      resolve({ status: status === undefined ? undefined : Number(status), text, refused });
    };
    let timer = setTimeout(done, whole ? ANSWER : NOTHING);
    const within = (milliseconds: number) => {
      clearTimeout(timer);
      timer = setTimeout(done, milliseconds);
    };
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      if (text.length < 10_000) text += chunk;
      const [head = '', rest] = text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '').split('\r\n\r\n', 2);
      if (rest === undefined) return;
      const length = /^content-length: (\d+)$/im.exec(head)?.[1];
      if (/ (204|304) /.test(head) || (length !== undefined && rest.length >= Number(length))) done();
      else within(STREAM);
    });
    socket.on('close', done);
    socket.on('error', (error: NodeJS.ErrnoException) => { refused ||= error.code === 'ECONNREFUSED' || error.code === 'ENOENT'; });
    for (const piece of bytes) socket.write(piece);
    if (halfClosed) socket.end();
  });
}

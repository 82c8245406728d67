import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';

/** What each room may import from outside itself: other rooms, packages, and Node's own modules. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  model: [],
  operations: ['model'],
  // node:net for isIP alone.
  plan: ['model', 'operations', 'node:net'],
  store: ['model', 'lmdb', 'node:fs', 'node:path'],
  // It executes and does not decide: no plan, no engine. Of Node it may have everything.
  host: ['model', 'operations', 'node:*', 'execa', 'koffi', 'tar-stream'],
  engine: ['model', 'operations', 'plan', 'node:stream', 'node:crypto'],
  api: ['model', 'engine', 'express', 'ws', 'node:stream', 'node:stream/promises', 'node:http', 'node:net'],
  // A client of the daemon, as any other: it knows the API and nothing behind it.
  cli: ['model', 'node:*'],
};

/** Doors: the only files that may import these. Types may be named anywhere in the room. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  execa: ['host/command.ts'],
  'node:child_process': ['host/command.ts'],
  lmdb: ['store/store.ts'],
  ws: ['api/attach-websocket.ts'],
  // Each has system calls of its own, with the constants that belong to them.
  koffi: ['host/syscalls.ts', 'host/open-beneath.ts', 'host/container-view.ts', 'host/netlink.ts', 'host/netlink-socket.ts', 'host/console.ts', 'host/socket.ts'],
};

const SOURCE = import.meta.dirname;

/** Tests and fakes are exempt: they stand in for what is beyond the wall. */
const filesOf = (room: string): string[] =>
  fs.readdirSync(path.join(SOURCE, room)).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && name !== 'fake.ts').map((name) => `${room}/${name}`);

const importsOf = (file: string): { readonly of: string; readonly type: boolean }[] =>
  [...fs.readFileSync(path.join(SOURCE, file), 'utf8').matchAll(/(?:^(import|export)( type)?\s[^;]*?from |^import |\bimport\()'([^']+)'/gm)].map(
    ([, , type, of = '']) => ({ of: of.startsWith('../') ? (of.split('/')[1] ?? '') : of, type: type !== undefined }),
  );

for (const [room, allowed] of Object.entries(ROOMS))
  test(`${room} imports ${allowed.join(', ') || 'nothing'}`, () => {
    const strangers = filesOf(room).flatMap((file) =>
      importsOf(file)
        .filter(({ of }) => !of.startsWith('./') && !allowed.includes(of) && !(of.startsWith('node:') && allowed.includes('node:*')))
        .map(({ of }) => `${file} imports ${of}`),
    );
    assert.deepEqual(strangers, []);
  });

test('one door to other programs, one to the database, few to system calls', () => {
  const others = Object.keys(ROOMS).flatMap(filesOf).flatMap((file) =>
    importsOf(file).filter(({ of, type }) => !type && DOORS[of] !== undefined && !DOORS[of].includes(file)).map(({ of }) => `${file} imports ${of}`),
  );
  assert.deepEqual(others, []);
});

test('model, operations and plan have no clock, no dice, and wait for nothing', () => {
  const impure = /\basync\b|\bawait\b|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bprocess\.|\brandomUUID\b|\bsetTimeout\b/;
  const code = (file: string): string => fs.readFileSync(path.join(SOURCE, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*|'(?:[^'\\\n]|\\.)*'|`[^`]*`/g, '');
  assert.deepEqual(['model', 'operations', 'plan'].flatMap(filesOf).filter((file) => impure.test(code(file))), []);
});

test('every room is on the list, and nothing is exported by default', () => {
  const rooms = fs.readdirSync(SOURCE, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name);
  assert.deepEqual(rooms.sort(), Object.keys(ROOMS).sort());
  for (const file of rooms.flatMap(filesOf)) assert.doesNotMatch(fs.readFileSync(path.join(SOURCE, file), 'utf8'), /^export default/m, file);
});

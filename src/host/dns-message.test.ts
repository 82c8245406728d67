import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { buildAnswer, isAnswerTo, parseQuery, RCODE, sizeFor, truncate, TYPE, withId, type Query } from './dns-message.ts';

const name = (text: string): Buffer => Buffer.concat([...text.split('.').filter(Boolean).map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])), Buffer.alloc(1)]);
const u16 = (...values: number[]): Buffer => Buffer.concat(values.map((value) => Buffer.from([value >> 8, value & 0xff])));
const ask = (text: string, type = 1, { flags = 0x0100, edns = 0 } = {}): Buffer =>
  Buffer.concat([u16(0x1234, flags, 1, 0, 0, edns > 0 ? 1 : 0), name(text), u16(type, 1), ...(edns > 0 ? [Buffer.from([0]), u16(TYPE.OPT, edns, 0, 0, 0)] : [])]);
const query = (bytes: Buffer): Query => {
  const parsed = parseQuery(bytes);
  assert.ok(parsed && !('refusal' in parsed));
  return parsed;
};
const refusal = (bytes: Buffer): number | undefined => {
  const parsed = parseQuery(bytes);
  return parsed && 'refusal' in parsed ? parsed.refusal.readUInt16BE(2) : undefined;
};
const addresses = (count: number) => Array.from({ length: count }, (_none, i) => ({ address: Buffer.from([10, 0, i >> 8, i & 0xff]) }));

describe('a query', () => {
  test('is read', () => {
    const { id, name: asked, type, internet, edns } = query(ask('Web.N1', 28, { edns: 1232 }));
    assert.deepEqual({ id, asked, type, internet, edns }, { id: 0x1234, asked: 'web.n1', type: 28, internet: true, edns: 1232 });
    assert.equal(query(ask('.')).name, '');
    assert.equal(query(ask('web')).edns, undefined);
  });

  test('that is an answer, or too short for anything, is not answered', () => {
    assert.equal(parseQuery(ask('web', 1, { flags: 0x8100 })), undefined);
    assert.equal(parseQuery(ask('web').subarray(0, 11)), undefined);
    assert.equal(parseQuery(Buffer.alloc(0)), undefined);
  });

  test('of another kind, or malformed, is refused in twelve bytes', () => {
    assert.equal(refusal(ask('web', 1, { flags: 0x0900 })), 0x8904);
    const whole = ask('web');
    const malformed = {
      'no question': Buffer.concat([whole.subarray(0, 4), u16(0), whole.subarray(6)]),
      'two questions': Buffer.concat([whole.subarray(0, 4), u16(2), whole.subarray(6)]),
      'a pointer to itself': Buffer.concat([whole.subarray(0, 12), u16(0xc00c, 1, 1)]),
      'a label of 64 bytes': Buffer.concat([whole.subarray(0, 12), Buffer.from([64]), Buffer.alloc(70, 97)]),
      'a name of 260 bytes': ask(Array(52).fill('abcd').join('.')),
      'cut short': whole.subarray(0, -1),
      'an extra record that is not there': Buffer.concat([whole.subarray(0, 10), u16(1), whole.subarray(12)]),
      'a record longer than the packet': Buffer.concat([whole.subarray(0, 10), u16(1), whole.subarray(12), Buffer.from([0]), u16(TYPE.OPT, 1232, 0, 0, 999)]),
    };
    for (const [what, bytes] of Object.entries(malformed)) assert.equal(refusal(bytes), 0x8101, what);
  });

  test('of noise never throws', () => {
    let seed = 7;
    const dice = (): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 8;
    const base = ask('web.n1', 1, { edns: 1232 });
    for (let i = 0; i < 20_000; i++) {
      const bytes = Buffer.from(base.subarray(0, dice() % (base.length + 1)));
      for (let hits = dice() % 8; hits > 0 && bytes.length > 0; hits--) bytes[dice() % bytes.length] = dice() & 0xff;
      const parsed = parseQuery(bytes);
      if (!parsed || 'refusal' in parsed) continue;
      buildAnswer(parsed, RCODE.NOERROR, addresses(3), 600, 512);
      isAnswerTo(bytes, parsed, parsed.id);
      truncate(bytes, parsed, 20);
    }
  });
});

describe('an answer', () => {
  test('repeats the question to the letter, and has its records', () => {
    const answer = buildAnswer(query(ask('WEB')), RCODE.NOERROR, [{ address: Buffer.from([172, 18, 0, 2]) }], 600, 512);
    assert.equal(answer.toString('hex'), '123481800001000100000000' + '0357454200' + '00010001' + 'c00c0001000100000258' + '0004ac120002');
  });

  test('has a name as its data', () => {
    const answer = buildAnswer(query(ask('2.0.18.172.in-addr.arpa', TYPE.PTR)), RCODE.NOERROR, [{ name: 'web.n1' }], 600, 512);
    assert.equal(answer.subarray(-10).toString('hex'), `0008${name('web.n1').toString('hex')}`);
  });

  test('answers EDNS with EDNS', () => {
    const answer = buildAnswer(query(ask('web', 1, { edns: 1232 })), RCODE.NOERROR, [], 600, 1232);
    assert.equal(answer.subarray(-11).toString('hex'), '000029ffff000000000000');
    assert.equal(answer.readUInt16BE(10), 1);
  });

  test('has what fits, and says so', () => {
    const asked = query(ask('many'));
    const short = buildAnswer(asked, RCODE.NOERROR, addresses(40), 600, sizeFor(asked, 'udp'));
    assert.deepEqual([short.length, short.readUInt16BE(6), short.readUInt16BE(2) & 0x0200], [502, 30, 0x0200]);
    const whole = buildAnswer(asked, RCODE.NOERROR, addresses(40), 600, sizeFor(asked, 'tcp'));
    assert.deepEqual([whole.readUInt16BE(6), whole.readUInt16BE(2) & 0x0200], [40, 0]);
    assert.equal(sizeFor(query(ask('many', 1, { edns: 100 })), 'udp'), 512);
  });

  test("of another's is cut at a record", () => {
    const asked = query(ask('large'));
    const whole = buildAnswer(asked, RCODE.NOERROR, addresses(60), 60, 65_535);
    const short = truncate(whole, asked, 512);
    assert.deepEqual([short.length, short.readUInt16BE(6), short.readUInt16BE(2) & 0x0200], [503, 30, 0x0200]);
    assert.equal(truncate(whole, asked, whole.length), whole);
  });

  test('is one only to its own question, under its own id', () => {
    const asked = query(ask('web'));
    const answer = buildAnswer(asked, RCODE.NOERROR, [], 0, 512);
    assert.ok(isAnswerTo(answer, asked, 0x1234));
    assert.ok(isAnswerTo(buildAnswer(query(ask('WEB')), RCODE.NOERROR, [], 0, 512), asked, 0x1234));
    assert.ok(!isAnswerTo(answer, asked, 0x1235));
    assert.ok(!isAnswerTo(answer, query(ask('wed')), 0x1234));
    assert.ok(!isAnswerTo(answer, query(ask('web', 28)), 0x1234));
    assert.ok(!isAnswerTo(asked.bytes, asked, 0x1234));
    assert.ok(isAnswerTo(withId(Buffer.from('000081010000000000000000', 'hex'), 0x1234), asked, 0x1234), 'FORMERR without the question');
  });
});

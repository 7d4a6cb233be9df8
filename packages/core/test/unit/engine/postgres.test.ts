/** What of the PostgreSQL engine needs no server: texts, positions, errors, URLs. */
import { describe, expect, test } from 'vitest';
import { resolveConnection } from '../../../src/store/connection.js';
import { isTransient, refusalOf } from '../../../src/store/engine/drivers.js';
import { postgresAdvice } from '../../../src/store/engine/postgres/errors.js';
import { checkPostgres } from '../../../src/store/engine/postgres/facts.js';
import {
  eventCursorOf,
  positionOf,
  positionUpTo,
  timeOfMoment,
} from '../../../src/store/engine/postgres/positions.js';
import {
  decodeRows,
  encodeParams,
  unwrapText,
  unwrapValue,
  wrapText,
} from '../../../src/store/engine/postgres/text.js';
import { compareIds, idBefore } from '../../../src/store/stream-position.js';

/** An error as the server sends it. */
const refused = (code: string, message = 'refused') =>
  Object.assign(new Error(message), { code, severity: 'ERROR' });

describe('a stored text', () => {
  const json = '{"b":1,"a":1e3,"c":1.0,"d":"\\u0000 \\ud800","b":2}';

  test('is kept whole: its keys, numbers and spaces are not changed', () => {
    expect(unwrapText(wrapText(json))).toBe(json);
    expect(unwrapValue(JSON.parse(wrapText('{"a":[1]}')))).toEqual({ a: [1] });
  });

  test('of another program stays as it is', () => {
    expect(unwrapText('{"a":1}')).toBe('{"a":1}');
    expect(unwrapValue({ a: 1 })).toEqual({ a: 1 });
    expect(unwrapText('{"umbel:text":7}')).toBe('{"umbel:text":7}');
  });

  test.each(['a\u0000b', '\ud800', '\udc00x', '\ue0000000', '\ue000', '😀', 'plain'])(
    'that no column takes comes back: %j',
    (text) => {
      const [encoded] = encodeParams('SELECT $1', [text]) ?? [];
      expect(String(encoded)).not.toContain('\u0000');
      expect(() => encodeURIComponent(String(encoded))).not.toThrow(); // no half of a pair
      expect(decodeRows([{ text: encoded }])).toEqual([{ text }]);
    },
  );

  test('in a JSON parameter comes back, with a backslash before it or not', () => {
    const value = { 'k\u0000': ['\ud800', '\\u0000', '\u0000'] };
    const [encoded] = encodeParams('SELECT $1::jsonb', [JSON.stringify(value)]) ?? [];
    expect(String(encoded)).not.toMatch(/(?<!\\)\\u(?:0000|d800)/);
    expect(decodeRows([{ value: JSON.parse(String(encoded)) }])).toEqual([{ value }]);
  });

  test('is searched for in lists, too', () => {
    expect(encodeParams('SELECT $1', [['a\u0000']])).toEqual([['a\ue0000000']]);
    expect(encodeParams('SELECT $1', undefined)).toBeUndefined();
  });
});

describe('a position', () => {
  test('has the columns by which events are sorted', () => {
    expect(eventCursorOf(positionOf('12', '7', 1000))).toEqual({ horizon: '12', id: '7' });
    expect(eventCursorOf('0-0')).toEqual({ horizon: '0', id: '0' });
    expect(eventCursorOf('nonsense')).toEqual({ horizon: '0', id: '0' });
  });

  test('of a horizon comes after all its events', () => {
    const after = positionUpTo('12', 1000);
    expect(compareIds(positionOf('12', '999999999999', 2000), after)).toBeLessThan(0);
    expect(compareIds(after, positionOf('13', '1', 500))).toBeLessThan(0);
  });

  test('may be a moment', () => {
    expect(eventCursorOf(idBefore(1_795_703_120_377))).toBeUndefined();
    expect(timeOfMoment(idBefore(1_795_703_120_377))).toBe(1_795_703_120_376);
  });
});

describe('an error of the server', () => {
  test.each(['08006', '40001', '40P01', '53300', '53100', '55P03', '57014', '57P01', '57P03', '25006'])(
    '%s may pass',
    (code) => expect(isTransient(refused(code))).toBe(true),
  );

  test.each(['42501', '42P01', '23505', '28P01', '3D000', 'BM001'])('%s does not pass', (code) =>
    expect(isTransient(refused(code))).toBe(false),
  );

  test.each(['Connection terminated unexpectedly', 'timeout exceeded when trying to connect'])(
    'of the client may pass: %s',
    (message) => expect(isTransient(new Error(message))).toBe(true),
  );

  test('that only the same code makes it is none of the server', () => {
    expect(isTransient(Object.assign(new Error('mine'), { code: '40001' }))).toBe(false);
    expect(refusalOf(Object.assign(new Error('mine'), { code: '42501' }))).toBeUndefined();
  });

  test.each([
    ['28P01', 'credentials', 'encodeURIComponent'],
    ['3D000', 'database', 'create it'],
    ['42501', 'rights', 'umbel migrate'],
  ])('%s is a refusal with advice', (code, refusal, advice) => {
    expect(refusalOf(refused(code))).toBe(refusal);
    expect(postgresAdvice(refused(code))).toContain(advice);
  });

  test.each([
    ['53300', 'max_connections'],
    ['53100', 'disk'],
    ['25006', 'primary'],
  ])('%s comes with advice', (code, advice) => expect(postgresAdvice(refused(code))).toContain(advice));

  test('that is unknown, or silence, has none', () => {
    expect(postgresAdvice(refused('XX000'))).toBeUndefined();
    expect(postgresAdvice(undefined)).toBeUndefined();
  });
});

describe('a URL', () => {
  test('is described without its credentials', () => {
    const engine = resolveConnection(
      'postgres://me:secret@db.internal:6000/shop?schema=jobs&sslmode=require',
    );
    expect(engine).toMatchObject({ kind: 'postgres', isShared: true });
    expect(engine.describe()).toEqual({
      kind: 'postgres',
      addresses: ['db.internal:6000/shop'],
      database: 0,
      isEncrypted: true,
    });
    expect(engine.address).toBe('postgres://***@db.internal:6000/shop');
    expect(JSON.stringify(engine)).not.toContain('secret');
  });

  test.each([
    ['postgres://h/db?schema=Jobs', 'lower-case'],
    ['postgres://h/db?schema=a%22b', 'lower-case'],
    ['postgres://h/db?pool=0', 'number of connections'],
    ['postgres://h/db?pool=x', 'number of connections'],
    ['postgres://me:%zz@h/db', 'encodeURIComponent'],
  ])('%s is refused', (url, words) => expect(() => resolveConnection(url)).toThrow(words));
});

test('a server that does not wait for its disk is warned of', () => {
  const facts = { kind: 'postgres', version: '15.1', clock: undefined, isCluster: false } as const;
  expect(checkPostgres({ ...facts, isDurable: true })).toEqual([]);
  expect(checkPostgres({ ...facts, isDurable: false })).toEqual([
    expect.stringContaining('synchronous_commit'),
  ]);
});

import { describe, expect, test } from 'vitest';
import { jsonIssues } from '../../src/codec/json.js';

const circular: Record<string, unknown> = { list: [] };
(circular.list as unknown[]).push(circular);

/** An object with another one inside it, `levels` deep. */
function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level += 1) value = { inner: value };
  return value;
}

describe('what JSON would change', () => {
  test.each<[string, unknown]>([
    ['text', 'a\u0000\ud83c\udf3c'],
    ['numbers', [0, -1.5, 1e21, Number.MAX_SAFE_INTEGER]],
    ['null and booleans', [null, true, false]],
    ['an absent property', { a: undefined }],
    ['nothing at all', undefined],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 })],
    ['the same object twice', (() => ((one) => [one, one])({ a: 1 }))()],
    ['64 levels', nested(64)],
    ['minus zero', -0],
    ['minus zero, among many', { a: [-0, { b: -0 }, ...Array(100).fill(-0)] }],
  ])('is nothing in %s', (_name, value) => {
    expect(jsonIssues(value, 'input')).toEqual([]);
  });

  test.each<[string, unknown, string]>([
    ['NaN', { a: [1, Number.NaN] }, 'input.a[1]: JSON cannot carry NaN'],
    ['an infinity', Number.POSITIVE_INFINITY, 'input: JSON cannot carry Infinity'],
    ['a bigint', { a: 1n }, 'input.a: JSON cannot carry a bigint'],
    ['a function', { a: () => 1 }, 'input.a: JSON cannot carry a function'],
    ['a symbol', [Symbol('s')], 'input[0]: JSON cannot carry a symbol'],
    ['undefined in an array', [1, undefined], 'input[1]: JSON cannot carry undefined'],
    ['a hole in an array', new Array(1), 'input[0]: JSON cannot carry undefined'],
    ['a date', { at: new Date(0) }, 'input.at: JSON cannot carry a Date; send plain data, or use a codec'],
    ['a map', new Map(), 'input: JSON cannot carry a Map; send plain data, or use a codec'],
    [
      'a class instance',
      new (class Point {})(),
      'input: JSON cannot carry a Point; send plain data, or use a codec',
    ],
    ['a circle', circular, 'input.list[0]: it contains itself'],
    ['65 levels', nested(65), `input${'.inner'.repeat(64)}: it is nested deeper than 64 levels`],
  ])('is found in %s', (_name, value, expected) => {
    expect(jsonIssues(value, 'input').map(({ path, message }) => `${path}: ${message}`)).toEqual([expected]);
  });

  test('is told for every place', () => {
    expect(jsonIssues([1n, [2n]], 'result').map((issue) => issue.path)).toEqual([
      'result[0]',
      'result[1][0]',
    ]);
  });
});

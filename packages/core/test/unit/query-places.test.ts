import { InvalidOptionError } from '@umbel/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { firstIndex } from '../../src/ops/ended-scan.js';
import { type CursorPlace, decodeCursor, encodeCursor, pageRequestOf } from '../../src/ops/job-query.js';

describe('the first index of what is sorted', () => {
  const sizes = fc.nat({ max: 5000 }).chain((size) =>
    fc.record({
      size: fc.constant(size),
      first: fc.nat({ max: size }),
      hint: fc.integer({ min: -5, max: size + 50 }),
    }),
  );

  test('is found from any hint, by few looks', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async ({ size, first, hint }) => {
        let looks = 0;
        const found = await firstIndex(size, hint, async (index) => {
          expect(index).toBeGreaterThanOrEqual(0);
          expect(index).toBeLessThan(size);
          looks += 1;
          return index >= first;
        });
        expect(found).toBe(first);
        expect(looks).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(size + 2)) + 2);
      }),
      { numRuns: 500 },
    );
  });

  test('takes two looks where the hint is right', async () => {
    for (const [size, first] of [
      [100_000, 50_000],
      [100_000, 1],
    ] as const) {
      let looks = 0;
      await firstIndex(size, first, async (index) => {
        looks += 1;
        return index >= first;
      });
      expect(looks).toBe(2);
    }
  });
});

describe('a cursor', () => {
  const text = fc.string();
  const index = fc.nat();
  const marks = fc.oneof(
    fc.record({ at: index, queue: text, id: text }),
    fc.record({ day: index, line: index }),
  );
  const places: fc.Arbitrary<CursorPlace> = fc.oneof(
    fc.record({ kind: fc.constant('live' as const), set: text, queue: text, index, near: fc.array(text) }),
    fc.record({
      kind: fc.constant('ended' as const),
      set: text,
      at: index,
      id: text,
      indexes: fc.dictionary(fc.stringMatching(/^[a-z]{1,9}$/), index, { noNullPrototype: true }),
    }),
    fc.record({ kind: fc.constant('walk' as const), path: fc.array(text) }),
    fc.record({ kind: fc.constant('tag' as const), mark: marks, path: fc.array(text) }),
    fc.record({ kind: fc.constant('tag' as const), mark: marks }),
  );

  test('gives its place back, for the same query only', () => {
    fc.assert(
      fc.property(places, (place) => {
        const cursor = encodeCursor(place, 'digest');
        expect(decodeCursor(cursor, 'digest')).toEqual(place);
        expect(() => decodeCursor(cursor, 'other')).toThrow(InvalidOptionError);
      }),
    );
  });

  test('that was forged is refused', () => {
    const forged = (value: unknown) => `d.${Buffer.from(JSON.stringify(value)).toString('base64url')}`;
    for (const value of [
      null,
      [],
      {},
      { kind: 'live' },
      { kind: 'live', set: 'a', queue: 'b', index: -1, near: [] },
      { kind: 'live', set: 'a', queue: 'b', index: 1.5, near: [] },
      { kind: 'live', set: 'a', queue: 'b', index: 1, near: [1] },
      { kind: 'ended', set: 'a', at: 1, id: 'x', indexes: { a: 'x' } },
      { kind: 'ended', set: 'a', at: 1, id: 'x' },
      { kind: 'walk', path: 'x' },
      { kind: 'tag', day: 1 },
      { kind: '__proto__' },
    ])
      expect(() => decodeCursor(forged(value), 'd'), JSON.stringify(value)).toThrow(InvalidOptionError);
    fc.assert(
      fc.property(fc.string(), (cursor) => {
        expect(() => decodeCursor(`d.${cursor}`, 'd')).toThrow(InvalidOptionError);
      }),
    );
  });
});

test('queries that differ in anything but their moments have cursors of their own', () => {
  const date = new Date(5);
  const queries = [
    {},
    { state: 'failed' },
    { state: ['failed', 'completed'] },
    { task: 'a' },
    { queue: 'a' },
    { tag: 'a' },
    { run: 'a' },
    { since: date },
    { until: date },
  ] as const;
  const digests = queries.map((query) => pageRequestOf(query, 'jobs').digest);
  expect(new Set([...digests, pageRequestOf({}, 'runs').digest]).size).toBe(queries.length + 1);
  const same = [
    pageRequestOf({ state: ['completed', 'failed'], limit: 3 }, 'jobs').digest,
    pageRequestOf({ state: ['failed', 'completed'] }, 'jobs').digest,
  ];
  expect(same[0]).toBe(same[1]);
  // Two hours ago is another moment when the next page is read.
  const [first, next] = [1000, 2000].map(
    (at) => pageRequestOf({ since: new Date(at), until: new Date(at + 5) }, 'jobs').digest,
  );
  expect(first).toBe(next);
});

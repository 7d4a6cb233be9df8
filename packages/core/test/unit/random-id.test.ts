/** Ids of calls and runs. */
import { expect, test } from 'vitest';
import { randomId } from '../../src/job/ids.js';

test('an id is 21 letters and digits, and none comes twice', () => {
  const ids = Array.from({ length: 20_000 }, () => randomId());
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.filter((id) => !/^[0-9A-Za-z]{21}$/.test(id))).toEqual([]);
});

test('every letter and digit comes in every place', () => {
  const seen = Array.from({ length: 21 }, () => new Set<string>());
  for (let count = 0; count < 20_000; count += 1)
    for (const [place, symbol] of [...randomId()].entries()) seen[place]?.add(symbol);
  expect(seen.map(({ size }) => size)).toEqual(Array.from({ length: 21 }, () => 62));
});

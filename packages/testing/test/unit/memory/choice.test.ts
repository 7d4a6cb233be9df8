import { expect, test } from 'vitest';
import { SeededRandom } from '../../../src/memory/collections.js';

const items = ['a', 'b', 'c', 'd', 'e', 'f'];

test('without a seed the first comes first', () => {
  expect(new SeededRandom().arrange(items)).toEqual(items);
  expect(new SeededRandom().pick(9)).toBe(0);
});

test('a seed always gives the same order, and seeds differ', () => {
  const orders = [1, 1, 2, 3].map((seed) => new SeededRandom(seed).arrange(items).join(''));
  expect(orders[0]).toBe(orders[1]);
  expect(new Set(orders).size).toBe(3);
});

test('every candidate can be chosen', () => {
  const choice = new SeededRandom(7);
  const picked = new Set(Array.from({ length: 200 }, () => choice.pick(5)));
  expect([...picked].sort()).toEqual([0, 1, 2, 3, 4]);
});

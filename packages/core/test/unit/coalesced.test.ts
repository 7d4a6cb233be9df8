import { expect, test } from 'vitest';
import { Coalesced } from '../../src/bullmq/primitives/coalesced.js';

test('calls of one turn share a command, and each gets its own answer', async () => {
  const commands: (readonly number[])[] = [];
  const doubled = new Coalesced(async (asks: readonly number[]) => {
    commands.push(asks);
    return asks.map((ask) => 2 * ask);
  });
  const first = [1, 2].map((n) => doubled.call(n));
  // What the same turn leads to is in time, too.
  const later = Promise.resolve().then(() => doubled.call(3));
  expect(await Promise.all([...first, later])).toEqual([2, 4, 6]);
  expect(commands).toEqual([[1, 2, 3]]);
  expect(await doubled.call(4)).toBe(8);
  const many = Array.from({ length: 120 }, (_, n) => n);
  expect(await Promise.all(many.map((n) => doubled.call(n)))).toEqual(many.map((n) => 2 * n));
  expect(commands.slice(2).map(({ length }) => length)).toEqual([50, 50, 20]);
});

test('a command that is refused rejects its calls, and none that comes after it', async () => {
  let isRefused = true;
  const calls = new Coalesced(async (asks: readonly number[]) => {
    if (isRefused) throw new Error('no');
    return asks;
  });
  const refused = [calls.call(1), calls.call(2)];
  expect((await Promise.allSettled(refused)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  isRefused = false;
  expect(await calls.call(3)).toBe(3);
});

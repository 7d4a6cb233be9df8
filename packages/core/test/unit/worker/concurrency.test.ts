import { InvalidOptionError } from '@umbel/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Concurrency, concurrencyBounds } from '../../../src/task/option-checks.js';
import { nextConcurrency } from '../../../src/worker/options.js';

const calm = { utilization: 0.3, delayMs: 1 };

describe('concurrency that follows the load', () => {
  test('grows by a quarter, one at least, while every place is taken and there is time to spare', () => {
    expect(nextConcurrency(1, { min: 1, max: 100 }, { ...calm, active: 1 })).toBe(2);
    expect(nextConcurrency(20, { min: 1, max: 100 }, { ...calm, active: 20 })).toBe(25);
    expect(nextConcurrency(20, { min: 1, max: 22 }, { ...calm, active: 20 })).toBe(22);
  });

  test('stays while every place is taken and the process is as good as busy', () => {
    expect(nextConcurrency(20, { min: 1, max: 100 }, { utilization: 0.9, delayMs: 5, active: 20 })).toBe(20);
  });

  test.each([
    ['busy', { utilization: 0.97, delayMs: 5 }],
    ['late', { utilization: 0.3, delayMs: 300 }],
  ])('shrinks by a quarter while the event loop is %s', (_, load) => {
    expect(nextConcurrency(20, { min: 1, max: 100 }, { ...load, active: 20 })).toBe(15);
    expect(nextConcurrency(20, { min: 18, max: 100 }, { ...load, active: 20 })).toBe(18);
  });

  test('shrinks by one while more than half of the places are free', () => {
    expect(nextConcurrency(20, { min: 1, max: 100 }, { ...calm, active: 9 })).toBe(19);
    expect(nextConcurrency(20, { min: 1, max: 100 }, { ...calm, active: 10 })).toBe(20);
    expect(nextConcurrency(3, { min: 3, max: 100 }, { ...calm, active: 0 })).toBe(3);
  });

  test('never leaves its bounds', () => {
    const bounds = fc
      .tuple(fc.integer({ min: 1, max: 50 }), fc.nat(50))
      .map(([min, more]) => ({ min, max: min + more }));
    const load = fc.record({
      active: fc.nat(100),
      utilization: fc.double({ min: 0, max: 1, noNaN: true }),
      delayMs: fc.nat(1000),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), bounds, load, (current, { min, max }, found) => {
        const next = nextConcurrency(current, { min, max }, found);
        expect(next).toBeGreaterThanOrEqual(min);
        expect(next).toBeLessThanOrEqual(max);
      }),
    );
  });
});

describe('a concurrency', () => {
  test('is a number or bounds', () => {
    expect(concurrencyBounds('concurrency', 5)).toEqual({ min: 5, max: 5 });
    expect(concurrencyBounds('concurrency', { min: 2, max: 9 })).toEqual({ min: 2, max: 9 });
  });

  test.each([
    [0, '`concurrency` to be a whole number from 1 to 100000, got 0'],
    [1.5, '`concurrency` to be'],
    ['5', '`concurrency` to be'],
    [{ min: 0, max: 2 }, '`concurrency.min` to be'],
    [{ min: 3, max: 2 }, '`concurrency.max` to be at least concurrency.min (3), got 2'],
    [{ min: 3 }, '`concurrency.max` to be'],
    [[1, 2], '`concurrency` to be'],
  ])('%j is refused', (concurrency, message) => {
    const read = () => concurrencyBounds('concurrency', concurrency as Concurrency);
    expect(read).toThrow(InvalidOptionError);
    expect(read).toThrow(message);
  });
});

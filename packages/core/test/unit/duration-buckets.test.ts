/** Percentiles of durations that were counted in buckets. */
import { expect, test } from 'vitest';
import { BUCKETS, bucketOf, PERCENTILE_ERROR, percentilesOf } from '../../src/base/duration-buckets.js';

function percentiles(durations: readonly number[]) {
  const counts = new Map<number, number>();
  for (const ms of durations) counts.set(bucketOf(ms), (counts.get(bucketOf(ms)) ?? 0) + 1);
  return percentilesOf(counts);
}

test('are within the stated error, from a millisecond to a week', () => {
  expect(PERCENTILE_ERROR).toBeLessThan(0.1);
  for (let ms = 1; ms < 604_800_000; ms *= 1.37) {
    const { p50 = 0 } = percentiles([ms]) ?? {};
    expect(Math.abs(p50 - ms) / ms, `${ms} ms`).toBeLessThan(0.1);
  }
});

test('are those of the counts', () => {
  expect(percentiles([])).toBeNull();
  expect(percentiles([0, 0.4])).toEqual({ p50: 0, p95: 0, p99: 0 });
  const found = percentiles(Array.from({ length: 1000 }, (_, n) => n + 1));
  for (const [name, exact] of [
    ['p50', 500],
    ['p95', 950],
    ['p99', 990],
  ] as const)
    expect(Math.abs((found?.[name] ?? 0) - exact) / exact).toBeLessThan(0.1);
});

test('odd durations have a bucket too', () => {
  for (const ms of [Number.NaN, -1, 0]) expect(bucketOf(ms)).toBe(0);
  expect(bucketOf(Number.POSITIVE_INFINITY)).toBe(BUCKETS - 1);
  expect(bucketOf(1)).toBe(1);
});

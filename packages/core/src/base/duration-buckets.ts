/**
 * This module counts durations in buckets whose bounds grow by a constant factor, so that counts of several processes and
 * minutes can be added, and percentiles of the sum are known with a bounded error.
 */

/** The bounds of a bucket differ by this factor. */
const GROWTH = 1.2;
/** Number of buckets: the last one begins at more than a week. */
export const BUCKETS = 113;
/** Maximum relative error of a percentile above 1 ms: it is the middle of its bucket. */
export const PERCENTILE_ERROR = (GROWTH - 1) / (GROWTH + 1);

const LOG_GROWTH = Math.log(GROWTH);

/** Returns the bucket of a duration: 0 below 1 ms, else 1 and more. */
export function bucketOf(ms: number): number {
  if (!(ms >= 1)) return 0;
  return Math.min(1 + Math.floor(Math.log(ms) / LOG_GROWTH), BUCKETS - 1);
}

/** Percentiles of durations in milliseconds, within 10 %. */
export interface DurationPercentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** Returns the percentiles of counts by bucket; null if there are none. */
export function percentilesOf(counts: ReadonlyMap<number, number>): DurationPercentiles | null {
  const sorted = [...counts].sort(([a], [b]) => a - b);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  if (total === 0) return null;
  const at = (share: number): number => {
    let left = Math.ceil(share * total);
    for (const [bucket, count] of sorted) {
      left -= count;
      if (left <= 0) return middleOf(bucket);
    }
    return 0;
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** Returns the duration whose relative distance to both bounds of a bucket is the same. */
function middleOf(bucket: number): number {
  if (bucket === 0) return 0;
  const lower = GROWTH ** (bucket - 1);
  return Number(((2 * lower * GROWTH) / (1 + GROWTH)).toPrecision(3));
}

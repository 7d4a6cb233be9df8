// Whether a figure that is sampled at intervals stays level, in spite of noise.
import { summary } from '../run/statistics.mjs';

/** How certain a trend has to be, in standard deviations of what pure noise would show. */
const CERTAIN = 3;
/** Means that are compared with each other. */
const MOST_MEANS = 45;
/** The part of its allowance that a figure may grow by if the growth is certain. */
const SLOW = 1 / 6;

/**
 * Compares the median of the second quarter with that of the last one; the first quarter is left out, since caches and
 * streams fill then. A figure may grow by `part` of itself or by `floor`, whichever is more; but by a sixth of that only
 * if it grows steadily (Mann-Kendall's test over the last three quarters), as a slow leak does.
 * @returns `{ second, last, growth, most, trend, isLevel }`; `trend` in standard deviations.
 */
export function judgeSeries(values, { part, floor }) {
  if (values.length < 16) throw new RangeError(`expected 16 samples or more, got ${values.length}`);
  const quarter = Math.floor(values.length / 4);
  const second = summary(values.slice(quarter, 2 * quarter)).median;
  const last = summary(values.slice(-quarter)).median;
  const growth = last - second;
  const trend = mannKendall(values.slice(quarter));
  const allowed = Math.max(part * second, floor);
  const most = trend >= CERTAIN ? allowed * SLOW : allowed;
  return { second, last, growth, most, trend, isLevel: growth <= most };
}

/** How many more pairs rise than fall, in standard deviations of that number if the order were random. */
function mannKendall(values) {
  // Neighbours depend on each other (garbage, what has not expired yet): means of some are nearly independent.
  const means = chunked(values, Math.max(1, Math.floor(values.length / MOST_MEANS)));
  let rises = 0;
  for (const [index, value] of means.entries())
    for (const later of means.slice(index + 1)) rises += Math.sign(later - value);
  const n = means.length;
  const deviation = Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  return rises === 0 ? 0 : (rises - Math.sign(rises)) / deviation;
}

function chunked(values, size) {
  const means = [];
  for (let start = 0; start + size <= values.length; start += size) {
    const part = values.slice(start, start + size);
    means.push(part.reduce((sum, value) => sum + value, 0) / size);
  }
  return means;
}

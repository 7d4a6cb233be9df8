/**
 * The half-open index span of a Redis range, whose `start` and `stop` are inclusive and count from the end
 * when negative.
 */
export function spanOf(start: number, stop: number, size: number): { from: number; to: number } {
  const from = Math.max(start < 0 ? size + start : start, 0);
  const to = Math.min((stop < 0 ? size + stop : stop) + 1, size);
  return { from, to: Math.max(to, from) };
}

/** The part of `items` inside a Redis range. */
export function sliceRange<T>(items: readonly T[], start: number, stop: number): T[] {
  const { from, to } = spanOf(start, stop, items.length);
  return items.slice(from, to);
}

// Medians and quartiles.

/** The value below which so much of the list lies, between neighbours in proportion. */
export function quantile(values, part) {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * part;
  const below = sorted[Math.floor(place)];
  return below + (sorted[Math.ceil(place)] - below) * (place - Math.floor(place));
}

/** The median, with the quartiles on its sides. */
export function summary(values) {
  return { median: quantile(values, 0.5), low: quantile(values, 0.25), high: quantile(values, 0.75) };
}

/** How much faster or cheaper ours is, from figures of the same rounds: above 1 is better. */
export function pairedRatio(theirs, ours) {
  return summary(theirs.map((value, round) => value / ours[round]));
}

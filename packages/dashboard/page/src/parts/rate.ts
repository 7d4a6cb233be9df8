/** The rate of a queue, between the form and what core accepts: a number and a unit, such as `100/m`. */

/** Names of the units that core accepts, with their lengths. */
export const RATE_UNITS = [
  ['s', 'second', 1000],
  ['m', 'minute', 60_000],
  ['h', 'hour', 3_600_000],
  ['d', 'day', 86_400_000],
] as const;

type Unit = (typeof RATE_UNITS)[number][0];

export interface RateLimit {
  readonly max: number;
  readonly durationMs: number;
}

/** Returns the rate as core accepts it; undefined for a duration that is no unit, which other programs can set. */
export function rateTextOf({ max, durationMs }: RateLimit): `${number}/${Unit}` | undefined {
  const unit = RATE_UNITS.find(([, , ms]) => ms === durationMs)?.[0];
  return unit && `${max}/${unit}`;
}

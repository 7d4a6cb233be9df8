/**
 * Checks of stored data, which any program may have written. A check is a function of one value; the others build checks from
 * checks.
 */
export type Check = (value: unknown) => boolean;

export const isText: Check = (value) => typeof value === 'string';

export const isTrue: Check = (value) => value === true;

/** A whole number from `min` to `max`. */
export const isWholeWithin =
  (min: number, max: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;

/** A whole number of at least 0. */
export const isCount: Check = isWholeWithin(0, Number.MAX_SAFE_INTEGER);

/** The range of `Date`, in milliseconds since 1970. */
const MAX_TIME = 8.64e15;

/** A moment in milliseconds since 1970, also between two milliseconds. */
export const isTime: Check = (value) => typeof value === 'number' && Math.abs(value) <= MAX_TIME;

/** A moment in whole milliseconds since 1970. */
export const isMoment: Check = isWholeWithin(-MAX_TIME, MAX_TIME);

export const isOneOf =
  (...known: readonly string[]): Check =>
  (value) =>
    known.includes(value as string);

/** A list of at most `max` items that pass the check. */
export const isListOf =
  (check: Check, max = Number.POSITIVE_INFINITY): Check =>
  (value) =>
    Array.isArray(value) && value.length <= max && value.every(check);

export const absentOr =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);

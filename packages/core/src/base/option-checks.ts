/**
 * Checks of options, used by every public function, and checks of stored data. Unknown options are errors, because a
 * misspelt option would silently have no effect.
 */

import { InvalidOptionError } from './errors.js';
import { isPlainObject, nearest } from './text.js';
import { type Duration, durationMs } from './time.js';

/** The option names of a type. The compiler ensures that none is missing. */
export type OptionNames<Options> = Readonly<Record<keyof Required<Options>, true>>;

/**
 * Checks the names of all options that have a value.
 * @param prefix The path of the options in an outer object, such as `retry.`.
 * @throws {InvalidOptionError} at the first unknown option.
 */
export function checkKnown(options: object, known: Readonly<Record<string, true>>, prefix = ''): void {
  for (const option of Object.keys(options)) {
    if (Object.hasOwn(known, option)) continue;
    const value: unknown = options[option as keyof typeof options];
    if (value === undefined) continue;
    const similar = nearest(option, Object.keys(known));
    const expected =
      similar === undefined
        ? `absent: the options are ${Object.keys(known).join(', ')}`
        : `absent (did you mean \`${similar}\`?)`;
    throw new InvalidOptionError(`${prefix}${option}`, expected, value);
  }
}

/**
 * Returns the options of a public function after checking them.
 * @throws {InvalidOptionError} if `options` is not a plain object, or at the first unknown option.
 */
export function checkOptions<Options extends object>(
  options: Options,
  known: OptionNames<Options>,
  { option = 'options', above = '', example = '' } = {},
): Options {
  const [first] = Object.keys(known);
  checkKnown(checkObject(option, options, example || `{ ${first}: … }`), known, above);
  return options;
}

/** Returns `value`. @throws {InvalidOptionError} unless it is a plain object. */
export function checkObject<Value>(option: string, value: Value, example: string): Value {
  if (!isPlainObject(value)) throw new InvalidOptionError(option, `an object such as ${example}`, value);
  return value;
}

/** Returns `value`. @throws {InvalidOptionError} unless it is a whole number from `min` to `max`. */
export function checkInteger(option: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new InvalidOptionError(option, `a whole number from ${min} to ${max}`, value);
  }
  return value;
}

/** Returns `value`. @throws {InvalidOptionError} unless it is true or false. */
export function checkBoolean(option: string, value: boolean): boolean {
  if (typeof value !== 'boolean') throw new InvalidOptionError(option, 'true or false', value);
  return value;
}

/** Returns `text`. @throws {InvalidOptionError} unless it is a string of 1 to `max` characters. */
export function checkText(option: string, text: string, max: number): string {
  if (typeof text !== 'string' || text.length === 0 || text.length > max) {
    throw new InvalidOptionError(option, `text of 1 to ${max} characters`, text);
  }
  return text;
}

/** An object under construction. */
export type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Returns the milliseconds of a duration. @throws {InvalidOptionError} unless it is greater than zero. */
export function positiveMs(duration: Duration, option: string): number {
  const value = durationMs(duration, option);
  if (value === 0) throw new InvalidOptionError(option, 'a time of more than zero', duration);
  return value;
}

// Checks of stored data, which any program may have written.

/** A check of one value. The functions below build checks from checks. */
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

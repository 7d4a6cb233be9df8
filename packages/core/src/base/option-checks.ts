import { InvalidOptionError } from './errors.js';
import { type Duration, durationMs } from './time.js';
/** Options that nobody knows are mistakes: a misspelt one would be without effect, and nobody would notice. */

import { isPlainObject, nearest } from './text.js';

/** The names of the options of a type: the compiler sees to it that none is missing. */
export type OptionNames<Options> = Readonly<Record<keyof Required<Options>, true>>;

/** @throws {InvalidOptionError} at the first option that is not one of these; `above` is where they stand. */
export function checkKnown(given: object, known: Readonly<Record<string, true>>, above = ''): void {
  for (const [option, value] of Object.entries(given)) {
    if (Object.hasOwn(known, option) || value === undefined) continue;
    const meant = nearest(option, Object.keys(known));
    const expected =
      meant === undefined
        ? `absent: the options are ${Object.keys(known).join(', ')}`
        : `absent (did you mean \`${meant}\`?)`;
    throw new InvalidOptionError(`${above}${option}`, expected, value);
  }
}

/**
 * Options that a function was given, unless they are absent: the one way by which every public function reads them.
 * @throws {InvalidOptionError} unless they are an object, or at the first option that is not one of these.
 */
export function checkOptions<Options extends object>(
  given: Options,
  known: OptionNames<Options>,
  { option = 'options', above = '', example = '' } = {},
): Options {
  const [first] = Object.keys(known);
  checkKnown(checkObject(option, given, example || `{ ${first}: … }`), known, above);
  return given;
}

/** `given` itself. @throws {InvalidOptionError} unless it is an object of options. */
export function checkObject<Given>(option: string, given: Given, example: string): Given {
  if (!isPlainObject(given)) throw new InvalidOptionError(option, `an object such as ${example}`, given);
  return given;
}

/** `value` itself. @throws {InvalidOptionError} unless it is a whole number within the bounds. */
export function checkInteger(option: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new InvalidOptionError(option, `a whole number from ${min} to ${max}`, value);
  }
  return value;
}

/** `value` itself. @throws {InvalidOptionError} unless it is true or false. */
export function checkBoolean(option: string, value: boolean): boolean {
  if (typeof value !== 'boolean') throw new InvalidOptionError(option, 'true or false', value);
  return value;
}

/** `text` itself. @throws {InvalidOptionError} unless it is text of 1 to `max` characters. */
export function checkText(option: string, text: string, max: number): string {
  if (typeof text !== 'string' || text.length === 0 || text.length > max) {
    throw new InvalidOptionError(option, `text of 1 to ${max} characters`, text);
  }
  return text;
}

/** @throws {InvalidOptionError} unless the time is more than zero. */
export function positiveMs(duration: Duration, option: string): number {
  const value = durationMs(duration, option);
  if (value === 0) throw new InvalidOptionError(option, 'a time of more than zero', duration);
  return value;
}

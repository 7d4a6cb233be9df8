/** Options that nobody knows are mistakes: a misspelt one would be without effect, and nobody would notice. */

import { nearest } from '../errors/nearest.js';
import { InvalidOptionError } from '../errors.js';
import { isPlainObject } from '../wire/plain-object.js';

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

import ms from 'ms';
import { InvalidOptionError } from './errors.js';

/** A length of time: milliseconds as a number, or text such as `'30s'`, `'10m'`, `'1h'`, `'7d'`. */
export type Duration = number | `${number}${'' | ' '}${'ms' | 's' | 'm' | 'h' | 'd' | 'w'}`;

/**
 * Milliseconds in a duration, zero or more.
 * @throws {InvalidOptionError} naming `option` if the text cannot be read, or the time is negative or not finite.
 */
export function durationMs(duration: Duration, option: string): number {
  const value = typeof duration === 'number' ? duration : parse(duration);
  if (value === undefined || !Number.isFinite(value) || value < 0) {
    throw new InvalidOptionError(
      option,
      `a time in milliseconds or text such as '30s', '10m', '1h'`,
      duration,
    );
  }
  return Math.round(value);
}

function parse(text: string): number | undefined {
  if (typeof text !== 'string' || text === '') return undefined;
  return ms(text as ms.StringValue) as number | undefined; // its types leave out that other text gives undefined
}

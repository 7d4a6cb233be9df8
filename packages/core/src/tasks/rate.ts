import { InvalidOptionError } from '../errors.js';

/** So many in a second, minute, hour or day. */
export type Rate = `${number}/${'s' | 'm' | 'h' | 'd'}`;

export interface RateLimit {
  readonly max: number;
  readonly durationMs: number;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @throws {InvalidOptionError} naming `option` if the text is not a rate. */
export function rateOf(rate: Rate, option: string): RateLimit {
  const [count, unit = '', ...rest] = String(rate).split('/');
  const max = Number(count);
  const durationMs = UNIT_MS[unit];
  if (durationMs === undefined || rest.length > 0 || !Number.isInteger(max) || max < 1) {
    throw new InvalidOptionError(option, `a rate such as '100/s', '10/m', '1000/h'`, rate);
  }
  return { max, durationMs };
}

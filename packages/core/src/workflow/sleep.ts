/** Decides when a sleep ends. Pure: `worker/sleep-jobs.ts` stores the decision and delays the job. */
import { ValidationError } from '../base/errors.js';
import { kindOf, valueUnder } from '../base/text.js';
import type { Pause, Sleep } from '../job/pause.js';

/** The decision about a sleep: pass the value on, begin to wait, or wait for the rest of the time. */
export type SleepDecision =
  | { readonly kind: 'over' }
  | { readonly kind: 'begin'; readonly pause: Pause }
  | { readonly kind: 'wait'; readonly ms: number };

/**
 * Decides a sleep. The moment of its end follows from the first decision, which the job stores.
 * @param value The value that the sleep passes on.
 * @throws {ValidationError} if the value does not hold a date and time under the key of `sleep`.
 */
export function decideSleep(
  sleep: Sleep,
  pause: Pause | undefined,
  value: unknown,
  now: number,
): SleepDecision {
  if (pause !== undefined) return restOf(pause, now);
  const until = 'ms' in sleep ? now + sleep.ms : momentAt(value, sleep.until);
  return until <= now ? { kind: 'over' } : { kind: 'begin', pause: { since: now, until } };
}

/** Decides a wait that has begun. It never ends early, whoever started its job. */
export function restOf({ until, woken }: Pause, now: number): SleepDecision {
  if (woken !== undefined || now >= until) return { kind: 'over' };
  return { kind: 'wait', ms: Math.ceil(until - now) };
}

function momentAt(value: unknown, key: string): number {
  const text = valueUnder(value, key);
  const moment = typeof text === 'string' ? momentOfIso(text) : undefined;
  if (moment !== undefined) return moment;
  const actual = typeof text === 'string' ? `"${text.slice(0, 60)}"` : kindOf(text);
  throw new ValidationError('sleep', 'input', [
    {
      path: `input.${key}`,
      message: `expected a date and time with a time zone, such as "2030-01-31T09:00:00Z", got ${actual}`,
    },
  ]);
}

const ISO = /^(\d{4})-(\d{2})-(\d{2})T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/;

/** Returns the moment of an ISO 8601 date and time with a time zone; undefined for other text. */
function momentOfIso(text: string): number | undefined {
  const [, year, month, day] = ISO.exec(text) ?? [];
  if (year === undefined) return undefined;
  const moment = Date.parse(text);
  if (Number.isNaN(moment)) return undefined;
  // `Date.parse` accepts the 30th of February as a day of March.
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  return Number(day) <= days ? moment : undefined;
}

/**
 * The wait of a job for a moment, as plain data: what a sleep is planned with, and what a job stores when it begins to wait.
 * A waiting job is delayed in its queue, so it occupies no worker. Moments are milliseconds since 1970.
 */
import { absentOr, type Check, isCount, isText, isTime } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';

/** A planned sleep: a time in milliseconds, or the key of the previous value that holds a date and time. */
export type Sleep = { readonly ms: number } | { readonly until: string };

/** A wait that has begun. It is stored once, so the moment of its end does not change. */
export interface Pause {
  readonly since: number;
  readonly until: number;
  /** When `wake` ended it. */
  readonly woken?: number;
  /** In a loop: the number of the turn after which it waits. */
  readonly turns?: number;
}

/** The turns of a loop. */
export interface Turns {
  /** Number of turns that have begun. */
  readonly begun: number;
  /** What the turns before the last one have spent of the budget. */
  readonly spent: number;
}

/** A `Turns`. */
export const isTurns: Check = (value) =>
  isPlainObject(value) && isCount(value.begun) && Number(value.begun) > 0 && isAmount(value.spent);

/** A number of 0 or more. */
export const isAmount: Check = (value) => typeof value === 'number' && value >= 0;

/** A `Sleep`. */
export const isSleep: Check = (value) =>
  isPlainObject(value) && ('ms' in value ? isCount(value.ms) : isText(value.until));

/** A `Pause`. */
export const isPause: Check = (value) =>
  isPlainObject(value) &&
  isTime(value.since) &&
  isTime(value.until) &&
  absentOr(isTime)(value.woken) &&
  absentOr(isCount)(value.turns);

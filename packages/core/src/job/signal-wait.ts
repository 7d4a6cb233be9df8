/**
 * The wait for a signal, as plain data: the part that is planned and stored with its job, and the part that the job stores
 * when the wait begins. `worker/signal-wait.ts` runs such jobs.
 */

import { absentOr, type Check, isText, isTime, isTrue } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import { digestId } from './ids.js';
import { isKey } from './tree-checks.js';

/** A planned wait for a signal. */
export interface SignalWait {
  /** The name of the signal. */
  readonly signal: string;
  /** The key of the previous value that holds the key of the wait, or the key itself. Absent: the id of the run. */
  readonly key?: { readonly from: string } | { readonly text: string };
  /** In milliseconds; `'never'` for a wait without end. */
  readonly timeout: number | 'never';
  /** The result after the timeout. Absent: the wait fails. */
  readonly onTimeout?: { readonly value: unknown };
  /** The key of the previous value that receives the payload. Absent: the payload is the result. */
  readonly into?: string;
}

/** A wait that has begun. Moments are milliseconds since 1970. */
export interface BegunWait {
  /** The key of the wait. */
  readonly key: string;
  readonly since: number;
  /** Absent: it has no end. */
  readonly until?: number;
  /** No signal came in time, and the result is the value for that case. */
  readonly timedOut?: true;
}

const LONE_SURROGATE = /\p{Surrogate}/u;

/** Maximum length of a key, in characters. */
export const MAX_SIGNAL_KEY = 500;

/** A `SignalWait`. */
export const isSignalWait: Check = (value) =>
  isPlainObject(value) &&
  isText(value.signal) &&
  absentOr(isWaitKey)(value.key) &&
  (value.timeout === 'never' || (isTime(value.timeout) && Number(value.timeout) > 0)) &&
  absentOr(isPlainObject)(value.onTimeout) &&
  absentOr(isKey)(value.into);

const isWaitKey: Check = (value) => isPlainObject(value) && (isText(value.from) || isText(value.text));

/** A `BegunWait`. */
export const isBegunWait: Check = (value) =>
  isPlainObject(value) &&
  isText(value.key) &&
  isTime(value.since) &&
  absentOr(isTime)(value.until) &&
  absentOr(isTrue)(value.timedOut);

/** Returns the id under which the store keeps the record of a signal and a key: a hash, because keys are any text. */
export function signalRecordId(signal: string, key: string): string {
  return digestId(`${signal}\0${key}`, 32);
}

/**
 * Returns whether a text can be the key of a signal: 1 to 500 characters, with complete surrogate pairs, as the store
 * keeps it as UTF-8.
 */
export function isSignalKey(key: unknown): key is string {
  return (
    typeof key === 'string' && key.length > 0 && key.length <= MAX_SIGNAL_KEY && !LONE_SURROGATE.test(key)
  );
}

/** Number of digits of a time in the index, so that text order is time order. */
const SINCE_DIGITS = 9;

/** Returns the position of a wait in the index. A space sorts before all characters of names. */
export function waitPosition(
  { signal, id }: { readonly signal: string; readonly id: string },
  since: number,
): string {
  return `${signal} ${Math.max(0, Math.floor(since)).toString(36).padStart(SINCE_DIGITS, '0')}${id}`;
}

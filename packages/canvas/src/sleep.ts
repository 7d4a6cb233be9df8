/** This module builds sleeps: steps that pass the previous result on after a time. */
import { type Duration, InvalidOptionError, type PassingResult, type Signature } from '@umbel/core';
import { durationMs } from '@umbel/core/internal';
import { Composition } from './composition.js';
import type { TextKeysOf } from './types/branches.js';

/** A step that passes the previous result on. In a chain, its result has the type of the result before it. */
interface PassingStep<In> extends Signature<'sleep', In, unknown> {
  readonly '~gives': PassingResult<'sleep', In, {}>;
}

/**
 * Builds sleeps. A sleeping workflow occupies no worker, lock or attempt, and it survives restarts. `run.wake()` ends a
 * sleep early.
 *
 * @example
 * const followUp = chain(resize, sleep('3d'), upload);
 */
export interface SleepFunction {
  /**
   * Passes the previous result on after a time, which begins when that result is known. A number means milliseconds.
   *
   * At the start of a chain the compiler does not know the value: pass its type, `sleep<Order>('1d')`.
   * @throws {InvalidOptionError} unless `time` is a duration.
   */
  (time: Duration): PassingStep<unknown>;
  <Value>(time: Duration): Signature<'sleep', Value, Value>;
  /**
   * Passes the previous result on at the moment that it holds under `key`: an ISO 8601 date and time with a time zone, such
   * as `2030-01-31T09:00:00Z`. A moment in the past passes at once. Other text fails the step.
   * @throws {InvalidOptionError} unless `key` is text.
   */
  until<const Key extends string>(key: Key): PassingStep<{ readonly [Name in Key]: string }>;
  until<Value>(key: TextKeysOf<Value>): Signature<'sleep', Value, Value>;
}

function buildSleep(time: Duration): Composition {
  return new Composition({ kind: 'sleep', ms: durationMs(time, 'time') }, undefined);
}

/** Builds sleeps: steps that pass the previous result on after a time. */
export const sleep = /* @__PURE__ */ Object.assign(buildSleep, {
  until: (key: unknown) => {
    if (typeof key !== 'string') throw new InvalidOptionError('key', 'the name of a key', key);
    return new Composition({ kind: 'sleep', until: key }, undefined);
  },
}) as unknown as SleepFunction; // the types say what the steps need and give, which no object carries at run time

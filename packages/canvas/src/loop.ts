/** This module builds loops: a step that is repeated until a condition holds. */
import {
  type AnyResult,
  type AnyStep,
  type Duration,
  InvalidOptionError,
  type Result,
  type Signature,
  type StepAfter,
} from '@umbel/core';
import { checkInteger, checkOptions, durationMs, isSigned, type OptionNames } from '@umbel/core/internal';
import { checkCondition } from './branch.js';
import { Composition } from './composition.js';
import type { Condition, LoopExpression } from './expression.js';
import { expressionOf, partOf, senderOf } from './part.js';
import type { NumberKeysOf, UntilOf } from './types/branches.js';
import type { FirstStep } from './types/flow.js';

/** The result of a loop. */
export interface LoopResult<Value> {
  /** The result of the last turn. */
  readonly value: Value;
  /** Why the loop ended: the condition holds, all turns are made, or the budget is used up. */
  readonly stopped: 'done' | 'max' | 'budget';
}

/** Options of a loop over values of the type `Value`. */
export interface LoopOptions<Value, Until> {
  /** When the loop is done: a condition on the result of a turn, or a step that takes it and returns true or false. */
  until: Until;
  /** Maximum number of turns. */
  max: number;
  /** Time between the end of a turn and the next one. Default: none. */
  every?: Duration | undefined;
  /**
   * Limit of the sum that all turns spend, such as tokens or cents. `key` is the key of a turn's result that holds its
   * part. A turn begins only while the sum of the turns before it is below `max`.
   */
  budget?: { key: NumberKeysOf<Value>; max: number } | undefined;
}

const OPTIONS: OptionNames<LoopOptions<unknown, unknown>> = {
  until: true,
  max: true,
  every: true,
  budget: true,
};
const BUDGET: OptionNames<{ key: string; max: number }> = { key: true, max: true };

/**
 * Runs the body, then again with its result, until `until` holds. At least one turn is made. The result says why the loop
 * ended. A body that fails fails the loop, and `result.resume()` continues with that turn.
 *
 * The loop occupies no worker during a turn or between two turns. The store keeps the last five turns, so a loop of any
 * length needs the same memory.
 * @throws {CanvasError} if the body is not a step, or `until` is neither a step nor a condition.
 * @throws {InvalidOptionError} if an option is invalid.
 *
 * @example
 * const settled = loop(double, { until: isLarge, max: 50, every: '5s' });
 */
export function loop<In, Gives extends AnyResult, const Until extends AnyStep | Condition>(
  body: FirstStep<In, Gives> & StepAfter<Result<'the turn before', NoInfer<Gives>['~out']>, Gives>,
  options: LoopOptions<NoInfer<Gives>['~out'], UntilOf<Until, NoInfer<Gives>['~out']>>,
): Signature<'loop', In, LoopResult<Gives['~out']>>;
export function loop(body: unknown, options: LoopOptions<unknown, unknown>): unknown {
  const { until, max, every, budget } = checkOptions(options, OPTIONS);
  const part = partOf(body, 'The body of the loop');
  const test = isSigned(until) ? partOf(until, 'The `until` of the loop') : undefined;
  const expression: LoopExpression = {
    kind: 'loop',
    body: expressionOf(part),
    until: test === undefined ? { condition: checkCondition(until, 'until') } : { step: expressionOf(test) },
    max: checkInteger('max', max, 1, Number.MAX_SAFE_INTEGER),
    ...(every !== undefined && { everyMs: durationMs(every, 'every') }),
    ...(budget !== undefined && { budget: checkBudget(budget) }),
  };
  return new Composition(expression, senderOf(test === undefined ? [part] : [part, test]));
}

function checkBudget(budget: { key: string; max: number }): NonNullable<LoopExpression['budget']> {
  const { key, max } = checkOptions(budget, BUDGET);
  if (typeof key !== 'string') throw new InvalidOptionError('budget.key', 'the name of a key', key);
  if (typeof max !== 'number' || !Number.isFinite(max) || max <= 0)
    throw new InvalidOptionError('budget.max', 'a number greater than 0', max);
  return { key, max };
}

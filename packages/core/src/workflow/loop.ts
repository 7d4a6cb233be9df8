/** Decides how a loop continues when a turn has ended. Pure: `worker/loop-jobs.ts` stores the decision and adds the turns. */
import { ValidationError } from '../base/errors.js';
import { kindOf, valueUnder } from '../base/text.js';
import type { LoopExpansion } from '../job/job-tree.js';
import type { Pause, Turns } from '../job/pause.js';
import { fulfils } from './input.js';
import { restOf } from './sleep.js';

/** Why a loop ended: its condition holds, it has made the maximum number of turns, or its budget is used up. */
type StopReason = 'done' | 'max' | 'budget';

/** The last turn of a loop. */
export interface EndedTurn {
  /** The result of the body. */
  readonly value: unknown;
  /** The result of the step that decides. Absent: it has not run, or the loop has a condition. */
  readonly tested?: { readonly result: unknown };
}

/** The decision about a loop: end, run the step that decides, wait, or begin the next turn. */
export type LoopDecision =
  | { readonly kind: 'end'; readonly result: { readonly value: unknown; readonly stopped: StopReason } }
  | { readonly kind: 'test' }
  | { readonly kind: 'begin-wait'; readonly pause: Pause }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'turn'; readonly turns: Turns };

/**
 * Decides a loop after a turn. The condition is tested first, then the number of turns, then the budget.
 * @param turns The turns so far, the ended one included. Its spending is not in `spent` yet.
 * @param pause The last wait between two turns.
 * @throws {ValidationError} if the deciding step returned neither true nor false, or the value lacks the number of the
 * budget.
 */
export function decideLoop(
  loop: LoopExpansion,
  turns: Turns,
  { value, tested }: EndedTurn,
  pause: Pause | undefined,
  now: number,
): LoopDecision {
  const { until, max, everyMs, budget } = loop;
  if ('step' in until && tested === undefined) return { kind: 'test' };
  const isDone = 'condition' in until ? fulfils(value, until.condition) : truthOf(tested?.result);
  const spent = turns.spent + (budget === undefined ? 0 : spentIn(value, budget.key));
  const stopped = isDone
    ? 'done'
    : turns.begun >= max
      ? 'max'
      : budget !== undefined && spent >= budget.max
        ? 'budget'
        : undefined;
  if (stopped !== undefined) return { kind: 'end', result: { value, stopped } };
  if (everyMs !== undefined && everyMs > 0) {
    const begun = pause?.turns === turns.begun ? pause : undefined;
    if (begun === undefined)
      return { kind: 'begin-wait', pause: { since: now, until: now + everyMs, turns: turns.begun } };
    const rest = restOf(begun, now);
    if (rest.kind === 'wait') return rest;
  }
  return { kind: 'turn', turns: { begun: turns.begun + 1, spent } };
}

function truthOf(result: unknown): boolean {
  if (typeof result === 'boolean') return result;
  throw refused('input', `the step that decides must return true or false, it returned ${kindOf(result)}`);
}

function spentIn(value: unknown, key: string): number {
  const spent = valueUnder(value, key);
  if (typeof spent === 'number' && Number.isFinite(spent) && spent >= 0) return spent;
  const actual = typeof spent === 'number' ? String(spent) : kindOf(spent);
  throw refused(
    `input.${key}`,
    `expected the number that the turn adds to the budget, 0 or more, got ${actual}`,
  );
}

function refused(path: string, message: string): ValidationError {
  return new ValidationError('loop', 'input', [{ path, message }]);
}

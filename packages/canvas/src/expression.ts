/**
 * This module defines workflows as plain data, and limits how deep they nest. `toJSON` returns this data, `fromJSON`
 * reads it, and `normalize` prepares it for the planner.
 */
import type { NormalizedOptions, Sender, Sleep, TaskExpression } from '@umbel/core/internal';
import { match } from 'ts-pattern';
import { CanvasError } from './part.js';

/** A workflow as plain data. Options of a workflow apply to every task in it that does not set them itself. */
export type CanvasExpression =
  | TaskExpression
  | ChainExpression
  | GroupExpression
  | ChordExpression
  | MapExpression
  | MatchExpression
  | WhenExpression
  | FallbackExpression
  | FlatExpression
  | SleepExpression
  | LoopExpression
  | WaitForExpression;

/** Fields of every workflow. */
interface Composed {
  /** The name of its runs. That of a part of a workflow is not used. */
  readonly name?: string;
  readonly options?: NormalizedOptions;
  readonly callbacks?: CallbackExpressions;
}

/** Steps that are sent after a workflow or a call has ended, each once. */
export interface CallbackExpressions {
  /** Sent with the result. */
  readonly success?: readonly CanvasExpression[];
  /** Sent with a `FailureRecord`. */
  readonly failure?: readonly CanvasExpression[];
  /** Sent with a `StepOutcome`, after a success and after a failure. */
  readonly always?: readonly CanvasExpression[];
}

/** Runs steps in sequence. */
export interface ChainExpression extends Composed {
  readonly kind: 'chain';
  readonly steps: readonly CanvasExpression[];
}

/** Runs members in parallel. */
export interface GroupExpression extends Composed {
  readonly kind: 'group';
  readonly members: readonly CanvasExpression[] | LazyMembers;
  /** The key of each member, for a group that was built from a record. */
  readonly keys?: readonly string[];
  /** Absent: every member must succeed. */
  readonly policy?: JoinPolicy;
  /** `true` skips members that have not started once the outcome is certain; `'running'` also aborts running members. */
  readonly cancelSiblings?: true | 'running';
}

/** When a group completes, and with what result. */
export type JoinPolicy =
  /** Completes when all members have ended. The result is a `StepOutcome` for each. */
  | { readonly kind: 'settled' }
  /** Completes when one member has succeeded. The result is that member's result. */
  | { readonly kind: 'any' }
  /** Completes when `count` members have succeeded. The result is the list of their results, in declared order. */
  | { readonly kind: 'atLeast'; readonly count: number };

/** Lazy members, which are read while they are sent. They are not plain data, so the group has no JSON form. */
export interface LazyMembers {
  readonly read: () => AsyncIterable<CanvasExpression>;
  /** Returns the app of the first member. It reads that member, which the next `read` yields again. */
  readonly sender?: () => Promise<Sender | undefined>;
  /** Closes the iterator that `sender` opened, if `read` was not called since. */
  readonly close?: () => Promise<void>;
}

/** Runs a group, then one step with all results. */
export interface ChordExpression extends Composed {
  readonly kind: 'chord';
  readonly header: CanvasExpression;
  readonly body: CanvasExpression;
}

/** One step that runs for many inputs. */
export interface MapExpression extends Composed {
  readonly kind: 'map';
  readonly step: CanvasExpression;
  /** Absent: the list that the previous step returns. */
  readonly inputs?: readonly unknown[];
  /** The keys for the values of each input, which is a row of values. */
  readonly keys?: readonly string[];
  /** The number of inputs in one job. Only for a step that is a task. */
  readonly chunkSize?: number;
  /** The index of the first input, for inputs that are read in slices. */
  readonly offset?: number;
}

/** Runs the case that is named by the value under `key` of the previous result. */
export interface MatchExpression extends Composed {
  readonly kind: 'match';
  readonly key: string;
  readonly cases: Readonly<Record<string, CanvasExpression>>;
}

/** Runs one of two steps, by a test of the previous result. */
export interface WhenExpression extends Composed {
  readonly kind: 'when';
  /** A step that returns true or false, or a condition on the previous result. */
  readonly test: { readonly step: CanvasExpression } | { readonly condition: Condition };
  readonly onTrue: CanvasExpression;
  /** Absent: the previous result is passed on. */
  readonly onFalse?: CanvasExpression;
}

/** Comparisons by key. All must hold. */
export type Condition = Readonly<Record<string, Comparison>>;

/** A value to equal, or comparisons that must all hold. */
export type Comparison = string | number | boolean | null | Comparisons;

interface Comparisons {
  readonly eq?: string | number | boolean | null;
  readonly ne?: string | number | boolean | null;
  readonly gt?: number | string;
  readonly gte?: number | string;
  readonly lt?: number | string;
  readonly lte?: number | string;
  readonly in?: readonly (string | number | boolean | null)[];
  readonly exists?: boolean;
}

/** Runs `other` with a `FailureRecord` if `step` fails. The result is that of the step that succeeded. */
export interface FallbackExpression extends Composed {
  readonly kind: 'fallback';
  readonly step: CanvasExpression;
  readonly other: CanvasExpression;
}

/** Flattens the result of a step, a list of lists, by one level. */
export interface FlatExpression extends Composed {
  readonly kind: 'flat';
  readonly step: CanvasExpression;
}

/** Passes the previous result on: after a time, or at the moment that the result holds under a key. */
export type SleepExpression = Composed & { readonly kind: 'sleep' } & Sleep;

/** Repeats its body, which takes the result of the turn before, until a condition on that result holds. */
export interface LoopExpression extends Composed {
  readonly kind: 'loop';
  readonly body: CanvasExpression;
  /** A step that returns true or false, or a condition on the result of a turn. */
  readonly until: { readonly step: CanvasExpression } | { readonly condition: Condition };
  /** Maximum number of turns. */
  readonly max: number;
  /** Time between two turns, in milliseconds. */
  readonly everyMs?: number;
  readonly budget?: LoopBudget;
}

/** Limit of the sum that all turns of a loop spend. */
interface LoopBudget {
  /** The key of the result of a turn that holds what the turn has spent. */
  readonly key: string;
  /** The sum from which on no turn begins. */
  readonly max: number;
}

/** Waits for a signal. */
export interface WaitForExpression extends Composed {
  readonly kind: 'waitFor';
  /** The name of the signal. */
  readonly signal: string;
  /** The key of the previous result that holds the key of the wait, or the key itself. Absent: the id of the run. */
  readonly key?: { readonly from: string } | { readonly text: string };
  /** In milliseconds, or `'never'`. */
  readonly timeout: number | 'never';
  /** The result after the timeout. Absent: the wait fails. */
  readonly onTimeout?: { readonly value: unknown };
  /** The key of the previous result that receives the payload. Absent: the payload is the result. */
  readonly into?: string;
}

/** Returns the direct parts of an expression, without callbacks and lazy members. */
export function partsOf(expression: CanvasExpression): readonly CanvasExpression[] {
  if (expression.kind === 'task') return []; // before the match: this runs for each of up to 10,000 steps
  return match(expression)
    .returnType<readonly CanvasExpression[]>()
    .with({ kind: 'group' }, ({ members }) => ('read' in members ? [] : members))
    .with({ kind: 'chain' }, ({ steps }) => steps)
    .with({ kind: 'chord' }, ({ header, body }) => [header, body])
    .with({ kind: 'match' }, ({ cases }) => Object.values(cases))
    .with({ kind: 'when' }, ({ test, onTrue, onFalse }) => [
      ...('step' in test ? [test.step] : []),
      onTrue,
      ...(onFalse === undefined ? [] : [onFalse]),
    ])
    .with({ kind: 'fallback' }, ({ step, other }) => [step, other])
    .with({ kind: 'map' }, { kind: 'flat' }, ({ step }) => [step])
    .with({ kind: 'sleep' }, () => [])
    .with({ kind: 'loop' }, ({ body, until }) => ('step' in until ? [body, until.step] : [body]))
    .with({ kind: 'waitFor' }, () => [])
    .exhaustive();
}

/** Maximum number of levels. The steps of a chain do not add levels. The planner recurses once a level. */
const MAX_NESTING = 500;

/** The number of levels of each expression that `checkNesting` has seen. A task has 0. */
const depths = new WeakMap<CanvasExpression, number>();

/**
 * Stores how deep an expression nests, from the stored depths of its parts. Unknown parts count as tasks.
 * @throws {CanvasError} if it is too deep to be planned.
 */
export function checkNesting(expression: CanvasExpression): void {
  let depth = 0;
  for (const part of partsOf(expression))
    if (part.kind !== 'task') depth = Math.max(depth, depths.get(part) ?? 0);
  for (const callbacks of Object.values(expression.callbacks ?? {}))
    for (const callback of callbacks) depth = Math.max(depth, depths.get(callback) ?? 0);
  if (depth >= MAX_NESTING)
    throw new CanvasError(
      `Workflows can be nested at most ${MAX_NESTING} levels deep, and this ${expression.kind} is deeper. ` +
        'Pass the parts as one list: chain.of(steps), group(members).',
    );
  depths.set(expression, depth + 1);
}
